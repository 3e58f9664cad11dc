package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/policies/version"
)

// candidateSet is a set of candidates, decoded.
type candidateSet struct {
	list    []authz.Candidate
	hash    [32]byte
	names   []string // of a tag list: the tags of list
	version string   // the only version among them, or ""
}

// Weights of decoded sets and tag lists that are kept, in candidates (some 1 to 2 KB each).
const (
	hotCandidates = 40_000
	hotListed     = 100_000
)

// Resolve finds what a request is about in the index.
func (g *generation) Resolve(reg authz.Registry, r *authz.Request) authz.Target {
	if r.Kind == authz.KindVersion {
		return g.resolveVersion(r)
	}
	t := authz.Target{Resource: authz.Resource{Registry: reg.ID, Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}}
	repo, ok := g.index.Repository(reg.ID, r.Repository)
	if !ok {
		return t
	}
	t.Repository, t.Facts, t.Resource.Product = true, repo.Facts(), repo.Product()
	var set *candidateSet
	switch {
	case r.Kind == authz.KindTags:
		set = g.tagList(repo)
		t.Names = set.names
	case r.Kind == authz.KindManifest && r.DigestTag:
		set = g.resolveDigestTag(repo, r, &t)
	case r.Kind == authz.KindManifest && r.Tag != "":
		set = g.resolveTag(repo, r.Tag, &t)
	case r.Kind == authz.KindManifest, r.Kind == authz.KindReferrers:
		set = g.resolveDigest(repo, r.Digest, index.Manifest, &t)
	case r.Kind == authz.KindBlob:
		set = g.resolveDigest(repo, r.Digest, index.Blob, &t)
	}
	if set != nil {
		t.Candidates, t.Set = set.list, set.hash
		if t.Resource.Version == "" {
			t.Resource.Version = set.version
		}
	}
	if r.Kind == authz.KindReferrers && t.Reference {
		t.Referrers = referrers(repo, r.Digest)
	}
	return t
}

// resolveTag resolves a tag. One that the index does not have is judged by its text, so that
// what exists outside a license cannot be probed.
func (g *generation) resolveTag(repo index.Repo, tag string, t *authz.Target) *candidateSet {
	if e, ok := repo.Tag(tag); ok {
		t.Reference, t.Resource.Digest = true, digestText(e.Digest)
		set := g.within(g.set(e.Set), g.over.revokedAt(repo, e.Digest))
		if v, _, ok := g.tagVersion(repo, tag); ok {
			t.Resource.Version = v.String()
		}
		return set
	}
	v, base, ok := g.tagVersion(repo, tag)
	if !ok {
		return newSet(unknownCandidate(tag))
	}
	t.Resource.Version = v.String()
	return newSet(g.versionCandidate(repo.Product(), v, base, tag))
}

// tagVersion is the version that a tag of this repository is.
func (g *generation) tagVersion(repo index.Repo, tag string) (v, base version.Version, ok bool) {
	if repo.Product() == "" {
		return v, base, false
	}
	p, _ := g.index.Product(repo.Product())
	return version.FromTag(tag, repo.Chart(), p.Variants)
}

// resolveDigestTag judges a digest-like tag as the digest it names. The candidates of one that
// exists are those of the named digest on the way to what the tag delivers, which may itself
// be revoked. An absent one is judged alike, and is unknown.
func (g *generation) resolveDigestTag(repo index.Repo, r *authz.Request, t *authz.Target) *candidateSet {
	t.Resource.Digest = ""
	named, ok := digestOf(r.Digest)
	revoked := index.Never
	if ok {
		revoked = g.over.revokedAt(repo, named)
	}
	if e, ok := repo.Tag(r.Tag); ok {
		t.Reference, t.Resource.Digest = true, digestText(e.Digest)
		return g.within(g.set(e.Set), min(revoked, g.over.revokedAt(repo, e.Digest)))
	}
	if n, found := repo.Node(named); ok && found {
		return g.within(g.set(n.Set), revoked)
	}
	return nil
}

// resolveDigest resolves a digest; one of another kind is as good as unknown.
func (g *generation) resolveDigest(repo index.Repo, digest string, kind index.Kind, t *authz.Target) *candidateSet {
	d, ok := digestOf(digest)
	if !ok {
		return nil
	}
	n, ok := repo.Node(d)
	if !ok || n.Kind != kind {
		return nil
	}
	t.Reference = true
	return g.within(g.set(n.Set), g.over.revokedAt(repo, d))
}

// resolveVersion resolves a question about a version of a product, by its text and what is
// known of the release.
func (g *generation) resolveVersion(r *authz.Request) authz.Target {
	t := authz.Target{
		Resource:   authz.Resource{Product: r.Product, Version: r.Version},
		Repository: true, Reference: true,
	}
	p, _ := g.index.Product(r.Product)
	c := unknownCandidate("")
	// No tag: build metadata is written with '+', and is no part of the version.
	if v, err := version.Parse(r.Version); err == nil {
		c = g.versionCandidate(r.Product, v, v.WithoutVariant(p.Variants), "")
		t.Resource.Version = v.String()
	}
	set := newSet(c)
	t.Candidates, t.Set = set.list, set.hash
	return t
}

