package license

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		flag.Set("rapid.checks", "500")
	}
	os.Exit(m.Run())
}

// The model below knows nothing of the package: it walks the calendar day by day and the time
// line in steps of 15 minutes, on which every offset and every transition of its zones lies.

type wall struct{ y, m, d, minutes int }

func (w wall) String() string {
	return fmt.Sprintf("%04d-%02d-%02d %02d:%02d", w.y, w.m, w.d, w.minutes/60, w.minutes%60)
}

func leap(y int) bool { return y%4 == 0 && (y%100 != 0 || y%400 == 0) }

func monthDays(y, m int) int {
	n := []int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m-1]
	if m == 2 && leap(y) {
		n++
	}
	return n
}

func (w wall) nextDay() wall {
	if w.d++; w.d > monthDays(w.y, w.m) {
		w.d = 1
		if w.m++; w.m > 12 {
			w.m = 1
			w.y++
		}
	}
	return w
}

func (w wall) previousDay() wall {
	if w.d--; w.d < 1 {
		if w.m--; w.m < 1 {
			w.m = 12
			w.y--
		}
		w.d = monthDays(w.y, w.m)
	}
	return w
}

// modelInstant is the first instant whose local time is w, else the first whose is later.
func modelInstant(w wall, loc *time.Location) time.Time {
	text := w.String()
	from := time.Date(w.y, time.Month(w.m), w.d, 0, w.minutes, 0, 0, time.UTC).Add(-30 * time.Hour)
	var later time.Time
	for i := range 60 * 4 {
		x := from.Add(time.Duration(i) * 15 * time.Minute)
		switch local := x.In(loc).Format("2006-01-02 15:04"); {
		case local == text:
			return x
		case local > text && later.IsZero():
			later = x
		}
	}
	return later
}

func modelWall(t time.Time, loc *time.Location) wall {
	l := t.In(loc)
	return wall{l.Year(), int(l.Month()), l.Day(), l.Hour()*60 + l.Minute()}
}

type modelPeriod struct{ years, months, weeks, days, hours, quarters int }

func (p modelPeriod) String() string {
	var b strings.Builder
	b.WriteByte('P')
	for _, x := range []struct {
		n int
		s string
	}{{p.years, "Y"}, {p.months, "M"}, {p.weeks, "W"}, {p.days, "D"}} {
		if x.n > 0 {
			fmt.Fprintf(&b, "%d%s", x.n, x.s)
		}
	}
	if p.hours+p.quarters > 0 {
		b.WriteByte('T')
	}
	if p.hours > 0 {
		fmt.Fprintf(&b, "%dH", p.hours)
	}
	if p.quarters > 0 {
		fmt.Fprintf(&b, "%dM", 15*p.quarters)
	}
	if b.Len() == 1 {
		b.WriteString("0D")
	}
	return b.String()
}

func (p modelPeriod) times(n int) modelPeriod {
	return modelPeriod{p.years * n, p.months * n, p.weeks * n, p.days * n, p.hours * n, p.quarters * n}
}

func (p modelPeriod) plus(q modelPeriod) modelPeriod {
	return modelPeriod{p.years + q.years, p.months + q.months, p.weeks + q.weeks, p.days + q.days, p.hours + q.hours, p.quarters + q.quarters}
}

// modelAdd walks sign times the period from t.
func modelAdd(t time.Time, p modelPeriod, sign int, loc *time.Location) time.Time {
	if p.years+p.months+p.weeks+p.days > 0 {
		w := modelWall(t, loc)
		for range 12*p.years + p.months {
			if w.m += sign; w.m > 12 {
				w.m, w.y = 1, w.y+1
			} else if w.m < 1 {
				w.m, w.y = 12, w.y-1
			}
		}
		w.d = min(w.d, monthDays(w.y, w.m))
		for range 7*p.weeks + p.days {
			if sign > 0 {
				w = w.nextDay()
			} else {
				w = w.previousDay()
			}
		}
		t = modelInstant(w, loc)
	}
	return t.Add(time.Duration(sign*(4*p.hours+p.quarters)) * 15 * time.Minute)
}

var modelZones = []string{
	"UTC", "Europe/Berlin", "Europe/London", "America/New_York", "America/Los_Angeles", "America/Sao_Paulo", "America/Havana",
	"Asia/Kolkata", "Asia/Kathmandu", "Asia/Beirut", "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kwajalein", "Africa/Casablanca",
}

