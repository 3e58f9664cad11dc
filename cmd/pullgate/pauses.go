package main

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/envoy"
)

const (
	// slice is how long whoever makes a bundle ready works at least before he pauses.
	slice = 500 * time.Microsecond
	// longSlice is what a slice counts for at most: one that took longer did not work all that time.
	longSlice = 10 * slice
	// pauseShare is how long pauses are at most, in percent of the work: beside a flood of requests a bundle is
	// active after three times as long as without any.
	pauseShare = 200
)

// pauses are made for requests by whoever makes a bundle ready (docs/design/pauses-for-requests.md): that is as much
// work as one processor can do, and requests would wait for it. He works in slices, and pauses after each in which
// requests came. A pause that took longer than it should, because the machine is busy, counts for those to
// come, so that all pauses together are never longer than their share of the work and one late waking. Without
// requests there are none.
type pauses struct {
	asked atomic.Uint64 // requests so far

	// Of one goroutine at a time.
	seen  uint64        // of asked, at the end of the last slice
	began time.Time     // of the slice
	owed  time.Duration // negative: paused in advance

	now   func() time.Time
	sleep func(time.Duration)
}

func newPauses() *pauses { return &pauses{now: time.Now, sleep: time.Sleep} }

// giveWay is called again and again by whoever makes a bundle ready.
func (p *pauses) giveWay() {
	now := p.now()
	worked := now.Sub(p.began)
	if worked < slice {
		return
	}
	if asked := p.asked.Load(); asked != p.seen {
		p.seen = asked
		p.owed += min(worked, longSlice) * pauseShare / 100
		if p.owed > 0 {
			p.sleep(p.owed)
			woke := p.now()
			p.owed -= woke.Sub(now)
			now = woke
		}
	}
	p.began = now
}

// noticed is a decider whose requests are given way to.
type noticed struct {
	envoy.Decider
	pauses *pauses
}

func (n noticed) Decide(ctx context.Context, r *authz.Request) *authz.Decision {
	d := n.Decider.Decide(ctx, r)
	if d == nil || d.Code != authz.CodeNotReady && d.Code != authz.CodeStale { // else it waits for the bundle itself
		n.pauses.asked.Add(1)
	}
	return d
}
