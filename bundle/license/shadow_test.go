package license

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/policies/version"
	"pgregory.net/rapid"
)

// shadowedIn lists the grants that others cover as "LICENSE/NUMBER by LICENSE/NUMBER".
func shadowedIn(t *testing.T, licenses string) []string {
	t.Helper()
	set, err := Parse(map[string][]byte{"base.yaml": []byte(base), "x.yaml": []byte(licenses)})
	if err != nil {
		t.Fatalf("%v in\n%s", err, licenses)
	}
	var out []string
	inside := regexp.MustCompile(`^grants\[(\d+)\] at `)
	across := regexp.MustCompile(`^license (\S+) does not need it: grants\[(\d+)\] of license (\S+) at `)
	for _, w := range set.Warnings(instant(t, "2026-06-01T00:00:00Z")) {
		if w.Kind != WarnShadowed {
			continue
		}
		number := strings.Trim(w.Path, "grants[]")
		if m := across.FindStringSubmatch(w.Msg); m != nil {
			out = append(out, m[1]+"/"+number+" by "+m[3]+"/"+m[2])
		} else if m := inside.FindStringSubmatch(w.Msg); m != nil {
			out = append(out, "a/"+number+" by a/"+m[1])
		} else {
			t.Errorf("what is this: %s", w.Msg)
		}
	}
	return out
}