func drawPeriod(t *rapid.T, label string, least int) modelPeriod {
	n := func(most int) int { return rapid.IntRange(0, most).Draw(t, label) }
	var p modelPeriod
	switch rapid.IntRange(0, 6).Draw(t, label+" shape") {
	case 0:
		p.years = n(3)
	case 1:
		p.months = n(14)
	case 2:
		p.days = n(400)
	case 3:
		p.weeks = n(8)
	case 4:
		p.hours = n(9000)
	case 5:
		p = modelPeriod{months: n(5), days: n(40)}
	case 6:
		p = modelPeriod{n(1), n(3), n(2), n(10), n(30), n(3)}
	}
	if p == (modelPeriod{}) && least > 0 {
		p.days = least
	}
	return p
}

// modelMoment is a date or an instant with the text of a license file.
type modelMoment struct {
	text   string
	begins time.Time
	ends   time.Time // of a date: the first instant after it
}

// changeDays are the days of a year on which the clocks of a zone change, and the days that it
// leaves out.
func changeDays(loc *time.Location, year int) []wall {
	var out []wall
	offset := func(w wall) string {
		return time.Date(w.y, time.Month(w.m), w.d, 12, 0, 0, 0, time.UTC).In(loc).Format("-0700")
	}
	for w := (wall{y: year, m: 1, d: 2}); w.y == year; w = w.nextDay() {
		if offset(w) != offset(w.previousDay()) {
			out = append(out, w.previousDay(), w)
		}
	}
	return out
}

// drawWall is a random day and quarter of an hour; every third lies where the clocks change.
func drawWall(t *rapid.T, label string, loc *time.Location) wall {
	w := wall{y: rapid.IntRange(1975, 2044).Draw(t, label+" year"), m: rapid.IntRange(1, 12).Draw(t, label+" month")}
	w.d = min(rapid.IntRange(1, 31).Draw(t, label+" day"), monthDays(w.y, w.m))
	quarters := 95
	if rapid.IntRange(0, 2).Draw(t, label+" at a change") == 0 {
		if days := changeDays(loc, w.y); len(days) > 0 {
			w = rapid.SampledFrom(days).Draw(t, label+" change")
			quarters = 16 // most changes are before four o'clock
		}
	}
	w.minutes = 15 * rapid.IntRange(0, quarters).Draw(t, label+" quarter")
	return w
}

func drawMoment(t *rapid.T, label string, loc *time.Location) modelMoment {
	w := drawWall(t, label, loc)
	if rapid.Bool().Draw(t, label+" is a date") {
		w.minutes = 0
		return modelMoment{w.String()[:10], modelInstant(w, loc), modelInstant(w.nextDay(), loc)}
	}
	at := modelInstant(w, loc)
	offset := 30 * rapid.IntRange(-20, 24).Draw(t, label+" offset")
	return modelMoment{at.In(time.FixedZone("", offset*60)).Format(time.RFC3339), at, at}
}

// drawPeriodFrom is a period; every fourth leads from t0 to a day on which the clocks change.
func drawPeriodFrom(t *rapid.T, label string, t0 time.Time, loc *time.Location) modelPeriod {
	if rapid.IntRange(0, 3).Draw(t, label+" to a change") == 0 {
		from := modelWall(t0, loc)
		for _, w := range append(changeDays(loc, from.y), changeDays(loc, from.y+1)...) {
			days := 0
			for at := from; at.String() < w.String() && days < 800; at = at.nextDay() {
				days++
			}
			if days > 0 && rapid.Bool().Draw(t, label+" to this") {
				return modelPeriod{days: days}
			}
		}
	}
	return drawPeriod(t, label, 1)
}

// modelLicense is a license as a file writes it, and what the model knows of it.
type modelLicense struct {
	files  map[string][]byte
	loc    *time.Location
	issued time.Time

	starts, ends time.Time
	want         Schedule
	soon         int64

	renews    bool
	end       func(n int) time.Time // after n renewals
	notice    modelPeriod
	cancelled time.Time // zero: not
	last      int       // renewals until ends
}

func (m *modelLicense) deadline(n int) time.Time { return modelAdd(m.end(n), m.notice, -1, m.loc) }

