package redisstore

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	lookupBudget = 5 * time.Millisecond // of a look-up, whatever Redis does
	maxGather    = time.Millisecond     // of that: waiting for the answer to others
	maxBatch     = 32                   // look-ups in one write; of 64 KiB at most each, that is a few MiB
)

// lookups ask a node of Redis for several verdicts in one write: system calls, and waking up for what they bring,
// are nearly all that a look-up costs. Who comes while none is under way asks at once. Who comes
// later waits for that answer too, and then one of those who wait asks for all of them. So it is the
// load that makes batches, and who is alone is never delayed.
type lookups struct {
	// ask finds out about a batch, and returns when ctx is done at the latest.
	ask func(ctx context.Context, batch []*lookup)

	mu       sync.Mutex
	underWay int // batches
	waiting  []*lookup
}

// lookup is that of one verdict.
type lookup struct {
	names []string // that each secret gives its key, in their order
	found []string // under each name; "" is nothing
	err   error    // why there is not all that was asked for

	woken chan []*lookup // receives what to lead, or nil when others have led
}

// do finds out about one, in lookupBudget at most, but for what a busy machine adds.
func (l *lookups) do(own *lookup) {
	l.mu.Lock()
	l.waiting = append(l.waiting, own)
	if l.underWay == 0 || len(l.waiting) == maxBatch {
		batch, budget := l.take(), lookupBudget
		l.mu.Unlock()
		if len(batch) > 1 { // the others have waited
			budget -= maxGather
		}
		l.lead(own, batch, budget)
		return
	}
	own.woken = make(chan []*lookup, 1)
	l.mu.Unlock()

	enough := time.NewTimer(maxGather)
	defer enough.Stop()
	var batch []*lookup
	select {
	case batch = <-own.woken:
	case <-enough.C:
		l.mu.Lock()
		if slices.Contains(l.waiting, own) {
			batch = l.take()
			l.mu.Unlock()
			break
		}
		l.mu.Unlock()
		batch = <-own.woken // soon: this one is being asked for
	}
	if batch != nil {
		l.lead(own, batch, lookupBudget-maxGather)
	}
}

// take makes a batch of all who wait. mu is held.
func (l *lookups) take() []*lookup {
	batch := l.waiting
	l.waiting = nil
	l.underWay++
	return batch
}

// lead asks for a batch, of which the caller's own is one, and then lets the others go on: those of the
// batch, and one of those who wait meanwhile, to ask for all of them.
func (l *lookups) lead(own *lookup, batch []*lookup, budget time.Duration) {
	defer func() {
		l.mu.Lock()
		l.underWay--
		var next []*lookup
		if len(l.waiting) > 0 && l.underWay == 0 { // else another one that ends goes on with them
			next = l.take()
		}
		l.mu.Unlock()
		if next != nil {
			next[0].woken <- next
		}
		for _, one := range batch {
			if one != own {
				one.woken <- nil
			}
		}
	}()
	// Not the context of a request: it would end with one client what all others wait for.
	ctx, cancel := context.WithTimeout(context.Background(), budget)
	defer cancel()
	l.ask(ctx, batch)
}
