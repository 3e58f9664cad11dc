package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func digest(name string) Digest { return sha256.Sum256([]byte(name)) }

func candidate(version string) Candidate {
	return Candidate{
		Product: "app", Version: version, Order: "[" + strings.ReplaceAll(version, ".", ",") + ",{}]", Tag: version, Channel: "stable",
		Released: 1, CountsFrom: Always, WithdrawnAt: Never, RetiresAt: Never, RevokedAt: Never,
	}
}

// content is an index in the Builder's words.
type content struct {
	products []Product
	releases []Release
	repos    []Repository
}

func (c *content) bytes(t testing.TB) []byte {
	t.Helper()
	var b Builder
	for _, p := range c.products {
		b.AddProduct(p)
	}
	for _, r := range c.releases {
		b.AddRelease(r)
	}
	for _, r := range c.repos {
		b.AddRepository(r)
	}
	data, err := b.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (c *content) open(t testing.TB) *Index {
	t.Helper()
	x, err := Open(c.bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// sample has an entry of every kind.
func sample() *content {
	v140, v141 := candidate("1.4.0"), candidate("1.4.1")
	v141.Except, v141.Requires, v141.WithdrawnAt = []string{"acme"}, []string{"sso"}, 9
	return &content{
		products: []Product{{ID: "app", Variants: []string{"slim", "alpine*"}, Requires: []string{"sso"}}, {ID: "db"}},
		releases: []Release{
			{Product: "app", Version: "1.4.0", Channel: "stable", Released: 1, CountsFrom: 1, WithdrawnAt: Never},
			{Product: "app", Version: "1.4.1", Channel: "stable", Released: 2, CountsFrom: 1, WithdrawnAt: 9, Except: []string{"acme"}, Requires: []string{"sso"}},
		},
		repos: []Repository{
			{
				Registry: "main", Name: "acme/app", Product: "app", Facts: digest("facts"),
				Tags: []Tag{
					{Name: "1.4.0", Digest: digest("I1"), Candidates: []Candidate{v140}},
					{Name: "1.4", Digest: digest("I1"), Candidates: []Candidate{v140, {Tag: "1.4", Released: Always}}},
					{Name: "sha256-00", Digest: digest("S1"), Hidden: true},
				},
				Nodes: []Node{
					{Digest: digest("I1"), Kind: Manifest, Candidates: []Candidate{v140, v141}},
					{Digest: digest("B1"), Kind: Blob, Candidates: []Candidate{v141, v140, v140}},
					{Digest: digest("B2"), Kind: Blob, Candidates: []Candidate{v141}},
				},
				Referrers: map[Digest][]Descriptor{
					digest("I1"): {
						{MediaType: "m", Digest: digest("S2"), Size: 8},
						{MediaType: "m", Digest: digest("S1"), Size: 7, ArtifactType: "a", Annotations: map[string]string{"b": "2", "a": "1"}},
					},
					digest("B1"): {},
				},
			},
			{Registry: "main", Name: "acme/charts/app", Product: "app", Chart: true},
			{Registry: "alt", Name: "acme/app"},
		},
	}
}

func TestLookups(t *testing.T) {
	x := sample().open(t)
	r, ok := x.Repository("main", "acme/app")
	if !ok || r.Registry() != "main" || r.Name() != "acme/app" || r.Product() != "app" || r.Chart() || r.Facts() != digest("facts") {
		t.Fatalf("repository %q %q %q %v", r.Registry(), r.Name(), r.Product(), r.Chart())
	}
	if c, ok := x.Repository("main", "acme/charts/app"); !ok || !c.Chart() {
		t.Error("chart repository")
	}
	for _, absent := range [][2]string{{"main", "acme"}, {"", "acme/app"}, {"main", "acme/app2"}, {"x", ""}} {
		if _, ok := x.Repository(absent[0], absent[1]); ok {
			t.Errorf("repository %q", absent)
		}
	}
	var names []string
	for r := range x.Repositories("main") {
		names = append(names, r.Name())
	}
	if !slices.Equal(names, []string{"acme/app", "acme/charts/app"}) {
		t.Errorf("repositories %q", names)
	}

	var tags []string
	for e := range r.Tags() {
		if again, ok := r.Tag(e.Name); !ok || again != e {
			t.Errorf("tag %+v, by name %+v", e, again)
		}
		tags = append(tags, fmt.Sprint(e.Name, e.Hidden))
	}
	if !slices.Equal(tags, []string{"1.4false", "1.4.0false", "sha256-00true"}) {
		t.Errorf("tags %q", tags)
	}
	if _, ok := r.Tag("1.4."); ok {
		t.Error("tag 1.4.")
	}

	i1, _ := r.Node(digest("I1"))
	b1, _ := r.Node(digest("B1"))
	b2, ok := r.Node(digest("B2"))
	if !ok || i1.Kind != Manifest || b1.Kind != Blob || i1.Set != b1.Set || b1.Set == b2.Set || b1.Digest != digest("B1") {
		t.Errorf("nodes %+v %+v %+v", i1, b1, b2)
	}
	if _, ok := r.Node(digest("B3")); ok {
		t.Error("node B3")
	}
	alt, _ := x.Repository("alt", "acme/app")
	if _, ok := alt.Node(digest("I1")); ok {
		t.Error("a node of another repository")
	}
	v140, v141 := candidate("1.4.0"), candidate("1.4.1")
	v141.Except, v141.Requires, v141.WithdrawnAt = []string{"acme"}, []string{"sso"}, 9
	if diff := cmp.Diff([]Candidate{v140, v141}, x.Set(b1.Set)); diff != "" {
		t.Error(diff)
	}
	if x.Set(SetID(x.Sets())) != nil || x.SetHash(SetID(x.Sets())) != [32]byte{} || x.Set(1<<32-1) != nil {
		t.Error("a set beyond the last")
	}

	want := []Descriptor{
		{MediaType: "m", Digest: digest("S1"), Size: 7, ArtifactType: "a", Annotations: map[string]string{"a": "1", "b": "2"}},
		{MediaType: "m", Digest: digest("S2"), Size: 8},
	}
	slices.SortFunc(want, func(a, b Descriptor) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	if diff := cmp.Diff(want, r.Referrers(digest("I1"))); diff != "" {
		t.Error(diff)
	}
	if n := len(r.Referrers(digest("B1"))) + len(r.Referrers(digest("B2"))); n != 0 {
		t.Errorf("%d referrers", n)
	}

	if p, ok := x.Product("app"); !ok || !slices.Equal(p.Variants, []string{"slim", "alpine*"}) || !slices.Equal(p.Requires, []string{"sso"}) {
		t.Errorf("product %+v", p)
	}
	if diff := cmp.Diff(sample().releases[1], first(x.Release("app", "1.4.1"))); diff != "" {
		t.Error(diff)
	}
	if _, ok := x.Release("db", "1.4.1"); ok {
		t.Error("release of another product")
	}
	if _, ok := x.Product("ap"); ok {
		t.Error("product ap")
	}
}

func first[T any](v T, _ bool) T { return v }

func TestZeroRepoIsEmpty(t *testing.T) {
	var r Repo
	if r.Name() != "" || r.Registry() != "" || r.Product() != "" || r.Chart() || r.Facts() != [32]byte{} || r.Referrers(Digest{}) != nil {
		t.Error("not empty")
	}
	if _, ok := r.Tag(""); ok {
		t.Error("tag")
	}
	if _, ok := r.Node(Digest{}); ok {
		t.Error("node")
	}
	for range r.Tags() {
		t.Error("tags")
	}
	for range r.Nodes() {
		t.Error("nodes")
	}
}

func TestEmptyIndexOpens(t *testing.T) {
	x := (&content{}).open(t)
	if _, ok := x.Repository("", ""); ok || x.Sets() != 0 || x.Set(0) != nil {
		t.Error("not empty")
	}
}

func TestBuilderRefuses(t *testing.T) {
	for name, change := range map[string]func(*content){
		"product twice":      func(c *content) { c.products = append(c.products, Product{ID: "app"}) },
		"release twice":      func(c *content) { c.releases = append(c.releases, c.releases[0]) },
		"repository twice":   func(c *content) { c.repos = append(c.repos, Repository{Registry: "alt", Name: "acme/app"}) },
		"tag twice":          func(c *content) { c.repos[0].Tags = append(c.repos[0].Tags, Tag{Name: "1.4"}) },
		"node twice":         func(c *content) { c.repos[0].Nodes = append(c.repos[0].Nodes, Node{Digest: digest("I1"), Kind: Blob}) },
		"node of no kind":    func(c *content) { c.repos[0].Nodes[0].Kind = 0 },
		"node of third kind": func(c *content) { c.repos[0].Nodes[0].Kind = 3 },
		"two descriptors": func(c *content) {
			c.repos[0].Referrers[digest("I1")] = append(c.repos[0].Referrers[digest("I1")], Descriptor{Digest: digest("S1")})
		},
	} {
		c := sample()
		change(c)
		b := Builder{products: c.products, releases: c.releases, repos: c.repos}
		if _, err := b.Bytes(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	c := sample()
	s1 := c.repos[0].Referrers[digest("I1")][1]
	s1.Annotations = maps.Clone(s1.Annotations)
	c.repos[0].Referrers[digest("I1")] = append(c.repos[0].Referrers[digest("I1")], s1)
	if !bytes.Equal(c.bytes(t), sample().bytes(t)) {
		t.Error("the same descriptor twice changes the index")
	}
}

// contents draws small indexes with many collisions of names.
func contents() *rapid.Generator[*content] {
	word := rapid.SampledFrom([]string{"", "a", "b", "a/b", "ab", "é", "1.4.0"})
	words := rapid.SliceOfN(word, 0, 3)
	instant := rapid.SampledFrom([]int64{Never, Always, 0, 1, 2})
	cand := rapid.Custom(func(t *rapid.T) Candidate {
		return Candidate{
			Product: word.Draw(t, "product"), Version: word.Draw(t, "version"), Order: word.Draw(t, "order"), Tag: word.Draw(t, "tag"),
			Channel: word.Draw(t, "channel"), Released: instant.Draw(t, "released"), CountsFrom: instant.Draw(t, "counts"),
			WithdrawnAt: instant.Draw(t, "withdrawn"), RetiresAt: instant.Draw(t, "retires"), RevokedAt: instant.Draw(t, "revoked"),
			Except: words.Draw(t, "except"), Requires: words.Draw(t, "requires"),
		}
	})
	cands := rapid.SliceOfN(cand, 0, 4)
	dig := rapid.Custom(func(t *rapid.T) Digest { return digest(rapid.StringMatching(`[a-f]{1,2}`).Draw(t, "digest")) })
	desc := rapid.Custom(func(t *rapid.T) Descriptor {
		return Descriptor{
			MediaType: word.Draw(t, "media"), ArtifactType: word.Draw(t, "type"), Digest: dig.Draw(t, "d"), Size: rapid.Int64().Draw(t, "size"),
			Annotations: rapid.MapOfN(word, word, 0, 3).Draw(t, "annotations"),
		}
	})
	repo := rapid.Custom(func(t *rapid.T) Repository {
		r := Repository{
			Registry: word.Draw(t, "registry"), Name: word.Draw(t, "name"), Product: word.Draw(t, "product"),
			Chart: rapid.Bool().Draw(t, "chart"), Facts: dig.Draw(t, "facts"),
		}
		r.Referrers = rapid.MapOfN(dig, rapid.SliceOfNDistinct(desc, 0, 3, func(d Descriptor) Digest { return d.Digest }), 0, 3).Draw(t, "referrers")
		for _, n := range rapid.SliceOfNDistinct(word, 0, 4, rapid.ID).Draw(t, "tags") {
			r.Tags = append(r.Tags, Tag{Name: n, Digest: dig.Draw(t, "d"), Candidates: cands.Draw(t, "cs"), Hidden: rapid.Bool().Draw(t, "hidden")})
		}
		for _, d := range rapid.SliceOfNDistinct(dig, 0, 20, rapid.ID).Draw(t, "nodes") {
			r.Nodes = append(r.Nodes, Node{Digest: d, Kind: Kind(rapid.IntRange(1, 2).Draw(t, "kind")), Candidates: cands.Draw(t, "cs")})
		}
		return r
	})
	return rapid.Custom(func(t *rapid.T) *content {
		c := &content{}
		for _, id := range rapid.SliceOfNDistinct(word, 0, 3, rapid.ID).Draw(t, "products") {
			c.products = append(c.products, Product{ID: id, Variants: words.Draw(t, "variants"), Requires: words.Draw(t, "requires")})
			for _, v := range rapid.SliceOfNDistinct(word, 0, 3, rapid.ID).Draw(t, "versions") {
				c.releases = append(c.releases, Release{
					Product: id, Version: v, Channel: word.Draw(t, "channel"), Released: instant.Draw(t, "released"),
					CountsFrom: instant.Draw(t, "counts"), WithdrawnAt: instant.Draw(t, "withdrawn"), Except: words.Draw(t, "except"), Requires: words.Draw(t, "requires"),
				})
			}
		}
		c.repos = rapid.SliceOfNDistinct(repo, 0, 4, func(r Repository) [2]string { return [2]string{r.Registry, r.Name} }).Draw(t, "repos")
		return c
	})
}

// normal is a candidate set as Set returns it.
func normal(cs []Candidate) []Candidate {
	var out []Candidate
	for _, c := range cs {
		c.Except, c.Requires = sorted(c.Except), sorted(c.Requires)
		if !slices.ContainsFunc(out, func(o Candidate) bool { return compareCandidates(&o, &c) == 0 }) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b Candidate) int { return compareCandidates(&a, &b) })
	return out
}

// TestIndexHoldsWhatWasAdded: every lookup returns what was given to the Builder, and nothing else is there.
func TestIndexHoldsWhatWasAdded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := contents().Draw(rt, "content")
		x := c.open(t)
		same := func(what string, want, got any) {
			if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
				rt.Fatalf("%s: %s", what, diff)
			}
		}
		hashes := map[[32]byte][]Candidate{}
		set := func(id SetID, want []Candidate) {
			same("set", normal(want), x.Set(id))
			if other, ok := hashes[x.SetHash(id)]; ok {
				same("sets with one hash", other, x.Set(id))
			}
			hashes[x.SetHash(id)] = x.Set(id)
		}
		for _, p := range c.products {
			p.Requires = sorted(p.Requires)
			same("product", p, first(x.Product(p.ID)))
		}
		for _, r := range c.releases {
			r.Except, r.Requires = sorted(r.Except), sorted(r.Requires)
			same("release", r, first(x.Release(r.Product, r.Version)))
		}
		found := 0
		for _, registry := range []string{"", "a", "b", "a/b", "ab", "é", "1.4.0"} {
			for range x.Repositories(registry) {
				found++
			}
		}
		same("repositories", len(c.repos), found)
		for _, want := range c.repos {
			r, ok := x.Repository(want.Registry, want.Name)
			same("repository", []any{true, want.Registry, want.Name, want.Product, want.Chart, want.Facts},
				[]any{ok, r.Registry(), r.Name(), r.Product(), r.Chart(), r.Facts()})
			same("tags", len(want.Tags), len(slices.Collect(r.Tags())))
			for _, w := range want.Tags {
				e, ok := r.Tag(w.Name)
				same("tag", TagEntry{w.Name, w.Digest, e.Set, w.Hidden}, e)
				same("tag is there", true, ok)
				set(e.Set, w.Candidates)
			}
			same("nodes", len(want.Nodes), len(slices.Collect(r.Nodes())))
			for _, w := range want.Nodes {
				e, ok := r.Node(w.Digest)
				same("node", NodeEntry{w.Digest, w.Kind, e.Set}, e)
				same("node is there", true, ok)
				set(e.Set, w.Candidates)
			}
			for subject, ds := range want.Referrers {
				ds = slices.Clone(ds)
				slices.SortFunc(ds, func(a, b Descriptor) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
				same("referrers", ds, r.Referrers(subject))
			}
		}
	})
}

func shuffle[T any](s []T) []T {
	out := slices.Clone(s)
	rand.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func TestBytesDoNotDependOnTheOrderOfCalls(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		c := contents().Draw(rt, "content")
		want := c.bytes(t)
		other := &content{products: shuffle(c.products), releases: shuffle(c.releases), repos: shuffle(c.repos)}
		for i := range other.repos {
			r := &other.repos[i]
			r.Tags, r.Nodes = shuffle(r.Tags), shuffle(r.Nodes)
			for j := range r.Tags {
				r.Tags[j].Candidates = shuffle(r.Tags[j].Candidates)
			}
			for j := range r.Nodes {
				cs := shuffle(r.Nodes[j].Candidates)
				r.Nodes[j].Candidates = append(cs, cs...)
			}
			r.Referrers = maps.Clone(r.Referrers)
			for d, ds := range r.Referrers {
				r.Referrers[d] = shuffle(ds)
			}
		}
		if !bytes.Equal(want, other.bytes(t)) {
			rt.Fatal("other bytes")
		}
	})
}

func TestSetHashIsTheSameInAnotherIndex(t *testing.T) {
	x := sample().open(t)
	c := sample()
	c.repos = append(c.repos[:1], Repository{Name: "0", Nodes: []Node{{Kind: Blob, Candidates: []Candidate{candidate("0.0.1"), {Tag: "zz"}}}}})
	y := c.open(t)
	for _, name := range []string{"I1", "B1", "B2"} {
		a, _ := first(x.Repository("main", "acme/app")).Node(digest(name))
		b, _ := first(y.Repository("main", "acme/app")).Node(digest(name))
		if x.SetHash(a.Set) != y.SetHash(b.Set) {
			t.Errorf("%s: other hash", name)
		}
	}
	// The hash is part of cache keys that outlive the program: it must not change by accident.
	a, _ := first(x.Repository("main", "acme/app")).Node(digest("B2"))
	if got, want := fmt.Sprintf("%x", x.SetHash(a.Set)), "e4e0eff0cba7559cfa87f497a12c977f466d2b92dcbede00d31249102d0fa467"; got != want {
		t.Errorf("hash %s, want %s", got, want)
	}
}

func TestNodesWithUnevenDigestsAreFound(t *testing.T) {
	for name, make := range map[string]func(i int) Digest{
		"even":       func(i int) Digest { return digest(fmt.Sprint(i)) },
		"one prefix": func(i int) Digest { return Digest{30: byte(i >> 8), 31: byte(i)} },
		"low":        func(i int) Digest { return Digest{6: byte(i >> 8), 7: byte(i)} },
		"high":       func(i int) Digest { return Digest{0: 255, 1: 255, 30: byte(i >> 8), 31: byte(i)} },
		"powers": func(i int) Digest {
			var d Digest
			d[i/8%32] = 1 << (i % 8)
			d[31] = byte(i)
			d[30] = byte(i >> 8)
			return d
		},
	} {
		all := map[Digest]bool{}
		for i := range 4096 {
			all[make(i)] = true
		}
		sorted := slices.SortedFunc(maps.Keys(all), func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
		var flat []byte
		for _, d := range sorted {
			flat = append(append(flat, d[:]...), 0, 0, 0, 0)
		}
		f := newFan(flat)
		for i, d := range sorted {
			if got, ok := f.find(flat, &d); !ok || got != i {
				t.Fatalf("%s: digest %d found at %d, %v", name, i, got, ok)
			}
			d[31] ^= 0x80
			if _, ok := f.find(flat, &d); ok != all[d] {
				t.Fatalf("%s: %x: %v", name, d, ok)
			}
		}
	}
}

func TestOpenErrorsNameTheSection(t *testing.T) {
	data := sample().bytes(t)
	_, err := Open(data[:len(data)-1])
	var f *FormatError
	if !errors.As(err, &f) || f.Section == "" {
		t.Errorf("%v", err)
	}
}
