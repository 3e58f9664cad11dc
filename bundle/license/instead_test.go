package license

import (
	"strings"
	"testing"
)

func TestWrongTimesSayWhatToWrite(t *testing.T) {
	moment := func(s string) error { _, err := parseMoment(s); return err }
	period := func(s string) error { _, err := ParsePeriod(s); return err }
	for _, c := range []struct {
		read       func(string) error
		text, want string
	}{
		{moment, "2026-02-30", "is no day of the calendar: February 2026 has the days 01 to 28"},
		{moment, "2028-02-30", "February 2028 has the days 01 to 29"},
		{moment, "2026-04-31", "April 2026 has the days 01 to 30"},
		{moment, "2026-04-00", "April 2026 has the days 01 to 30"},
		{moment, "2026-13-01", "months go from 01 to 12"},
		{moment, "2026-00-01", "months go from 01 to 12"},
		{moment, "0000-01-01", "years go from 0001 to 9999"},
		{moment, "2026-02-30T00:00:00Z", "is no instant of the calendar: February 2026 has the days 01 to 28"},
		{moment, "2026-12-31T24:00:00Z", "hours go from 00 to 23"},
		{moment, "2026-12-31T23:59:60Z", "seconds from 00 to 59"},
		{moment, "2026-12-31T12:00:00+25:00", "offsets to 23:59"},
		{moment, "0001-01-01T00:00:00+01:00", "it is before the year 1"},
		{moment, "2026-1-9", "like 2026-01-09"},
		{moment, "31.12.2026", "like 2026-12-31"},
		{moment, "31/12/2026", "like 2026-12-31"},
		{moment, "12/31/2026", "like 2026-12-31"},
		{moment, "2026/12/31", "like 2026-12-31"},
		{moment, "1/31/2026", "like 2026-01-31"},
		{moment, "2026-2-30", "like 2026-01-09"},
		{moment, "2026-02-30T12:00", "is no instant of the calendar: February 2026 has the days 01 to 28"},
		{moment, "01/02/2026", "like 2026-01-09"}, // the first of February, or the second of January
		{moment, "2026-12-31T12:00:00", "needs an offset, nobody can know which instant is meant: write 2026-12-31T12:00:00Z, or one like 2026-12-31T12:00:00+01:00, or a date"},
		{moment, "2026-12-31 12:00", "write 2026-12-31T12:00:00Z, or one like 2026-12-31T12:00:00+01:00, or a date"},
		{moment, "2026-12-31 12:00:00Z", "write 2026-12-31T12:00:00Z"},
		{moment, "2026-12-31t12:00:00z", "write 2026-12-31T12:00:00Z"},
		{moment, "2026-12-31T12:00+0100", "write 2026-12-31T12:00:00+01:00"},
		{moment, "2026-12-31T12:00:00-05", "write 2026-12-31T12:00:00-05:00"},
		{moment, "2026-12-31Z", "has no offset: write 2026-12-31, or an instant like 2026-12-31T12:00:00Z"},
		{moment, "2026-02-30Z", "is no day of the calendar: February 2026 has the days 01 to 28"},
		{moment, "2026-12-31 24:00:00Z", "is no instant of the calendar: hours go from 00 to 23"},
		{moment, "2026-02-30 12:00:00Z", "is no instant of the calendar: February 2026 has the days 01 to 28"},
		{moment, "P1Y", "is a period where a date like 2026-12-31 or an instant"},
		{moment, "10000-01-01", "is neither a date like 2026-12-31 nor an instant"},
		{moment, "tomorrow", "is neither a date like 2026-12-31 nor an instant"},

		{period, "P99999999999Y", "is longer than ten thousand years: write a shorter one, like P99Y"},
		{period, "P99999999999999999999Y", "is longer than ten thousand years"},
		{period, "P10000Y1M", "is longer than ten thousand years"},
		{period, "PT99999999999999999H", "is longer than ten thousand years"},
		{period, "P768614336404564650Y", "is longer than ten thousand years"}, // twelve times that is beyond 64 bits
		{period, "1 year", "write P1Y"},
		{period, "30 days", "write P30D"},
		{period, "18mo", "write P18M"},
		{period, "36h", "write PT36H"},
		{period, "2w", "write P2W"},
		{period, "1Y", "write P1Y"},
		{period, "p1y", "write P1Y"},
		{period, "P24H", "hours, minutes and seconds stand behind a T: write PT24H"},
		{period, "P1.5Y", "no fractions, write whole numbers, like P18M"},
		{period, "P-1Y", "it has no sign; write one like P1Y"},
		{period, "P1D1Y", "in this order (Y M W D)"},
		{period, "PT1D", "in this order (Y M W D)"},
		{period, "P30", "in this order (Y M W D)"},
		{period, "never", "write one like P1Y, P3M, P2W, P30D or PT24H"},
		{period, "", "write one like P1Y, P3M, P2W, P30D or PT24H"},
	} {
		if err := c.read(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
		}
	}
}

func TestWrongZonesSayWhatToWrite(t *testing.T) {
	for name, want := range map[string]string{
		"Europe/Berlinn":     "write an IANA name like Europe/Berlin, or UTC",
		"PST":                "write an IANA name like Europe/Berlin, or UTC",
		"UTC+1":              "an offset knows no daylight saving time: write an IANA name like Europe/Berlin, or UTC; Etc/GMT-1 is this offset all year",
		"GMT-05:00":          "Etc/GMT+5 is this offset all year",
		"+02:00":             "Etc/GMT-2 is this offset all year",
		"europe/berlin":      "did you mean Europe/Berlin?",
		"america/new york":   "did you mean America/New_York?",
		"utc":                "did you mean UTC?",
		"Local":              "write an IANA name",
		"localtime":          "write an IANA name", // the machine's
		"right/UTC":          "write an IANA name", // with leap seconds
		"posix/Europe/Paris": "write an IANA name",
		"posixrules":         "write an IANA name",
		"Factory":            "write an IANA name",
		"../UTC":             "write an IANA name",
		"Ä/ö":                "write an IANA name",
	} {
		_, err := Parse(map[string][]byte{"x.yaml": []byte("kind: Customer\nid: c\nzone: " + name + "\n")})
		if err == nil || !strings.HasPrefix(err.Error(), "x.yaml:3:7: zone: unknown zone \""+name+"\": ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", name, err, want)
		}
	}
}
