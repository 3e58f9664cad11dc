package engine

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/policies/version"
)

// versionTable is what decisions need of the one table of versions.
type versionTable struct {
	Tags []struct {
		Tag, Is, Version, Base string
		Chart                  bool
		Variants               []string
	}
	Constraints, Lists []memberTable
	TagPatterns        []struct {
		Pattern string
		Yes, No []string
	} `json:"tag_patterns"`
}

type memberTable struct {
	Ranges  [][2]string
	Yes, No []string
}

func readVersionTable(t *testing.T) (f versionTable) {
	t.Helper()
	data, err := os.ReadFile("../../policies/version/testdata/versions.json")
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil || len(f.Tags)*len(f.Constraints)*len(f.Lists)*len(f.TagPatterns) == 0 {
		t.Fatalf("the table cannot be read: %v", err)
	}
	return f
}

// Through a bundle, each member of a constraint of the table is allowed and nothing else is: as a
// version, as a tag of the index, as a tag that the index lacks, and in a list.
func TestDecisionsFollowTheTable(t *testing.T) {
	f := readVersionTable(t)
	members := append(slices.Clone(f.Constraints), f.Lists...)
	w := newWorld()
	w.index.AddProduct(index.Product{ID: "app"})
	channels := map[string]bool{}
	repo := index.Repository{Registry: "main", Name: "acme/app", Product: "app", Facts: digest("facts")}
	empty := index.Repository{Registry: "main", Name: "acme/empty", Product: "app", Facts: digest("facts")}
	known := map[string]bool{}
	for _, m := range members {
		for _, s := range slices.Concat(m.Yes, m.No) {
			c := versioned(t, "app", s, s)
			channels[c.Channel] = true
			if version.ValidTag(s) && !known[s] {
				known[s] = true
				repo.Tags = append(repo.Tags, index.Tag{Name: s, Digest: digest(s), Candidates: []index.Candidate{c}})
				repo.Nodes = append(repo.Nodes, index.Node{Digest: digest(s), Kind: index.Manifest, Candidates: []index.Candidate{c}})
			}
		}
	}
	w.index.AddRepository(repo)
	w.index.AddRepository(empty)
	for i, m := range members {
		g := grant(t, "l", "app", "*")
		ranges := []any{}
		for _, r := range m.Ranges {
			ranges = append(ranges, []any{rawJSON(r[0]), rawJSON(r[1])})
		}
		g["ranges"], g["channels"] = ranges, slices.Sorted(maps.Keys(channels))
		id := fmt.Sprintf("c%d", i)
		w.customer(t, id, g)
		w.key(id, "ci", nil)
	}
	a := w.asks(t, nil)
	asked := 0
	for i, m := range members {
		id := fmt.Sprintf("c%d", i)
		listed := a.ask(request(id, authz.KindTags, "acme/app", ""))
		for want, list := range map[bool][]string{true: m.Yes, false: m.No} {
			code := map[bool]authz.Code{true: authz.CodeOK, false: authz.CodeVersionNotGranted}[want]
			for _, s := range list {
				asked++
				r := request(id, authz.KindVersion, "", "")
				r.Product, r.Version = "app", s
				if d := a.ask(r); d.Verdict.Allow != want || d.Code != code {
					t.Errorf("%v: version %s: %s", m.Ranges, s, line(d))
				}
				if !version.ValidTag(s) {
					continue
				}
				if d := a.ask(request(id, authz.KindManifest, "acme/app", s)); (d.Outcome == authz.OutcomeAllow) != want || d.Code != code {
					t.Errorf("%v: tag %s: %s", m.Ranges, s, line(d))
				}
				if d := a.ask(request(id, authz.KindManifest, "acme/empty", s)); d.Outcome != authz.OutcomeDeny || d.PolicyCode != code {
					t.Errorf("%v: absent tag %s: %s", m.Ranges, s, line(d))
				}
				if slices.Contains(listed.Names, s) != want {
					t.Errorf("%v: %s is listed: %v", m.Ranges, s, !want)
				}
			}
		}
	}
	if asked < 100 {
		t.Errorf("only %d versions", asked)
	}
}

// A tag that the index does not know is the version, the variant or the name that the table says.
func TestUnknownTagsAreReadAsTheTableSays(t *testing.T) {
	f := readVersionTable(t)
	w := newWorld()
	at := map[string]string{}
	for i, c := range f.Tags {
		key := fmt.Sprint(c.Chart, c.Variants)
		if at[key] == "" {
			at[key] = fmt.Sprintf("p%d", i)
			w.index.AddProduct(index.Product{ID: at[key], Variants: c.Variants})
			w.index.AddRepository(index.Repository{Registry: "main", Name: "acme/" + at[key], Product: at[key], Chart: c.Chart, Facts: digest("facts")})
		}
	}
	var grants []object
	for _, product := range slices.Sorted(maps.Values(at)) {
		g := grant(t, "l", product, "*")
		g["ranges"] = []any{[]any{rawJSON("[]"), rawJSON("{}")}}
		grants = append(grants, g)
	}
	w.customer(t, "bakery", grants...)
	w.key("bakery", "ci", nil)
	a := w.asks(t, nil)
	for _, c := range f.Tags {
		if c.Is == "no tag" {
			continue
		}
		repo := "acme/" + at[fmt.Sprint(c.Chart, c.Variants)]
		d := a.ask(request("bakery", authz.KindManifest, repo, c.Tag))
		if c.Base == "" {
			c.Base = c.Version
		}
		var got []string
		for _, x := range d.Candidates {
			got = append(got, x.Version)
		}
		want := map[string]string{"version": c.Base, "floating": ""}[c.Is]
		if c.Is == "digest" {
			if len(got) != 0 {
				t.Errorf("%s %q: candidates %q", repo, c.Tag, got)
			}
		} else if strings.Join(got, " ") != want || d.Resource.Version != c.Version {
			t.Errorf("%s %q: candidates %q, version %q; want %q", repo, c.Tag, got, d.Resource.Version, want)
		}
		if c.Is == "floating" && d.Code != authz.CodeTagNotGranted {
			t.Errorf("%s %q: %s", repo, c.Tag, line(d))
		}
	}
}

// A grant of tags reaches what its pattern matches in the table.
func TestTagPatternsFollowTheTable(t *testing.T) {
	f := readVersionTable(t)
	w := newWorld()
	w.index.AddRepository(index.Repository{Registry: "main", Name: "acme/tools", Facts: digest("facts")})
	asked := 0
	for i, p := range f.TagPatterns {
		id := fmt.Sprintf("c%d", i)
		w.customer(t, id, tagGrant("l", "acme/tools", p.Pattern))
		w.key(id, "ci", nil)
	}
	a := w.asks(t, nil)
	for i, p := range f.TagPatterns {
		if version.ValidTagPattern(p.Pattern) != nil {
			continue // never compiled
		}
		for want, list := range map[bool][]string{true: p.Yes, false: p.No} {
			code := map[bool]authz.Code{true: authz.CodeOK, false: authz.CodeTagNotGranted}[want]
			for _, s := range list {
				if !version.ValidTag(s) {
					continue
				}
				asked++
				if d := a.ask(request(fmt.Sprintf("c%d", i), authz.KindManifest, "acme/tools", s)); d.PolicyCode != code {
					t.Errorf("%q and %q: %s", p.Pattern, s, d.PolicyCode)
				}
			}
		}
	}
	if asked < 15 {
		t.Errorf("only %d tags", asked)
	}
}
