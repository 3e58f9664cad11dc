package pull

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestClockNeverRunsBelowItsFloor(t *testing.T) {
	m := newMachine()
	path := filepath.Join(t.TempDir(), "clock")
	c := OpenClock(path, m.read)
	at := func(what string, want int64) {
		t.Helper()
		if got := c.Now().Unix(); got != want {
			t.Errorf("%s: %d, want %d more", what, got, want-got)
		}
	}
	at("nothing known", start+60)
	c.Raise(start)
	at("the machine's is later", start+60)
	m.set(-24 * time.Hour)
	at("set back", start)
	if b := c.Behind(); b != 24*time.Hour-time.Minute {
		t.Errorf("behind by %s", b)
	}
	if text := c.Problem(); !strings.Contains(text, "clock: this machine's is 23h59m0s behind") || !strings.Contains(text, path) {
		t.Errorf("problem %q", text)
	}
	m.pass(time.Hour)
	at("uptime counts", start+3600)
	c.Raise(start + 10)
	at("an older word changes nothing", start+3600)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	m.up = 0
	c = OpenClock(path, m.read)
	at("after a restart", start+3600)
	m.set(48 * time.Hour)
	at("set right", start+48*3600-24*3600+3600+60)
	if text := c.Problem(); text != "" {
		t.Errorf("problem %q", text)
	}
}

// A clock that is set ahead by mistake holds nothing up once it is right again: neither in this
// process nor in the next.
func TestClockAheadLeavesNothing(t *testing.T) {
	m := newMachine()
	path := filepath.Join(t.TempDir(), "clock")
	c := OpenClock(path, m.read)
	c.Raise(start)
	m.set(10 * 365 * 24 * time.Hour)
	m.pass(10 * time.Minute)
	if err := c.Save(); err != nil {
		t.Fatal(err)
	}
	m.set(-10 * 365 * 24 * time.Hour)
	for range 2 {
		if now := c.Now(); now.Unix() != start+60+600 || c.Behind() != 0 {
			t.Errorf("it is %s, behind by %s", now, c.Behind())
		}
		c = OpenClock(path, m.read)
	}
}

func TestDamagedClockFileIsSaid(t *testing.T) {
	path := filepath.Join(t.TempDir(), "clock")
	for _, text := range []string{"", "x", "{}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		m := newMachine()
		c := OpenClock(path, m.read)
		if c.Problem() != "clock: "+path+": damaged; the highest instant seen is not known" || c.Now().Unix() != start+60 {
			t.Errorf("problem %q, now %s", c.Problem(), c.Now())
		}
		c.Raise(start)
		if err := c.Save(); err != nil || c.Problem() != "" {
			t.Errorf("%v, problem %q", err, c.Problem())
		}
	}
	if err := writeChecked(path, &instantFile{Format: 2, Instant: 1}); err != nil {
		t.Fatal(err)
	}
	if c := OpenClock(path, newMachine().read); !strings.Contains(c.Problem(), "another version") {
		t.Errorf("problem %q", c.Problem())
	}
	if c := OpenClock("", newMachine().read); c.Save() != nil || c.Problem() != "" {
		t.Error("a clock that keeps nothing has a problem")
	}
}

// Without a publisher the machine's clock vouches for itself, but not for a step that may be a mistake.
func TestClockAloneWaitsForAnHour(t *testing.T) {
	m := newMachine()
	var s steady
	look := func() bool { return s.look(m.read()) }
	for minute := range 200 {
		want := minute >= 60
		switch {
		case minute == 90:
			m.set(24 * time.Hour)
			want = false
		case minute > 90 && minute < 150:
			want = false
		}
		if got := look(); got != want {
			t.Errorf("minute %d: %v", minute, got)
		}
		m.pass(time.Minute)
		m.set(time.Second) // it drifts
	}
}

func TestSystemTime(t *testing.T) {
	read := SystemTime()
	wall, up := read()
	again, later := read()
	if time.Since(wall).Abs() > time.Minute || later < up || again.Before(wall) {
		t.Errorf("%s, %s, %s", wall, up, later)
	}
}
