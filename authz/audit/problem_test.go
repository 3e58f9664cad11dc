package audit

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

func TestProblemSaysThatRecordsAreNotWritten(t *testing.T) {
	dir := t.TempDir()
	now := start
	disk := &disk{}
	l, err := open(Config{Dir: dir, Queue: 1 << 14, Clock: func() time.Time { return now }}, disk.open)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	check := func(when, want string) {
		t.Helper()
		if got := l.Problem(); got != want {
			t.Errorf("%s: %q, want %q", when, got, want)
		}
	}
	put := func(n int) { l.Record(record(n)); l.Flush() }
	put(0)
	check("all is well", "")

	disk.set(true, 0)
	put(1)
	now = now.Add(time.Hour)
	put(2)
	check("full", "decision records are not being written: no space left on device; 0 dropped since 2026-03-01T00:00:00Z")
	long := record(3)
	long.Request.Path = string(make([]byte, maxPending))
	l.Record(long)
	put(4)
	put(5)
	check("full for long", "decision records are not being written: no space left on device; 2 dropped since 2026-03-01T00:00:00Z")

	disk.set(false, 0)
	l.Flush()
	check("there is room again", "")

	disk.set(true, 0)
	put(6)
	check("full again", "decision records are not being written: no space left on device; 0 dropped since 2026-03-01T01:00:00Z")
	disk.set(false, 0)
	l.Flush()
	check("there is room once more", "")
}

func TestProblemOfADiskThatWasFullAtTheStartEndsWithoutARecord(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &disk{full: true}
		l, err := open(Config{Dir: dir}, disk.open)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.Flush()
		if l.Problem() == "" {
			t.Error("no problem on a full disk")
		}
		disk.set(false, 0)
		time.Sleep(2 * flushEvery) // virtual
		synctest.Wait()
		if p := l.Problem(); p != "" {
			t.Errorf("problem %q with room", p)
		}
	})
}

func TestProblemOfADirectoryThatCannotBeMadeAgain(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	l := mustOpen(t, Config{Dir: filepath.Join(data, "decisions"), Clock: func() time.Time { return start }})
	l.Record(record(0))
	l.Flush()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	appendTo(t, data, "") // a file has its place
	l.Record(record(1))
	l.Flush()
	if got, want := l.Problem(), "decision records are not being written: not a directory; 0 dropped since 2026-03-01T00:00:00Z"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	l.Flush()
	if p := l.Problem(); p != "" {
		t.Errorf("problem %q once it could be made", p)
	}
}

func TestProblemOfADiskThatHangs(t *testing.T) {
	disk := &disk{stuck: make(chan struct{})}
	l, err := open(Config{Dir: t.TempDir(), Queue: 10}, disk.open)
	if err != nil {
		t.Fatal(err)
	}
	for n := 0; l.Stats().Dropped == 0 || len(l.queue) < cap(l.queue); n++ {
		l.Record(record(n))
	}
	if l.Problem() == "" {
		t.Error("no problem while the queue is full")
	}
	close(disk.stuck)
	l.Flush()
	if p := l.Problem(); p != "" {
		t.Errorf("problem %q after all was written", p)
	}
	l.Close()
}
