package license

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a zone database
)

// instantOf is the instant at which the clocks of a zone first show a wall time, given as the
// Unix time it would have in UTC. A wall time that the clocks skip is the first instant after
// the gap, one that they show twice its first occurrence: in both cases the first instant at
// which the local clock has reached it.
func instantOf(wall int64, loc *time.Location) int64 {
	if loc == time.UTC {
		return wall
	}
	const far = 48 * 3600 // no zone was ever further from UTC, nor moved further at once
	t := wall - far
	for {
		at := time.Unix(t, 0).In(loc)
		_, offset := at.Zone()
		reached := max(wall-int64(offset), t)
		_, end := at.ZoneBounds()
		if end.IsZero() {
			return reached
		}
		// Beyond its tables, time ends the zone of a leap year's last day before that day; no
		// clock changes then, so going on by hours is safe.
		next := max(end.Unix(), t+3600)
		if reached < next {
			return reached
		}
		t = next
	}
}

// date is a day of the calendar, in no zone yet.
type date struct {
	year  int
	month time.Month
	day   int
}

// begins is the first instant of the day in the zone, ends that of the next day.
func (d date) begins(loc *time.Location) int64 {
	return instantOf(time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC).Unix(), loc)
}

func (d date) ends(loc *time.Location) int64 {
	return date{d.year, d.month, d.day + 1}.begins(loc)
}

var (
	dateSyntax    = regexp.MustCompile(`^(\d{4})-(\d{2})-(\d{2})$`)
	instantSyntax = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$`)
	nearlyDate    = regexp.MustCompile(`^\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}$`)
	nearlyInstant = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$`)
)

// moment is a date or an instant as a file writes it.
type moment struct {
	isDate  bool
	date    date
	instant int64
}

// parseMoment reads YYYY-MM-DD, or RFC 3339 with an offset, whose fractions of a second are
// cut.
func parseMoment(s string) (moment, error) {
	switch {
	case dateSyntax.MatchString(s):
		t, err := time.Parse(time.DateOnly, s)
		if err != nil || t.Year() < 1 {
			return moment{}, fmt.Errorf("%q is no day of the calendar", s)
		}
		return moment{isDate: true, date: date{t.Year(), t.Month(), t.Day()}}, nil
	case instantSyntax.MatchString(s):
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.Unix() < Always {
			return moment{}, fmt.Errorf("%q is no instant of the calendar", s)
		}
		return moment{instant: t.Unix()}, nil
	case nearlyInstant.MatchString(s):
		fixed := strings.Replace(strings.ToUpper(s), " ", "T", 1)
		if strings.Count(fixed, ":") == 1 {
			fixed += ":00"
		}
		return moment{}, fmt.Errorf("%q needs an offset, nobody can know which instant is meant: write %sZ, or one like %s+01:00, or a date", s, fixed, fixed)
	case nearlyDate.MatchString(s):
		return moment{}, fmt.Errorf("%q is no date: write four digits for the year and two for month and day, like 2026-01-09", s)
	}
	return moment{}, fmt.Errorf("%q is neither a date like 2026-12-31 nor an instant like 2026-12-31T12:00:00Z", s)
}

func (m moment) begins(loc *time.Location) int64 {
	if m.isDate {
		return m.date.begins(loc)
	}
	return m.instant
}

// ends is where a span ends that the moment closes: a day is included, an instant is not.
func (m moment) ends(loc *time.Location) int64 {
	if m.isDate {
		return m.date.ends(loc)
	}
	return m.instant
}

// moment reads a date or an instant. Quoting makes no difference.
func (v value) moment() (moment, bool) {
	if v.n.kind != scalarNode || v.n.tag == "!!null" || v.n.tag == "!!bool" {
		v.fail("is %s, it must be a date like 2026-12-31 or an instant like 2026-12-31T12:00:00Z", v.what())
		return moment{}, false
	}
	m, err := parseMoment(v.n.text)
	if err != nil {
		v.fail("%v", err)
		return moment{}, false
	}
	return m, true
}

// period reads a period.
func (v value) period() (Period, bool) {
	s, ok := v.text()
	if !ok {
		return Period{}, false
	}
	p, err := ParsePeriod(s)
	if err != nil {
		v.fail("%v", err)
		return Period{}, false
	}
	return p, true
}

// positive reads a period that lasts.
func (v value) positive() (Period, bool) {
	p, ok := v.period()
	if ok && p.IsZero() {
		v.fail("%s lasts nothing, it must be longer than zero", v.n.text)
		return Period{}, false
	}
	return p, ok
}

// zone reads an IANA zone name.
func (v value) zone() (*time.Location, bool) {
	s, ok := v.text()
	if !ok {
		return nil, false
	}
	loc, err := v.p.zones.load(s)
	if err != nil {
		v.fail("unknown zone %q: write an IANA name like Europe/Berlin, or UTC", s)
		return nil, false
	}
	return loc, true
}

// zones remembers the zones that a set uses.
type zones map[string]*time.Location

func (z zones) load(name string) (*time.Location, error) {
	if loc := z[name]; loc != nil {
		return loc, nil
	}
	if name == "Local" || name == "" {
		return nil, fmt.Errorf("the zone of this machine is not the same everywhere")
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	if name == "UTC" {
		loc = time.UTC
	}
	z[name] = loc
	return loc, nil
}