func TestGrantsThatOthersOfTheLicenseCover(t *testing.T) {
	for _, c := range []struct{ name, grants, want string }{
		{"wider first", `{product: app, versions: ">=1.0.0"}, {product: app, versions: "1.x"}`, "a/1 by a/0"},
		{"wider last", `{product: app, versions: "1.x"}, {product: app, versions: ">=1.0.0"}`, "a/0 by a/1"},
		{"the same twice: the first stays", `{product: app, versions: "1.x"}, {product: app, versions: ">=1.0.0 <2.0.0"}`, "a/1 by a/0"},
		{"all", `{product: app, versions: [1.4.0]}, {product: app, versions: all}`, "a/0 by a/1"},
		{"a version of a list", `{product: app, versions: [1.4.0, 1.5.0]}, {product: app, versions: [1.4.0+b1]}`, "a/1 by a/0"},
		{"a hole in the wider one", `{product: app, versions: ">=1.0.0 !=1.4.0"}, {product: app, versions: "1.x"}`, ""},
		{"overlapping", `{product: app, versions: ">=1.0.0 <3.0.0"}, {product: app, versions: ">=2.0.0 <4.0.0"}`, ""},
		{"together, not one alone", `{product: app, versions: "1.x"}, {product: app, versions: "2.x"}, {product: app, versions: ">=1.5.0 <2.5.0"}`, ""},
		{"a channel more", `{product: app, versions: all}, {product: app, versions: "1.x", channels: [stable, rc]}`, ""},
		{"a channel less", `{product: app, versions: all, channels: [rc, stable]}, {product: app, versions: "1.x"}`, "a/1 by a/0"},
		{"grants of nothing say why", `{product: app, versions: all}, {product: app, versions: []}, {product: app, versions: "1.x", channels: []}`, ""},
		{"nothing covers by nothing", `{product: app, versions: all, channels: []}, {product: app, versions: "1.x"}`, ""},

		{"all tags", `{repository: acme/app, tags: all}, {repository: acme/app, tags: [stable]}`, "a/1 by a/0"},
		{"a tag and its pattern", `{repository: acme/app, tags: ["1.*", stable]}, {repository: acme/app, tags: ["1.4", "1.5.*"]}`, "a/1 by a/0"},
		{"one tag more", `{repository: acme/app, tags: ["1.*"]}, {repository: acme/app, tags: ["1.4", edge]}`, ""},
		{"a pattern that looks alike", `{repository: acme/app, tags: ["1.*"]}, {repository: acme/app, tags: ["*.4"]}`, ""},
		{"a star is no star's part", `{repository: acme/app, tags: ["1.*.0"]}, {repository: acme/app, tags: ["1.4.*"]}`, ""},
		{"a repository of a pattern", `{repository: acme/*, tags: all}, {repository: acme/app, tags: all}`, "a/1 by a/0"},
		{"two segments", `{repository: acme/*, tags: all}, {repository: acme/tools/cli, tags: all}`, ""},
		{"two stars", `{repository: acme/**, tags: all}, {repository: acme/tools/cli, tags: all}, {repository: acme/*/cli, tags: all}`, "a/1 by a/0, a/2 by a/0"},
		{"one star does not cover two", `{repository: acme/*, tags: all}, {repository: acme/**, tags: all}`, "a/0 by a/1"},
		{"a product and its repository", `{product: app, versions: all}, {repository: acme/app, tags: all}`, ""},
		{"tags of now, for ever", `{repository: acme/app, tags: all}, {repository: acme/app, tags: {current: {}}}`, "a/1 by a/0"},
		{"tags of a later day", `{repository: acme/app, tags: {current: {as_of: 2026-02-01}}}, {repository: acme/app, tags: {current: {as_of: 2026-03-01}}}`, "a/0 by a/1"},
		{"tags of now have no names", `{repository: acme/app, tags: {current: {}}}, {repository: acme/app, tags: [stable]}`, ""},
		{"names are no tags of now", `{repository: acme/app, tags: [stable]}, {repository: acme/app, tags: {current: {}}}`, ""},
		{"of three equal ones two are superfluous", `{repository: acme/app, tags: all}, {repository: acme/app, tags: all}, {repository: acme/app, tags: all}`, "a/1 by a/0, a/2 by a/0"},
	} {
		got := shadowedIn(t, license("a", "plan: gold\nstarts: 2026-01-01\ngrants: ["+c.grants+"]"))
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

// The narrow license is a with 1.x, the wide one b with every version; each row says how they differ.
func TestGrantsThatOtherLicensesCover(t *testing.T) {
	const one, many = "\ngrants: [{product: app, versions: \"1.x\"}]", "\ngrants: [{product: app, versions: all}]"
	const year, twoYears = "type: subscription\nstarts: 2026-01-01\nends: 2026-12-31\n", "type: subscription\nstarts: 2026-01-01\nends: 2027-12-31\n"
	const forever = "type: perpetual\nends: never\nupdates: forever\n"
	for _, c := range []struct{ name, narrow, wide, want string }{
		{"the same time", year, year, "a/0 by b/0"},
		{"longer", year, twoYears, "a/0 by b/0"},
		{"for ever", year, forever, "a/0 by b/0"},
		{"for ever covers a trial", "type: trial\nends: 2026-12-31", forever, "a/0 by b/0"},
		{"shorter", twoYears, year, ""},
		{"starts later", year, strings.Replace(twoYears, "2026-01-01", "2026-01-02", 1), ""},
		{"a subscription does not say trial_ended", "type: trial\nends: 2026-12-31", twoYears, ""},
		{"nor one with the same clocks", "type: trial\nstarts: 2026-01-01\nends: 2026-12-31", year, ""},
		{"a trial covers no subscription", year, "type: trial\nstarts: 2026-01-01\nends: 2027-12-31", ""},

		{"grace within", year + "grace: P14D", twoYears, "a/0 by b/0"},
		{"grace beyond", year + "grace: P2Y", twoYears, ""},
		{"grace of both", year + "grace: P14D", year + "grace: P14D", "a/0 by b/0"},
		{"grace of one", year + "grace: P14D", year, ""},
		{"kept within", year + "keep_versions: true\nterminates: P6M", twoYears, "a/0 by b/0"},
		{"kept beyond", year + "keep_versions: true\nterminates: P2Y", twoYears, ""},
		{"kept by both", year + "keep_versions: true\nterminates: P2Y", year + "keep_versions: true\nterminates: P2Y", "a/0 by b/0"},
		{"kept by one", year + "keep_versions: true\nterminates: P2Y", year + "terminates: P2Y", ""},
		{"terminates earlier", year, twoYears + "terminates: P60D", ""},
		{"terminates earlier, both", year + "terminates: P60D", twoYears + "terminates: P60D", "a/0 by b/0"},

		{"updates for longer", year + "updates: forever", twoYears, ""},
		{"updates for less long", year, twoYears + "updates: {until: 2026-06-30}", ""},
		{"updates for ever", year + "updates: forever", twoYears + "updates: forever", "a/0 by b/0"},

		{"renews", year + "renews: {every: P1Y}", twoYears, ""},
		{"renews and is cancelled", year + "renews: {every: P1Y, cancelled: 2026-02-01T00:00:00Z}", twoYears, "a/0 by b/0"},
		{"renews, but the other never ends", year + "renews: {every: P1Y}", forever, "a/0 by b/0"},
		{"renews, with the same updates", year + "renews: {every: P1Y}\nupdates: {until: 2026-12-31}", twoYears + "updates: {until: 2026-12-31}", ""},
		{"renews and its updates too", year + "renews: {every: P1Y}", "type: perpetual\nends: never\nupdates: {until: 2030-12-31}", ""},
		{"both renew alike", year + "renews: {every: P1Y}", year + "renews: {every: P1Y}", "a/0 by b/0"},
		{"both renew, one in half the time", year + "renews: {every: P6M}", year + "renews: {every: P1Y}", ""},

		{"suspended", year, twoYears + "status: {suspended: {at: 2026-07-01}}", ""},
		{"revoked", year, twoYears + "status: {revoked: {at: 2026-07-01}}", ""},
		{"the narrow one is suspended", year + "status: {suspended: {at: 2026-07-01}}", twoYears, "a/0 by b/0"},
		{"another enforcement", year, twoYears + "enforcement: observe", ""},
		{"another enforcement of the narrow one", year + "enforcement: warn", twoYears, ""},
		{"the same enforcement", year + "enforcement: warn", twoYears + "enforcement: warn", "a/0 by b/0"},
		{"a feature more", year + "features: {sso: true}", twoYears, ""},
		{"a feature that is not held", year + "features: {sso: false}", strings.Replace(twoYears, "2027", "2026", 1) + "features: {sso: false}", "a/0 by b/0"},
		{"features that would be told", year + "features: {nodes: 5}", year + "features: {nodes: 10}", ""},
		{"another zone", year, strings.Replace(year, "type", "zone: Europe/Berlin\ntype", 1), ""},
		{
			"another zone at the same instants, in which the end is announced", "type: subscription\nstarts: 2026-01-01T00:00:00Z\nends: 2026-12-31T00:00:00Z",
			"type: subscription\nzone: Europe/Berlin\nstarts: 2026-01-01T00:00:00Z\nends: 2026-12-31T00:00:00Z", "",
		},
		{"what is over disturbs nobody", "type: subscription\nends: 2025-12-31", "type: subscription\nends: 2026-12-31", ""},
	} {
		got := shadowedIn(t, license("a", strings.TrimSpace(c.narrow)+one)+license("b", strings.TrimSpace(c.wide)+many))
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
	for _, c := range []struct{ name, licenses, want string }{
		{"replaced by the wide one", license("a", year+one[1:]) + license("b", twoYears+many[1:]+"\nreplaces: a"), ""},
		{"the wide one is replaced", license("a", twoYears+one[1:]) + license("b", twoYears+many[1:]) + license("c", "type: subscription\nstarts: 2026-07-01\nends: 2027-12-31\nreplaces: b\ngrants: []"), ""},
		{"another customer's", license("a", year+one[1:]) + strings.Replace(license("b", twoYears+many[1:]), "acme", "globex", 1), ""},
		{"twice the same: the first stays", license("a", year+one[1:]) + license("b", year+one[1:]), "b/0 by a/0"},
		{"with features the one that is reported stays", license("a", year+"features: {nodes: 5}"+one) + license("b", year+"features: {nodes: 6}"+one), "b/0 by a/0"},
		{"a feature less in the wide one", license("a", twoYears+many[1:]) + license("b", year+"features: {sso: true}"+one), ""},
		{"a feature more in the wide one", license("a", twoYears+"features: {sso: true}"+many) + license("b", year+one[1:]), "b/0 by a/0"},
		{"one grant of two", license("a", year+"grants: [{product: app, versions: \"1.x\"}, {repository: acme/tools, tags: all}]") + license("b", year+many[1:]), "a/0 by b/0"},
		{"in a circle of three one stays", license("a", year+one[1:]) + license("b", year+one[1:]) + license("c", year+one[1:]), "b/0 by a/0, c/0 by a/0"},
	} {
		if s := strings.Join(shadowedIn(t, c.licenses), ", "); s != c.want {
			t.Errorf("%s: got %q, want %q", c.name, s, c.want)
		}
	}
}

// A warning across licenses is told where it can be mended: at the license when the grant is its plan's.
func TestPlacesOfGrantsThatOthersCover(t *testing.T) {
	set, err := Parse(map[string][]byte{
		"base.yaml": []byte(base),
		"x.yaml":    []byte(license("a", "plan: gold\nstarts: 2026-01-01") + license("b", "plan: gold\nstarts: 2026-01-01") + license("c", "type: perpetual\nends: never\nupdates: forever\ngrants: [{product: app, versions: all}]")),
	})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range set.Warnings(instant(t, "2026-06-01T00:00:00Z")) {
		got = append(got, w.String())
	}
	want := []string{
		"x.yaml:1:1: grants[0]: license a does not need it: grants[0] of license c at x.yaml:19:10 covers all of it for as long: remove it, nothing changes",
		"x.yaml:7:1: grants[0]: license b does not need it: grants[0] of license a at x.yaml:1:1 covers all of it for as long: remove it, nothing changes",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
}

// Property: what covers says of patterns holds for every name and tag.
func TestCoveringPatternsMatchWhatTheyCover(t *testing.T) {
	covered := 0
	rapid.Check(t, func(t *rapid.T) {
		segment := rapid.SampledFrom([]string{"a", "b", "*", "**"})
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 6).Draw(t, "name"), "/")
		p, o := strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "pattern"), "/"), strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "other"), "/")
		if coversRepositories(p, o) && version.MatchRepository(o, name) {
			covered++
			if !version.MatchRepository(p, name) {
				t.Fatalf("%s covers %s, and does not match %s", p, o, name)
			}
		}
		if !coversRepositories(p, p) || !coversRepositories("**", o) {
			t.Fatalf("%s does not cover itself, or is not covered by **", p)
		}
		tp, to := rapid.StringMatching(`[ab*]{1,5}`).Draw(t, "tag pattern"), rapid.StringMatching(`[ab*]{1,5}`).Draw(t, "other tag pattern")
		tag := rapid.StringMatching(`[ab]{0,6}`).Draw(t, "tag")
		if coversTags(tp, to) && version.MatchTag(to, tag) && !version.MatchTag(tp, tag) {
			t.Fatalf("%s covers %s, and does not match %s", tp, to, tag)
		}
		if !coversTags(tp, tp) || !coversTags("*", to) {
			t.Fatalf("%s does not cover itself, or is not covered by *", tp)
		}
	})
	if covered == 0 {
		t.Error("nothing was covered: the property was never asked")
	}
}

