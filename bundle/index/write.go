package index

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// write fills the sections, everything in the order of its ids.
func (w *writer) write(b *Builder) error {
	w.sec[secStrings] = put32(nil, 0)
	for _, s := range w.texts {
		w.sec[secText] = append(w.sec[secText], s...)
		w.sec[secStrings] = put32(w.sec[secStrings], uint32(len(w.sec[secText])))
	}
	w.sec[secLists] = put32(nil, 0)
	w.list(nil)
	w.writeCandidates()
	if err := w.writeProducts(b.products); err != nil {
		return err
	}
	if err := w.writeReleases(b.releases); err != nil {
		return err
	}
	repos := slices.Clone(b.repos)
	slices.SortFunc(repos, func(a, b Repository) int {
		return cmp.Or(cmp.Compare(a.Registry, b.Registry), cmp.Compare(a.Name, b.Name))
	})
	nodes := 0
	for i := range repos {
		nodes += len(repos[i].Nodes)
	}
	w.sec[secNodes] = make([]byte, 0, nodes*nodeLen)
	for i := range repos {
		r := &repos[i]
		if i > 0 && repos[i-1].Registry == r.Registry && repos[i-1].Name == r.Name {
			return fmt.Errorf("index: repository %s is added twice", r.Name)
		}
		if err := w.writeRepository(r); err != nil {
			return fmt.Errorf("index: repository %s: %w", r.Name, err)
		}
	}
	return nil
}

func (w *writer) writeCandidates() {
	for _, i := range inverse(w.candID) {
		c := w.candList[i]
		s := put32(w.sec[secCandidates], w.strings[c.Product], w.strings[c.Version], w.strings[c.Order],
			w.strings[c.Tag], w.strings[c.Channel], w.list(sorted(c.Except)), w.list(sorted(c.Requires)), 0)
		w.sec[secCandidates] = put64(s, c.Released, c.CountsFrom, c.WithdrawnAt, c.RetiresAt, c.RevokedAt)
	}
	w.sec[secSets] = put32(nil, 0)
	for _, i := range inverse(w.setID) {
		ids := make([]uint32, len(w.setList[i].members))
		for j, m := range w.setList[i].members {
			ids[j] = w.candID[m]
		}
		slices.Sort(ids)
		w.sec[secSetItems] = put32(w.sec[secSetItems], ids...)
		w.sec[secSets] = put32(w.sec[secSets], uint32(len(w.sec[secSetItems])/4))
		w.sec[secSetHashes] = append(w.sec[secSetHashes], w.setList[i].hash[:]...)
	}
}

func (w *writer) writeProducts(products []Product) error {
	products = slices.Clone(products)
	slices.SortFunc(products, func(a, b Product) int { return cmp.Compare(a.ID, b.ID) })
	for i, p := range products {
		if i > 0 && products[i-1].ID == p.ID {
			return fmt.Errorf("index: product %s is added twice", p.ID)
		}
		w.sec[secProducts] = put32(w.sec[secProducts], w.strings[p.ID], w.list(p.Variants), w.list(sorted(p.Requires)), 0)
	}
	return nil
}

func (w *writer) writeReleases(releases []Release) error {
	releases = slices.Clone(releases)
	slices.SortFunc(releases, func(a, b Release) int {
		return cmp.Or(cmp.Compare(a.Product, b.Product), cmp.Compare(a.Version, b.Version))
	})
	for i, r := range releases {
		if i > 0 && releases[i-1].Product == r.Product && releases[i-1].Version == r.Version {
			return fmt.Errorf("index: release %s of %s is added twice", r.Version, r.Product)
		}
		s := put32(w.sec[secReleases], w.strings[r.Product], w.strings[r.Version], w.strings[r.Channel],
			w.list(sorted(r.Except)), w.list(sorted(r.Requires)), 0)
		w.sec[secReleases] = put64(s, r.Released, r.CountsFrom, r.WithdrawnAt)
	}
	return nil
}

