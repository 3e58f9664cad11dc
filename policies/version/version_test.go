package version

import (
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

// table is testdata/versions.json.
type table struct {
	Comment   string
	Ascending []string
	Tags      []struct {
		Tag, Is, Version, Base, Order, Channel, Digest, Says string
		Chart                                                bool
		Variants                                             []string
	}
	Constraints []struct {
		Constraint string
		Ranges     [][2]string
		Yes, No    []string
		Says       string
	}
	Lists []struct {
		Versions []string
		Ranges   [][2]string
		Yes, No  []string
	}
	NotConstraints []string `json:"not_constraints"`
	// Habits are texts that mean something else elsewhere: refused here with an error that
	// contains Error, or read as Yes and No say.
	Habits []struct {
		From, Write, There, Here, Error string
		Yes, No                         []string
		Instead                         string
		Gives                           []string // members of Instead
	}
	TagPatterns        []pattern `json:"tag_patterns"`
	RepositoryPatterns []pattern `json:"repository_patterns"`
}

// pattern is a pattern with what it matches and what not.
type pattern struct {
	Pattern string
	Yes, No []string
	Says    string
}

func fixture(t testing.TB) (f table) {
	t.Helper()
	data, err := os.ReadFile("testdata/versions.json")
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestVersionsOfTheTableAscend(t *testing.T) {
	f := fixture(t)
	for i, a := range f.Ascending {
		for j, b := range f.Ascending {
			v, w := must(t, a), must(t, b)
			if got := v.Compare(w); got != sign(i-j) {
				t.Errorf("%s and %s: Compare says %d", a, b, got)
			}
			if got := regoValue(t, v.Order()).Compare(regoValue(t, w.Order())); got != sign(i-j) {
				t.Errorf("%s and %s: Rego says %d", a, b, got)
			}
		}
	}
}

func TestTagsOfTheTable(t *testing.T) {
	for _, c := range fixture(t).Tags {
		hex, isDigest := DigestTag(c.Tag)
		if isDigest != (c.Is == "digest") || isDigest && hex != c.Digest {
			t.Errorf("%q is a digest: %v %s", c.Tag, isDigest, hex)
		}
		if ValidTag(c.Tag) == (c.Is == "no tag") {
			t.Errorf("%q is a tag: %v", c.Tag, ValidTag(c.Tag))
		}
		v, base, ok := FromTag(c.Tag, c.Chart, c.Variants)
		if ok != (c.Is == "version") {
			t.Errorf("%q is a version: %v", c.Tag, ok)
			continue
		}
		if !ok {
			continue
		}
		if c.Base == "" {
			c.Base = c.Version
		}
		if v.String() != c.Version || base.String() != c.Base || base.Order() != c.Order || base.Channel() != c.Channel {
			t.Errorf("%q: version %s, base %s, order %s, channel %s; want %+v", c.Tag, v, base, base.Order(), base.Channel(), c)
		}
	}
}

func TestConstraintsOfTheTable(t *testing.T) {
	f := fixture(t)
	for _, c := range f.Constraints {
		got, err := ParseConstraint(c.Constraint)
		if err != nil {
			t.Errorf("%q: %v", c.Constraint, err)
			continue
		}
		checkRanges(t, c.Constraint, got, c.Ranges, c.Yes, c.No)
	}
	for _, s := range f.NotConstraints {
		if r, err := ParseConstraint(s); err == nil {
			t.Errorf("%q is read as %v", s, r)
		}
	}
	for _, l := range f.Lists {
		var versions []Version
		for _, s := range l.Versions {
			versions = append(versions, must(t, s))
		}
		checkRanges(t, strings.Join(l.Versions, ", "), Exact(versions), l.Ranges, l.Yes, l.No)
	}
}

func TestHabitsOfTheTable(t *testing.T) {
	for _, h := range fixture(t).Habits {
		r, err := ParseConstraint(h.Write)
		if (err == nil) != (h.Error == "") || err != nil && !strings.Contains(err.Error(), h.Error) {
			t.Errorf("%q: %v, want %q", h.Write, err, h.Error)
		}
		for _, s := range h.Yes {
			if !r.Contains(must(t, s)) {
				t.Errorf("%q does not contain %s", h.Write, s)
			}
		}
		for _, s := range h.No {
			if r.Contains(must(t, s)) {
				t.Errorf("%q contains %s", h.Write, s)
			}
		}
		if h.Instead == "" {
			continue
		}
		r, err = ParseConstraint(h.Instead)
		if err != nil || len(h.Gives) == 0 {
			t.Errorf("%q in place of %q: %v, gives %v", h.Instead, h.Write, err, h.Gives)
		}
		for _, s := range h.Gives {
			if !r.Contains(must(t, s)) {
				t.Errorf("%q does not contain %s", h.Instead, s)
			}
		}
	}
}

func checkRanges(t *testing.T, name string, got Ranges, ranges [][2]string, yes, no []string) {
	t.Helper()
	want := Ranges{}
	for _, r := range ranges {
		want = append(want, Range{r[0], r[1]})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%q: ranges %v, want %v", name, got, want)
	}
	for _, s := range yes {
		if !got.Contains(must(t, s)) {
			t.Errorf("%q does not contain %s", name, s)
		}
	}
	for _, s := range no {
		if got.Contains(must(t, s)) {
			t.Errorf("%q contains %s", name, s)
		}
	}
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	for s, want := range map[string]string{
		"1.4":                         "three parts",
		"1.4.0.1":                     "three parts",
		"01.4.0":                      "leading zero",
		"1.4.0-01":                    "leading zero",
		"1.x.0":                       "no number",
		"1.4.0-":                      "pre-release identifier",
		"1.4.0+":                      "build identifier",
		"1.4.0-" + hundreds("a", 300): "longer than",
	} {
		if _, err := Parse(s); !errors.Is(err, ErrNotVersion) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", s, err, want)
		}
	}
	if v := must(t, "v1.4.0-rc.1+build.5"); v.String() != "1.4.0-rc.1" || v.Build() != "build.5" || v.PreRelease() != "rc.1" || v.Base().String() != "1.4.0" {
		t.Errorf("parts of %+v", v)
	}
}

func hundreds(s string, n int) string { return strings.Repeat(s, n) }

func TestAllAndOverlaps(t *testing.T) {
	for _, s := range fixture(t).Ascending {
		if !All().Contains(must(t, s)) {
			t.Errorf("all does not contain %s", s)
		}
	}
	for _, c := range []struct {
		a, b string
		want bool
	}{{">=1.0.0 <2.0.0", ">=2.0.0", false}, {"<=2.0.0", ">=2.0.0", true}, {"1.x", "1.4.0", true}, {"<2.0.0", "2.0.0-rc", false}, {"<1.0.0 >2.0.0", "*", false}} {
		x, err := ParseConstraint(c.a)
		if err != nil {
			t.Fatal(err)
		}
		y, err := ParseConstraint(c.b)
		if err != nil {
			t.Fatal(err)
		}
		if x.Overlaps(y) != c.want || y.Overlaps(x) != c.want {
			t.Errorf("%q and %q overlap: %v", c.a, c.b, x.Overlaps(y))
		}
	}
}

func TestNamesPreReleases(t *testing.T) {
	for s, want := range map[string]string{
		">=1.0.0 <2.0.0":                    "",
		">=1.0.0-0 <2.0.0-0":                "",
		">=1.0.0-rc.1 <2.0.0 || 3.0.0-beta": "1.0.0-rc.1 3.0.0-beta",
		">=1.0.0 !=1.1.0-rc.1":              "",
		"nonsense":                          "",
		"1.0.0-alpha - 2.0.0":               "1.0.0-alpha",
		">= 1.2-rc":                         "1.2.0-rc",
	} {
		var got []string
		for _, v := range NamesPreReleases(s) {
			got = append(got, v.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q names %v, want %s", s, got, want)
		}
	}
}