// unknownCandidate is a tag that is no version and of which nothing is known.
func unknownCandidate(tag string) authz.Candidate {
	return authz.Candidate{
		Tag: tag, Released: authz.Always, CountsFrom: authz.Always,
		WithdrawnAt: authz.Never, RetiresAt: authz.Never, RevokedAt: authz.Never,
	}
}

// versionCandidate is a version with the facts of its release, or of its base version's, or
// those of its text alone.
func (g *generation) versionCandidate(product string, v, base version.Version, tag string) authz.Candidate {
	c := unknownCandidate(tag)
	c.Product, c.Version, c.Order, c.Channel = product, base.String(), base.Order(), base.Channel()
	rel, ok := g.index.Release(product, v.String())
	if !ok && base.String() != v.String() {
		rel, ok = g.index.Release(product, base.String())
	}
	if !ok {
		p, _ := g.index.Product(product)
		c.Requires = p.Requires
		return c
	}
	c.Channel, c.Released, c.CountsFrom = rel.Channel, rel.Released, rel.CountsFrom
	c.WithdrawnAt, c.Except, c.Requires = rel.WithdrawnAt, rel.Except, rel.Requires
	return c
}

// set returns a candidate set of the index, decoded.
func (g *generation) set(id index.SetID) *candidateSet {
	if s, ok := g.sets.get(id); ok {
		return s
	}
	list := candidatesOf(g.index.Set(id))
	s := &candidateSet{list: list, hash: g.index.SetHash(id), version: onlyVersion(list)}
	g.sets.put(id, s, len(s.list)+1)
	return s
}

// tagList returns the candidates of all tags that may be listed.
func (g *generation) tagList(repo index.Repo) *candidateSet {
	key := [2]string{repo.Registry(), repo.Name()}
	if s, ok := g.lists.get(key); ok {
		return s
	}
	var list []authz.Candidate
	var names []string
	h := sha256.New()
	for e := range repo.Tags() {
		if e.Hidden {
			continue
		}
		set := g.within(g.set(e.Set), g.over.revokedAt(repo, e.Digest))
		h.Write(text(nil, e.Name))
		h.Write(set.hash[:])
		for _, c := range set.list {
			list, names = append(list, c), append(names, e.Name)
		}
	}
	s := &candidateSet{list: list, names: names}
	h.Sum(s.hash[:0])
	g.lists.put(key, s, len(list)+1)
	return s
}

// newSet makes a set of candidates that is not the index's.
func newSet(list ...authz.Candidate) *candidateSet {
	return &candidateSet{list: list, hash: hashCandidates(list), version: onlyVersion(list)}
}

// onlyVersion is the only version among candidates, or "".
func onlyVersion(list []authz.Candidate) (only string) {
	for i := range list {
		switch v := list[i].Version; {
		case v == "" || v == only:
		case only == "":
			only = v
		default:
			return ""
		}
	}
	return only
}

// hashCandidates is a content hash of candidates. It never equals a hash of the index, whose
// prefix is another.
func hashCandidates(list []authz.Candidate) [32]byte {
	b := []byte("pullgate candidates by text 1\n")
	for i := range list {
		c := &list[i]
		for _, s := range [...]string{c.Product, c.Version, c.Order, c.Tag, c.Channel} {
			b = text(b, s)
		}
		for _, t := range [...]int64{c.Released, c.CountsFrom, c.WithdrawnAt, c.RetiresAt, c.RevokedAt} {
			b = binary.BigEndian.AppendUint64(b, uint64(t))
		}
		for _, l := range [...][]string{c.Except, c.Requires} {
			b = binary.AppendUvarint(b, uint64(len(l)))
			for _, s := range l {
				b = text(b, s)
			}
		}
	}
	return sha256.Sum256(b)
}

// digestOf decodes "sha256:" and 64 hex digits.
func digestOf(s string) (d index.Digest, ok bool) {
	text, ok := strings.CutPrefix(s, "sha256:")
	if !ok || len(text) != 2*len(d) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(text))
	return d, err == nil
}

func digestText(d index.Digest) string { return "sha256:" + hex.EncodeToString(d[:]) }

func referrers(repo index.Repo, digest string) []authz.Descriptor {
	d, _ := digestOf(digest)
	list := repo.Referrers(d)
	out := make([]authz.Descriptor, len(list))
	for i, r := range list {
		out[i] = authz.Descriptor{
			MediaType: r.MediaType, Digest: digestText(r.Digest), Size: r.Size,
			ArtifactType: r.ArtifactType, Annotations: r.Annotations,
		}
	}
	return out
}
