package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync/atomic"
)

// garbageFloor is how much may be allocated between two collections when next to nothing is live, and less
// by half of what is. Decisions leave small garbage and a small vendor's data is a few MB: collecting at
// twice that would cost a third of the time.
const garbageFloor = 64 << 20

// limitOfGroup is the share of a container's memory that the heap is kept within, while it can be.
const limitOfGroup = 0.9

// groupLimitFile is memory.max of the control group that a container sees as its own (v2).
const groupLimitFile = "/sys/fs/cgroup/memory.max"

// garbageShare is how much of what is live may be allocated at least between two collections, in
// percent. A large vendor's customers are compressed texts, which the collector does not look into, so
// that it may come more often than at twice what is live. It comes most often while a new generation
// is made ready beside the old one, when memory is at its peak.
const garbageShare = 50

// tuneMemory sets what GOGC and GOMEMLIMIT do not say: collections at one and a half times the live
// heap, but not before garbageFloor, and a soft limit within that of the control group, which is in
// limitFile. For the whole process, until its end.
func tuneMemory(limitFile string) {
	if os.Getenv("GOMEMLIMIT") == "" {
		if limit, ok := groupLimit(limitFile); ok {
			debug.SetMemoryLimit(int64(float64(limit) * limitOfGroup))
		}
	}
	if os.Getenv("GOGC") == "" {
		newTuner()
	}
}

// tuner is looked at by every collection: it is garbage, and comes back from its finalizer.
type tuner struct {
	percent int
	live    []metrics.Sample
	stopped atomic.Bool // by tests
}

func newTuner() *tuner {
	t := &tuner{percent: 100, live: []metrics.Sample{{Name: "/gc/heap/live:bytes"}}}
	t.collected()
	return t
}

func (t *tuner) collected() {
	if !t.stopped.Load() {
		t.adjust()
		runtime.SetFinalizer(t, (*tuner).collected)
	}
}

// adjust sets the growth of the heap between collections by what is live.
func (t *tuner) adjust() {
	metrics.Read(t.live)
	percent := growth(t.live[0].Value.Uint64())
	// Setting it stops every goroutine for a moment: not for nothing.
	if changed := percent - t.percent; changed > t.percent/8 || -changed > t.percent/8 {
		debug.SetGCPercent(percent)
		t.percent = percent
	}
}

// growth is GOGC with so many bytes live.
func growth(live uint64) int {
	share := live * garbageShare / 100
	allowed := max(share, garbageFloor-min(share, garbageFloor))
	return int(min(allowed*100/max(live, 1), 2000))
}

// groupLimit reads memory.max of control groups v2: a number of bytes, or "max".
func groupLimit(file string) (int64, bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return n, err == nil && n > 0
}
