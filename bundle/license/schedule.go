package license

import (
	"sort"
	"time"
)

// terms is when a license starts and ends, as it was agreed.
type terms struct {
	loc    *time.Location
	starts int64

	anchor int64  // where term is added: the start, or the first end
	term   Period // zero when anchor is the first end
	renews *renewal

	grace      Period
	updates    updates
	terminates *termination
}

// renewal makes the n-th end after the first one anchor + (term + n × every).
type renewal struct {
	every, notice Period
	cancelled     int64 // Never: not
}

type updatesKind uint8

const (
	withTerm updatesKind = iota
	forever
	untilDate
	forPeriod
)

type updates struct {
	kind   updatesKind
	until  int64
	period Period // from the start
}

// termination is an instant, or a period after the use end.
type termination struct {
	fixed bool
	at    int64
	after Period
}

// Schedule compiles the license's clocks for a bundle that is issued at the given instant
// (Unix seconds). Only a renewing license depends on it: one that is not cancelled ends with
// the term after the one that contains issuedAt, or the start if that is later, so that nobody
// is locked out by a bundle that is a little old; a cancelled one ends with the first term for
// which the cancellation arrived before its end minus the notice.
func (l *License) Schedule(issuedAt int64) Schedule {
	t := &l.terms
	s := Schedule{Starts: t.starts, Ends: t.ends(issuedAt), Terminates: Never}
	s.Grace = t.later(s.Ends, t.grace)
	switch t.updates.kind {
	case withTerm:
		s.Updates = s.Ends
	case forever:
		s.Updates = Never
	case untilDate:
		s.Updates = t.updates.until
	case forPeriod:
		s.Updates = t.later(t.starts, t.updates.period)
	}
	if t.terminates != nil {
		if t.terminates.fixed {
			s.Terminates = t.terminates.at
		} else {
			s.Terminates = t.later(s.Ends, t.terminates.after)
		}
	}
	return s
}

// ExpiringFrom is P14D before a use end on the license's calendar: from then on customers are
// told that the license ends (docs/codes.md, expiring_soon).
func (l *License) ExpiringFrom(ends int64) int64 { return l.terms.later(ends, fortnightBefore) }

var fortnightBefore = Period{days: 14}.times(-1)

func (t *terms) later(at int64, p Period) int64 {
	if at == Never {
		return Never
	}
	return p.addTo(at, t.loc)
}

// ends is the use end compiled for issuedAt.
func (t *terms) ends(issuedAt int64) int64 { return t.end(t.lastTerm(issuedAt)) }

// lastTerm is the number of renewals that are compiled for issuedAt: 0 is the first term alone.
func (t *terms) lastTerm(issuedAt int64) int64 {
	if t.renews == nil {
		return 0
	}
	if c := t.renews.cancelled; c != Never {
		return firstTerm(func(n int64) bool { return c < t.deadline(n) })
	}
	return 1 + t.termAt(max(issuedAt, t.starts))
}

// termAt is the number of renewals before the term that an instant lies in: 0 also before the
// start.
func (t *terms) termAt(at int64) int64 {
	return firstTerm(func(n int64) bool { return at < t.end(n) })
}

// deadline is when a cancellation no longer counts for the term after n renewals.
func (t *terms) deadline(n int64) int64 { return t.later(t.end(n), t.renews.notice.times(-1)) }

// end is the use end after n renewals.
func (t *terms) end(n int64) int64 {
	p := t.term
	if n > 0 {
		p = p.plus(t.renews.every.times(n))
	}
	return t.later(t.anchor, p)
}

// firstTerm is the lowest n for which ok holds; ok stays true from there on, because ends only
// get later. No instant of the calendar needs more than 2^38 terms of a second.
func firstTerm(ok func(n int64) bool) int64 {
	limit := int64(1)
	for !ok(limit-1) && limit < 1<<40 {
		limit *= 2
	}
	below := limit / 2 // ok was false for everything below, but perhaps the last of them
	return below + int64(sort.Search(int(limit-below), func(i int) bool { return ok(below + int64(i)) }))
}

// firstEnd is the first end of an aligned license: that of the fiscal year in which the start
// lies, or of the first later one that is at least the minimum away.
func (y fiscalYear) firstEnd(starts int64, minimum *Period, loc *time.Location) int64 {
	earliest := starts + 1
	if minimum != nil {
		earliest = max(earliest, minimum.addTo(starts, loc))
	}
	for year := time.Unix(starts, 0).In(loc).Year() - 1; ; year++ {
		day := y.day
		if y.month == time.February && day == 29 {
			day = daysIn(year, time.February)
		}
		if end := (date{year, y.month, day}).ends(loc); end >= earliest {
			return end
		}
	}
}
