package compile

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
)

const acme = `---
kind: Customer
id: acme
---
kind: License
id: acme-app
customer: acme
type: perpetual
starts: 2020-01-01
ends: never
updates: forever
`

func TestWarningsNameWhatTheCatalogLacks(t *testing.T) {
	app := Repository{Name: "acme/app", Tags: tags{"1.4.0": at("A")}, Manifests: manifests{"A": image()}}
	charts := Repository{Name: "acme/charts/app", Tags: tags{"1.4.0": at("A")}}
	nightly := Repository{Name: "acme/nightly", Tags: tags{"sha256-@A.sig": at("A")}}
	tests := []struct {
		name     string
		licenses string
		repos    []Repository
		want     []string
	}{
		{
			name: "nothing is odd", licenses: acme + "grants: [{product: app, versions: all}]",
			repos: []Repository{app, charts, nightly},
		},
		{
			name: "without a catalog there is nothing to compare with", licenses: acme + "grants: [{repository: acme/tools/*, tags: all}]",
		},
		{
			name: "a repository of a product", licenses: acme + "grants: [{product: app, versions: all}]",
			repos: []Repository{app, charts}, want: []string{"a.yaml:8:1: product app: the catalog has no repository acme/nightly"},
		},
		{
			name:     "a repository of a grant, and of Public",
			licenses: acme + "grants: [{repository: acme/tools/*, tags: all}, {product: app, versions: all}]\n---\nkind: Public\nid: docs\nrepositories: [acme/docs]\ntags: all\n",
			repos:    []Repository{app, charts, nightly},
			want: []string{
				"a.yaml:27:10: license acme-app: the catalog has no repository acme/tools/*",
				"a.yaml:29:1: public docs: the catalog has no repository acme/docs",
			},
		},
		{
			name: "a license that grants nothing: no such version", licenses: acme + "grants: [{product: app, versions: \"<1.0.0\"}]",
			repos: []Repository{app, charts, nightly}, want: []string{"a.yaml:20:1: license acme-app: nothing in the catalog is granted by it: correct its versions, channels, repositories or tags, unless they are still to come"},
		},
		{
			name: "a license that grants nothing: another channel", licenses: acme + "grants: [{product: app, versions: all, channels: [rc]}]",
			repos: []Repository{app, charts, nightly}, want: []string{"a.yaml:20:1: license acme-app: nothing in the catalog is granted by it: correct its versions, channels, repositories or tags, unless they are still to come"},
		},
		{
			name: "a license that grants nothing: digest-like tags are none", licenses: acme + "grants: [{repository: acme/nightly, tags: all}]",
			repos: []Repository{app, charts, nightly}, want: []string{"a.yaml:20:1: license acme-app: nothing in the catalog is granted by it: correct its versions, channels, repositories or tags, unless they are still to come"},
		},
		{
			name: "a license that grants nothing: no tag by then", licenses: acme + "grants: [{repository: acme/app, tags: {current: {as_of: 2019-01-01}}}]",
			repos: []Repository{{Name: "acme/app", Tags: tags{"1.4.0": {"A", day(1, 1)}}}, charts, nightly},
			want:  []string{"a.yaml:20:1: license acme-app: nothing in the catalog is granted by it: correct its versions, channels, repositories or tags, unless they are still to come"},
		},
		{
			name: "a tag pattern without a tag", licenses: acme + "grants: [{repository: acme/app, tags: [\"1.4\", \"1.4.*\", \"1.5.*\"]}]",
			repos: []Repository{app, charts, nightly},
			want: []string{
				`a.yaml:27:10: grants[0].tags[0]: no tag of acme/app in the catalog matches "1.4": correct it, unless the tag is still to come`,
				`a.yaml:27:10: grants[0].tags[2]: no tag of acme/app in the catalog matches "1.5.*": correct it, unless the tag is still to come`,
			},
		},
		{
			name: "a tag in one of the repositories is enough", licenses: acme + "grants: [{repository: acme/**, tags: [1.4.0]}]",
			repos: []Repository{app, charts, nightly},
		},
		{
			name: "a repository that the catalog lacks says it once", licenses: acme + "grants: [{repository: acme/tools, tags: [1.4.0]}, {product: app, versions: all}]",
			repos: []Repository{app, charts, nightly}, want: []string{"a.yaml:27:10: license acme-app: the catalog has no repository acme/tools"},
		},
		{
			name: "a tag pattern that matches digest-like tags only", licenses: acme + "grants: [{repository: acme/nightly, tags: [\"sha256-*\"]}, {product: app, versions: all}]",
			repos: []Repository{app, charts, nightly},
			want:  []string{`a.yaml:27:10: grants[0].tags[0]: no tag of acme/nightly in the catalog matches "sha256-*": correct it, unless the tag is still to come`},
		},
		{
			name: "every tag of a repository without tags is meant", licenses: acme + "grants: [{repository: acme/nightly, tags: all}, {product: app, versions: all}]",
			repos: []Repository{app, charts, nightly},
		},
		{
			name: "a plan's pattern is told once", licenses: acme + "grants: [{product: app, versions: all}]\n---\nkind: Plan\nid: p\ntype: perpetual\nends: never\nupdates: forever\n" +
				"grants: [{repository: acme/app, tags: [1.4.0, stable]}]\n---\nkind: License\nid: x\ncustomer: acme\nplan: p\n---\nkind: License\nid: y\ncustomer: acme\nplan: p\n",
			repos: []Repository{app, charts, nightly},
			want:  []string{`a.yaml:34:10: grants[0].tags[1]: no tag of acme/app in the catalog matches "stable": correct it, unless the tag is still to come`},
		},
		{
			name: "a Public pattern without a tag", licenses: acme + "grants: [{product: app, versions: all}]\n---\nkind: Public\nid: docs\nrepositories: [acme/app, acme/nightly]\ntags: [1.4.0, latest]\n",
			repos: []Repository{app, charts, nightly},
			want:  []string{`a.yaml:29:1: tags[1]: no tag of acme/app, acme/nightly in the catalog matches "latest": correct it, unless the tag is still to come`},
		},
		{
			name: "empty grants are meant", licenses: acme + "grants: [{repository: acme/app, tags: []}]",
			repos: []Repository{app, charts, nightly},
		},
		{
			name: "an image that says it is another version", licenses: "",
			repos: []Repository{
				{Name: "acme/app", Tags: tags{"1.4.0": at("A"), "v1.5.0": at("B"), "1.6.0-alpine3": at("C")}, Manifests: manifests{
					"A": {Annotations: map[string]string{annotationVersion: "1.3.0"}}, "B": {Annotations: map[string]string{annotationVersion: "1.5.0+b"}},
					"C": {Annotations: map[string]string{annotationVersion: "1.6.0"}},
				}}, charts, nightly,
			},
			want: []string{"repository acme/app: tag 1.4.0 is version 1.4.0, its image says 1.3.0; the tag counts"},
		},
		{
			name:  "a registry that the licenses lack",
			repos: []Repository{app, charts, nightly, {Registry: "old", Name: "acme/app"}},
			want:  []string{`repository acme/app: the licenses have no registry "old"; it is left out`},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, warnings := compileIndex(t, vendor+tt.licenses, tt.repos...)
			var got []string
			for _, w := range warnings {
				got = append(got, w.String())
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("warnings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestOtherDigestsAreLeftOut(t *testing.T) {
	in := &Input{Set: parse(t, map[string]string{"a.yaml": "kind: Registry\nid: main\nhosts: [r.example]\nupstream: https://r.internal\n"}), Modules: library, NotAfter: license.Never}
	r := named(Repository{Name: "acme/tools", Tags: tags{"a": at("A")}, Manifests: manifests{"A": image("L")}})
	r.Manifests[digest("A")].Layers = append(r.Manifests[digest("A")].Layers, "sha512:00", "sha256:"+strings.Repeat("A", 64))
	r.Tags["b"] = Tag{Digest: "sha512:00"}
	in.Catalog = []Repository{r}
	content, warnings, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0].Msg, "3 digests are not SHA-256") {
		t.Errorf("warnings: %v", warnings)
	}
	x, err := index.Open(content.Files["index.bin"])
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"A": "a", "L*": "a"}, nodes(t, x, "acme/tools", "A", "L")); diff != "" {
		t.Errorf("nodes (-want +got):\n%s", diff)
	}
	repo, _ := x.Repository("main", "acme/tools")
	if _, ok := repo.Tag("b"); ok {
		t.Error("a tag that names no SHA-256 digest is in the index")
	}
}

