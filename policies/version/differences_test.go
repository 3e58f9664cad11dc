package version

import (
	"testing"

	"github.com/Masterminds/semver/v3"
)

// difference is one place where pullgate means something else than Masterminds/semver, on
// purpose. The page docs/versions.md lists them, and the differential tests accept no other.
type difference struct {
	name, text string
	// A version and a constraint where it shows: whether the version is in it.
	constraint, version string
	ours, theirs        bool
	// shownBy is the test that must come across it: "ranges", "order" or "syntax".
	shownBy string
}

// Names of differences.
const (
	preReleases      = "Pre-releases are versions"
	upperBound       = "An upper bound leaves out its own pre-releases"
	notEqualPatch    = "`!=` with a wildcard in the patch leaves out every such version"
	largeIdentifiers = "Numbers in pre-releases have any size"
	largeVersions    = "Numbers in versions have any size"
)

var differences = []difference{
	{
		preReleases, "They are in a range like every other version, and the grant's `channels` decide about them. Masterminds leaves them out unless the constraint names one or `IncludePrerelease` is set; below, it is.",
		">=1.0.0 <2.0.0", "1.1.0-rc.1", true, false, "ranges",
	},
	{
		upperBound, "`<2.0.0` means what `<2.0.0-0` means, and so do `<2` and `<2.0`. An upper bound that is a pre-release itself is as written.",
		"<2.0.0", "2.0.0-alpha", false, true, "ranges",
	},
	{
		notEqualPatch, "Pre-releases are left out too, as `!=1.x` does, also when the constraint has a pre-release of its own (`!=1.2-rc`). Ranges cannot say what Masterminds means there, and a grant must not get larger.",
		"!=1.2.x", "1.2.0-rc.1", false, true, "ranges",
	},
	{
		largeIdentifiers, "They compare as numbers. Masterminds compares those above 64 bits as text.",
		">1.0.0-99999999999999999999", "1.0.0-100000000000000000000", true, false, "order",
	},
	{
		largeVersions, "Masterminds refuses a version with one above 64 bits. In a constraint both refuse it.",
		">=1.0.0", "18446744073709551616.0.0", true, false, "syntax",
	},
}

// differs names the difference that concerns v under a comparison, or "".
func differs(c comparator, v Version) string {
	switch {
	case c.op == "<" && len(c.v.pre) == 0 && c.v.core == v.core && len(v.pre) > 0:
		return upperBound
	case c.op == "!=" && c.wild == 2 && [2]string(c.v.core[:2]) == [2]string(v.core[:2]) && len(v.pre)+len(c.v.pre) > 0:
		return notEqualPatch
	}
	return ""
}

// tally counts how often each difference decided.
type tally map[string]int

// check fails for a difference that its test did not come across, and for one that another
// test should have found.
func (n tally) check(t *testing.T, shownBy string) {
	t.Helper()
	known := map[string]bool{}
	for _, d := range differences {
		if d.shownBy != shownBy {
			continue
		}
		known[d.name] = true
		if n[d.name] == 0 {
			t.Errorf("the listed difference %q does not occur any more", d.name)
		}
	}
	for name := range n {
		if !known[name] {
			t.Errorf("a difference %q that is not listed", name)
		}
	}
	t.Logf("differences by the number of pairs: %v", n)
}

// Each example shows its difference.
func TestDifferencesAreAsListed(t *testing.T) {
	for _, d := range differences {
		ours, err := ParseConstraint(d.constraint)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := semver.NewConstraint(d.constraint)
		if err != nil {
			t.Fatal(err)
		}
		theirs.IncludePrerelease = d.name != preReleases
		v, err := semver.StrictNewVersion(d.version)
		if (err != nil) != (d.shownBy == "syntax") {
			t.Errorf("%s: Masterminds reads %s: %v", d.name, d.version, err)
		}
		held := err == nil && theirs.Check(v)
		if got := ours.Contains(must(t, d.version)); got != d.ours || held != d.theirs || got == held {
			t.Errorf("%s: %s in %s: here %v, with Masterminds %v", d.name, d.version, d.constraint, got, held)
		}
	}
	if _, err := semver.NewConstraint(">=18446744073709551616.0.0"); err == nil {
		t.Error("Masterminds reads large numbers in constraints")
	}
}

// What the table calls a version is one for Masterminds too, and nothing else is, but for large
// numbers and what a registry's tag cannot hold.
func TestTagsAgreeWithMasterminds(t *testing.T) {
	count := tally{}
	for _, c := range fixture(t).Tags {
		if c.Is == "no tag" || c.Chart {
			continue
		}
		_, err := semver.StrictNewVersion(trimV(c.Tag))
		if (err == nil) == (c.Is == "version") {
			continue
		}
		if c.Is == "version" {
			count[largeVersions]++
			continue
		}
		t.Errorf("%q is %s here; Masterminds: %v", c.Tag, c.Is, err)
	}
	count.check(t, "syntax")
}
