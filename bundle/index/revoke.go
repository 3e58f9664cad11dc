package index

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
)

// Revocation is a digest of a repository that is revoked from an instant.
type Revocation struct {
	Registry, Repository string
	Digest               Digest
	At                   int64
}

// Revoke makes the index in which some digests are revoked: every way to them, and every tag at them.
// What only they reach an index does not say. Where known, another index of the same repositories in
// which they are revoked, has it, it is revoked there from when known says, but for ways by a tag that is at
// something that known does not know by it; known may be nil. What is not in the index is not revoked, and
// what is revoked earlier stays so.
func (x *Index) Revoke(revoked []Revocation, known *Index) ([]byte, error) {
	var b Builder
	for i := range x.count(secProducts) {
		p, _ := x.Product(x.text(u32(x.entry(secProducts, i), 0)))
		b.AddProduct(p)
	}
	for i := range x.count(secReleases) {
		e := x.entry(secReleases, i)
		r, _ := x.Release(x.text(u32(e, 0)), x.text(u32(e, 4)))
		b.AddRelease(r)
	}
	in := map[repoName]map[Digest]int64{}
	for _, r := range revoked {
		at := repoName{r.Registry, r.Repository}
		if in[at] == nil {
			in[at] = map[Digest]int64{}
		}
		if old, ok := in[at][r.Digest]; !ok || r.At < old {
			in[at][r.Digest] = r.At
		}
	}
	sets := make([][]Candidate, x.sets())
	set := func(id SetID) []Candidate {
		if sets[id] == nil {
			sets[id] = x.Set(id)
		}
		return sets[id]
	}
	for i := range x.repo {
		r := Repo{x, i}
		out := Repository{
			Registry: r.Registry(), Name: r.Name(), Product: r.Product(), Chart: r.Chart(), Facts: r.Facts(), Referrers: map[Digest][]Descriptor{},
		}
		of := revoking{at: in[x.repo[i].repoName], set: set}
		if of.at != nil {
			out.Facts = of.facts(out.Facts)
			if known != nil {
				of.known, _ = known.Repository(out.Registry, out.Name)
				of.unseen = r.unseen(of.known)
			}
		}
		for t := range r.Tags() {
			out.Tags = append(out.Tags, Tag{Name: t.Name, Digest: t.Digest, Hidden: t.Hidden, Candidates: of.tag(t)})
		}
		for n := range r.Nodes() {
			out.Nodes = append(out.Nodes, Node{Digest: n.Digest, Kind: n.Kind, Candidates: of.node(n)})
		}
		first, n := r.part(2)
		for i := first; i < first+n; i++ {
			d := Digest(x.entry(secSubjects, i)[:digestLen])
			out.Referrers[d] = r.Referrers(d)
		}
		b.AddRepository(out)
	}
	return b.Bytes()
}

// Behind reports whether another index of the same repository knows of a way to a digest that it is revoked
// from when it is not in r: Revoke would take it over.
func (r Repo) Behind(known Repo) bool {
	unseen := r.unseen(known)
	earlier := func(set, in SetID) bool {
		if r.x.SetHash(set) == known.x.SetHash(in) {
			return false
		}
		ways := known.x.Set(in)
		return slices.ContainsFunc(r.x.Set(set), func(c Candidate) bool { return !unseen[c.Tag] && revokedAs(&c, ways) < c.RevokedAt })
	}
	for t := range r.Tags() {
		if k, ok := known.Tag(t.Name); ok && k.Digest == t.Digest && earlier(t.Set, k.Set) {
			return true
		}
	}
	for n := range r.Nodes() {
		if k, ok := known.Node(n.Digest); ok && earlier(n.Set, k.Set) {
			return true
		}
	}
	return false
}

// unseen are the tags that are at what another index of the same repository does not know by them: it is older,
// or has lost that. A digest that it says is reached by such a tag through revoked ones alone may be reached
// through the one that it does not know, too.
func (r Repo) unseen(known Repo) map[string]bool {
	out := map[string]bool{}
	for t := range r.Tags() {
		k, ok := known.Node(t.Digest)
		if !ok || !slices.ContainsFunc(known.x.Set(k.Set), func(c Candidate) bool { return c.Tag == t.Name }) {
			out[t.Name] = true
		}
	}
	return out
}

// revoking is what is revoked in one repository.
type revoking struct {
	at     map[Digest]int64 // nil: nothing
	known  Repo
	unseen map[string]bool // tags by which known does not count
	set    func(SetID) []Candidate
}

// facts is the content hash of a repository after it.
func (r *revoking) facts(before [32]byte) [32]byte {
	var lines []string
	for d, at := range r.at {
		lines = append(lines, fmt.Sprintf("%s %d\n", hex.EncodeToString(d[:]), at))
	}
	slices.Sort(lines)
	h := sha256.New()
	h.Write(before[:])
	for _, l := range lines {
		h.Write([]byte(l))
	}
	return [32]byte(h.Sum(nil))
}

func (r *revoking) node(n NodeEntry) []Candidate {
	if r.at == nil {
		return r.set(n.Set)
	}
	var known []Candidate
	if k, ok := r.known.Node(n.Digest); ok {
		known = r.known.x.Set(k.Set)
	}
	return r.limit(r.set(n.Set), n.Digest, known)
}

func (r *revoking) tag(t TagEntry) []Candidate {
	if r.at == nil {
		return r.set(t.Set)
	}
	var known []Candidate
	if k, ok := r.known.Tag(t.Name); ok && k.Digest == t.Digest {
		known = r.known.x.Set(k.Set)
	}
	return r.limit(r.set(t.Set), t.Digest, known)
}

// limit is a set after it; the same one when nothing changes.
func (r *revoking) limit(set []Candidate, d Digest, known []Candidate) []Candidate {
	own, ok := r.at[d]
	if !ok {
		own = Never
	}
	out, changed := set, false
	for i := range set {
		at := own
		if !r.unseen[set[i].Tag] {
			at = min(at, revokedAs(&set[i], known))
		}
		if at >= set[i].RevokedAt {
			continue
		}
		if !changed {
			out, changed = slices.Clone(set), true
		}
		out[i].RevokedAt = at
	}
	return out
}

// revokedAs is from when a way to a digest is revoked of which another index knows the same: when its
// last clean one is. Never when that has no such way.
func revokedAs(c *Candidate, known []Candidate) int64 {
	at, found := Always, false
	for i := range known {
		if k := &known[i]; k.Tag == c.Tag && k.Product == c.Product && k.Version == c.Version {
			at, found = max(at, k.RevokedAt), true
		}
	}
	if !found {
		return Never
	}
	return at
}
