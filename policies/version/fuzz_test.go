package version

import (
	"testing"

	"github.com/Masterminds/semver/v3"
)

// Invariant: Parse never panics; what it accepts Masterminds accepts too, but for numbers above
// 64 bits, with the same text; and text and order come back.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"1.4.0", "v1.4.0-rc.1+b", "01.4.0", "1.4", "1.4.0-0a.-.0", "1.4.0-01", "18446744073709551616.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := Parse(s)
		theirs, theirErr := semver.StrictNewVersion(trimV(s))
		if err != nil {
			if theirErr == nil {
				t.Fatalf("%q: refused (%v), Masterminds accepts it", s, err)
			}
			return
		}
		small := len(v.core[0]) < 20 && len(v.core[1]) < 20 && len(v.core[2]) < 20
		if small && (theirErr != nil || withoutBuild(t, theirs) != v.String()) {
			t.Fatalf("%q is %s, Masterminds says %v, %v", s, v, theirs, theirErr)
		}
		if again := must(t, v.String()); again.Compare(v) != 0 || again.String() != v.String() {
			t.Fatalf("%s does not come back", v)
		}
		if back := fromOrder(v.Order()); back.String() != v.String() {
			t.Fatalf("order %s comes back as %s", v.Order(), back)
		}
		if !Exact([]Version{v}).Contains(v) || v.Channel() == "" {
			t.Fatalf("%s is not in its own range, or has no channel", v)
		}
	})
}

// Invariant: ParseConstraint accepts what Masterminds accepts and nothing else, and its ranges
// are sorted, disjoint and not empty.
func FuzzParseConstraint(f *testing.F) {
	for _, s := range []string{">=1.0.0 <2.0.0", "^1.2 || ~3.4.x, !=3.4.5", "1.0 - 2", "*", "<=x", "=>1", "!=1.2-rc", "", "1 ||"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseConstraint(s)
		if _, theirErr := semver.NewConstraint(s); (err == nil) != (theirErr == nil) {
			t.Fatalf("%q: %v, Masterminds says %v", s, err, theirErr)
		}
		spans := decodeAll(r)
		for i, x := range spans {
			if x.from.compare(x.to) >= 0 || i > 0 && spans[i-1].to.compare(x.from) >= 0 {
				t.Fatalf("%q: ranges %v", s, r)
			}
		}
		if got := encode(spans); len(r) > 0 && len(got) != len(r) {
			t.Fatalf("%q: ranges %v come back as %v", s, r, got)
		}
	})
}

func trimV(s string) string {
	if len(s) > 0 && s[0] == 'v' {
		return s[1:]
	}
	return s
}

func withoutBuild(t *testing.T, v *semver.Version) string {
	t.Helper()
	w, err := v.SetMetadata("")
	if err != nil {
		t.Fatal(err)
	}
	return w.String()
}
