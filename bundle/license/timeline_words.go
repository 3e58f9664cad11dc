package license

import (
	"fmt"
	"time"
)

// clocks fills Clocks: the values are those of the schedule, the words say how it counted.
func (tl *Timeline) clocks(set *Set, o *origins) {
	l, s := tl.License, &tl.Schedule
	t := &l.terms
	one := func(name string, at int64, end bool, how string, from ...Origin) {
		tl.Clocks = append(tl.Clocks, Clock{Name: name, At: at, Until: Never, End: end, How: how, Origins: from})
	}

	starts := o.of("starts")
	switch {
	case starts.Default():
		one(ClockStart, s.Starts, false, "no `starts`", starts)
	default:
		one(ClockStart, s.Starts, false, begins(starts.Value), starts)
	}
	one(ClockUseEnd, s.Ends, true, tl.useEnd(o), o.endsFrom()...)

	updates := o.given("updates", "updates.until", "updates.period")
	if len(updates) > 1 {
		updates = updates[1:] // the field inside says more
	}
	switch t.updates.kind {
	case withTerm:
		one(ClockUpdates, s.Updates, true, "with the term: the use end", updates...)
	case forever:
		one(ClockUpdates, s.Updates, true, "forever", updates...)
	case untilDate:
		one(ClockUpdates, s.Updates, true, ends(updates[0].Value), updates...)
	case forPeriod:
		one(ClockUpdates, s.Updates, true, "start + "+updates[0].Value, append(updates, starts)...)
	}

	grace := o.of("grace")
	switch {
	case s.Ends == Never:
		one(ClockGrace, s.Grace, true, "use does not end", grace)
	case t.grace.IsZero():
		one(ClockGrace, s.Grace, true, "no grace: the use end", grace)
	default:
		one(ClockGrace, s.Grace, true, "use end + "+grace.Value, grace)
	}

	terminates := o.of("terminates")
	switch {
	case terminates.Default():
		one(ClockTermination, s.Terminates, true, "no `terminates`", terminates)
	case t.terminates.fixed:
		one(ClockTermination, s.Terminates, true, ends(terminates.Value), terminates)
	case s.Ends == Never:
		one(ClockTermination, s.Terminates, true, "use does not end", terminates)
	default:
		one(ClockTermination, s.Terminates, true, "use end + "+terminates.Value, terminates)
	}

	kept := Clock{Name: ClockKept, At: Never, Until: Never, Origins: []Origin{o.of("keep_versions")}}
	switch {
	case !l.KeepVersions:
		kept.How = "none"
	case l.Type == Trial:
		kept.How = "a trial keeps no versions"
	case s.Grace >= s.Terminates:
		kept.How = "the termination is not after the grace end"
	default:
		kept.At, kept.Until = s.Grace, s.Terminates
		kept.How = "from the grace end to the termination: versions dated before " + earlier(s)
	}
	tl.Clocks = append(tl.Clocks, kept)
	soon := "use end − P14D, as for every license"
	if s.Ends == Never {
		soon = "use does not end"
	}
	one(ClockExpiring, l.ExpiringFrom(s.Ends), false, soon, Origin{Field: ClockExpiring})
	tl.statusClocks(o)

	if by := set.replacedBy(l); by != nil {
		one(ClockReplaced, l.ReplacedAt, false, fmt.Sprintf("start of %s, which replaces this license", by.ID), o.replaces)
	} else {
		one(ClockReplaced, Never, false, "no license replaces this one", Origin{Field: "replaces"})
	}
}

func (tl *Timeline) statusClocks(o *origins) {
	l := tl.License
	suspended := Clock{Name: ClockSuspended, At: Never, Until: Never, How: "not suspended", Origins: []Origin{{Field: "status"}}}
	if l.Suspended != nil {
		at, until := o.of("status.suspended.at"), o.of("status.suspended.until")
		suspended.At, suspended.Until = l.Suspended.At, l.Suspended.Until
		if suspended.Origins = []Origin{at}; until.Default() {
			suspended.How = begins(at.Value) + ", until further notice"
		} else {
			suspended.How = begins(at.Value) + ", to " + ends(until.Value)
			suspended.Origins = append(suspended.Origins, until)
		}
	}
	revoked := Clock{Name: ClockRevoked, At: Never, Until: Never, How: "not revoked", Origins: []Origin{{Field: "status"}}}
	if l.Revoked != nil {
		at := o.of("status.revoked.at")
		revoked.At, revoked.How, revoked.Origins = l.Revoked.At, begins(at.Value), []Origin{at}
	}
	tl.Clocks = append(tl.Clocks, suspended, revoked)
}

