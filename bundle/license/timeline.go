package license

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Timeline is everything that a license's files say about time, as of one instant: what a
// bundle issued then has, how each date was counted and where it comes from.
type Timeline struct {
	License  *License
	Customer *Customer
	At       int64
	Loc      *time.Location // the license's zone
	Schedule Schedule       // compiled for At

	// Facts are the origins of plan, type, zone, enforcement, status and replaces, in this order.
	Facts []Origin
	// Clocks in a fixed order, all of them always (the names are the Clock constants).
	Clocks []Clock
	// Renews is nil when the license does not.
	Renews *Renews
	// Terms from the first to the one that the schedule ends with. Of many some are left out;
	// their numbers then have a gap. Nil when nothing ends.
	Terms []Term

	State State // at At
	// CoversBefore is the instant before which a version must be dated to be covered now; Always
	// when none is, Never when every one is.
	CoversBefore int64
	Checks       []Check
	// Changes are what comes after At, in order of time: those of clocks, the deadline for a
	// cancellation of the term that runs and its renewal.
	Changes []Change
}

// The clocks of a Timeline.
const (
	ClockStart       = "start"
	ClockUseEnd      = "use_end"
	ClockUpdates     = "update_window_end"
	ClockGrace       = "grace_end"
	ClockTermination = "termination"
	ClockKept        = "kept_versions"
	ClockExpiring    = "expiring_soon"
	ClockSuspended   = "suspended"
	ClockRevoked     = "revoked"
	ClockReplaced    = "replaced"
)

// Clock is one of the instants of a license, or for kept_versions and suspended a span.
type Clock struct {
	Name  string
	At    int64 // Never and Always are possible
	Until int64 // of a span; else Never
	// End says that At closes something: its last day is then the one before, where At is the
	// first instant of a day.
	End     bool
	How     string   // how it was counted, in words
	Origins []Origin // of the fields it was counted from, at least one
}

// Renews is the renewal of a license, with its cancellation if there is one.
type Renews struct {
	Every, Notice string // as written; Notice is "" without one
	Origins       []Origin
	Cancelled     int64 // Never: not
	// RunningTerm is the number of the term in which the cancellation arrives, Deadline until
	// when it had to arrive to count for that term, and LastTerm the one for which it counts:
	// a later one when it arrived too late.
	RunningTerm, LastTerm int64
	Deadline              int64
}

// Late reports whether the cancellation arrived too late for the term that ran.
func (r *Renews) Late() bool { return r.Cancelled != Never && r.LastTerm > r.RunningTerm }

// Phase says where the instant asked about is, seen from a term.
type Phase string

// The phases of a term. One that is compiled ahead is there only so that nobody is locked out
// by a bundle that is a little old.
const (
	PhasePast    Phase = "past"
	PhaseCurrent Phase = "current"
	PhaseFuture  Phase = "future"
	PhaseAhead   Phase = "compiled_ahead"
)

// Term is one of the terms of a license: the first, or a renewal.
type Term struct {
	Number   int64 // from 1
	From, To int64
	Deadline int64 // a cancellation that arrives before it counts for this term; Never: does not renew
	Phase    Phase
}

// Change is what an instant brings. Event is the name of a clock, the end of a span
// ("kept_versions_end" is the termination, "suspended_end"), "notice_deadline" or "renewal".
type Change struct {
	At    int64
	Event string
	End   bool  // as Clock.End
	State State // from then on
}

// UnknownError names a license that a set does not have.
type UnknownError struct{ Msg string }

func (e *UnknownError) Error() string { return e.Msg }

// Timeline explains the license with the id at an instant. read returns the content of a file
// of the set, by its name in positions: the license's files are read again for the places of
// fields. Errors: *UnknownError, with what is probably meant; that of read; one that says that
// the files are not those of the set any more.
func (s *Set) Timeline(id string, at int64, read func(file string) ([]byte, error)) (*Timeline, error) {
	l := s.License(id)
	if l == nil {
		return nil, &UnknownError{s.unknownLicense(id)}
	}
	o, err := s.origins(l, read)
	if err != nil {
		return nil, err
	}
	tl := &Timeline{
		License: l, Customer: s.Customer(l.Customer), At: at, Loc: l.terms.loc, Schedule: l.Schedule(at),
		Facts: []Origin{o.of("plan"), o.of("type"), o.zone(), o.of("enforcement"), o.of("status"), o.of("replaces")},
	}
	tl.clocks(s, o)
	tl.renewals(o)
	tl.State, tl.CoversBefore = tl.standing(at)
	tl.Checks = tl.checks()
	tl.Changes = tl.changes()
	return tl, nil
}

