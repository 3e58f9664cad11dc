package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
)

// hold keeps every worker at work until release; each job takes so long by what they know.
func (w *workers) hold(t *testing.T, took time.Duration) (release func()) {
	t.Helper()
	free, running := make(chan struct{}), make(chan struct{})
	var held sync.WaitGroup
	for range w.n {
		held.Go(func() {
			if err := w.do(context.WithValue(context.Background(), noHurry{}, true), func() { running <- struct{}{}; <-free }); err != nil {
				t.Error(err)
			}
		})
	}
	for range w.n {
		<-running
	}
	w.awaitWaiting(t, 0)
	w.took.Store(int64(took))
	return sync.OnceFunc(func() { close(free); held.Wait() })
}

// busy are workers of which every one is at work until release.
func busy(t *testing.T, n int, maxWait, took time.Duration) (w *workers, release func()) {
	t.Helper()
	w = startWorkers(n, maxWait)
	release = w.hold(t, took)
	t.Cleanup(func() { release(); w.stop() })
	return w, release
}

// wait has n jobs wait, and returns when they do.
func (w *workers) wait(t *testing.T, ctx context.Context, n int) (errs chan error) {
	t.Helper()
	errs = make(chan error, n)
	for range n {
		go func() { errs <- w.do(ctx, func() {}) }()
	}
	w.awaitWaiting(t, n)
	return errs
}

func (w *workers) awaitWaiting(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); w.waiting.Load() != int64(n); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			t.Fatalf("%d wait, want %d", w.waiting.Load(), n)
		}
	}
}

// Who would have to wait too long is refused at once; who waits is served in time, or refused.
func TestWorkersRefuseWhatWouldComeTooLate(t *testing.T) {
	w, release := busy(t, 2, time.Hour, 20*time.Minute)
	waiting := w.wait(t, context.Background(), 6) // two at a time: the sixth waits for 50 minutes
	ran := false
	for range 10 {
		if err := w.do(context.Background(), func() { ran = true }); !errors.Is(err, authz.ErrOverloaded) {
			t.Errorf("one too many: %v", err)
		}
	}
	if n := w.waiting.Load(); n != 6 {
		t.Errorf("%d wait", n)
	}
	release()
	for range 6 {
		if err := <-waiting; err != nil {
			t.Error(err)
		}
	}
	if err := w.do(context.Background(), func() {}); err != nil || ran {
		t.Errorf("afterwards: %v; a refused one ran: %v", err, ran)
	}
}

// What was estimated wrongly is refused when its time is over.
func TestNobodyWaitsLongerForAWorkerThanHeMay(t *testing.T) {
	w, _ := busy(t, 1, 20*time.Millisecond, 1)
	for range 3 {
		if err := w.do(context.Background(), func() { t.Error("a refused one ran") }); !errors.Is(err, authz.ErrOverloaded) {
			t.Errorf("%v", err)
		}
	}
	// Half of what is left of his own time, if that is less.
	w.maxWait = time.Hour
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	for limit, of := range map[time.Duration]context.Context{time.Hour: context.Background(), 10 * time.Minute: ctx} {
		if got, limited := w.patience(of); !limited || got > limit || got < limit-2*time.Minute {
			t.Errorf("%s, want %s", got, limit)
		}
	}
}

// Without a limit, and for what must not be refused, all wait.
func TestWorkersThatRefuseNobody(t *testing.T) {
	for name, c := range map[string]struct {
		maxWait time.Duration
		ctx     context.Context
	}{
		"no limit": {0, context.Background()},
		"a bundle": {time.Millisecond, context.WithValue(context.Background(), noHurry{}, true)},
	} {
		w, release := busy(t, 1, c.maxWait, time.Hour)
		waiting := w.wait(t, c.ctx, 20)
		ended, cancel := context.WithCancel(c.ctx)
		cancel()
		if err := w.do(ended, func() {}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		release()
		for range 20 {
			if err := <-waiting; err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// An overload does not keep a bundle out, and is counted.
func TestABundleBecomesActiveDuringAnOverload(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := newWorld()
	w.customer(t, "acme")
	e := newEngine(t, Config{MaxWait: time.Nanosecond, Workers: 1, Registerer: reg})
	release := e.decisions.hold(t, time.Hour)
	active := make(chan error)
	go func() { active <- e.Activate(context.Background(), w.bundle(t)) }()
	e.decisions.awaitWaiting(t, 1)
	if err := e.decisions.do(context.Background(), func() {}); !errors.Is(err, authz.ErrOverloaded) {
		t.Errorf("%v", err)
	}
	release()
	if err := <-active; err != nil {
		t.Fatal(err)
	}
	defer e.decisions.hold(t, time.Hour)()
	g := authz.NewGate(authz.GateConfig{Engine: e, Clock: clockAt(now)})
	d := g.Decide(context.Background(), request("", authz.KindPing, "", ""))
	if d.Code != authz.CodeOverloaded || d.Status != 503 || counted(reg, "pullgate_evaluations_total", "refused") != 1 {
		t.Errorf("%d %s %s, %d counted", d.Status, d.Code, d.Detail, counted(reg, "pullgate_evaluations_total", "refused"))
	}
}

func TestTheAverageOfJobsFollows(t *testing.T) {
	var w workers
	w.observe(time.Second)
	if got := w.took.Load(); got != int64(time.Second) {
		t.Errorf("%d after the first", got)
	}
	for range 300 {
		w.observe(time.Millisecond)
	}
	if got := time.Duration(w.took.Load()); got < time.Millisecond || got > 1100*time.Microsecond {
		t.Errorf("%s after many of a millisecond", got)
	}
	for range 300 {
		w.observe(0)
	}
	if w.took.Load() < 1 {
		t.Error("nothing, as if none had been done")
	}
}