func earlier(s *Schedule) string {
	if s.Updates < s.Ends {
		return "the update window's end"
	}
	return "the use end"
}

// useEnd says how the use end was counted.
func (tl *Timeline) useEnd(o *origins) string {
	t := &tl.License.terms
	if tl.Schedule.Ends == Never {
		return "a perpetual license"
	}
	n := t.lastTerm(tl.At)
	every := fmt.Sprintf("%d × %s", n, o.of("renews.every").Value)
	var how string
	term, written, fiscal := o.of("term"), o.of("ends"), o.of("aligned.fiscal_year_ends")
	switch {
	case !term.Default() && n == 0:
		how = "start + " + term.Value
	case !term.Default():
		how = fmt.Sprintf("start + (%s + %s)", term.Value, every)
	case !written.Default() && n == 0:
		how = ends(written.Value)
	default:
		first := ends(written.Value)
		if written.Default() {
			first = tl.aligned(o, fiscal)
		}
		if how = first; n > 0 {
			how = fmt.Sprintf("first end + %s; first end: %s", every, first)
		}
	}
	switch {
	case t.renews == nil:
	case t.renews.cancelled != Never:
		how += "; cancelled: this end is the last"
	default:
		how += "; not cancelled, so compiled one term ahead"
	}
	return how
}

func (tl *Timeline) aligned(o *origins, fiscal Origin) string {
	t := &tl.License.terms
	year, y := "calendar year", calendarYear
	if !fiscal.Default() {
		year = fmt.Sprintf("fiscal year (%s)", fiscal.Value)
		y, _ = parseFiscalYear(fiscal.Value)
	}
	how := fmt.Sprintf("end of the %s in which the start lies", year)
	minimum := o.of("minimum_term")
	if minimum.Default() {
		return how
	}
	how += ", at least " + minimum.Value + " away"
	if own := y.firstEnd(t.starts, nil, t.loc); own < t.end(0) {
		how += fmt.Sprintf(" (%s is nearer)", DayOf(own, true, t.loc).Date)
	}
	return how
}

// endsFrom are the fields that the use end is counted from.
func (o *origins) endsFrom() []Origin {
	var out []Origin
	if o.of("ends").Default() {
		out = append(out, o.of("starts"))
	}
	for _, path := range []string{"ends", "term", "aligned", "minimum_term", "renews.every", "renews.notice", "renews.cancelled"} {
		from := o.of(path)
		if inner := o.of("aligned.fiscal_year_ends"); path == "aligned" && !inner.Default() {
			from = inner
		}
		if !from.Default() {
			out = append(out, from)
		}
	}
	return out
}

// begins and ends say what a date or an instant, as written, means where it begins or ends
// something.
func begins(written string) string {
	if dateSyntax.MatchString(written) {
		return "the first instant of " + written
	}
	return "the instant as written"
}

func ends(written string) string {
	if dateSyntax.MatchString(written) {
		return "the end of " + written
	}
	return "the instant as written"
}

// Day is an instant as people of a zone count it.
type Day struct {
	Date string // of the local day; of an end the last one that is included
	Time string // local time of an instant that is not where a day begins, such as 18:00; else ""
}

// DayOf says on which day of the zone an instant is. An end is exclusive: at the first instant
// of a day it is the day before. It must not be Never or Always.
func DayOf(at int64, end bool, loc *time.Location) Day {
	local := time.Unix(at, 0).In(loc)
	day := date{local.Year(), local.Month(), local.Day()}
	if day.begins(loc) != at {
		clock := local.Format("15:04:05")
		if local.Second() == 0 {
			clock = clock[:5]
		}
		return Day{local.Format(time.DateOnly), clock}
	}
	if end {
		local = time.Unix(at-1, 0).In(loc)
	}
	return Day{Date: local.Format(time.DateOnly)}
}

// Days counts the local days from the instant asked about to the day of another: 0 is the same
// day, negative is before.
func (tl *Timeline) Days(at int64, end bool) int64 {
	if end && DayOf(at, true, tl.Loc).Time == "" {
		at-- // the last day that is included
	}
	return dayNumber(at, tl.Loc) - dayNumber(tl.At, tl.Loc)
}

// dayNumber counts the local day of an instant from some day on.
func dayNumber(at int64, loc *time.Location) int64 {
	y, m, d := time.Unix(at, 0).In(loc).Date()
	return (time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() - Always) / 86400
}
