package license

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	dateSyntax    = regexp.MustCompile(`^(\d{4})-(\d{2})-(\d{2})$`)
	instantSyntax = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$`)
	nearlyDate    = regexp.MustCompile(`^(\d{1,4})([-/.])(\d{1,2})[-/.](\d{1,4})$`)
	nearlyInstant = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?$`)
	laxInstant    = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[Tt ]+(\d{2}:\d{2})(:\d{2})?(\.\d+)? ?([Zz]|[+-]\d{2}:?(?:\d{2})?)$`)
	offsetDate    = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2}) ?(?:[Zz]|[+-]\d{2}:?\d{2})$`)
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
			return moment{}, fmt.Errorf("%q is no day of the calendar: %s", s, noDay(s))
		}
		return moment{isDate: true, date: date{t.Year(), t.Month(), t.Day()}}, nil
	case instantSyntax.MatchString(s):
		t, err := time.Parse(time.RFC3339, s)
		if err != nil || t.Unix() < Always {
			return moment{}, fmt.Errorf("%q is no instant of the calendar: %s", s, noInstant(s))
		}
		return moment{instant: t.Unix()}, nil
	case nearlyInstant.MatchString(s):
		fixed := strings.Replace(strings.ToUpper(s), " ", "T", 1)
		if strings.Count(fixed, ":") == 1 {
			fixed += ":00"
		}
		if _, err := parseMoment(fixed + "Z"); err != nil {
			return moment{}, fmt.Errorf("%q is no instant of the calendar: %s", s, noInstant(fixed+"Z"))
		}
		return moment{}, fmt.Errorf("%q needs an offset, nobody can know which instant is meant: write %sZ, or one like %s+01:00, or a date", s, fixed, fixed)
	case nearlyDate.MatchString(s):
		return moment{}, fmt.Errorf("%q is no date: write four digits for the year and two for month and day, like %s", s, dateLike(s))
	}
	if m := laxInstant.FindStringSubmatch(s); m != nil {
		offset := strings.ToUpper(m[5])
		if digits := strings.ReplaceAll(offset, ":", ""); offset != "Z" {
			offset = digits[:3] + ":" + cmp.Or(digits[3:], "00")
		}
		fixed := m[1] + "T" + m[2] + cmp.Or(m[3], ":00") + offset
		if _, err := parseMoment(fixed); err != nil {
			return moment{}, fmt.Errorf("%q is no instant of the calendar: %s", s, noInstant(fixed))
		}
		return moment{}, fmt.Errorf("%q is no instant as RFC 3339 has it: write %s", s, fixed)
	}
	if m := offsetDate.FindStringSubmatch(s); m != nil {
		if _, err := parseMoment(m[1]); err != nil {
			return moment{}, fmt.Errorf("%q is no day of the calendar: %s", s, noDay(m[1]))
		}
		return moment{}, fmt.Errorf("%q: a date is a whole day of the zone and has no offset: write %s, or an instant like %sT12:00:00Z", s, m[1], m[1])
	}
	if _, err := ParsePeriod(s); err == nil {
		return moment{}, fmt.Errorf("%q is a period where a date like 2026-12-31 or an instant like 2026-12-31T12:00:00Z is meant", s)
	}
	return moment{}, fmt.Errorf("%q is neither a date like 2026-12-31 nor an instant like 2026-12-31T12:00:00Z", s)
}

// noDay says what is wrong with a date in the right form.
func noDay(s string) string {
	m := dateSyntax.FindStringSubmatch(s)
	year, _ := strconv.Atoi(m[1])
	month, _ := strconv.Atoi(m[2])
	switch {
	case year == 0:
		return "years go from 0001 to 9999"
	case month < 1 || month > 12:
		return "months go from 01 to 12"
	default:
		return fmt.Sprintf("%s %d has the days 01 to %d", time.Month(month), year, daysIn(year, time.Month(month)))
	}
}

// noInstant says what is wrong with an instant in the right form.
func noInstant(s string) string {
	if _, err := time.Parse(time.DateOnly, s[:10]); err != nil || s[:4] == "0000" {
		return noDay(s[:10])
	}
	if s[:4] == "0001" {
		return "it is before the year 1"
	}
	return "hours go from 00 to 23, minutes and seconds from 00 to 59, offsets to 23:59"
}

func twoDigits(s string) string {
	if len(s) == 1 {
		return "0" + s
	}
	return s
}

// dateLike is the date that a text in another form means where that is certain, else an example.
func dateLike(s string) string {
	m := nearlyDate.FindStringSubmatch(s)
	year, month, day := m[1], m[3], m[4]
	if len(m[4]) == 4 && len(m[1]) <= 2 {
		switch {
		case m[2] == "." || m[1] > "12" && len(m[1]) == 2: // 31.12.2026, 31/12/2026
			year, month, day = m[4], m[3], m[1]
		case m[3] > "12" && len(m[3]) == 2: // 12/31/2026
			year, month, day = m[4], m[1], m[3]
		}
	}
	if len(year) == 4 && len(day) <= 2 {
		fixed := year + "-" + twoDigits(month) + "-" + twoDigits(day)
		if _, err := parseMoment(fixed); err == nil {
			return fixed
		}
	}
	return "2026-01-09"
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
	s, ok := v.textLike("a period like P1Y, P3M, P2W, P30D or PT24H")
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
		v.fail("%s lasts nothing, it must be longer than zero: write one like P1Y", v.n.text)
		return Period{}, false
	}
	return p, ok
}
