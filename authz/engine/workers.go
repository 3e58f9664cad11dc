package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// errClosed is the failure of evaluations after Close.
var errClosed = errors.New("the engine is closed")

// workers run evaluations on goroutines that live as long as the engine: on a fresh goroutine
// a third of an evaluation's time goes into growing its stack. Decisions and lists have workers
// of their own, so that a long list does not keep pulls waiting.
type workers struct {
	jobs    chan *job
	done    chan struct{}
	wg      sync.WaitGroup
	n       int
	maxWait time.Duration // see Config.MaxWait

	waiting atomic.Int64 // jobs that no worker has taken yet
	took    atomic.Int64 // moving average of what a job takes, in nanoseconds; 0: none was done yet
}

// job is one evaluation. run is called once, on a worker, unless its context ends first.
type job struct {
	ctx  context.Context
	run  func()
	done chan struct{}
}

func startWorkers(n int, maxWait time.Duration) *workers {
	w := &workers{jobs: make(chan *job), done: make(chan struct{}), n: n, maxWait: maxWait}
	for range n {
		w.wg.Go(w.work)
	}
	return w
}

// work keeps a large frame on its stack, since the collector would halve a stack that is
// mostly unused.
func (w *workers) work() {
	var ballast [32 << 10]byte
	for {
		select {
		case j := <-w.jobs:
			if j.ctx.Err() == nil {
				began := time.Now()
				j.run()
				w.observe(time.Since(began))
			}
			close(j.done)
		case <-w.done:
			runtime.KeepAlive(&ballast)
			return
		}
	}
}

// averageOver is how many jobs the moving average is mostly of.
const averageOver = 16

// observe takes what a job took, by the wall's clock: that is how soon a worker is free again. Of two at
// once one may be lost.
func (w *workers) observe(d time.Duration) {
	was := w.took.Load()
	if was == 0 {
		w.took.Store(max(1, int64(d)))
		return
	}
	w.took.Store(max(1, was+(int64(d)-was)/averageOver))
}

// do runs f on a worker and waits for it, or until the context ends or the workers stop; then
// f may still be running, and what it writes must not be read. f must not panic. The error is
// authz.ErrOverloaded when it would have to wait too long for a worker; f then never runs.
func (w *workers) do(ctx context.Context, f func()) error {
	j := &job{ctx: ctx, run: f, done: make(chan struct{})}
	select {
	case w.jobs <- j: // somebody is free
	default:
		if err := w.queue(j); err != nil {
			return err
		}
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		select {
		case <-j.done: // finished all the same
			return nil
		default:
			return ctx.Err()
		}
	}
}

// queue waits until a worker takes the job. Who comes first is taken first.
func (w *workers) queue(j *job) error {
	n := w.waiting.Add(1)
	defer w.waiting.Add(-1)
	var late <-chan time.Time
	limit, limited := w.patience(j.ctx)
	if limited {
		if time.Duration((n-1)*w.took.Load()/int64(w.n)) >= limit { // a refusal now is worth more than one later
			return authz.ErrOverloaded
		}
		t := time.NewTimer(limit)
		defer t.Stop()
		late = t.C
	}
	select {
	case w.jobs <- j:
		return nil
	case <-late:
		select {
		case w.jobs <- j: // it was the machine that stood still: somebody is free
			return nil
		default:
			return authz.ErrOverloaded
		}
	case <-j.ctx.Done():
		return j.ctx.Err()
	case <-w.done:
		return errClosed
	}
}

// patience is how long a job may wait for a worker, and whether there is such a limit: half of what
// is left of its own time at most, so that it can be done in the other.
func (w *workers) patience(ctx context.Context) (limit time.Duration, limited bool) {
	if w.maxWait == 0 || ctx.Value(noHurry{}) != nil {
		return 0, false
	}
	limit = w.maxWait
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)/2)
	}
	return limit, true
}

// noHurry marks the context of a job that waits as long as it must.
type noHurry struct{}

// stop ends the workers after what they are doing.
func (w *workers) stop() {
	close(w.done)
	w.wg.Wait()
}
