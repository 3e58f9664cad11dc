package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"runtime"
	"testing"
	"time"
)

// compute takes so much time of a processor.
func compute(d time.Duration) {
	for began := threadTime(); threadTime()-began < d; {
		for range 1000 {
			_ = sha256.Sum256(nil)
		}
	}
}

// Time is what the evaluation computes. What passes while others have the processors is not its own,
// however long that is.
func TestTheBudgetIsOfComputedTime(t *testing.T) {
	if threadTime() == 0 {
		const why = "this system does not say how long a thread has computed"
		if os.Getenv("CI") == "true" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	const limit = 20 * time.Millisecond
	b := newBudget(context.Background(), 1<<30, limit)
	b.start()
	defer b.stop()
	runtime.LockOSThread() // for compute
	defer runtime.UnlockOSThread()
	poll := func() bool {
		for range pollEvery - 1 {
			if b.Cancelled() {
				t.Fatal("ended between polls")
			}
		}
		return b.Cancelled()
	}
	for i := range 200 { // most of a second, as a machine that is busy with other things has it
		b.last = time.Now().Add(-4 * time.Millisecond)
		if poll() {
			t.Fatalf("ended after %d polls without computing: %v", i, b.err)
		}
	}
	ended, began := false, threadTime()
	for n := 0; !ended && n < 1000; n++ {
		compute(500 * time.Microsecond)
		ended = poll()
	}
	if took := threadTime() - began; !ended || !errors.Is(b.err, errTime) || took < limit/2 || took > 3*limit {
		t.Errorf("ended %v after %s of computing: %v", ended, took, b.err)
	}
}

// Without the thread's clock a stretch between two polls counts for 2 ms at most.
func TestTheBudgetWithoutAThreadsClock(t *testing.T) {
	b := newBudget(context.Background(), 1<<30, 5*time.Millisecond)
	b.pinned = true // with a clock that was not known
	runtime.LockOSThread()
	defer b.stop()
	for gap := range 3 {
		b.last = time.Now().Add(-time.Hour)
		for i := range pollEvery {
			if ended := b.Cancelled(); ended != (gap == 2 && i == pollEvery-1) {
				t.Fatalf("gap %d, step %d: ended %v, %v spent", gap, i, ended, b.spent)
			}
		}
	}
	if !errors.Is(b.err, errTime) {
		t.Error("time is not bounded:", b.err)
	}
}

func BenchmarkThreadTime(b *testing.B) {
	for b.Loop() {
		threadTime()
	}
}

// BenchmarkBudget is what a step costs while the wall's clock is enough.
func BenchmarkBudget(b *testing.B) {
	budget := newBudget(context.Background(), 1<<62, 100*time.Hour)
	budget.start()
	defer budget.stop()
	for b.Loop() {
		budget.Cancelled()
	}
}