func TestCompileRefusesWhatContradictsItself(t *testing.T) {
	two := "kind: Registry\nid: one\nhosts: [one.example]\nupstream: https://one.internal\n---\nkind: Registry\nid: two\nhosts: [two.example]\nupstream: https://two.internal\n"
	set := parse(t, map[string]string{"a.yaml": two})
	tests := []struct {
		name string
		in   Input
		want string
	}{
		{"no licenses", Input{Modules: library}, "no licenses"},
		{"no library", Input{Set: set}, "no Rego library"},
		{"a module elsewhere", Input{Set: set, Modules: map[string][]byte{"other/a.rego": nil}}, `"other/a.rego"`},
		{"a module above", Input{Set: set, Modules: map[string][]byte{"pullgate/../a.rego": nil}}, `"pullgate/../a.rego"`},
		{"a vendor rule", Input{Set: set, Modules: library, Rules: map[string][]byte{"region.rego": []byte("package pullgate.right\n")}}, "rules/region.rego:1:1: "},
		{"which registry", Input{Set: set, Modules: library, Catalog: []Repository{{Name: "acme/app"}}}, "which of 2 registries"},
		{"twice", Input{Set: set, Modules: library, Catalog: []Repository{{Registry: "one", Name: "a"}, {Registry: "one", Name: "a"}}}, "twice"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := Compile(&tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A tag that one of two registries has only since later is not current in the other either.
func TestCurrentTagsOfTwoRegistries(t *testing.T) {
	two := "kind: Registry\nid: one\nhosts: [one.example]\nupstream: https://one.internal\n---\nkind: Registry\nid: two\nhosts: [two.example]\nupstream: https://two.internal\n"
	in := &Input{
		Set: parse(t, map[string]string{"a.yaml": two + acme + "grants: [{repository: acme/tools, tags: {current: {as_of: 2026-02-01}}}]"}), Modules: library,
		Catalog: []Repository{
			named(Repository{Registry: "one", Name: "acme/tools", Tags: tags{"a": at("A"), "b": at("A")}}),
			named(Repository{Registry: "two", Name: "acme/tools", Tags: tags{"b": {"B", day(3, 1)}, "c": at("B"), "sha256-@B": at("B")}}),
		},
	}
	content, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	var customers map[string]struct {
		Repositories map[string][]struct{ Tags map[string]bool }
	}
	if err := json.Unmarshal(content.Objects[pathCustomers].Bytes(), &customers); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{"a": true, "c": true}
	if diff := cmp.Diff(want, customers["acme"].Repositories["acme/tools"][0].Tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

// What a verdict about a repository can depend on changes its facts, and nothing else does.
func TestFactsChangeWithWhatTheyAreAbout(t *testing.T) {
	repos := func() []Repository {
		return []Repository{
			{Name: "acme/app", Tags: tags{"1.4.0": at("A")}, Manifests: manifests{"A": image("L")}},
			{Name: "acme/other", Tags: tags{"1.4.0": at("A")}},
		}
	}
	facts := func(t *testing.T, licenses string, repos []Repository) [32]byte {
		x, _ := compileIndex(t, licenses, repos...)
		r, _ := x.Repository("main", "acme/app")
		return r.Facts()
	}
	before := facts(t, vendor, repos())
	for _, change := range []struct {
		name     string
		licenses string
		changes  bool
	}{
		{"catalog", strings.Replace(vendor, "history:", "catalog: listed\nhistory:", 1), true},
		{"variants", strings.Replace(vendor, "slim", "tiny", 1), true},
		{"requires", strings.Replace(vendor, "sso", "ssh", 1), true},
		{"type", strings.Replace(vendor, "- acme/app", "- {name: acme/app, type: chart}", 1), true},
		{"versions", strings.Replace(vendor, "- acme/app", "- {name: acme/app, versions: none}", 1), true},
		{"release", vendor + "---\nkind: Release\nid: r\nproduct: app\nversion: 1.4.0\nreleased: 2026-02-01\n", true},
		{"public", vendor + "---\nkind: Public\nid: p\nrepositories: [acme/app]\ntags: all\n", true},
		{"revoked", strings.Replace(vendor, "history:", "revoked_digests: [{repository: acme/app, digest: \""+digest("X")+"\", at: 2026-03-01, reason: r}]\nhistory:", 1), true},
		{"revoked elsewhere", strings.Replace(vendor, "history:", "revoked_digests: [{repository: acme/other, digest: \""+digest("X")+"\", at: 2026-03-01, reason: r}]\nhistory:", 1), false},
		{"public elsewhere", vendor + "---\nkind: Public\nid: p\nrepositories: [acme/other]\ntags: all\n", false},
		{"customers", vendor + acme + "grants: [{product: app, versions: all}]", false},
	} {
		if got := facts(t, change.licenses, repos()); (got != before) != change.changes {
			t.Errorf("%s: the facts change: %v, want %v", change.name, got != before, change.changes)
		}
	}
	more := repos()
	more[0].Tags["1.5.0"] = at("B")
	if facts(t, vendor, more) != before {
		t.Error("a new tag changes the facts")
	}
}

func TestCustomersHashIsThatOfTheirDocument(t *testing.T) {
	hashes := func(licenses string) map[string]string {
		in := &Input{Set: parse(t, map[string]string{"a.yaml": licenses}), Modules: library}
		content, _, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		var customers map[string]struct{ Hash string }
		if err := json.Unmarshal(content.Objects[pathCustomers].Bytes(), &customers); err != nil {
			t.Fatal(err)
		}
		out := map[string]string{}
		for id, c := range customers {
			out[id] = c.Hash
		}
		return out
	}
	with := func(versions string) string {
		return vendor + acme + "grants: [{product: app, versions: " + versions + "}]\n---\nkind: Customer\nid: bakery\n"
	}
	a, b := hashes(with("all")), hashes(with("[]"))
	if a["acme"] == b["acme"] {
		t.Error("another grant has the same hash")
	}
	if a["bakery"] != b["bakery"] || len(a["bakery"]) != 64 {
		t.Errorf("the hash of an unrelated customer changes: %q, %q", a["bakery"], b["bakery"])
	}
}

// A `reason` is for who reads the license files: rules read bundles, and records and messages come of them.
func TestReasonsStayInTheLicenseFiles(t *testing.T) {
	licenses := strings.Replace(vendor, "history:", "revoked_digests: [{repository: acme/app, digest: \""+digest("X")+"\", at: 2026-03-01, reason: INTERNAL}]\nhistory:", 1) + `---
kind: Release
id: r
product: app
version: 1.4.0
withdrawn: {at: 2026-03-01, reason: INTERNAL}
---
kind: Customer
id: acme
---
kind: License
id: one
customer: acme
type: perpetual
ends: never
updates: forever
status: {suspended: {at: 2026-03-01, reason: INTERNAL, public_reason: SHOWN1}}
grants: [{product: app, versions: all}]
---
kind: License
id: two
customer: acme
type: perpetual
ends: never
updates: forever
status: {revoked: {at: 2026-03-01, reason: INTERNAL, public_reason: SHOWN2}}
grants: [{product: app, versions: all}]
`
	repo := named(Repository{Name: "acme/app", Tags: tags{"1.4.0": at("X")}})
	content, _, err := Compile(&Input{Set: parse(t, map[string]string{"a.yaml": licenses}), Modules: library, Name: "default", NotAfter: license.Never, Catalog: []Repository{repo}})
	if err != nil {
		t.Fatal(err)
	}
	all := ""
	for path, text := range content.All() {
		all += string(text)
		if strings.Contains(string(text), "INTERNAL") {
			t.Errorf("%s holds a reason", path)
		}
	}
	if !strings.Contains(all, "SHOWN1") || !strings.Contains(all, "SHOWN2") {
		t.Error("what is for customers is not there")
	}
}
