package main

import (
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
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

// The program itself does so, unless Go's own variables say otherwise.
func TestServeKeepsWithinItsControlGroup(t *testing.T) {
	v := newVendor(t)
	v.write("memory.max", "536870912\n", 0o600)
	t.Setenv(limitFileOfTest, v.path("memory.max"))
	own := float64(math.MaxInt64)
	if limit, ok := groupLimit(groupLimitFile); ok {
		own = float64(limit) * limitOfGroup
	}
	const tuned = -1
	for _, c := range []struct {
		program, limit, percent string
		wantLimit, wantPercent  float64
	}{
		{"pullgate-limited", "", "", 536870912 * limitOfGroup, tuned},
		{"pullgate-limited", "300MiB", "70", 300 << 20, 70},
		{"pullgate", "", "", own, tuned},
	} {
		t.Setenv("GOMEMLIMIT", c.limit)
		t.Setenv("GOGC", c.percent)
		s := v.with(c.program).serve()
		limit, err := strconv.ParseFloat(s.gauge("go_gc_gomemlimit_bytes"), 64)
		v.must(err)
		percent, err := strconv.ParseFloat(s.gauge("go_gc_gogc_percent"), 64)
		v.must(err)
		if math.Abs(limit-c.wantLimit) > 1 {
			t.Errorf("%s with GOMEMLIMIT=%s: a limit of %.0f bytes, want %.0f", c.program, c.limit, limit, c.wantLimit)
		}
		// With so little live it is never at twice that, which is Go's own.
		if c.wantPercent == tuned && percent == 100 || c.wantPercent != tuned && percent != c.wantPercent {
			t.Errorf("%s with GOGC=%s: collections at %.0f %%", c.program, c.percent, percent)
		}
		s.stop()
	}
}