// Property: what covers says of ranges holds for every version, and it says so whenever it does.
func TestCoveringRangesHaveWhatTheyCover(t *testing.T) {
	versions := []string{"0.0.0-0", "0.9.0", "1.0.0-rc.1", "1.0.0", "1.4.0", "1.4.1-0", "1.4.1", "1.9.9", "2.0.0-alpha", "2.0.0", "2.5.0", "3.0.0", "99.0.0"}
	parts := []string{"1.x", "2.x", ">=1.0.0", "<2.0.0", ">=1.4.0 <2.0.0", "!=1.4.0", "=1.4.0", "<=1.4.0", ">2.0.0", "*", "1.0.0-rc.1", ">=1.0.0 <1.4.1 || >=2.0.0", "~1.4"}
	rapid.Check(t, func(t *rapid.T) {
		read := func(name string) version.Ranges {
			text := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 3).Draw(t, name), " || ")
			r, err := version.ParseConstraint(text)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		a, b := read("a"), read("b")
		covers := coversVersions(a, b)
		for _, s := range versions {
			v, err := version.Parse(s)
			if err != nil {
				t.Fatal(err)
			}
			if covers && b.Contains(v) && !a.Contains(v) {
				t.Fatalf("%v covers %v, and has not %s", a, b, s)
			}
		}
		if !coversVersions(a, a) || !coversVersions(version.All(), a) || coversVersions(version.Ranges{}, a) {
			t.Fatalf("%v does not cover itself, or something covers it that cannot", a)
		}
		if both, _ := version.ParseConstraint("1.x || 2.x"); coversVersions(both, version.Exact(nil)) == false {
			t.Fatal("nothing is in everything")
		}
	})
}
