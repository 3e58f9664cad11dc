package license

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"
)

// Invariant: whatever the bytes, Parse returns a set or Errors, never both and never a panic;
// every error is in a file that was given, at a line and column that the file has; and what is
// accepted once is accepted again, ends in the calendar, and is warned about in its files.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{whole, base, base + "---\n" + subscription(), "kind: License\n", "a: [\n", "\xff", "", "- &a [*a]\n", "kind: Plan\nid: p\ngrants: [{}]\n", "{", "? |\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		files := map[string][]byte{"a.yaml": data, "base.yaml": []byte("kind: Customer\nid: fuzz\n")}
		set, err := Parse(files)
		if (set == nil) == (err == nil) {
			t.Fatalf("Parse gives %v and %v", set, err)
		}
		if err == nil {
			for i := range set.Licenses {
				l := &set.Licenses[i]
				s := l.Schedule(1_800_000_000)
				if s.Ends <= s.Starts || s.Grace < s.Ends {
					t.Errorf("%s: %s", l.ID, show(s))
				}
				if first := l.Schedule(Always); first.Ends != Never && first.Ends > lastInstant || first.Grace != Never && first.Grace > lastInstant {
					t.Errorf("%s: beyond the calendar: %s", l.ID, show(first))
				}
			}
			for _, w := range set.Warnings(1_800_000_000) {
				if w.Kind == "" || w.Msg == "" || w.Pos.File != "" && files[w.Pos.File] == nil {
					t.Errorf("a warning without kind, text or place: %+v", w)
				}
			}
			if _, err := Parse(files); err != nil {
				t.Errorf("accepted once, refused twice: %v", err)
			}
			return
		}
		var all Errors
		if !errors.As(err, &all) || len(all) == 0 {
			t.Fatalf("no Errors: %v", err)
		}
		lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") +
			strings.Count(string(data), "\u0085") + strings.Count(string(data), "\u2028") + strings.Count(string(data), "\u2029") + 1
		for _, e := range all {
			if files[e.Pos.File] == nil || e.Pos.Line < 0 || e.Pos.Column < 0 || e.Msg == "" {
				t.Errorf("error without a place: %v", e)
			}
			if e.Pos.File == "a.yaml" && (e.Pos.Line > lines+1 || e.Pos.Column > len(data)+1) {
				t.Errorf("error outside the file of %d lines: %v", lines, e)
			}
		}
	})
}

// Invariant: a moment that is accepted is in the calendar and ends after it begins; one that is
// refused is told what to write, and what is told as a date or an instant is accepted.
func FuzzMoment(f *testing.F) {
	for _, s := range []string{"2026-12-31", "2026-12-31T12:00:00+01:00", "31.12.2026", "2026-12-31 12:00", "12/31/2026", "2026-12-31T12:00Z", "P1Y", "0001-01-01T00:00:00+01:00", "9999-12-31"} {
		f.Add(s)
	}
	advice := regexp.MustCompile(`(?:write|, like) (\d{4}-\d{2}-\d{2}\S*?)(?:,|$)`)
	f.Fuzz(func(t *testing.T, s string) {
		m, err := parseMoment(s)
		if err == nil {
			if from, to := m.begins(time.UTC), m.ends(time.UTC); from < Always || to > lastInstant || to < from || m.isDate && to == from {
				t.Errorf("%q is from %d to %d", s, from, to)
			}
			return
		}
		if told := advice.FindStringSubmatch(err.Error()); told != nil && dateSyntax.MatchString(told[1]) {
			if _, again := parseMoment(told[1]); again != nil {
				t.Errorf("%q: told to write %s, which is refused: %v", s, told[1], again)
			}
		}
	})
}

// Invariant: a period that is accepted has a canonical text that is the same period.
func FuzzParsePeriod(f *testing.F) {
	for _, s := range []string{"P1Y", "P2W", "PT24H", "P", "PT", "P1Y2M3W4DT5H6M7S", "P0D", "P999999Y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePeriod(s)
		if err != nil {
			if !strings.Contains(err.Error(), "write ") {
				t.Errorf("%q: does not say what to write: %v", s, err)
			}
			return
		}
		if at := p.addTo(year3000, time.UTC); at < year3000 || at > year3000+10_001*366*86400*3 {
			t.Errorf("%q leads to %d", s, at)
		}
		if again, err := ParsePeriod(p.String()); err != nil || again != p {
			t.Errorf("%q is %s, which is %v, %v", s, p, again, err)
		}
	})
}
