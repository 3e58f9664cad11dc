package index

import (
	"bytes"
	"cmp"
	"iter"
	"sort"
)

// SetID names an interned candidate set of one index. It means nothing in another index;
// SetHash does.
type SetID uint32

// Repo is one repository of an index. The zero Repo has nothing in it.
type Repo struct {
	x *Index
	i int
}

// TagEntry is a tag that exists now.
type TagEntry struct {
	Name   string
	Digest Digest
	Set    SetID // the candidates of a request by this tag
	Hidden bool  // never listed
}

// NodeEntry is a digest of a repository.
type NodeEntry struct {
	Digest Digest
	Kind   Kind
	Set    SetID // everything that reaches the digest in this repository
}

// Repository returns a repository by the id of its registry and its name.
func (x *Index) Repository(registry, name string) (Repo, bool) {
	i, ok := x.at[repoName{registry, name}]
	if !ok {
		return Repo{}, false
	}
	return Repo{x, i}, true
}

// Repositories yields the repositories of a registry, bytewise by name.
func (x *Index) Repositories(registry string) iter.Seq[Repo] {
	return func(yield func(Repo) bool) {
		first := sort.Search(len(x.repo), func(i int) bool { return x.repo[i].registry >= registry })
		for i := first; i < len(x.repo) && x.repo[i].registry == registry; i++ {
			if !yield(Repo{x, i}) {
				return
			}
		}
	}
}

// Product returns a product by id.
func (x *Index) Product(id string) (Product, bool) {
	i, ok := sort.Find(x.count(secProducts), func(i int) int {
		return compareText(id, x.textBytes(u32(x.entry(secProducts, i), 0)))
	})
	if !ok {
		return Product{}, false
	}
	e := x.entry(secProducts, i)
	return Product{ID: x.text(u32(e, 0)), Variants: x.list(u32(e, 4)), Requires: x.list(u32(e, 8))}, true
}

// Release returns what is known about a version (normalised text) of a product.
func (x *Index) Release(product, version string) (Release, bool) {
	i, ok := sort.Find(x.count(secReleases), func(i int) int {
		e := x.entry(secReleases, i)
		return cmp.Or(compareText(product, x.textBytes(u32(e, 0))), compareText(version, x.textBytes(u32(e, 4))))
	})
	if !ok {
		return Release{}, false
	}
	e := x.entry(secReleases, i)
	return Release{
		Product: x.text(u32(e, 0)), Version: x.text(u32(e, 4)), Channel: x.text(u32(e, 8)),
		Except: x.list(u32(e, 12)), Requires: x.list(u32(e, 16)),
		Released: i64(e, 24), CountsFrom: i64(e, 32), WithdrawnAt: i64(e, 40),
	}, true
}

// Set returns the candidates of a set, decoded anew on every call, ascending by product, version
// and the other fields in turn. An id of another index gives nil or another set.
func (x *Index) Set(id SetID) []Candidate {
	if int64(id) >= int64(x.sets()) {
		return nil
	}
	members := x.members(id)
	out := make([]Candidate, 0, len(members)/4)
	for i := 0; i < len(members); i += 4 {
		e := x.entry(secCandidates, int(u32(members, i)))
		out = append(out, Candidate{
			Product: x.text(u32(e, 0)), Version: x.text(u32(e, 4)), Order: x.text(u32(e, 8)),
			Tag: x.text(u32(e, 12)), Channel: x.text(u32(e, 16)),
			Except: x.list(u32(e, 20)), Requires: x.list(u32(e, 24)),
			Released: i64(e, 32), CountsFrom: i64(e, 40), WithdrawnAt: i64(e, 48),
			RetiresAt: i64(e, 56), RevokedAt: i64(e, 64),
		})
	}
	return out
}

// SetHash is the content hash of a set: equal in all indexes for equal candidates. It is zero
// for an id beyond this index.
func (x *Index) SetHash(id SetID) (h [32]byte) {
	if int64(id) < int64(x.sets()) {
		copy(h[:], x.entry(secSetHashes, int(id)))
	}
	return h
}

// Sets is the number of candidate sets; their ids are 0 … Sets()-1.
func (x *Index) Sets() int { return x.sets() }

func (r Repo) entry() []byte { return r.x.entry(secRepos, r.i) }

// Registry is the id of the repository's registry.
func (r Repo) Registry() string {
	if r.x == nil {
		return ""
	}
	return r.x.repo[r.i].registry
}

