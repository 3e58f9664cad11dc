package index

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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

func TestOpenErrorsNameTheSection(t *testing.T) {
	data := sample().bytes(t)
	_, err := Open(data[:len(data)-1])
	var f *FormatError
	if !errors.As(err, &f) || f.Section == "" {
		t.Errorf("%v", err)
	}
}

// Who opens an index gives way with every repository.
func TestOpeningGivesWay(t *testing.T) {
	c := &content{products: []Product{{ID: "app"}}}
	for n := range 20 {
		c.repos = append(c.repos, Repository{Registry: "main", Name: fmt.Sprintf("acme/app-%d", n), Product: "app"})
	}
	times := 0
	if _, err := OpenGivingWay(c.bytes(t), func() { times++ }); err != nil {
		t.Fatal(err)
	}
	if times < len(c.repos) {
		t.Errorf("%d times with %d repositories", times, len(c.repos))
	}
}
