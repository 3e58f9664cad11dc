package pull

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// Freshness is how long ago the publisher was last heard of.
type Freshness string

const (
	None     Freshness = "none"     // no bundle is active yet
	Fresh    Freshness = "fresh"    //
	Degraded Freshness = "degraded" // longer ago than DegradedAfter
	Stale    Freshness = "stale"    // longer ago than StaleAfter, or the bundle is past its not_after: every request is refused
)

// Status is how following goes.
type Status struct {
	Freshness Freshness
	Serial    int64         // of the active bundle
	Highest   int64         // serial that was ever taken
	Refreshed int64         // when the active bundle was last known to be the newest (Unix seconds)
	Age       time.Duration // of that
	Kept      bool          // the active bundle and the highest serial are on disk
	Failure   *Failure      // of the last attempt, if it failed
	// Problems are texts for people, one line each: whatever somebody should know or do. Those of the
	// clock are the Clock's.
	Problems []string
}

// Status says how following goes.
func (p *Puller) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Freshness: None, Highest: p.state.Highest.Serial, Failure: p.failure}
	if p.active != nil {
		s.Serial, s.Refreshed, s.Age = p.active.Serial, p.refresh.at, p.age()
		s.Kept = p.keeping == nil
		s.Freshness = p.freshness(s.Age)
	}
	s.Problems = p.problems(&s)
	return s
}

// freshness is called with mu held and a bundle active.
func (p *Puller) freshness(age time.Duration) Freshness {
	switch {
	case p.active.notAfter <= p.cfg.Clock.Now().Unix(), p.cfg.StaleAfter > 0 && age >= p.cfg.StaleAfter:
		return Stale
	case age >= p.cfg.DegradedAfter:
		return Degraded
	}
	return Fresh
}

// problems is called with mu held.
func (p *Puller) problems(s *Status) []string {
	var lines []string
	since := fmt.Sprintf("bundle: not refreshed since %s (%s ago)", instant(s.Refreshed), s.Age.Truncate(time.Second))
	why := ""
	if p.failure != nil {
		why = ": " + p.failure.Error()
	}
	switch s.Freshness {
	case None:
		if p.failure != nil {
			lines = append(lines, "bundle"+why)
		}
	case Stale:
		lines = append(lines, since+", every request is refused as stale"+why)
	case Degraded:
		lines = append(lines, since+", the last good one is in use"+why)
	case Fresh:
		if p.failure != nil && !p.failure.passing() {
			lines = append(lines, "bundle: the last good one is in use"+why)
		} else if b := p.active; b.notAfter != bundle.Never && p.cfg.Clock.Now().Unix() > b.issuedAt+(b.notAfter-b.issuedAt)/4*3 {
			lines = append(lines, fmt.Sprintf("bundle: it ends at %s and the publisher has issued no newer one: look at the publisher", instant(b.notAfter)))
		}
	}
	if p.kept != nil && p.kept.err != nil {
		lines = append(lines, fmt.Sprintf("bundle: the kept one is not used: %s: %s; it is replaced as soon as the publisher answers", p.kept.err.Source, line(p.kept.err.Err)))
	}
	if p.keeping != nil {
		lines = append(lines, fmt.Sprintf("bundle: serial %d is in use but not kept: %s; a restart would begin with an older one, or with none: make room, or give pullgate its directory back", p.active.Serial, line(p.keeping)))
	}
	if p.lost != "" {
		lines = append(lines, p.lost)
	}
	return lines
}

// now is this moment.
func (p *Puller) now() refresh {
	_, up := p.cfg.Clock.read()
	return refresh{p.cfg.Clock.Now().Unix(), up}
}

// since is when the kept bundle was last known to be the newest: at the latest when it was issued.
func (p *Puller) since(k *kept) refresh {
	now := p.now()
	at := min(max(k.refreshed, k.bundle.IssuedAt()), now.at)
	return refresh{at, now.up - time.Duration(now.at-at)*time.Second}
}

// age is the time since the last refresh, by the clock and by uptime, whichever is more: setting the
// clock back makes nothing younger. It is called with mu held.
func (p *Puller) age() time.Duration {
	now := p.now()
	return max(time.Duration(now.at-p.refresh.at)*time.Second, now.up-p.refresh.up)
}

// climb puts the deadline where the ladder has it.
func (p *Puller) climb() {
	if p.cfg.StaleAfter <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == nil {
		return
	}
	left := p.cfg.StaleAfter - p.age()
	p.limit.Store(p.now().at + int64(left.Round(time.Second)/time.Second))
}

// tend keeps the deadline where it belongs, and what changes on disk.
func (p *Puller) tend(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			p.disk.Lock()
			p.keep()
			p.disk.Unlock()
			return
		case <-tick.C:
			p.climb()
			if n%int(saveEvery/time.Second) == 0 {
				p.disk.Lock()
				p.keep()
				p.disk.Unlock()
			}
		}
	}
}

// keep writes what is not on disk yet. It is called with disk held.
func (p *Puller) keep() {
	p.mu.Lock()
	sp, active := p.unkept, p.active
	p.mu.Unlock()
	if active == nil {
		return
	}
	var err error
	if sp != nil {
		err = sp.keep()
	}
	saved := p.save()
	p.mu.Lock()
	defer p.mu.Unlock()
	if sp != nil && err == nil {
		p.unkept, p.onDisk = nil, active.version
	}
	err = errors.Join(err, saved)
	switch {
	case err != nil && p.keeping == nil:
		p.cfg.Logger.Error("the bundle in use is not kept", "serial", active.Serial, "error", err)
	case err == nil && p.keeping != nil:
		p.cfg.Logger.Info("the bundle in use is kept again", "serial", active.Serial)
	}
	p.keeping = err
}

// save writes the state. It is called with disk held.
func (p *Puller) save() error {
	p.mu.Lock()
	st := p.state
	st.Refreshed = p.refresh.at
	p.mu.Unlock()
	return p.store.save(st)
}
