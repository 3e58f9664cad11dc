package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Limits bound one evaluation. A step is one poll of topdown's Cancelled, about 0.6 µs of
// ordinary Rego.
type Limits struct {
	DecisionSteps int           // default 5,000, and
	DecisionEach  int           // 100 for each pair of a grant, or a vendor package, and a candidate: a layer that many versions share has many
	DecisionTime  time.Duration // default 20 ms, longer in the proportion in which pairs add steps
	VisibleSteps  int           // default 500, and
	VisibleEach   int           // 400 for each candidate, as much for each vendor package and half for each grant that it meets
	VisibleTime   time.Duration // default 2 s; it also bounds DecisionTime
}

func (l Limits) orDefault() Limits {
	set := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	set(&l.DecisionSteps, 5000)
	set(&l.DecisionEach, 100)
	set(&l.VisibleSteps, 500)
	set(&l.VisibleEach, 400)
	if l.DecisionTime == 0 {
		l.DecisionTime = 20 * time.Millisecond
	}
	if l.VisibleTime == 0 {
		l.VisibleTime = 2 * time.Second
	}
	return l
}

// decision is what a question with so many pairs of a grant or package and a candidate may take.
func (l *Limits) decision(pairs int) (steps int, t time.Duration) {
	steps = l.DecisionSteps + pairs*l.DecisionEach
	grown := time.Duration(float64(l.DecisionTime) * float64(steps) / float64(l.DecisionSteps))
	return steps, max(l.DecisionTime, min(grown, l.VisibleTime))
}

// visible is what a list of so many candidates may take.
func (l *Limits) visible(candidates, grants, packages int) (steps int) {
	return l.VisibleSteps + candidates*l.VisibleEach*(2+2*packages+grants)/2
}

var (
	errSteps = errors.New("the policy took more steps than it may")
	errTime  = errors.New("the policy took more time than it may")
)

// budget is a topdown.Cancel that counts polls and ends the evaluation when steps, time or
// the context run out. It belongs to one evaluation on one goroutine.
//
// Its time is what the evaluation computes, not what passes: on a machine with more to do than
// processors that is several times as long, and an answer must not depend on the neighbours. The
// thread's own clock says it, which takes a system call and a goroutine that stays on its thread.
// So the first coarse of every evaluation, which is all there is of nearly every one, goes by the
// wall's clock, and that of the thread is asked when the wall's says that the time is over.
type budget struct {
	ctx   context.Context
	steps int
	limit int
	time  time.Duration
	spent time.Duration
	last  time.Time
	err   error

	pinned bool          // to its thread
	thread time.Duration // by the thread's clock when it was pinned, and what was
	before time.Duration // spent then
}

// pollEvery is how many steps pass between looks at clock and context, and longestGap what one
// such stretch counts at most: a goroutine that waited for a processor has not worked.
const (
	pollEvery  = 8
	longestGap = 2 * time.Millisecond
	coarse     = 2 * time.Millisecond
)

func newBudget(ctx context.Context, limit int, t time.Duration) *budget {
	return &budget{ctx: ctx, limit: limit, time: t}
}

// start begins to count time. stop is to be called at the end, on the same goroutine.
func (b *budget) start() { b.last = time.Now() }

// stop lets the goroutine go to other threads again.
func (b *budget) stop() {
	if b.pinned {
		b.pinned = false
		runtime.UnlockOSThread()
	}
}

// Cancel ends the evaluation at its next step. Nothing calls it: Cancelled looks by itself.
func (b *budget) Cancel() { b.err = context.Canceled }

// Cancelled counts a step and reports whether the evaluation must end.
func (b *budget) Cancelled() bool {
	b.steps++
	switch {
	case b.err != nil:
	case b.steps > b.limit:
		b.err = fmt.Errorf("%w (%d)", errSteps, b.limit)
	case b.steps%pollEvery == 0:
		now := time.Now()
		b.spent += min(now.Sub(b.last), longestGap)
		b.last = now
		if b.spent > min(coarse, b.time/4) && b.over() {
			b.err = fmt.Errorf("%w (%s)", errTime, b.time)
		} else {
			b.err = b.ctx.Err()
		}
	}
	return b.err != nil
}

// over reports whether the time is over, by the thread's clock where there is one.
func (b *budget) over() bool {
	if !b.pinned {
		runtime.LockOSThread()
		b.pinned = true
		b.thread, b.before = threadTime(), b.spent
		return b.spent > b.time
	}
	if b.spent > b.time && b.thread > 0 {
		if now := threadTime(); now > 0 {
			b.spent = min(b.spent, b.before+now-b.thread)
		}
	}
	return b.spent > b.time
}
