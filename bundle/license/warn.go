package license

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"
)

// Kinds of warnings, as they are counted: "3 keys that never expire".
const (
	WarnShadowed    = "grants that others cover"
	WarnUnsatisfied = "constraints that no version satisfies"
	WarnPreRelease  = "pre-releases whose channel is not granted"
	WarnTrial       = "second trials"
	WarnPlan        = "plans that nobody uses"
	WarnKey         = "keys that never expire"
	WarnEnded       = "licenses that ended long ago"
	WarnEnding      = "licenses that end within 30 days"
	WarnRegistry    = "sets without a registry"
)

// How many days the last right of a license must be over to be warned about, and how near its end
// must be: on the license's calendar.
const (
	longAgo = 365
	soon    = 30
)

// Warning is something that is allowed and probably not meant.
type Warning struct {
	Pos  Position // zero: about the whole set
	Kind string   // one of the Warn constants
	Path string   // such as grants[0].versions; "" for a whole document
	Msg  string   // what is odd, what to do
}

// String is "file:line:column: path: message", as an error has it.
func (w Warning) String() string {
	if w.Pos.File == "" {
		return w.Msg
	}
	return (&FieldError{w.Pos, w.Path, w.Msg}).Error()
}

// Warnings lists what is allowed and probably not meant, in order of place. What depends on the day is
// asked as of an instant (Unix seconds).
func (s *Set) Warnings(at int64) []Warning {
	w := &warner{set: s, at: at, trials: make(map[[2]string]*License), used: make(map[string]bool)}
	if len(s.Registries) == 0 {
		w.add(Position{}, WarnRegistry, "", "no Registry document: nobody can pull anything; write one with the `hosts` that customers use and the `upstream` behind them")
	}
	for i := range s.Licenses {
		l := &s.Licenses[i]
		w.used[l.Plan] = true
		for n := range l.Grants {
			w.grant(l, n)
		}
		w.time(l)
	}
	for _, plan := range s.Plans {
		if !w.used[plan.ID] {
			w.add(plan.Pos, WarnPlan, "", "no license uses the plan %s: name it in a license, or remove it", plan.ID)
		}
	}
	for i := range s.Customers {
		c := &s.Customers[i]
		for n := range c.Keys {
			if k := &c.Keys[n]; k.Expires == Never && !c.Banned {
				w.add(k.Pos, WarnKey, fmt.Sprintf("keys[%d]", n), "the key %s/%s never expires: give it `expires`, and the customer a new one in time", c.ID, k.ID)
			}
		}
	}
	w.shadows()
	slices.SortStableFunc(w.out, func(a, b Warning) int {
		return cmp.Or(a.Pos.compare(b.Pos), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Msg, b.Msg))
	})
	return slices.Compact(w.out) // a plan's grant is looked at for every license that has it
}

// rangeWithoutSpaces is the pre-release that 1.0.0-2.0.0 has.
var rangeWithoutSpaces = regexp.MustCompile(`^\d+(\.\d+){1,2}$`)

type warner struct {
	set    *Set
	at     int64
	out    []Warning
	trials map[[2]string]*License // customer, product → the first trial
	used   map[string]bool        // plans
}

func (w *warner) add(pos Position, kind, path, format string, args ...any) {
	w.out = append(w.out, Warning{pos, kind, path, fmt.Sprintf(format, args...)})
}

