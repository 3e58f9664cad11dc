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

type modelPeriod struct{ years, months, weeks, days, hours int }

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
	if p.hours > 0 {
		fmt.Fprintf(&b, "T%dH", p.hours)
	}
	if b.Len() == 1 {
		b.WriteString("0D")
	}
	return b.String()
}

func (p modelPeriod) times(n int) modelPeriod {
	return modelPeriod{p.years * n, p.months * n, p.weeks * n, p.days * n, p.hours * n}
}

func (p modelPeriod) plus(q modelPeriod) modelPeriod {
	return modelPeriod{p.years + q.years, p.months + q.months, p.weeks + q.weeks, p.days + q.days, p.hours + q.hours}
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
	return t.Add(time.Duration(sign*p.hours) * time.Hour)
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
		p = modelPeriod{n(1), n(3), n(2), n(10), n(30)}
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

func drawMoment(t *rapid.T, label string, loc *time.Location, dates bool) modelMoment {
	w := wall{y: rapid.IntRange(1975, 2044).Draw(t, label+" year"), m: rapid.IntRange(1, 12).Draw(t, label+" month")}
	w.d = min(rapid.IntRange(1, 31).Draw(t, label+" day"), monthDays(w.y, w.m))
	if dates && rapid.Bool().Draw(t, label+" is a date") {
		return modelMoment{w.String()[:10], modelInstant(w, loc), modelInstant(w.nextDay(), loc)}
	}
	w.minutes = 15 * rapid.IntRange(0, 95).Draw(t, label+" quarter")
	offset := 30 * rapid.IntRange(-20, 24).Draw(t, label+" offset")
	at := time.Date(w.y, time.Month(w.m), w.d, 0, w.minutes-offset, 0, 0, time.UTC)
	text := at.In(time.FixedZone("", offset*60)).Format(time.RFC3339)
	return modelMoment{text, at, at}
}

// Property: for random zones, starts, ends, renewals and clocks, Schedule gives what the model
// finds by walking.
func TestScheduleIsWhatADayByDayModelSays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone := rapid.SampledFrom(modelZones).Draw(t, "zone")
		loc, err := time.LoadLocation(zone)
		if err != nil {
			t.Fatal(err)
		}
		start := drawMoment(t, "start", loc, true)
		lines := []string{"kind: License", "id: l", "customer: c", "type: subscription", "grants: []", "starts: " + start.text}

		anchor, term := start.begins, modelPeriod{}
		switch rapid.IntRange(0, 2).Draw(t, "end") {
		case 0:
			term = drawPeriod(t, "term", 1)
			lines = append(lines, "term: "+term.String())
		case 1:
			end := drawMoment(t, "ends", loc, true)
			for !end.ends.After(start.begins) {
				end.ends = modelInstant(modelWall(start.begins, loc).nextDay().nextDay(), loc)
				end.text = end.ends.UTC().Format(time.RFC3339)
			}
			anchor = end.ends
			lines = append(lines, "ends: "+end.text)
		case 2:
			month := rapid.IntRange(1, 12).Draw(t, "fiscal month")
			day := min(rapid.IntRange(1, 31).Draw(t, "fiscal day"), monthDays(2000, month))
			minimum := modelPeriod{}
			if month == 12 && day == 31 {
				lines = append(lines, "aligned: calendar-year")
			} else {
				lines = append(lines, fmt.Sprintf("aligned: {fiscal_year_ends: %02d-%02d}", month, day))
			}
			if rapid.Bool().Draw(t, "has minimum") {
				minimum = drawPeriod(t, "minimum", 1)
				lines = append(lines, "minimum_term: "+minimum.String())
			}
			w := modelWall(start.begins, loc)
			w.minutes = 0
			for ; ; w = w.nextDay() {
				last := w.m == month && w.d == min(day, monthDays(w.y, month))
				anchor = modelInstant(w.nextDay(), loc)
				if last && anchor.After(start.begins) && !anchor.Before(modelAdd(start.begins, minimum, 1, loc)) {
					break
				}
			}
		}

		issued := start.begins.Add(time.Duration(rapid.IntRange(-400*24, 6*365*24).Draw(t, "issued")) * time.Hour)
		n := 0
		if rapid.Bool().Draw(t, "renews") {
			every := drawPeriod(t, "every", 1)
			every.days += 7 * min(1, every.hours) // keep the walk short
			notice := drawPeriod(t, "notice", 0)
			end := func(n int) time.Time { return modelAdd(anchor, term.plus(every.times(n)), 1, loc) }
			line := fmt.Sprintf("renews: {every: %s, notice: %s", every, notice)
			if rapid.Bool().Draw(t, "cancelled") {
				cancelled := start.begins.Add(time.Duration(rapid.IntRange(-1000, 3*365*24).Draw(t, "cancelled at")) * time.Hour)
				line += ", cancelled: " + cancelled.UTC().Format(time.RFC3339)
				for !cancelled.Before(modelAdd(end(n), notice, -1, loc)) {
					n++
				}
			} else {
				now := issued
				if now.Before(start.begins) {
					now = start.begins
				}
				for !now.Before(end(n)) {
					n++
				}
				n++ // one term ahead
			}
			lines = append(lines, line+"}")
			term = term.plus(every.times(n))
		}
		want := Schedule{Starts: start.begins.Unix(), Terminates: Never}
		ends := modelAdd(anchor, term, 1, loc)
		want.Ends = ends.Unix()

		want.Grace = want.Ends
		if rapid.Bool().Draw(t, "has grace") {
			grace := drawPeriod(t, "grace", 0)
			lines = append(lines, "grace: "+grace.String())
			want.Grace = modelAdd(ends, grace, 1, loc).Unix()
		}
		switch rapid.IntRange(0, 4).Draw(t, "updates") {
		case 0:
			want.Updates = want.Ends
		case 1:
			want.Updates = want.Ends
			lines = append(lines, "updates: with-term")
		case 2:
			want.Updates = Never
			lines = append(lines, "updates: forever")
		case 3:
			until := drawMoment(t, "updates until", loc, true)
			want.Updates = until.ends.Unix()
			lines = append(lines, "updates: {until: "+until.text+"}")
		case 4:
			p := drawPeriod(t, "updates period", 1)
			want.Updates = modelAdd(start.begins, p, 1, loc).Unix()
			lines = append(lines, "updates: {period: "+p.String()+"}")
		}
		if rapid.Bool().Draw(t, "terminates") {
			p := drawPeriod(t, "terminates", 0)
			want.Terminates = modelAdd(ends, p, 1, loc).Unix()
			lines = append(lines, "terminates: "+p.String())
		}

		text := strings.Join(lines, "\n") + "\n"
		set, err := Parse(map[string][]byte{"l.yaml": []byte(text), "c.yaml": []byte("kind: Customer\nid: c\nzone: " + zone + "\n")})
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if got := set.License("l").Schedule(issued.Unix()); got != want {
			t.Fatalf("zone %s, issued %s\n%sgot  %s\nwant %s", zone, issued.UTC().Format(time.RFC3339), text, show(got), show(want))
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
