package compile

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/policies/version"
)

// Media types of manifests that do not say theirs (OCI image-spec).
const (
	mediaTypeManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaTypeIndex    = "application/vnd.oci.image.index.v1+json"
)

// parseDigest reads "sha256:HEX".
func parseDigest(s string) (d index.Digest, ok bool) {
	text, found := strings.CutPrefix(s, "sha256:")
	if !found || len(text) != hex.EncodedLen(len(d)) {
		return d, false
	}
	for i := range d {
		high, low := lowerHex(text[2*i]), lowerHex(text[2*i+1])
		if high > 15 || low > 15 {
			return index.Digest{}, false
		}
		d[i] = high<<4 | low
	}
	return d, true
}

// lowerHex is the value of a digit, more than 15 for what is none.
func lowerHex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 255
}

// builder makes the index of one repository.
type builder struct {
	*repository
	graph *graph
	other int // digests that no request can name

	now, ever map[string][]versionTag // by digest: the versions that name it, or did
	roots     map[int32][]index.Candidate
	order     []int32 // of roots
	sets      map[string][]index.Candidate
}

func newBuilder(r *repository) *builder {
	return &builder{
		repository: r, graph: newGraph(), now: map[string][]versionTag{}, ever: map[string][]versionTag{},
		roots: map[int32][]index.Candidate{}, sets: map[string][]index.Candidate{},
	}
}

// build compiles the repository.
func (b *builder) build() index.Repository {
	b.manifests()
	b.revocations()
	b.names()
	b.listed()
	b.referrerTags()
	nodes := b.candidateSets()

	out := index.Repository{
		Registry: b.registry.ID, Name: b.Name, Chart: b.chart, Referrers: map[index.Digest][]index.Descriptor{},
	}
	if b.product != nil {
		out.Product = b.product.ID
	}
	for i, cs := range nodes {
		n := &b.graph.nodes[i]
		if len(cs) == 0 {
			continue // nothing reaches it: as unknown as what is not here
		}
		kind := index.Blob
		if n.manifest {
			kind = index.Manifest
		}
		out.Nodes = append(out.Nodes, index.Node{Digest: n.digest, Kind: kind, Candidates: cs})
		for r := range n.listed {
			out.Referrers[n.digest] = append(out.Referrers[n.digest], b.descriptor(r))
		}
		slices.SortFunc(out.Referrers[n.digest], func(a, b index.Descriptor) int {
			return slices.Compare(a.Digest[:], b.Digest[:])
		})
	}
	slices.SortFunc(out.Nodes, func(a, b index.Node) int { return bytes.Compare(a.Digest[:], b.Digest[:]) })
	for _, name := range slices.Sorted(maps.Keys(b.Tags)) {
		d, ok := parseDigest(b.Tags[name].Digest)
		if !ok {
			continue
		}
		t := index.Tag{Name: name, Digest: d}
		l := limit{revoked: b.graph.nodes[b.graph.id(d)].revoked, retires: index.Never}
		if named, ok := digestTag(name); ok {
			t.Hidden = true
			t.Candidates = reduce(within(nodes[b.graph.id(named)], l))
		} else {
			t.Candidates = within(b.candidates(name, b.Tags[name].Digest, b.now[b.Tags[name].Digest]), l)
		}
		out.Tags = append(out.Tags, t)
	}
	return out
}

// digestTag is the digest that a digest-like tag names.
func digestTag(tag string) (index.Digest, bool) {
	text, ok := version.DigestTag(tag)
	if !ok {
		return index.Digest{}, false
	}
	return parseDigest("sha256:" + text)
}

// id is the node of a digest; false, and counted, for one that no request can name.
func (b *builder) id(digest string, manifest bool) (int32, bool) {
	d, ok := parseDigest(digest)
	if !ok {
		b.other++
		return 0, false
	}
	if manifest {
		return b.graph.manifestID(d), true
	}
	return b.graph.id(d), true
}

// manifests adds the nodes and what manifests say of each other.
func (b *builder) manifests() {
	g := b.graph
	for _, digest := range slices.Sorted(maps.Keys(b.Manifests)) {
		m := b.Manifests[digest]
		from, ok := b.id(digest, true)
		if !ok || m == nil {
			continue
		}
		for _, child := range m.Index {
			if to, ok := b.id(child, true); ok {
				g.nodes[from].children = append(g.nodes[from].children, to)
			}
		}
		blobs := m.Layers
		if m.Config != "" {
			blobs = append([]string{m.Config}, blobs...)
		}
		for _, blob := range blobs {
			if to, ok := b.id(blob, false); ok {
				g.nodes[from].blobs = append(g.nodes[from].blobs, to)
			}
		}
		if m.Subject != "" {
			if subject, ok := b.id(m.Subject, true); ok {
				g.nodes[subject].referrers = append(g.nodes[subject].referrers, from)
			}
		}
	}
}

// revocations marks the digests that the registry revokes in this repository.
func (b *builder) revocations() {
	for _, r := range b.registry.RevokedDigests {
		if r.Repository != b.Name {
			continue
		}
		if n, ok := b.id(r.Digest, false); ok {
			b.graph.nodes[n].revoked = min(b.graph.nodes[n].revoked, r.At)
		}
	}
}