// grant looks at the n-th grant of a license by itself.
func (w *warner) grant(l *License, n int) {
	g := &l.Grants[n]
	at := fmt.Sprintf("grants[%d]", n)
	for _, v := range g.PreReleases {
		if !slices.Contains(g.Channels, v.Channel()) {
			meant := ""
			if rangeWithoutSpaces.MatchString(v.PreRelease()) {
				meant = fmt.Sprintf(", or put spaces around the hyphen if \"%s - %s\" is meant", v.Base(), v.PreRelease())
			}
			w.add(g.Pos, WarnPreRelease, at+".versions",
				"names the pre-release %s, whose channel %s the grant does not have: add it to `channels`%s", v, v.Channel(), meant)
		}
	}
	if g.Product != "" && len(g.Versions) == 0 && g.Constraint != "" {
		w.add(g.Pos, WarnUnsatisfied, at+".versions", "no version satisfies %q, so nothing is granted: correct it, or write [] if that is meant", g.Constraint)
	}
	if l.Type != Trial || g.Product == "" || g.Empty() {
		return
	}
	key := [2]string{l.Customer, g.Product}
	if first := w.trials[key]; first != nil && first != l {
		w.add(w.ownPlace(l, g), WarnTrial, at+".product",
			"a second trial of %s for customer %s: the first is %s at %s; remove one, or make this a subscription", g.Product, l.Customer, first.ID, first.Pos)
	} else {
		w.trials[key] = l
	}
}

// time looks at when the license ends.
func (w *warner) time(l *License) {
	s := l.Schedule(w.at)
	last, how := l.lastRight(s)
	switch renewing := l.terms.renews != nil && l.terms.renews.cancelled == Never; {
	case last != Never && l.daysUntil(w.at, last) < -longAgo:
		w.add(l.Pos, WarnEnded, "", "license %s %s %s: remove it, unless the customer shall go on to read why", l.ID, how, l.day(last))
	case renewing || last <= w.at || s.Ends <= w.at || s.Ends == Never || l.daysUntil(w.at, s.Ends) > soon:
	case l.ReplacedAt <= s.Ends || l.Revoked != nil && l.Revoked.At <= s.Ends:
	default:
		when := map[int]string{0: "today", 1: "tomorrow"}[l.daysUntil(w.at, s.Ends)]
		if when == "" {
			when = fmt.Sprintf("in %d days", l.daysUntil(w.at, s.Ends))
		}
		then := "renew it or write its successor, if the customer stays"
		if s.Grace > s.Ends && l.Type != Trial {
			then = fmt.Sprintf("grace lasts until %s; ", l.day(s.Grace)) + then
		}
		w.add(l.Pos, WarnEnding, "", "license %s ends on %s, %s: %s", l.ID, l.day(s.Ends), when, then)
	}
}

// lastRight is when the license stops to be good for anything, and in which way.
func (l *License) lastRight(s Schedule) (int64, string) {
	last, how := s.Ends, "ended on"
	if l.Type != Trial {
		if s.Grace > last {
			last, how = s.Grace, "had its last day of grace on"
		}
		if l.KeepVersions {
			last, how = Never, ""
		}
	}
	if s.Terminates < last {
		last, how = s.Terminates, "was terminated after"
	}
	if l.ReplacedAt < last {
		last, how = l.ReplacedAt, "was replaced after"
	}
	if l.Revoked != nil && l.Revoked.At < last {
		last, how = l.Revoked.At, "was revoked after"
	}
	return last, how
}

// day is the local date of the last second before an instant.
func (l *License) day(at int64) string {
	return fmt.Sprintf("%s (%s)", time.Unix(at-1, 0).In(l.terms.loc).Format(time.DateOnly), l.Zone)
}

// daysUntil counts the local days from the one of now to the last before an instant.
func (l *License) daysUntil(now, at int64) int {
	midnight := func(t int64) int64 {
		year, month, day := time.Unix(t, 0).In(l.terms.loc).Date()
		return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix()
	}
	return int((midnight(at-1) - midnight(now)) / 86400)
}

// ownPlace is the place of a grant, or of the license where the grant is its plan's: of what is
// wrong for this license only.
func (w *warner) ownPlace(l *License, g *Grant) Position {
	if l.Plan == "" {
		return g.Pos
	}
	for _, p := range w.set.Plans {
		if p.ID != l.Plan || p.Pos.File != g.Pos.File || p.Pos.compare(g.Pos) > 0 {
			continue
		}
		// Of the two documents the one that begins nearer above the grant has it.
		if l.Pos.File != g.Pos.File || l.Pos.compare(g.Pos) > 0 || l.Pos.compare(p.Pos) < 0 {
			return l.Pos
		}
	}
	return g.Pos
}
