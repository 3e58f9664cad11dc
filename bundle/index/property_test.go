package index

import (
	"bytes"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

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
