package index

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"
	"unsafe"
)

// Builder makes an index. The zero value is an empty one. What is added must not be changed
// before Bytes has returned; nodes and tags that share one Candidates slice are built fastest.
// Not safe for concurrent use.
type Builder struct {
	products []Product
	releases []Release
	repos    []Repository
}

// AddProduct adds p. Its Requires count as a set.
func (b *Builder) AddProduct(p Product) { b.products = append(b.products, p) }

// AddRelease adds r. Its Except and Requires count as sets.
func (b *Builder) AddRelease(r Release) { b.releases = append(b.releases, r) }

// AddRepository adds r. The order of its tags, nodes, candidates and descriptors means nothing.
func (b *Builder) AddRepository(r Repository) { b.repos = append(b.repos, r) }

// Bytes returns the file for what has been added, the same bytes whatever the order of the
// calls and within slices that count as sets. Errors: something added twice (product, release,
// repository, tag, node, or a referrer of one subject with two different descriptors), a node
// without a valid kind, more than MaxBytes.
func (b *Builder) Bytes() ([]byte, error) {
	w := &writer{
		strings: map[string]uint32{"": 0},
		lists:   map[string]uint32{},
		cands:   map[string]int{},
		sets:    map[[32]byte]int{},
		seen:    map[slice]int{},
	}
	w.collect(b)
	w.number()
	if err := w.write(b); err != nil {
		return nil, err
	}
	return w.file()
}

// slice identifies a Candidates slice, so that shared ones are hashed once.
type slice struct {
	first *Candidate
	n     int
}

// writer has the state of one Bytes call. In a first pass everything is collected, then
// numbered in an order that depends on the content alone, then written.
type writer struct {
	strings map[string]uint32
	texts   []string
	lists   map[string]uint32 // by the little-endian string ids
	cands   map[string]int    // by canonical encoding, into candList
	seen    map[slice]int
	sets    map[[32]byte]int // by content hash, into setList

	candList []*Candidate
	candID   []uint32 // final, by position in candList
	setList  []set
	setID    []uint32 // final, by position in setList

	sec [lastSection + 1][]byte
}

type set struct {
	hash    [32]byte
	members []int // into candList
}

func (w *writer) collect(b *Builder) {
	str := func(ss ...string) {
		for _, s := range ss {
			w.strings[s] = 0
		}
	}
	for _, p := range b.products {
		str(p.ID)
		str(p.Variants...)
		str(p.Requires...)
	}
	for _, r := range b.releases {
		str(r.Product, r.Version, r.Channel)
		str(r.Except...)
		str(r.Requires...)
	}
	for _, r := range b.repos {
		str(r.Registry, r.Name, r.Product)
		for _, t := range r.Tags {
			str(t.Name)
			w.intern(t.Candidates)
		}
		for _, n := range r.Nodes {
			w.intern(n.Candidates)
		}
		for _, ds := range r.Referrers {
			for _, d := range ds {
				str(d.MediaType, d.ArtifactType)
				for k, v := range d.Annotations {
					str(k, v)
				}
			}
		}
	}
	for _, c := range w.candList {
		str(c.Product, c.Version, c.Order, c.Tag, c.Channel)
		str(c.Except...)
		str(c.Requires...)
	}
}

// intern returns the position of the set of cs in setList.
func (w *writer) intern(cs []Candidate) int {
	id := slice{unsafe.SliceData(cs), len(cs)}
	if i, ok := w.seen[id]; ok {
		return i
	}
	keys := make([]string, len(cs))
	at := make([]int, len(cs))
	for i := range cs {
		keys[i], at[i] = string(encode(nil, &cs[i])), i
	}
	slices.SortFunc(at, func(a, b int) int { return cmp.Compare(keys[a], keys[b]) })
	at = slices.CompactFunc(at, func(a, b int) bool { return keys[a] == keys[b] })
	h := hashSet(keys, at)
	i, ok := w.sets[h]
	if !ok {
		i = len(w.setList)
		w.sets[h] = i
		s := set{hash: h}
		for _, j := range at {
			c, ok := w.cands[keys[j]]
			if !ok {
				c = len(w.candList)
				w.cands[keys[j]] = c
				w.candList = append(w.candList, &cs[j])
			}
			s.members = append(s.members, c)
		}
		w.setList = append(w.setList, s)
	}
	w.seen[id] = i
	return i
}

