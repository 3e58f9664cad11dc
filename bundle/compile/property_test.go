package compile

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
)

// randomRepository draws a small repository of names: indexes, images, referrers, tags that
// moved, digest-like tags, cycles of all of them.
func randomRepository(t *rapid.T) Repository {
	names := []string{"A", "B", "C", "D", "E", "F"}[:rapid.IntRange(2, 6).Draw(t, "names")]
	name := rapid.SampledFrom(names)
	r := Repository{Name: "acme/app", Tags: tags{}, History: history{}, Manifests: manifests{}}
	edges := 0
	for _, n := range names {
		if rapid.IntRange(0, 5).Draw(t, "lacks") == 0 {
			continue
		}
		m := &Manifest{Created: always}
		for edges < 8 && rapid.Bool().Draw(t, "child") {
			m.Index = append(m.Index, name.Draw(t, "index"))
			edges++
		}
		if edges < 8 && rapid.Bool().Draw(t, "refers") {
			m.Subject = name.Draw(t, "subject")
			edges++
		}
		if rapid.Bool().Draw(t, "image") {
			m.Layers = append(m.Layers, rapid.SampledFrom([]string{"L1", "L2", "A"}).Draw(t, "layer"))
		}
		r.Manifests[n] = m
	}
	for range rapid.IntRange(0, 2).Draw(t, "listed") {
		if r.Referrers == nil {
			r.Referrers = map[string][]string{}
		}
		subject := name.Draw(t, "listing")
		r.Referrers[subject] = append(r.Referrers[subject], name.Draw(t, "referrer"))
	}
	for _, tag := range []string{"1.0.0", "latest"} {
		if rapid.Bool().Draw(t, "tagged") {
			r.Tags[tag] = at(name.Draw(t, "tag"))
		}
		if rapid.Bool().Draw(t, "moved") {
			r.History[tag] = []Past{{name.Draw(t, "past"), rapid.Int64Range(1, 3).Draw(t, "until")}}
		}
	}
	for range rapid.IntRange(0, 3).Draw(t, "signatures") {
		tag := "sha256-@" + rapid.SampledFrom(append(names, "L1")).Draw(t, "signed") + ".sig"
		if rapid.Bool().Draw(t, "old") {
			r.History[tag] = []Past{{name.Draw(t, "signature"), rapid.Int64Range(1, 3).Draw(t, "until")}}
		} else {
			r.Tags[tag] = at(name.Draw(t, "signature"))
		}
	}
	return r
}

// stop is a node on a way, with what bounds the way from there.
type stop struct {
	name       string
	blob       bool
	level, ref int
}

type visit struct {
	stop
	limit
}

// enumerate follows every way from a root, step by step, and tells of each node it comes to what
// the way leaves.
func enumerate(r Repository, revoked map[string]int64, p stop, seen map[visit]bool, l limit, found func(string, limit)) {
	if at, ok := revoked[p.name]; ok {
		l.revoked = min(l.revoked, at)
	}
	if seen[visit{p, l}] {
		return // the ways from here with this limit are told
	}
	seen[visit{p, l}] = true
	found(p.name, l)
	tag := "sha256-@" + p.name + ".sig"
	if t, ok := r.Tags[tag]; ok {
		enumerate(r, revoked, stop{name: t.Digest, level: 1}, seen, l, found)
	}
	for _, past := range r.History[tag] {
		enumerate(r, revoked, stop{name: past.Digest, level: 1}, seen, limit{l.revoked, min(l.retires, past.Until)}, found)
	}
	if p.blob {
		return
	}
	if m := r.Manifests[p.name]; m != nil {
		for _, layer := range m.Layers {
			enumerate(r, revoked, stop{layer, true, 0, p.ref}, seen, l, found)
		}
		for _, child := range m.Index {
			if p.level < 4 {
				enumerate(r, revoked, stop{child, false, p.level + 1, p.ref}, seen, l, found)
			}
		}
	}
	for name, m := range r.Manifests {
		listed := m.Subject == "" && name != p.name && slices.Contains(r.Referrers[p.name], name)
		if (m.Subject == p.name || listed) && p.ref < 3 {
			enumerate(r, revoked, stop{name, false, 1, p.ref + 1}, seen, l, found)
		}
	}
}