func (s *Set) unknownLicense(id string) string {
	msg := fmt.Sprintf("no license %q", id)
	if c := s.Customer(id); c != nil {
		var held []string
		for i := range s.Licenses {
			if s.Licenses[i].Customer == id && len(held) < 6 {
				held = append(held, s.Licenses[i].ID)
			}
		}
		if len(held) > 0 {
			return msg + fmt.Sprintf(", but a customer who holds %s", either(held))
		}
	}
	ids := make(map[string]bool, len(s.Licenses))
	for i := range s.Licenses {
		ids[s.Licenses[i].ID] = true
	}
	return msg + meant(id, maps.Keys(ids))
}

// Clock returns the clock with the name.
func (tl *Timeline) Clock(name string) *Clock {
	for i := range tl.Clocks {
		if tl.Clocks[i].Name == name {
			return &tl.Clocks[i]
		}
	}
	return nil
}

// renewing reports whether the use end moves on as long as nobody cancels.
func (tl *Timeline) renewing() bool { return tl.Renews != nil && tl.Renews.Cancelled == Never }

// shownTerms bounds how many terms a Timeline lists at each of: the first, around the one that
// runs, and the last.
const shownTerms = 4

// renewals fills Renews and Terms.
func (tl *Timeline) renewals(o *origins) {
	t := &tl.License.terms
	if tl.Schedule.Ends == Never {
		return
	}
	last, current := t.lastTerm(tl.At), int64(0)
	if t.renews != nil {
		current = min(t.termAt(tl.At), last)
		r := &Renews{
			Every: o.of("renews.every").Value, Notice: o.of("renews.notice").Value, Cancelled: t.renews.cancelled,
			Origins: o.given("renews.every", "renews.notice", "renews.cancelled"), Deadline: Never,
		}
		if r.Cancelled != Never {
			n := min(t.termAt(r.Cancelled), last)
			r.RunningTerm, r.LastTerm, r.Deadline = n+1, last+1, t.deadline(n)
		}
		tl.Renews = r
	}
	for n := int64(0); n <= last; n++ {
		switch { // leave out what is neither at the beginning nor near now nor at the end
		case n == shownTerms && current-n > 2*shownTerms:
			n = current - shownTerms
		case n == current+shownTerms && last-n > 2*shownTerms:
			n = last - shownTerms
		}
		term := Term{Number: n + 1, From: tl.Schedule.Starts, To: t.end(n), Deadline: Never, Phase: PhaseFuture}
		if n > 0 {
			term.From = t.end(n - 1)
		}
		if t.renews != nil {
			term.Deadline = t.deadline(n)
		}
		switch {
		case tl.At >= term.To:
			term.Phase = PhasePast
		case tl.At >= term.From:
			term.Phase = PhaseCurrent
		case tl.renewing() && n == last:
			term.Phase = PhaseAhead
		}
		tl.Terms = append(tl.Terms, term)
	}
}

// changes lists what comes, one entry for each event.
func (tl *Timeline) changes() []Change {
	var out []Change
	add := func(at int64, event string, end bool) {
		if at > tl.At && at != Never {
			out = append(out, Change{At: at, Event: event, End: end})
		}
	}
	t := &tl.License.terms
	for _, c := range tl.Clocks {
		switch {
		case tl.renewing() && tl.moves(c.Name): // what follows the use end moves on with every renewal
		case c.Name == ClockKept: // the use end or the grace end says it
		case c.Name == ClockGrace && c.At == tl.Schedule.Ends, c.Name == ClockUpdates && t.updates.kind == withTerm:
		case c.Name == ClockSuspended:
			add(c.At, c.Name, false)
			add(c.Until, "suspended_end", true)
		default:
			add(c.At, c.Name, c.End)
		}
	}
	for _, term := range tl.Terms {
		if tl.Renews == nil || term.Phase != PhaseCurrent && !(term.Phase == PhaseFuture && term.Number == 1) {
			continue
		}
		if tl.renewing() {
			add(term.Deadline, "notice_deadline", true)
		}
		if term.To < tl.Schedule.Ends {
			add(term.To, "renewal", false)
		}
	}
	slices.SortStableFunc(out, func(a, b Change) int { return cmp.Compare(a.At, b.At) })
	state, kept := tl.State, out[:0]
	for _, c := range out {
		before := state
		state, _ = tl.standing(c.At)
		if c.State = state; before == state && (state.over() || c.Event == ClockExpiring && state != StateRunning) {
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

// moves reports whether a clock is counted from the use end.
func (tl *Timeline) moves(clock string) bool {
	t := &tl.License.terms
	switch clock {
	case ClockUseEnd, ClockGrace, ClockExpiring, ClockKept:
		return true
	case ClockUpdates:
		return t.updates.kind == withTerm
	case ClockTermination:
		return t.terminates != nil && !t.terminates.fixed
	}
	return false
}