// names adds the tags, now and earlier: which versions name a digest, the candidates that
// start from it, and the signatures of the digests that digest-like tags name.
func (b *builder) names() {
	tags := slices.Sorted(maps.Keys(b.Tags))
	history := slices.Sorted(maps.Keys(b.History))
	for _, tag := range tags {
		if v, ok := b.versionOf(tag); ok {
			digest := b.Tags[tag].Digest
			b.now[digest], b.ever[digest] = append(b.now[digest], v), append(b.ever[digest], v)
		}
	}
	for _, tag := range history {
		if v, ok := b.versionOf(tag); ok {
			for _, past := range b.History[tag] {
				b.ever[past.Digest] = append(b.ever[past.Digest], v)
			}
		}
	}
	for _, tag := range tags {
		digest := b.Tags[tag].Digest
		b.name(tag, digest, index.Never, b.now[digest])
	}
	for _, tag := range history {
		for _, past := range b.History[tag] {
			b.name(tag, past.Digest, b.retires(past.Until), b.ever[past.Digest])
		}
	}
}

func (b *builder) name(tag, digest string, retires int64, naming []versionTag) {
	to, ok := b.id(digest, true)
	if !ok {
		return
	}
	if named, ok := digestTag(tag); ok {
		n := b.graph.id(named)
		b.graph.nodes[n].signed = append(b.graph.nodes[n].signed, signature{to, retires})
		return
	}
	if _, known := b.roots[to]; !known {
		b.order = append(b.order, to)
	}
	cs := b.candidates(tag, digest, naming)
	b.roots[to] = append(b.roots[to], within(cs, limit{revoked: index.Never, retires: retires})...)
}

// listed adds the referrers that the registry lists. A manifest that names another subject is
// none, and neither is one that is unknown.
func (b *builder) listed() {
	for _, subject := range slices.Sorted(maps.Keys(b.Referrers)) {
		d, ok := parseDigest(subject)
		if !ok {
			continue
		}
		for _, r := range b.Referrers[subject] {
			b.refer(b.graph.manifestID(d), r)
		}
	}
}

// refer adds a referrer whose manifest does not say of what.
func (b *builder) refer(subject int32, referrer string) {
	m := b.Manifests[referrer]
	if m == nil || m.Subject != "" {
		return // unknown, or added where it belongs
	}
	if from, ok := b.id(referrer, true); ok && from != subject {
		b.graph.nodes[subject].referrers = append(b.graph.nodes[subject].referrers, from)
	}
}

// referrerTags adds the referrers that clients keep in an index tagged sha256-HEX, where a
// registry has no referrers API (OCI distribution-spec, referrers tag schema). A manifest
// that names another subject is none.
func (b *builder) referrerTags() {
	for tag, t := range b.Tags {
		named, ok := digestTag(tag)
		m := b.Manifests[t.Digest]
		if !ok || m == nil || strings.Contains(tag, ".") {
			continue
		}
		subject := b.graph.id(named)
		for _, child := range m.Index {
			b.refer(subject, child)
		}
	}
}

// candidateSets returns the candidates of each node. Nodes that the same roots reach in the
// same way share one slice.
func (b *builder) candidateSets() [][]index.Candidate {
	slices.Sort(b.order)
	ways := make([][]byte, len(b.graph.nodes)) // of each node: roots and limits, encoded
	for _, root := range b.order {
		for _, to := range b.graph.reach(root) {
			for _, l := range to.limits {
				way := binary.AppendUvarint(ways[to.node], uint64(root))
				way = binary.AppendVarint(way, l.revoked)
				ways[to.node] = binary.AppendVarint(way, l.retires)
			}
		}
	}
	out := make([][]index.Candidate, len(ways))
	for n, way := range ways {
		if len(way) == 0 {
			continue
		}
		set, ok := b.sets[string(way)]
		if !ok {
			set = b.set(way)
			b.sets[string(way)] = set
		}
		out[n] = set
	}
	return out
}

func (b *builder) set(way []byte) []index.Candidate {
	var cs []index.Candidate
	for len(way) > 0 {
		root, n := binary.Uvarint(way)
		revoked, m := binary.Varint(way[n:])
		retires, k := binary.Varint(way[n+m:])
		way = way[n+m+k:]
		cs = append(cs, within(b.roots[int32(root)], limit{revoked, retires})...)
	}
	return reduce(cs)
}

// descriptor describes a manifest as a referrer.
func (b *builder) descriptor(n int32) index.Descriptor {
	d := b.graph.nodes[n].digest
	out := index.Descriptor{Digest: d, MediaType: mediaTypeManifest}
	m := b.Manifests["sha256:"+hex.EncodeToString(d[:])]
	if m == nil {
		return out
	}
	switch {
	case m.MediaType != "":
		out.MediaType = m.MediaType
	case len(m.Index) > 0:
		out.MediaType = mediaTypeIndex
	}
	out.Size, out.ArtifactType, out.Annotations = m.Size, m.ArtifactType, m.Annotations
	return out
}