// drawInstant is some time after the start, or just at or beside one of the given instants.
func drawInstant(t *rapid.T, label string, start time.Time, edge func(n int) time.Time) time.Time {
	if rapid.Bool().Draw(t, label+" at an edge") {
		beside := time.Duration(rapid.IntRange(-1, 1).Draw(t, label+" beside")) * time.Second
		return edge(rapid.IntRange(0, 4).Draw(t, label+" edge")).Add(beside)
	}
	return start.Add(time.Duration(rapid.IntRange(-400*24, 6*365*24).Draw(t, label)) * time.Hour)
}

func drawLicense(t *rapid.T) *modelLicense {
	zone := rapid.SampledFrom(modelZones).Draw(t, "zone")
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	m := &modelLicense{loc: loc}
	start := drawMoment(t, "start", loc)
	m.starts = start.begins
	fields := []string{"type: subscription", "grants: []", "starts: " + start.text}

	anchor, term := start.begins, modelPeriod{}
	switch rapid.IntRange(0, 2).Draw(t, "end") {
	case 0:
		term = drawPeriodFrom(t, "term", start.begins, loc)
		fields = append(fields, "term: "+term.String())
	case 1:
		end := drawMoment(t, "ends", loc)
		for !end.ends.After(start.begins) {
			end.ends = modelInstant(modelWall(start.begins, loc).nextDay().nextDay(), loc)
			end.text = end.ends.UTC().Format(time.RFC3339)
		}
		anchor = end.ends
		fields = append(fields, "ends: "+end.text)
	case 2:
		month := rapid.IntRange(1, 12).Draw(t, "fiscal month")
		day := min(rapid.IntRange(1, 31).Draw(t, "fiscal day"), monthDays(2000, month))
		aligned := fmt.Sprintf("aligned: {fiscal_year_ends: %02d-%02d}", month, day)
		if month == 12 && day == 31 {
			aligned = "aligned: calendar-year"
		}
		minimum := modelPeriod{}
		has := rapid.IntRange(0, 2).Draw(t, "minimum")
		if has == 1 {
			minimum = drawPeriod(t, "minimum", 1)
		}
		yearEnd := func(w wall) bool { return w.m == month && w.d == min(day, monthDays(w.y, month)) }
		w := modelWall(start.begins, loc)
		w.minutes = 0
		if has == 2 { // to the day on which the year ends, or the next: exactly met, or missed by a day
			minimum.days = rapid.IntRange(0, 1).Draw(t, "minimum beyond")
			for at := w; minimum.days < 2 || !yearEnd(at); at = at.nextDay() {
				minimum.days++
			}
		}
		if has > 0 {
			aligned += "\nminimum_term: " + minimum.String()
		}
		for ; ; w = w.nextDay() {
			anchor = modelInstant(w.nextDay(), loc)
			if yearEnd(w) && anchor.After(start.begins) && !anchor.Before(modelAdd(start.begins, minimum, 1, loc)) {
				break
			}
		}
		fields = append(fields, aligned)
	}

	m.end = func(n int) time.Time { return modelAdd(anchor, term, 1, loc) }
	m.renews = rapid.Bool().Draw(t, "renews")
	if m.renews {
		every := drawPeriod(t, "every", 1)
		every.days += 7 * min(1, every.hours+every.quarters) // keep the walk short
		m.notice = drawPeriod(t, "notice", 0)
		m.end = func(n int) time.Time { return modelAdd(anchor, term.plus(every.times(n)), 1, loc) }
		line := fmt.Sprintf("renews: {every: %s, notice: %s", every, m.notice)
		m.issued = drawInstant(t, "issued", start.begins, m.end)
		if rapid.Bool().Draw(t, "cancelled") {
			m.cancelled = drawInstant(t, "cancelled at", start.begins, m.deadline)
			line += ", cancelled: " + m.cancelled.UTC().Format(time.RFC3339)
			for !m.cancelled.Before(m.deadline(m.last)) {
				m.last++
			}
		} else {
			now := m.issued
			if now.Before(start.begins) {
				now = start.begins
			}
			for !now.Before(m.end(m.last)) {
				m.last++
			}
			m.last++ // one term ahead
		}
		fields = append(fields, line+"}")
	} else {
		m.issued = drawInstant(t, "issued", start.begins, func(int) time.Time { return m.end(0) })
	}
	m.ends = m.end(m.last)
	m.want = Schedule{Starts: start.begins.Unix(), Ends: m.ends.Unix(), Grace: m.ends.Unix(), Terminates: Never}
	m.soon = modelAdd(m.ends, modelPeriod{days: 14}, -1, loc).Unix()

	if rapid.Bool().Draw(t, "has grace") {
		grace := drawPeriod(t, "grace", 0)
		fields = append(fields, "grace: "+grace.String())
		m.want.Grace = modelAdd(m.ends, grace, 1, loc).Unix()
	}
	switch rapid.IntRange(0, 4).Draw(t, "updates") {
	case 0:
		m.want.Updates = m.want.Ends
	case 1:
		m.want.Updates = m.want.Ends
		fields = append(fields, "updates: with-term")
	case 2:
		m.want.Updates = Never
		fields = append(fields, "updates: forever")
	case 3:
		until := drawMoment(t, "updates until", loc)
		m.want.Updates = until.ends.Unix()
		fields = append(fields, "updates: {until: "+until.text+"}")
	case 4:
		p := drawPeriodFrom(t, "updates period", start.begins, loc)
		m.want.Updates = modelAdd(start.begins, p, 1, loc).Unix()
		fields = append(fields, "updates: {period: "+p.String()+"}")
	}
	switch rapid.IntRange(0, 2).Draw(t, "terminates") {
	case 0:
		p := drawPeriod(t, "terminates after", 0)
		m.want.Terminates = modelAdd(m.ends, p, 1, loc).Unix()
		fields = append(fields, "terminates: "+p.String())
	case 1: // a day at or after the first end; renewals may go beyond it
		w := modelWall(m.end(0), loc)
		for range rapid.IntRange(0, 900).Draw(t, "terminates days") {
			w = w.nextDay()
		}
		m.want.Terminates = modelInstant(w.nextDay().midnight(), loc).Unix()
		fields = append(fields, "terminates: "+w.String()[:10])
	}
	if m.want.Terminates != Never {
		fields = append(fields, fmt.Sprintf("keep_versions: %v", rapid.Bool().Draw(t, "keeps")))
	}

	// Whatever a plan gives instead of the license, and whoever says the zone, nothing changes.
	other := rapid.SampledFrom(modelZones).Draw(t, "other zone")
	own, plan, customer := []string{"kind: License", "id: l", "customer: c"}, []string{"kind: Plan", "id: p"}, zone
	switch rapid.IntRange(0, 2).Draw(t, "zone of") {
	case 0:
		fields, customer = append(fields, "zone: "+zone), other
	case 1:
		fields, plan, customer = append(fields, "zone: "+zone), append(plan, "zone: "+other), other
	}
	if usesPlan := rapid.Bool().Draw(t, "uses the plan"); usesPlan {
		own = append(own, "plan: p")
		for _, f := range fields {
			if !strings.HasPrefix(f, "zone") && rapid.Bool().Draw(t, "from the plan") {
				plan = append(plan, f)
			} else {
				own = append(own, f)
			}
		}
	} else {
		own = append(own, fields...)
	}
	m.files = map[string][]byte{
		"l.yaml": []byte(strings.Join(own, "\n") + "\n"),
		"p.yaml": []byte(strings.Join(plan, "\n") + "\n"),
		"c.yaml": []byte("kind: Customer\nid: c\nzone: " + customer + "\n"),
	}
	return m
}

