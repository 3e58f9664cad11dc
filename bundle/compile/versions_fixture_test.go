package compile

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies/version"
)

// versionTable is what the compiler needs of the one table of versions.
type versionTable struct {
	Tags []struct {
		Tag, Is, Version, Base, Order, Channel string
		Chart                                  bool
		Variants                               []string
	}
	Constraints []struct {
		Constraint string
		Ranges     [][2]json.RawMessage
	}
	Lists []struct {
		Versions []string
		Ranges   [][2]json.RawMessage
	}
	NotConstraints     []string       `json:"not_constraints"`
	TagPatterns        []tablePattern `json:"tag_patterns"`
	RepositoryPatterns []tablePattern `json:"repository_patterns"`
}

type tablePattern struct {
	Pattern string
	Yes, No []string
}

func readVersionTable(t *testing.T) (f versionTable) {
	t.Helper()
	data, err := os.ReadFile("../../policies/version/testdata/versions.json")
	if err != nil {
		t.Fatal(err)
	}
	// Ranges are texts in the table, because its readers compare them as such.
	var raw struct {
		Constraints, Lists []struct{ Ranges [][2]string }
	}
	err = json.Unmarshal(data, &raw)
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range raw.Constraints {
		f.Constraints[i].Ranges = rawRanges(c.Ranges)
	}
	for i, l := range raw.Lists {
		f.Lists[i].Ranges = rawRanges(l.Ranges)
	}
	return f
}

func rawRanges(texts [][2]string) [][2]json.RawMessage {
	out := [][2]json.RawMessage{}
	for _, r := range texts {
		out = append(out, [2]json.RawMessage{json.RawMessage(r[0]), json.RawMessage(r[1])})
	}
	return out
}

// quoted is a value as YAML; JSON is YAML.
func quoted(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(string(b))
}

// grantsDoc is what a compiled customer says of grants, without instants.
type grantsDoc struct {
	Products, Repositories map[string][]compiledGrant
}

type compiledGrant struct {
	Grant    int
	Empty    bool
	Ranges   [][2]json.RawMessage
	Tags     map[string]bool
	Patterns []string
}

// grantsOf compiles a license with these grants and returns its customer.
func grantsOf(t *testing.T, grants []string, repos ...Repository) grantsDoc {
	t.Helper()
	in := &Input{
		Set:     parse(t, map[string]string{"a.yaml": vendor + acme + "grants:\n  - " + strings.Join(grants, "\n  - ")}),
		Modules: library, Name: "default", NotAfter: license.Never, Catalog: repos,
	}
	content, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	var customers map[string]grantsDoc
	if err := json.Unmarshal(content.Objects[pathCustomers].Bytes(), &customers); err != nil {
		t.Fatal(err)
	}
	return customers["acme"]
}

