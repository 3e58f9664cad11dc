package main

import (
	"context"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// machine is a clock that goes on when somebody works or sleeps, and wakes them late.
type machine struct {
	now    time.Time
	late   time.Duration
	slept  time.Duration
	sleeps int
}

func (m *machine) pauses() *pauses {
	p := newPauses()
	p.now = func() time.Time { return m.now }
	p.sleep = func(d time.Duration) {
		m.sleeps++
		m.now = m.now.Add(d + m.late)
		m.slept += d + m.late
	}
	p.giveWay() // the first slice begins
	return p
}

// work lets work take so long, in steps, and requests come in one step of so many.
func (m *machine) work(p *pauses, d, step time.Duration, requestEvery int) {
	for n := 0; d > 0; n++ {
		m.now = m.now.Add(step)
		d -= step
		if requestEvery > 0 && n%requestEvery == 0 {
			p.asked.Add(1)
		}
		p.giveWay()
	}
}

func TestWhoMakesABundleReadyPausesForRequests(t *testing.T) {
	const (
		work  = time.Second
		share = work * pauseShare / 100
		late  = 20 * time.Millisecond
	)
	for name, c := range map[string]struct {
		step     time.Duration
		every    int
		late     time.Duration
		min, max time.Duration // of all pauses
	}{
		"no requests":                     {step: slice / 5},
		"requests all the time":           {step: slice / 5, every: 1, min: share * 95 / 100, max: share},
		"a request in every tenth slice":  {step: slice, every: 10, min: share * 9 / 100, max: share / 10},
		"a machine that wakes him late":   {step: slice / 5, every: 1, late: late, min: share * 95 / 100, max: share + late},
		"slices in which he did not work": {step: 100 * time.Millisecond, every: 1, min: 10 * longSlice * pauseShare / 100, max: 10 * longSlice * pauseShare / 100},
	} {
		t.Run(name, func(t *testing.T) {
			m := &machine{late: c.late}
			m.now = time.Unix(1, 0)
			m.work(m.pauses(), work, c.step, c.every)
			if m.slept < c.min || m.slept > c.max {
				t.Errorf("paused for %s in %d times, want %s to %s", m.slept, m.sleeps, c.min, c.max)
			}
		})
	}
}

// He works for a slice at least, and each pause is the share of one.
func TestPausesAreShort(t *testing.T) {
	m := &machine{now: time.Unix(1, 0)}
	p := m.pauses()
	m.work(p, 100*slice, slice/5, 1)
	if m.sleeps != 100 {
		t.Errorf("%d pauses in 100 slices", m.sleeps)
	}
	if each := m.slept / 100; each != slice*pauseShare/100 {
		t.Errorf("a pause takes %s", each)
	}
}

type answering authz.Code

func (a answering) Decide(context.Context, *authz.Request) *authz.Decision {
	return &authz.Decision{Code: authz.Code(a)}
}

// Requests are given way to, but for those that only the bundle can help that is being made ready.
func TestRequestsOfEnvoyAreNoticed(t *testing.T) {
	for code, want := range map[authz.Code]uint64{authz.CodeOK: 1, authz.CodeExpired: 1, authz.CodeNotReady: 0, authz.CodeStale: 0} {
		p := newPauses()
		if d := (noticed{answering(code), p}).Decide(context.Background(), &authz.Request{}); d.Code != code || p.asked.Load() != want {
			t.Errorf("%s: %v; %d requests are noticed, want %d", code, d, p.asked.Load(), want)
		}
	}
}