// Name is the repository's name.
func (r Repo) Name() string {
	if r.x == nil {
		return ""
	}
	return r.x.repo[r.i].name
}

// Product is the product whose versions the tags are, "" when they are none.
func (r Repo) Product() string {
	if r.x == nil {
		return ""
	}
	return r.x.repo[r.i].product
}

// Chart says that '_' in a tag means '+'.
func (r Repo) Chart() bool { return r.x != nil && u32(r.entry(), 12)&chartFlag != 0 }

// Facts is the content hash given to the Builder.
func (r Repo) Facts() (h [32]byte) {
	if r.x != nil {
		copy(h[:], r.entry()[16:])
	}
	return h
}

// part is the repository's part of tags (0), nodes (1) or subjects (2).
func (r Repo) part(which int) (first, n int) {
	if r.x == nil {
		return 0, 0
	}
	e := r.entry()
	return int(u32(e, 48+8*which)), int(u32(e, 52+8*which))
}

// Tag returns a tag by name.
func (r Repo) Tag(name string) (TagEntry, bool) {
	first, n := r.part(0)
	i, ok := sort.Find(n, func(i int) int {
		return compareText(name, r.x.textBytes(u32(r.x.entry(secTags, first+i), 0)))
	})
	if !ok {
		return TagEntry{}, false
	}
	return r.tag(first+i, name), true
}

// Tags yields all tags, also the hidden ones, bytewise by name.
func (r Repo) Tags() iter.Seq[TagEntry] {
	return func(yield func(TagEntry) bool) {
		first, n := r.part(0)
		for i := first; i < first+n; i++ {
			if !yield(r.tag(i, r.x.text(u32(r.x.entry(secTags, i), 0)))) {
				return
			}
		}
	}
}

func (r Repo) tag(i int, name string) TagEntry {
	e := r.x.entry(secTags, i)
	return TagEntry{Name: name, Digest: Digest(e[12:44]), Set: SetID(u32(e, 4)), Hidden: u32(e, 8)&hiddenFlag != 0}
}

// Node returns a digest of the repository. It does not allocate.
func (r Repo) Node(d Digest) (NodeEntry, bool) {
	if r.x == nil {
		return NodeEntry{}, false
	}
	first, n := r.part(1)
	i, ok := r.x.fans[r.i].find(r.x.sec[secNodes][first*nodeLen:(first+n)*nodeLen], &d)
	if !ok {
		return NodeEntry{}, false
	}
	return r.node(first + i), true
}

// Nodes yields all digests of the repository, ascending.
func (r Repo) Nodes() iter.Seq[NodeEntry] {
	return func(yield func(NodeEntry) bool) {
		first, n := r.part(1)
		for i := first; i < first+n; i++ {
			if !yield(r.node(i)) {
				return
			}
		}
	}
}

func (r Repo) node(i int) NodeEntry {
	e := r.x.entry(secNodes, i)
	v := u32(e, digestLen)
	return NodeEntry{Digest: Digest(e[:digestLen]), Kind: Kind(v & (1<<kindBits - 1)), Set: SetID(v >> kindBits)}
}

// Referrers returns the descriptors of what refers to d, ascending by digest; nil when nothing does.
func (r Repo) Referrers(d Digest) []Descriptor {
	first, n := r.part(2)
	i, ok := sort.Find(n, func(i int) int {
		return bytes.Compare(d[:], r.x.entry(secSubjects, first+i)[:digestLen])
	})
	if !ok {
		return nil
	}
	e := r.x.entry(secSubjects, first+i)
	from, count := int(u32(e, 32)), int(u32(e, 36))
	out := make([]Descriptor, 0, count)
	for i := from; i < from+count; i++ {
		e := r.x.entry(secDescriptors, i)
		desc := Descriptor{
			Digest: Digest(e[:digestLen]), Size: i64(e, 32),
			MediaType: r.x.text(u32(e, 40)), ArtifactType: r.x.text(u32(e, 44)),
		}
		if pairs := r.x.list(u32(e, 48)); len(pairs) > 0 {
			desc.Annotations = make(map[string]string, len(pairs)/2)
			for j := 0; j < len(pairs); j += 2 {
				desc.Annotations[pairs[j]] = pairs[j+1]
			}
		}
		out = append(out, desc)
	}
	return out
}

func compareText(s string, b []byte) int {
	// The compiler compares without making a string of b.
	switch {
	case s == string(b):
		return 0
	case s < string(b):
		return -1
	}
	return 1
}