// A candidate reaches a node, with an end, exactly if some way does.
func TestCandidatesAreWhatEveryWayLeaves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := randomRepository(t)
		revoked := map[string]int64{}
		set := &license.Set{Registries: []license.Registry{{ID: "main"}}}
		for range rapid.IntRange(0, 2).Draw(t, "revocations") {
			name, at := rapid.SampledFrom([]string{"A", "B", "C", "L1"}).Draw(t, "revoked"), rapid.Int64Range(1, 3).Draw(t, "at")
			if _, ok := revoked[name]; !ok {
				revoked[name] = at
				set.Registries[0].RevokedDigests = append(set.Registries[0].RevokedDigests,
					license.RevokedDigest{Repository: "acme/app", Digest: digest(name), At: at})
			}
		}
		want := map[string]string{}
		byNode := map[string][]index.Candidate{}
		start := func(tag, name string, retires int64) {
			enumerate(r, revoked, stop{name: name, level: 1}, map[visit]bool{}, limit{index.Never, retires}, func(n string, l limit) {
				c := dated(always)
				c.Tag, c.RetiresAt, c.RevokedAt = tag, l.retires, l.revoked
				byNode[n] = append(byNode[n], c)
			})
		}
		for _, tag := range []string{"1.0.0", "latest"} {
			if to, ok := r.Tags[tag]; ok {
				start(tag, to.Digest, index.Never)
			}
			for _, past := range r.History[tag] {
				start(tag, past.Digest, past.Until)
			}
		}
		for name, cs := range byNode {
			kept := slices.DeleteFunc(slices.Clone(cs), func(c index.Candidate) bool {
				return slices.ContainsFunc(cs, func(k index.Candidate) bool {
					return k.Tag == c.Tag && k.RetiresAt >= c.RetiresAt && k.RevokedAt >= c.RevokedAt &&
						(k.RetiresAt > c.RetiresAt || k.RevokedAt > c.RevokedAt)
				})
			})
			shown := map[string]bool{}
			for _, c := range kept {
				shown[fmt.Sprint(c.Tag, c.RetiresAt, c.RevokedAt)] = true
			}
			want[digest(name)] = fmt.Sprint(slices.Sorted(maps.Keys(shown)))
		}

		got := map[string]string{}
		x := openIndex(t, &Input{Set: set, Catalog: []Repository{named(r)}, Modules: library, NotAfter: license.Never})
		repo, _ := x.Repository("main", "acme/app")
		for n := range repo.Nodes() {
			shown := []string{}
			for _, c := range x.Set(n.Set) {
				shown = append(shown, fmt.Sprint(c.Tag, c.RetiresAt, c.RevokedAt))
			}
			slices.Sort(shown)
			got[fmt.Sprintf("sha256:%x", n.Digest)] = fmt.Sprint(shown)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("candidates by node (-ways +index):\n%s", diff)
		}
	})
}

func openIndex(t interface {
	Helper()
	Fatal(...any)
}, in *Input,
) *index.Index {
	t.Helper()
	content, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	x, err := index.Open(content.Files["index.bin"])
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// The order of documents, of the catalog and within lists that mean sets changes no byte.
func TestCompileIsDeterministic(t *testing.T) {
	in := goldenInput(t)
	want, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		in, r := goldenInput(t), rand.New(rand.NewPCG(seed, 1))
		shuffle(r, in.Set.Registries)
		shuffle(r, in.Set.Products)
		shuffle(r, in.Set.Releases)
		shuffle(r, in.Set.Customers)
		shuffle(r, in.Set.Licenses)
		shuffle(r, in.Set.Public)
		shuffle(r, in.Catalog)
		for _, repo := range in.Catalog {
			for _, pasts := range repo.History {
				shuffle(r, pasts)
			}
			for _, m := range repo.Manifests {
				shuffle(r, m.Layers)
				shuffle(r, m.Index)
			}
		}
		got, _, err := Compile(in)
		if err != nil {
			t.Fatal(err)
		}
		gotFiles, wantFiles := got.All(), want.All()
		for _, p := range slices.Sorted(maps.Keys(wantFiles)) {
			if string(gotFiles[p]) != string(wantFiles[p]) {
				t.Errorf("seed %d: %s differs", seed, p)
			}
		}
		if got.PolicyDigest != want.PolicyDigest {
			t.Errorf("seed %d: the policy digest differs", seed)
		}
	}
}

func shuffle[T any](r *rand.Rand, s []T) {
	r.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}
