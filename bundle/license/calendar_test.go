package license

import (
	"testing"
	"time"
)

func TestDatesAreWholeLocalDays(t *testing.T) {
	for _, c := range []struct{ zone, date, begins, ends string }{
		{"UTC", "2026-12-31", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"America/Los_Angeles", "2026-01-23", "2026-01-23T08:00:00Z", "2026-01-24T08:00:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}, // begins at 01:00
		{"America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"}, // 25 hours, the last one twice
		{"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},    // midnight comes twice
		{"Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"}, // a day that did not take place
		{"Europe/Berlin", "2040-12-31", "2040-12-30T23:00:00Z", "2040-12-31T23:00:00Z"},
		{"Europe/Berlin", "2399-12-31", "2399-12-30T23:00:00Z", "2399-12-31T23:00:00Z"},
		{"Australia/Sydney", "2400-12-31", "2400-12-30T13:00:00Z", "2400-12-31T13:00:00Z"},
		{"America/New_York", "9999-12-31", "9999-12-31T05:00:00Z", "10000-01-01T05:00:00Z"},
	} {
		loc, err := make(zones).load(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		m, err := parseMoment(c.date)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range []struct {
			what, want string
			got        int64
		}{{"begins", c.begins, m.begins(loc)}, {"ends", c.ends, m.ends(loc)}} {
			if got := time.Unix(x.got, 0).UTC().Format(time.RFC3339); got != x.want {
				t.Errorf("%s in %s %s %s, want %s", c.date, c.zone, x.what, got, x.want)
			}
		}
	}
}

// Every day from 1970 to 2110 begins in every zone, after the day before.
func TestEveryDayBegins(t *testing.T) {
	for _, zone := range append(modelZones, "Pacific/Kiritimati", "Asia/Tehran", "Antarctica/Troll", "Europe/Dublin", "Africa/El_Aaiun", "America/Nuuk") {
		loc, err := make(zones).load(zone)
		if err != nil {
			t.Fatal(err)
		}
		before := int64(-1 << 40)
		for d := (date{1970, 1, 1}); d.day < 51_000; d.day++ {
			at := d.begins(loc)
			if at <= before && zone != "Pacific/Apia" && zone != "Pacific/Kwajalein" && zone != "Pacific/Kiritimati" {
				t.Fatalf("%s: day %d begins at %d, the day before at %d", zone, d.day, at, before)
			}
			before = at
		}
	}
}

func TestMomentsInOtherFormsAreRefused(t *testing.T) {
	for _, s := range []string{
		"", "2026", "2026-01", "2026-1-9", "2026-01-9", "26-01-09", "2026/01/09", "09.01.2026", "2026-02-29", "2026-13-01", "2026-00-10",
		"2026-01-01T00:00:00", "2026-01-01 00:00:00Z", "2026-01-01T00:00Z", "2026-01-01T00:00:00z", "2026-01-01t00:00:00Z", "2026-01-01T24:00:00Z",
		"2026-01-01T00:00:60Z", "2026-01-01T00:00:00+1:00", "2026-01-01T00:00:00+25:00", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00 Z",
		"0000-01-01", "10000-01-01", "-2026-01-01", "0001-01-01T00:00:00+01:00", "tomorrow", " 2026-01-01", "2026-01-01 ", "never",
	} {
		if m, err := parseMoment(s); err == nil {
			t.Errorf("%q is read as %+v", s, m)
		}
	}
	m, err := parseMoment("2026-01-01T01:30:00.999+01:30")
	if want := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Unix(); err != nil || m.instant != want {
		t.Errorf("fractions are cut: got %d, %v, want %d", m.instant, err, want)
	}
}

func TestPeriods(t *testing.T) {
	for s, want := range map[string]string{
		"P1Y": "P1Y", "P12M": "P1Y", "P14M": "P1Y2M", "P2W": "P14D", "P30D": "P30D", "PT24H": "PT24H", "P1Y2M3W4DT5H6M7S": "P1Y2M25DT5H6M7S",
		"P0D": "P0D", "PT0S": "P0D", "PT90M": "PT1H30M", "PT31536000S": "PT8760H",
	} {
		p, err := ParsePeriod(s)
		if err != nil || p.String() != want {
			t.Errorf("%s is %s, %v, want %s", s, p, err, want)
		}
		if again, err := ParsePeriod(p.String()); err != nil || again != p {
			t.Errorf("%s does not come back: %v, %v", p, again, err)
		}
	}
	for _, s := range []string{"", "P", "PT", "P1", "1Y", "P1YT", "P-1Y", "+P1Y", "P1.5Y", "P1D1M", "p1y", "P1H", "P1Y ", "P10001Y", "P9999999D", "P999999999999D", "P1Y1Y"} {
		if p, err := ParsePeriod(s); err == nil {
			t.Errorf("%q is read as %s", s, p)
		}
	}
}

func TestPeriodsAreOneAddition(t *testing.T) {
	for _, c := range []struct{ zone, from, period, want string }{
		{"UTC", "2026-01-31T00:00:00Z", "P1M", "2026-02-28T00:00:00Z"},
		{"UTC", "2026-01-31T00:00:00Z", "P2M", "2026-03-31T00:00:00Z"},
		{"UTC", "2024-02-29T00:00:00Z", "P1Y", "2025-02-28T00:00:00Z"},
		{"UTC", "2026-01-31T00:00:00Z", "P1M1D", "2026-03-01T00:00:00Z"}, // clamped before the days are added
		{"UTC", "2028-01-01T00:00:00Z", "P365D", "2028-12-31T00:00:00Z"},
		{"Europe/Berlin", "2026-03-28T01:30:00Z", "P1D", "2026-03-29T01:00:00Z"},   // 02:30 is skipped
		{"Europe/Berlin", "2026-10-24T00:30:00Z", "P1D", "2026-10-25T00:30:00Z"},   // 02:30 comes twice
		{"Europe/Berlin", "2026-03-28T12:00:00Z", "PT24H", "2026-03-29T12:00:00Z"}, // hours on the time line
		{"Europe/Berlin", "2026-03-28T11:00:00Z", "P1D", "2026-03-29T10:00:00Z"},   // days on the clock
		{"Europe/Berlin", "2026-10-25T01:30:00Z", "P0D", "2026-10-25T01:30:00Z"},   // the second 02:30 stays
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		from, err := time.Parse(time.RFC3339, c.from)
		if err != nil {
			t.Fatal(err)
		}
		p, err := ParsePeriod(c.period)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.AddTo(from.In(loc)).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s + %s in %s is %s, want %s", c.from, c.period, c.zone, got, c.want)
		}
	}
}
