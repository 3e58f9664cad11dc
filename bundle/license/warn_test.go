package license

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each row is put behind base, and is asked about at noon of 2026-12-01 UTC. What is wanted comes
// without the file.
func TestWarnings(t *testing.T) {
	const grants = "\ngrants: [{product: app, versions: \"1.x\"}]"
	for _, c := range []struct {
		name, yaml string
		want       []string
	}{
		{"nothing is odd", "kind: License\nid: l\ncustomer: acme\nplan: gold\nstarts: 2026-06-01", nil},

		{
			"a plan nobody uses", "kind: License\nid: l\ncustomer: acme\ntype: subscription\nends: 2027-12-31" + grants,
			[]string{"base.yaml:11:1: no license uses the plan gold: name it in a license, or remove it"},
		},

		{
			"a constraint that no version satisfies", license("a", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \">2.0.0 <1.0.0\"}, {product: app, versions: []}]"),
			[]string{`x.yaml:6:10: grants[0].versions: no version satisfies ">2.0.0 <1.0.0", so nothing is granted: correct it, or write [] if that is meant`},
		},

		{
			"a pre-release without its channel", license("a", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: [1.0.0-rc.1, 1.1.0]}, {product: app, versions: [1.0.0-rc.1], channels: [rc]}]"),
			[]string{"x.yaml:6:10: grants[0].versions: names the pre-release 1.0.0-rc.1, whose channel rc the grant does not have: add it to `channels`"},
		},
		{"the lowest pre-release is an idiom", license("a", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \">=1.0.0-0 <2.0.0-0\"}]"), nil},
		{
			"a range without spaces", license("a", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \"1.0.0-2.0.0\"}]"),
			[]string{"x.yaml:6:10: grants[0].versions: names the pre-release 1.0.0-2.0.0, whose channel pre the grant does not have: add it to `channels`, or put spaces around the hyphen if \"1.0.0 - 2.0.0\" is meant"},
		},

		{
			"a second trial", license("a", "type: trial\nends: 2027-06-30"+grants) + license("b", "type: trial\nends: 2027-12-31\ngrants: [{product: app, versions: \"2.x\"}]") + license("c", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:13:10: grants[0].product: a second trial of app for customer acme: the first is a at x.yaml:1:1; remove one, or make this a subscription"},
		},
		{"trials of two customers, of nothing, and beside a subscription", license("a", "type: trial\nends: 2027-06-30"+grants) +
			strings.Replace(license("b", "type: trial\nends: 2027-06-30"+grants), "acme", "globex", 1) +
			license("c", "type: trial\nends: 2027-06-30\ngrants: [{product: app, versions: []}]") + license("d", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \"2.x\"}]"), nil},
		{"one trial with two grants", license("a", "type: trial\nends: 2027-06-30\ngrants: [{product: app, versions: \"1.x\"}, {product: app, versions: \"2.x\"}]") + license("c", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \"3.x\"}]"), nil},
		{
			"a second trial of a plan is told at the license", "kind: Plan\nid: try\ntype: trial\nterm: P90D" + grants + "\n---\n" + license("a", "plan: try\nstarts: 2026-11-01") +
				license("b", "plan: try\nstarts: 2026-12-01") + license("c", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:13:1: grants[0].product: a second trial of app for customer acme: the first is a at x.yaml:7:1; remove one, or make this a subscription"},
		},

		{
			"a key that never expires", license("a", "plan: gold\nstarts: 2026-06-01") + "kind: Customer\nid: c\nkeys:\n  - {id: ci, hash: \"" + hashA + "\"}\n  - {id: ok, hash: \"" + hashB + "\", expires: 2027-01-31}",
			[]string{"x.yaml:10:5: keys[0]: the key c/ci never expires: give it `expires`, and the customer a new one in time"},
		},
		{"the key of a banned customer", license("a", "plan: gold\nstarts: 2026-06-01") + "kind: Customer\nid: c\nstatus: banned\nkeys: [{id: ci, hash: \"" + hashA + "\"}]", nil},

		{
			"ended long ago", license("a", "plan: gold\nstarts: 2024-06-01\ngrace: P0D") + license("b", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:1:1: license a ended on 2025-05-31 (UTC): remove it, unless the customer shall go on to read why"},
		},
		{"grace is a right", license("a", "plan: gold\nstarts: 2024-06-01\ngrace: P7M") + license("b", "plan: gold\nstarts: 2026-06-01"), nil},
		{
			"grace over for long", license("a", "plan: gold\nstarts: 2024-06-01\ngrace: P5M") + license("b", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:1:1: license a had its last day of grace on 2025-10-31 (UTC): remove it, unless the customer shall go on to read why"},
		},
		{"kept versions are a right", license("a", "plan: gold\nstarts: 2020-06-01\nkeep_versions: true\nterminates: 2025-12-31") + license("b", "plan: gold\nstarts: 2026-06-01"), nil},
		{
			"terminated long ago", license("a", "plan: gold\nstarts: 2020-06-01\nkeep_versions: true\nterminates: 2025-11-30\nzone: Europe/Berlin") + license("b", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:1:1: license a was terminated after 2025-11-30 (Europe/Berlin): remove it, unless the customer shall go on to read why"},
		},
		{
			"termination cuts grace", license("a", "plan: gold\nstarts: 2024-06-01\ngrace: P6M\nterminates: P1D") + license("b", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:1:1: license a was terminated after 2025-06-01 (UTC): remove it, unless the customer shall go on to read why"},
		},
		{"a year ago to the day", license("a", "plan: gold\nstarts: 2024-12-02\ngrace: P0D") + license("b", "plan: gold\nstarts: 2026-06-01"), nil},
		{"a renewing license never ended", license("a", "plan: gold\nstarts: 2020-06-01\nrenews: {every: P1Y}"), nil},
		{
			"cancelled long ago", license("a", "plan: gold\nstarts: 2020-06-01\ngrace: P0D\nrenews: {every: P1Y, cancelled: 2024-01-01T00:00:00Z}") + license("b", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:1:1: license a ended on 2024-05-31 (UTC): remove it, unless the customer shall go on to read why"},
		},
		{
			"revoked long ago", license("a", "type: perpetual\nends: never\nupdates: forever\nstatus: {revoked: {at: 2025-01-01}}"+grants) + license("b", "plan: gold\nstarts: 2026-06-01"),
			[]string{"x.yaml:1:1: license a was revoked after 2024-12-31 (UTC): remove it, unless the customer shall go on to read why"},
		},
		{
			"replaced long ago", license("a", "type: perpetual\nends: never\nupdates: forever"+grants) + license("b", "plan: gold\nstarts: 2025-01-01\nterm: P5Y\nreplaces: a"),
			[]string{"x.yaml:1:1: license a was replaced after 2024-12-31 (UTC): remove it, unless the customer shall go on to read why"},
		},

		{
			"ends soon", license("a", "plan: gold\nstarts: 2026-01-01\ngrace: P0D"),
			[]string{"x.yaml:1:1: license a ends on 2026-12-31 (UTC), in 30 days: renew it or write its successor, if the customer stays"},
		},
		{
			"ends soon, with grace, in its zone", license("a", "plan: gold\nstarts: 2025-12-10\nzone: Europe/Berlin"),
			[]string{"x.yaml:1:1: license a ends on 2026-12-09 (Europe/Berlin), in 8 days: grace lasts until 2026-12-23 (Europe/Berlin); renew it or write its successor, if the customer stays"},
		},
		{
			"ends today", license("a", "type: trial\nends: 2026-12-01"+grants) + license("b", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \"2.x\"}]"),
			[]string{"x.yaml:1:1: license a ends on 2026-12-01 (UTC), today: renew it or write its successor, if the customer stays"},
		},
		{"ends in 31 days", license("a", "plan: gold\nstarts: 2026-01-02"), nil},
		{"ended yesterday", license("a", "plan: gold\nstarts: 2025-12-01\ngrace: P0D"), nil},
		{"renews every week", license("a", "plan: gold\nstarts: 2026-01-01\nterm: P1W\nrenews: {every: P1W}"), nil},
		{"cancelled, so it ends", license("a", "plan: gold\nstarts: 2026-01-01\nterm: P1M\ngrace: P0D\nrenews: {every: P1M, cancelled: 2026-11-20T00:00:00Z}") + license("b", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \"2.x\"}]"), nil},
		{
			"cancelled for a later end", license("a", "plan: gold\nstarts: 2026-01-05\nterm: P1M\ngrace: P0D\nrenews: {every: P1M, cancelled: 2026-12-01T00:00:00Z}"),
			[]string{"x.yaml:1:1: license a ends on 2026-12-04 (UTC), in 3 days: renew it or write its successor, if the customer stays"},
		},
		{"its successor is written", license("a", "plan: gold\nstarts: 2026-01-01") + license("b", "plan: gold\nstarts: 2027-01-01\nreplaces: a"), nil},
		{"revoked before it ends", license("a", "plan: gold\nstarts: 2026-01-01\nstatus: {revoked: {at: 2026-12-15}}"), nil},
		{
			"not started yet", license("a", "type: trial\nstarts: 2026-12-10\nterm: P14D"+grants) + license("b", "plan: gold\nstarts: 2026-06-01\ngrants: [{product: app, versions: \"2.x\"}]"),
			[]string{"x.yaml:1:1: license a ends on 2026-12-23 (UTC), in 22 days: renew it or write its successor, if the customer stays"},
		},
	} {
		set, err := Parse(map[string][]byte{"base.yaml": []byte(base), "x.yaml": []byte(c.yaml)})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var got []string
		for _, w := range set.Warnings(instant(t, "2026-12-01T12:00:00Z")) {
			got = append(got, w.String())
			if w.Kind == "" || !strings.ContainsAny(w.Msg, ":;") {
				t.Errorf("%s: without a kind, or without what to do: %+v", c.name, w)
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got)\n%s", c.name, diff)
		}
	}
}

// license is a license of acme with the given lines from line 4 on, and the start of another
// document.
func license(id, lines string) string {
	return fmt.Sprintf("kind: License\nid: %s\ncustomer: acme\n%s\n---\n", id, lines)
}

func TestASetWithoutARegistryIsWarnedAbout(t *testing.T) {
	set := parse(t, "kind: Customer\nid: c\n")
	got := set.Warnings(0)
	if len(got) != 1 || got[0].Kind != WarnRegistry || !strings.HasPrefix(got[0].String(), "no Registry document: nobody can pull anything; write one") {
		t.Errorf("got %v", got)
	}
}

// The same mistake in a plan is told once, however many licenses use it.
func TestAPlansWarningIsToldOnce(t *testing.T) {
	text := "kind: Plan\nid: p\ntype: subscription\nterm: P5Y\ngrants: [{product: app, versions: [1.0.0-rc.1]}]\n---\n"
	for i := range 50 {
		text += license(fmt.Sprintf("l%d", i), "plan: p\nstarts: 2026-01-01")
	}
	set, err := Parse(map[string][]byte{"base.yaml": []byte(base), "x.yaml": []byte(strings.ReplaceAll(text, "customer: acme\nplan: p", "customer: acme\nplan: p"))})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, w := range set.Warnings(instant(t, "2026-12-01T00:00:00Z")) {
		if w.Kind == WarnPreRelease {
			n++
		}
	}
	if n != 1 {
		t.Errorf("told %d times", n)
	}
}
