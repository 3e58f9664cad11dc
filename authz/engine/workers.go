package engine

import (
	"context"
	"errors"
	"runtime"
	"sync"
)

// errClosed is the failure of evaluations after Close.
var errClosed = errors.New("the engine is closed")

// workers run evaluations on goroutines that live as long as the engine: on a fresh goroutine
// a third of an evaluation's time goes into growing its stack. Decisions and lists have workers
// of their own, so that a long list does not keep pulls waiting.
type workers struct {
	jobs chan *job
	done chan struct{}
	wg   sync.WaitGroup
}

// job is one evaluation. run is called once, on a worker, unless its context ends first.
type job struct {
	ctx  context.Context
	run  func()
	done chan struct{}
}

func startWorkers(n int) *workers {
	w := &workers{jobs: make(chan *job), done: make(chan struct{})}
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
				j.run()
			}
			close(j.done)
		case <-w.done:
			runtime.KeepAlive(&ballast)
			return
		}
	}
}

// do runs f on a worker and waits for it, or until the context ends or the workers stop; then
// f may still be running, and what it writes must not be read. f must not panic.
func (w *workers) do(ctx context.Context, f func()) error {
	j := &job{ctx: ctx, run: f, done: make(chan struct{})}
	select {
	case w.jobs <- j:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.done:
		return errClosed
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

// stop ends the workers after what they are doing.
func (w *workers) stop() {
	close(w.done)
	w.wg.Wait()
}
