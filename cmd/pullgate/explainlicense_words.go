package main

import (
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
)

// explained is a timeline that is put into words.
type explained struct{ *license.Timeline }

// day is an instant as people of the license's zone count it: 2026-12-31, or 2026-12-31 18:00
// where it is not at the beginning of a day. Of an end it is the last day.
func (tl explained) day(at int64, end bool) string {
	switch at {
	case license.Never:
		return "never"
	case license.Always:
		return "always"
	}
	d := license.DayOf(at, end, tl.Loc)
	return strings.TrimSpace(d.Date + " " + d.Time)
}

// upTo says what an end still includes: "last day 2026-12-31" or "before 2026-12-31 18:00".
func (tl explained) upTo(at int64) string {
	return tl.endWords(at, "last day ", "before ")
}

// dated says which dates lie before an instant.
func (tl explained) dated(before int64) string {
	return tl.endWords(before, "dated up to ", "dated before ")
}

// after says when an end was.
func (tl explained) after(at int64) string {
	return tl.endWords(at, "after ", "at ")
}

func (tl explained) endWords(at int64, whole, part string) string {
	if at == license.Never || at == license.Always {
		return tl.day(at, true)
	}
	if license.DayOf(at, true, tl.Loc).Time != "" {
		return part + tl.day(at, true)
	}
	return whole + tl.day(at, true)
}

// distance says how far an instant is from the one asked about.
func (tl explained) distance(at int64, end bool) string {
	if at == license.Never || at == license.Always {
		return ""
	}
	days := tl.Days(at, end)
	n, ago := days, at <= tl.At
	if n < 0 {
		n = -n
	}
	switch {
	case n == 0 && license.DayOf(at, end, tl.Loc).Time == "":
		return "today"
	case n == 0 && ago:
		return "earlier today"
	case n == 0:
		return "later today"
	}
	count := fmt.Sprintf("%d days", n)
	switch {
	case n == 1:
		count = "1 day"
	case n > 800: // more than two years: nobody counts days
		count = fmt.Sprintf("%d years", n*400/146097)
	}
	if days < 0 {
		return count + " ago"
	}
	return "in " + count
}

// standing is the state of a license as a sentence without subject.
func (tl explained) standing() string {
	s := &tl.Schedule
	versions := "versions of any date"
	if tl.CoversBefore != license.Never && tl.CoversBefore != license.Always {
		versions = "versions " + tl.dated(tl.CoversBefore)
	}
	out := ""
	switch tl.State {
	case license.StateBanned:
		return fmt.Sprintf("customer %s is banned: every license of theirs is stopped", tl.Customer.ID)
	case license.StateReplaced:
		by := tl.Clock(license.ClockReplaced)
		return fmt.Sprintf("replaced by %s since %s: it is as if it were not there", by.Origins[0].ID, tl.day(by.At, false))
	case license.StateRevoked:
		return "revoked since " + tl.day(tl.License.Revoked.At, false)
	case license.StateSuspended:
		from, until := tl.License.Suspended.At, tl.License.Suspended.Until
		if until == license.Never {
			return fmt.Sprintf("suspended since %s until further notice", tl.day(from, false))
		}
		return fmt.Sprintf("suspended since %s, %s", tl.day(from, false), tl.upTo(until))
	case license.StateRunning:
		return "running: covers " + versions
	case license.StateGrace:
		return fmt.Sprintf("in grace (%s): use ended %s; covers %s", tl.upTo(s.Grace), tl.after(s.Ends), versions)
	case license.StateKept:
		return fmt.Sprintf("keeps versions (%s): use ended %s; covers %s", tl.upTo(s.Terminates), tl.after(s.Ends), versions)
	case license.StateNotStarted:
		out = "not started: starts on " + tl.day(s.Starts, false)
	case license.StateTerminated:
		out = "terminated " + tl.after(s.Terminates)
	case license.StateEnded:
		out = "ended " + tl.after(s.Ends)
		if s.Grace != s.Ends {
			out += ", its grace " + tl.after(s.Grace)
		}
	}
	switch tl.License.Enforcement { // these refusals are lenient, those above are not
	case "warn":
		out += "; enforcement warn lets requests through and warns"
	case "observe":
		out += "; enforcement observe lets requests through"
	}
	return out
}

// changeText says what a change brings.
func (tl explained) changeText(c license.Change) string {
	switch c.Event {
	case license.ClockStart:
		return "starts"
	case license.ClockUseEnd:
		switch c.State {
		case license.StateGrace:
			return "use ends, grace begins"
		case license.StateKept:
			return "use ends, versions are kept"
		}
		return "use ends"
	case license.ClockUpdates:
		return "the update window ends, later versions are not covered"
	case license.ClockGrace:
		if c.State == license.StateKept {
			return "grace ends, versions are kept"
		}
		return "grace ends"
	case license.ClockTermination:
		return "terminated: the hard stop"
	case license.ClockExpiring:
		return "the customer is told that it ends soon"
	case license.ClockSuspended:
		return "suspended"
	case "suspended_end":
		return "suspension ends"
	case license.ClockRevoked:
		return "revoked"
	case license.ClockReplaced:
		return "replaced by " + tl.Clock(license.ClockReplaced).Origins[0].ID
	case "notice_deadline":
		return "cancel by then, or the license renews"
	case "renewal":
		for _, t := range tl.Terms {
			if t.From == c.At {
				return fmt.Sprintf("renews for term %d, %s", t.Number, tl.upTo(t.To))
			}
		}
		return "renews"
	}
	return c.Event
}

// cancellationText says what became of a cancellation.
func (tl explained) cancellationText() string {
	r := tl.Renews
	last := tl.upTo(tl.Schedule.Ends)
	if r.Late() {
		return fmt.Sprintf("arrived %s, too late for term %d (%s): counts for term %d, %s",
			tl.day(r.Cancelled, false), r.RunningTerm, tl.upTo(r.Deadline), r.LastTerm, last)
	}
	return fmt.Sprintf("arrived %s, in time (%s) for term %d, %s", tl.day(r.Cancelled, false), tl.upTo(r.Deadline), r.LastTerm, last)
}
