package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"testing"
)

var garbage []byte

// collections is how many collections so much garbage takes.
func collections(bytes int) uint32 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range bytes >> 12 {
		garbage = make([]byte, 1<<12)
	}
	runtime.ReadMemStats(&after)
	return after.NumGC - before.NumGC
}

// A small heap is collected at the floor, a large one at one and a half times itself. The heap of this
// process may be large from other tests: the test runs in one of its own.
func TestGarbageIsCollectedAtTheFloor(t *testing.T) {
	const alone = "PULLGATE_TEST_ALONE"
	if os.Getenv(alone) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.count=1")
		cmd.Env = append(cmd.Environ(), alone+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	var before, after uint32
	for range 20 { // a collector that the machine has no time for takes for live what was allocated meanwhile
		debug.SetGCPercent(100)
		runtime.GC()
		before = collections(192 << 20)
		tuned := newTuner()
		runtime.GC()
		after = collections(192 << 20)
		tuned.stopped.Store(true)
		if 2*after <= before {
			break
		}
	}
	if 2*after > before {
		t.Errorf("%d collections, before %d", after, before)
	}
	for live, want := range map[uint64]int{0: 2000, 1 << 20: 2000, 8 << 20: 750, 32 << 20: 150, 64 << 20: 50, 96 << 20: 50, 1 << 30: 50} {
		if got := growth(live); got != want {
			t.Errorf("%d bytes live: %d %%, want %d", live, got, want)
		}
	}
}

func TestLimitOfTheControlGroup(t *testing.T) {
	file := filepath.Join(t.TempDir(), "memory.max")
	for text, want := range map[string]int64{"max\n": 0, "1073741824\n": 1 << 30, "": 0, "-1\n": 0} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, ok := groupLimit(file); ok != (want > 0) || ok && got != want {
			t.Errorf("%q: %d, %t", text, got, ok)
		}
	}
	if _, ok := groupLimit(file + ".absent"); ok {
		t.Error("a limit without a control group")
	}
}
