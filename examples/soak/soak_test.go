package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// An hour's soak in some seconds: everything happens once. How late answers are is no test here, whose machine
// has other things to do.
func TestSoak(t *testing.T) {
	peers.Redis(t)
	pullgate := filepath.Join(t.TempDir(), "pullgate")
	if out, err := exec.Command("go", "build", "-o", pullgate, "../../cmd/pullgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{pullgate: pullgate, duration: 5 * time.Second, rate: 150, customers: 100, pause: 100 * time.Millisecond}
	if err := run(t.Context(), o, t.TempDir(), t.Logf); err != nil {
		t.Error(err)
	}

	// Answers that come late do not end a run, which says what else is wrong, but it fails.
	var said strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&said, format+"\n", args...) }
	o.duration, o.late = time.Second, time.Nanosecond
	err := run(t.Context(), o, t.TempDir(), say)
	if err == nil || !strings.Contains(err.Error(), "frequent images: one in a thousand answers took") || strings.Contains(err.Error(), "wrong answers") {
		t.Errorf("answers that took longer than a nanosecond: %v", err)
	}
	for _, want := range []string{"all at once", "after: ", "0 wrong: malformed", "audits"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("not said: %q in\n%s", want, &said)
		}
	}
}

// What is wrong is found.
func TestWrongAnswersAreFound(t *testing.T) {
	s := &soak{serial: 2, say: t.Logf, active: time.Unix(110, 0)}
	at := func(sec int64) time.Time { return time.Unix(sec, 0) }
	for _, c := range []struct {
		sent  int64
		first bool
		want  string
	}{{120, true, "ok"}, {120, false, "denied 403"}, {110, true, "ok"}, {109, true, ""}, {109, false, ""}} {
		if got := s.changing(c.first)(at(c.sent)); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
	s.publishing = true
	if got := s.changing(true)(at(120)); got != "" {
		t.Errorf("while it changes: %q", got)
	}
	k := &kind{name: "k", want: always("denied 403")}
	for _, outcome := range []string{"denied 403", "denied 503", "ok", "no status"} {
		k.check(0, at(1), outcome)
	}
	if k.right.Load() != 1 || k.refused.Load() != 1 || k.wrong.Load() != 2 || !strings.Contains(k.example, `"ok"`) {
		t.Errorf("%d right, %d refused, %d wrong, %s", k.right.Load(), k.refused.Load(), k.wrong.Load(), k.example)
	}
	before := size{rss: 100 << 20, goroutines: 50, files: 20}
	if err := before.grown(size{rss: 240 << 20, goroutines: 70, files: 36}); err != nil {
		t.Error(err)
	}
	err := before.grown(size{rss: 250 << 20, goroutines: 71, files: 37})
	for _, want := range []string{"memory", "goroutines", "descriptors"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell of %s", err, want)
		}
	}
}
