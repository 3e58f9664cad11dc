package license

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Period is an ISO 8601 period such as P1Y, P3M, P2W, P30D or PT24H. Its parts are calendar
// months, calendar days and seconds; years are twelve months and weeks seven days.
type Period struct {
	months, days, seconds int64
}

var periodSyntax = regexp.MustCompile(`^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)

// ParsePeriod reads a period. Fractions, signs and anything longer than ten thousand years are
// refused.
func ParsePeriod(s string) (Period, error) {
	m := periodSyntax.FindStringSubmatch(s)
	if m == nil || strings.HasSuffix(s, "T") || s == "P" {
		return Period{}, fmt.Errorf("%q is no period: %s", s, periodInstead(s))
	}
	var n [8]int64
	tooLong := false
	for i := 1; i < len(m); i++ {
		if m[i] == "" {
			continue
		}
		var err error
		n[i], err = strconv.ParseInt(m[i], 10, 64)
		tooLong = tooLong || err != nil || n[i] > 3_652_425*86400 // so that no sum below overflows
	}
	p := Period{months: 12*n[1] + n[2], days: 7*n[3] + n[4], seconds: 3600*n[5] + 60*n[6] + n[7]}
	if tooLong || p.months > 120_000 || p.days > 3_652_425 || p.seconds > 3_652_425*86400 {
		return Period{}, fmt.Errorf("%q is longer than ten thousand years: write a shorter one, like P99Y", s)
	}
	return p, nil
}

var (
	wordsOfPeriod = regexp.MustCompile(`^(\d{1,6})\s*(y|yr|yrs|year|years|mo|mon|month|months|w|wk|week|weeks|d|day|days|h|hr|hrs|hour|hours)$`)
	bareHours     = regexp.MustCompile(`^P(\d+)([HS])$`)
)

// periodInstead says what would be right for a text that is no period.
func periodInstead(s string) string {
	const like = "write one like P1Y, P3M, P2W, P30D or PT24H"
	lower := strings.ToLower(strings.TrimSpace(s))
	if m := wordsOfPeriod.FindStringSubmatch(lower); m != nil {
		switch unit := m[2]; {
		case strings.HasPrefix(unit, "mo"):
			return "write P" + m[1] + "M"
		case unit[0] == 'h':
			return "write PT" + m[1] + "H"
		default:
			return "write P" + m[1] + strings.ToUpper(unit[:1])
		}
	}
	upper := strings.ToUpper(lower)
	switch m := bareHours.FindStringSubmatch(upper); {
	case m != nil:
		return "hours, minutes and seconds stand behind a T: write PT" + m[1] + m[2]
	case upper != s && periodSyntax.MatchString(upper) && upper != "P" && !strings.HasSuffix(upper, "T"):
		return "write " + upper
	case strings.HasPrefix(upper, "P") && strings.ContainsAny(s, ".,"):
		return "it has no fractions, write whole numbers, like P18M for a year and a half"
	case strings.HasPrefix(upper, "P") && strings.ContainsAny(s, "+-"):
		return "it has no sign; " + like
	case strings.HasPrefix(upper, "P") && strings.ContainsAny(upper, "0123456789"):
		return "its parts are years, months, weeks and days in this order (Y M W D), then T, hours, minutes and seconds (H M S); " + like
	}
	return like
}

// IsZero reports whether the period lasts nothing.
func (p Period) IsZero() bool { return p == Period{} }

// String is the period in its shortest ISO 8601 form with years, months, days, hours, minutes
// and seconds.
func (p Period) String() string {
	if p.IsZero() {
		return "P0D"
	}
	var b strings.Builder
	part := func(n int64, unit string) {
		if n != 0 {
			b.WriteString(strconv.FormatInt(n, 10) + unit)
		}
	}
	b.WriteByte('P')
	part(p.months/12, "Y")
	part(p.months%12, "M")
	part(p.days, "D")
	if p.seconds != 0 {
		b.WriteByte('T')
		part(p.seconds/3600, "H")
		part(p.seconds/60%60, "M")
		part(p.seconds%60, "S")
	}
	return b.String()
}

// AddTo is t plus the period, in one addition: years and months on the calendar of t's
// location, the day clamped to the month's last, then weeks and days on that calendar, then
// hours, minutes and seconds on the time line. A local time that does not exist is the first
// instant after the gap, one that exists twice its first occurrence.
func (p Period) AddTo(t time.Time) time.Time {
	return time.Unix(p.addTo(t.Unix(), t.Location()), 0).In(t.Location())
}

func (p Period) addTo(t int64, loc *time.Location) int64 {
	if p.months != 0 || p.days != 0 {
		local := time.Unix(t, 0).In(loc)
		year, month, day := local.Date()
		hour, minute, second := local.Clock()
		first := time.Date(year, month+time.Month(p.months), 1, 0, 0, 0, 0, time.UTC)
		day = min(day, daysIn(first.Year(), first.Month()))
		wall := time.Date(first.Year(), first.Month(), day+int(p.days), hour, minute, second, 0, time.UTC)
		t = instantOf(wall.Unix(), loc)
	}
	return t + p.seconds
}

func (p Period) plus(q Period) Period {
	return Period{p.months + q.months, p.days + q.days, p.seconds + q.seconds}
}

func (p Period) times(n int64) Period {
	return Period{p.months * n, p.days * n, p.seconds * n}
}

func daysIn(year int, month time.Month) int {
	return time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
}
