package leaktest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// kind says which goroutine the tests of a process leave behind, see TestLeaks.
const kind = "PULLGATE_LEAK"

func TestMain(m *testing.M) {
	if os.Getenv(kind) == "for ever" {
		goleak.VerifyTestMain(unhurried{m, 0}) // it is no use to wait
	}
	Main(m)
}

func TestLeaves(t *testing.T) {
	switch os.Getenv(kind) {
	case "for ever":
		go func() { select {} }()
	case "a while": // longer than goleak itself waits
		go func() { time.Sleep(3 * time.Second) }()
	}
}

// What ends by itself is waited for, what does not end is an error.
func TestLeaks(t *testing.T) {
	for _, c := range []struct {
		kind string
		good bool
	}{{"none", true}, {"a while", true}, {"for ever", false}} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestLeaves$")
		cmd.Env = append(os.Environ(), kind+"="+c.kind)
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.good || strings.Contains(string(out), "found unexpected goroutines") == c.good {
			t.Errorf("%s: %v\n%s", c.kind, err, out)
		}
	}
}