// The compiled grants have the ranges of the table.
func TestConstraintsOfTheTableAreCompiled(t *testing.T) {
	f := readVersionTable(t)
	var grants []string
	var want [][][2]json.RawMessage
	for _, c := range f.Constraints {
		grants = append(grants, "{product: app, versions: "+quoted(t, c.Constraint)+"}")
		want = append(want, c.Ranges)
	}
	for _, l := range f.Lists {
		grants = append(grants, "{product: app, versions: "+quoted(t, l.Versions)+"}")
		want = append(want, l.Ranges)
	}
	got := grantsOf(t, grants).Products["app"]
	if len(got) != len(want) {
		t.Fatalf("%d grants, want %d", len(got), len(want))
	}
	for i, g := range got {
		if g.Grant != i || !cmp.Equal(g.Ranges, want[i]) || g.Empty != (len(want[i]) == 0) {
			t.Errorf("%s: grant %d, empty %v, ranges %s, want %s", grants[i], g.Grant, g.Empty, g.Ranges, want[i])
		}
	}
	for _, s := range f.NotConstraints {
		_, err := license.Parse(map[string][]byte{"a.yaml": []byte(vendor + acme + "grants: [{product: app, versions: " + quoted(t, s) + "}]")})
		if err == nil || !strings.Contains(err.Error(), "a.yaml:") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// The index has the tags of the table as candidates.
func TestTagsOfTheTableAreCompiled(t *testing.T) {
	f := readVersionTable(t)
	products, repos, at := "", map[string]Repository{}, map[string]string{}
	name := func(i int) string {
		c := f.Tags[i]
		key := fmt.Sprint(c.Chart, c.Variants)
		if at[key] == "" {
			id := fmt.Sprintf("p%d", len(at))
			at[key] = "acme/" + id
			kind := map[bool]string{true: ", type: chart"}[c.Chart]
			products += fmt.Sprintf("---\nkind: Product\nid: %s\nrepositories: [{name: acme/%s%s}]\nvariants: %s\n", id, id, kind, quoted(t, append([]string{}, c.Variants...)))
			repos[at[key]] = Repository{Name: at[key], Tags: tags{}, Manifests: manifests{}}
		}
		return at[key]
	}
	for i, c := range f.Tags {
		if c.Is != "no tag" {
			repos[name(i)].Tags[c.Tag] = Tag{Digest: digest(c.Tag), Seen: license.Always}
		}
	}
	in := &Input{Set: parse(t, map[string]string{"a.yaml": vendor + products}), Modules: library, Name: "default", NotAfter: license.Never}
	for _, r := range repos {
		in.Catalog = append(in.Catalog, r)
	}
	content, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	x, err := index.Open(content.Files["index.bin"])
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range f.Tags {
		if c.Is == "no tag" {
			continue
		}
		r, _ := x.Repository("main", name(i))
		tag, ok := r.Tag(c.Tag)
		if !ok {
			t.Errorf("%q is not in the index", c.Tag)
			continue
		}
		if tag.Hidden != (c.Is == "digest") {
			t.Errorf("%q is hidden: %v", c.Tag, tag.Hidden)
			continue
		}
		got := x.Set(tag.Set)
		if c.Base == "" {
			c.Base = c.Version
		}
		switch {
		case c.Is == "digest" && len(got) == 0: // nothing reaches the digest that it names
		case c.Is == "digest" || len(got) != 1:
			t.Errorf("%q has %d candidates", c.Tag, len(got))
		case got[0].Tag != c.Tag || got[0].Version != c.Base || got[0].Order != c.Order || got[0].Channel != c.Channel:
			t.Errorf("%q: candidate %+v, want %+v", c.Tag, got[0], c)
		}
	}
}

// Patterns of tags are names or patterns of a grant, those of repositories are expanded.
func TestPatternsOfTheTableAreCompiled(t *testing.T) {
	f := readVersionTable(t)
	var grants []string
	var used []tablePattern
	add := func(p tablePattern, grant string) {
		grants, used = append(grants, grant), append(used, p)
	}
	for _, p := range f.TagPatterns {
		if version.ValidTagPattern(p.Pattern) == nil {
			add(p, "{repository: acme/tools, tags: ["+quoted(t, p.Pattern)+"]}")
		}
	}
	byTag := len(used)
	names := []string{"acme/tools"}
	for _, p := range f.RepositoryPatterns {
		add(p, "{repository: "+quoted(t, p.Pattern)+", tags: all}")
		names = append(names, slices.Concat(p.Yes, p.No)...)
	}
	slices.Sort(names)
	var repos []Repository
	for _, n := range slices.Compact(names) {
		repos = append(repos, Repository{Name: n})
	}
	if byTag < 5 || len(used) < byTag+5 {
		t.Fatalf("only %d patterns", len(used))
	}
	doc := grantsOf(t, grants, repos...)
	has := func(repo string, grant int) *compiledGrant {
		for i, g := range doc.Repositories[repo] {
			if g.Grant == grant {
				return &doc.Repositories[repo][i]
			}
		}
		return nil
	}
	for i, p := range used {
		if i >= byTag {
			for _, name := range p.Yes {
				if has(name, i) == nil {
					t.Errorf("%q is not compiled for %q", p.Pattern, name)
				}
			}
			for _, name := range p.No {
				if has(name, i) != nil {
					t.Errorf("%q is compiled for %q", p.Pattern, name)
				}
			}
			continue
		}
		g := has("acme/tools", i)
		if star := strings.Contains(p.Pattern, "*"); g == nil || g.Tags[p.Pattern] == star || slices.Contains(g.Patterns, p.Pattern) != star || len(g.Tags)+len(g.Patterns) != 1 {
			t.Errorf("%q is compiled to %+v", p.Pattern, g)
		}
	}
}