func (w *writer) writeRepository(r *Repository) error {
	var flags uint32
	if r.Chart {
		flags |= chartFlag
	}
	s := put32(w.sec[secRepos], w.strings[r.Registry], w.strings[r.Name], w.strings[r.Product], flags)
	s = append(s, r.Facts[:]...)
	s = put32(s, uint32(len(w.sec[secTags])/tagLen), uint32(len(r.Tags)))
	s = put32(s, uint32(len(w.sec[secNodes])/nodeLen), uint32(len(r.Nodes)))
	s = put32(s, uint32(len(w.sec[secSubjects])/subjectLen), uint32(len(r.Referrers)))
	w.sec[secRepos] = append(s, make([]byte, 24)...)

	tags := slices.Clone(r.Tags)
	slices.SortFunc(tags, func(a, b Tag) int { return cmp.Compare(a.Name, b.Name) })
	for i, t := range tags {
		if i > 0 && tags[i-1].Name == t.Name {
			return fmt.Errorf("tag %s is added twice", t.Name)
		}
		var flags uint32
		if t.Hidden {
			flags |= hiddenFlag
		}
		s := put32(w.sec[secTags], w.strings[t.Name], w.setID[w.intern(t.Candidates)], flags)
		w.sec[secTags] = append(s, t.Digest[:]...)
	}

	nodes := r.Nodes
	byDigest := func(a, b Node) int { return bytes.Compare(a.Digest[:], b.Digest[:]) }
	if !slices.IsSortedFunc(nodes, byDigest) {
		nodes = slices.SortedFunc(slices.Values(nodes), byDigest)
	}
	for i, n := range nodes {
		if i > 0 && nodes[i-1].Digest == n.Digest {
			return fmt.Errorf("node %s is added twice", hex.EncodeToString(n.Digest[:]))
		}
		if n.Kind != Manifest && n.Kind != Blob {
			return fmt.Errorf("node %s has kind %d", hex.EncodeToString(n.Digest[:]), n.Kind)
		}
		set := w.setID[w.intern(n.Candidates)]
		if set > maxSetID {
			return fmt.Errorf("more than %d candidate sets", maxSetID)
		}
		w.sec[secNodes] = put32(append(w.sec[secNodes], n.Digest[:]...), set<<kindBits|uint32(n.Kind))
	}
	return w.writeReferrers(r.Referrers)
}

func (w *writer) writeReferrers(referrers map[Digest][]Descriptor) error {
	subjects := slices.SortedFunc(maps.Keys(referrers), func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
	for _, subject := range subjects {
		ds := slices.Clone(referrers[subject])
		slices.SortFunc(ds, func(a, b Descriptor) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
		ds = slices.CompactFunc(ds, sameDescriptor)
		s := append(w.sec[secSubjects], subject[:]...)
		w.sec[secSubjects] = put32(s, uint32(len(w.sec[secDescriptors])/descriptorLen), uint32(len(ds)))
		for i, d := range ds {
			if i > 0 && ds[i-1].Digest == d.Digest {
				return fmt.Errorf("referrer %s of %s has two descriptors", hex.EncodeToString(d.Digest[:]), hex.EncodeToString(subject[:]))
			}
			var pairs []string
			for _, k := range slices.Sorted(maps.Keys(d.Annotations)) {
				pairs = append(pairs, k, d.Annotations[k])
			}
			s := append(w.sec[secDescriptors], d.Digest[:]...)
			s = put64(s, d.Size)
			w.sec[secDescriptors] = put32(s, w.strings[d.MediaType], w.strings[d.ArtifactType], w.list(pairs), 0)
		}
	}
	return nil
}

func sameDescriptor(a, b Descriptor) bool {
	if len(a.Annotations) == 0 && len(b.Annotations) == 0 {
		a.Annotations, b.Annotations = nil, nil
	}
	return reflect.DeepEqual(a, b)
}