func (w wall) midnight() wall {
	w.minutes = 0
	return w
}

func (m *modelLicense) String() string {
	return fmt.Sprintf("issued %s\n%s---\n%s---\n%s", m.issued.UTC().Format(time.RFC3339), m.files["l.yaml"], m.files["p.yaml"], m.files["c.yaml"])
}

func (m *modelLicense) parse(t *rapid.T) *Set {
	set, err := Parse(m.files)
	if err != nil {
		t.Fatalf("%v in\n%s", err, m)
	}
	return set
}

// Property: for random zones, starts, ends, renewals, cancellations, plans and clocks, Schedule
// gives what the model finds by walking.
func TestScheduleIsWhatADayByDayModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawLicense(t)
		l := m.parse(t).License("l")
		if got := l.Schedule(m.issued.Unix()); got != m.want {
			t.Fatalf("%s\ngot  %s\nwant %s", m, show(got), show(m.want))
		}
		if got := l.ExpiringFrom(m.want.Ends); got != m.soon {
			t.Fatalf("%s\nexpiring from %d, want %d", m, got, m.soon)
		}
	})
}

func show(s Schedule) string {
	at := func(n int64) string {
		if n == Never {
			return "never"
		}
		return time.Unix(n, 0).UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("starts %s, ends %s, updates %s, grace %s, terminates %s", at(s.Starts), at(s.Ends), at(s.Updates), at(s.Grace), at(s.Terminates))
}