// encode appends the canonical encoding of c to b: the same for the same content, different
// for different content, in every version of the format.
func encode(b []byte, c *Candidate) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	list := func(ss []string) {
		ss = sorted(ss)
		b = binary.AppendUvarint(b, uint64(len(ss)))
		for _, s := range ss {
			text(s)
		}
	}
	text(c.Product)
	text(c.Version)
	text(c.Order)
	text(c.Tag)
	text(c.Channel)
	b = put64(b, c.Released, c.CountsFrom, c.WithdrawnAt, c.RetiresAt, c.RevokedAt)
	list(c.Except)
	list(c.Requires)
	return b
}

// hashSet is the content hash of the set whose members have the encodings at these positions,
// which ascend.
func hashSet(encoded []string, at []int) (sum [32]byte) {
	h := sha256.New()
	h.Write([]byte("pullgate candidate set 1\n"))
	var n [binary.MaxVarintLen64]byte
	for _, i := range at {
		h.Write(n[:binary.PutUvarint(n[:], uint64(len(encoded[i])))])
		io.WriteString(h, encoded[i])
	}
	h.Sum(sum[:0])
	return sum
}

// sorted returns ss as a set: sorted, each once.
func sorted(ss []string) []string {
	if len(ss) < 2 {
		return ss
	}
	out := slices.Clone(ss)
	slices.Sort(out)
	return slices.Compact(out)
}

func compareCandidates(a, b *Candidate) int {
	return cmp.Or(
		cmp.Compare(a.Product, b.Product), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Order, b.Order),
		cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Channel, b.Channel),
		cmp.Compare(a.Released, b.Released), cmp.Compare(a.CountsFrom, b.CountsFrom),
		cmp.Compare(a.WithdrawnAt, b.WithdrawnAt), cmp.Compare(a.RetiresAt, b.RetiresAt), cmp.Compare(a.RevokedAt, b.RevokedAt),
		slices.Compare(sorted(a.Except), sorted(b.Except)), slices.Compare(sorted(a.Requires), sorted(b.Requires)))
}

// number gives strings, candidates and sets their final ids.
func (w *writer) number() {
	w.texts = slices.Sorted(maps.Keys(w.strings))
	for i, s := range w.texts {
		w.strings[s] = uint32(i)
	}
	w.candID = order(len(w.candList), func(a, b int) int { return compareCandidates(w.candList[a], w.candList[b]) })
	w.setID = order(len(w.setList), func(a, b int) int {
		return bytes.Compare(w.setList[a].hash[:], w.setList[b].hash[:])
	})
}

// order returns the rank of each of 0 … n-1.
func order(n int, compare func(a, b int) int) []uint32 {
	at := make([]int, n)
	for i := range at {
		at[i] = i
	}
	slices.SortFunc(at, compare)
	rank := make([]uint32, n)
	for r, i := range at {
		rank[i] = uint32(r)
	}
	return rank
}

// inverse turns ranks into positions.
func inverse(rank []uint32) []int {
	at := make([]int, len(rank))
	for i, r := range rank {
		at[r] = i
	}
	return at
}

// list returns the id of ss, in the order given.
func (w *writer) list(ss []string) uint32 {
	var key []byte
	for _, s := range ss {
		key = put32(key, w.strings[s])
	}
	id, ok := w.lists[string(key)]
	if !ok {
		id = uint32(len(w.lists))
		w.lists[string(key)] = id
		w.sec[secListItems] = append(w.sec[secListItems], key...)
		w.sec[secLists] = put32(w.sec[secLists], uint32(len(w.sec[secListItems])/4))
	}
	return id
}

// file puts header, table and sections together.
func (w *writer) file() ([]byte, error) {
	size := headerLen + lastSection*tableEntry
	for id := 1; id <= lastSection; id++ {
		size = align(size) + len(w.sec[id])
	}
	if size > MaxBytes {
		return nil, fmt.Errorf("index: %d bytes, more than %d", size, MaxBytes)
	}
	out := make([]byte, 0, size)
	out = append(out, magic...)
	out = put32(out, version, lastSection)
	at := headerLen + lastSection*tableEntry
	for id := 1; id <= lastSection; id++ {
		at = align(at)
		out = put32(out, uint32(id), flagRequired)
		out = put64(out, int64(at), int64(len(w.sec[id])))
		at += len(w.sec[id])
	}
	for id := 1; id <= lastSection; id++ {
		out = append(out, make([]byte, align(len(out))-len(out))...)
		out = append(out, w.sec[id]...)
	}
	return out, nil
}
