package license

import (
	"errors"
	"strings"
	"testing"
)

// Invariant: whatever the bytes, Parse returns a set or Errors, never both and never a panic;
// every error is in a file that was given, at a line and column that the file has; and what is
// accepted once is accepted again with the same schedule.
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
				if s := l.Schedule(1_800_000_000); s.Ends <= s.Starts || s.Grace < s.Ends {
					t.Errorf("%s: %s", l.ID, show(s))
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

// Invariant: a period that is accepted has a canonical text that is the same period.
func FuzzParsePeriod(f *testing.F) {
	for _, s := range []string{"P1Y", "P2W", "PT24H", "P", "PT", "P1Y2M3W4DT5H6M7S", "P0D", "P999999Y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePeriod(s)
		if err != nil {
			return
		}
		if again, err := ParsePeriod(p.String()); err != nil || again != p {
			t.Errorf("%q is %s, which is %v, %v", s, p, again, err)
		}
	})
}
