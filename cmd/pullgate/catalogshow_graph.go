package main

import (
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/sync/catalog"
)

// shown is what `catalog show` prints about one reference. Instants are RFC 3339, null when
// unknown or never.
type shown struct {
	Registry   string  `json:"registry"`
	Repository string  `json:"repository"`
	Read       *string `json:"read"`          // when it was last read as a whole
	Tag        string  `json:"tag,omitempty"` // of REPOSITORY:TAG
	Digest     string  `json:"digest,omitempty"`
	FirstSeen  *string `json:"first_seen,omitempty"` // of the tag

	Graph     *shownNode  `json:"graph,omitempty"`
	ReachedBy []shownWay  `json:"reached_by,omitempty"` // of a tag or a digest
	Tags      []shownTag  `json:"tags,omitempty"`       // of a repository
	History   []shownPast `json:"history,omitempty"`    // of a repository or a tag

	products bool
}

// shownNode is a manifest or blob with what it leads to.
type shownNode struct {
	Digest       string            `json:"digest"`
	Kind         string            `json:"kind"` // manifest, config, layer
	MediaType    string            `json:"media_type,omitempty"`
	ArtifactType string            `json:"artifact_type,omitempty"`
	Size         int64             `json:"size,omitempty"`
	Created      *string           `json:"created,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	Cut          string            `json:"cut,omitempty"` // why what it leads to is not shown here

	Children   []*shownNode `json:"children,omitempty"`   // manifests of an index, config and layers of an image
	Referrers  []*shownNode `json:"referrers,omitempty"`  // as a request for them is answered
	Signatures []shownSig   `json:"signatures,omitempty"` // tags that are named after the digest
}

type shownSig struct {
	Tag    string `json:"tag"`
	Digest string `json:"digest"`
}

// shownWay is a version or tag by which a digest is reached.
type shownWay struct {
	Tag       string  `json:"tag"`
	Product   string  `json:"product,omitempty"`
	Version   string  `json:"version,omitempty"`
	Channel   string  `json:"channel,omitempty"`
	Released  *string `json:"released"`
	Retires   *string `json:"retires"` // the tag has left it; when that history ends
	Revoked   *string `json:"revoked"`
	Withdrawn *string `json:"withdrawn"`
}

type shownTag struct {
	Tag       string   `json:"tag"`
	Digest    string   `json:"digest"`
	Versions  []string `json:"versions"`
	Created   *string  `json:"created"`
	FirstSeen *string  `json:"first_seen"`
	Hidden    bool     `json:"hidden,omitempty"` // named after a digest: in no list
}

type shownPast struct {
	Tag     string  `json:"tag"`
	Digest  string  `json:"digest"`
	Created *string `json:"created"`
	Until   string  `json:"until"`
}

// describer describes a repository.
type describer struct {
	x     indexOf
	repo  *catalog.Repository
	nodes int
}

// mostNodes bounds a graph: indexes that share their children many times over would never end.
const mostNodes = 10_000

// describe describes a repository, a tag or a digest of it; nil for what is not known.
func describe(x indexOf, repo *catalog.Repository, tag, digest string) *shown {
	d := &describer{x: x, repo: repo}
	s := &shown{Registry: x.repo.Registry(), Repository: x.repo.Name(), Tag: tag, Digest: digest, products: x.products}
	if repo.Read != 0 {
		s.Read = instant(repo.Read)
	}
	switch {
	case tag != "":
		t, ok := repo.Tags[tag]
		if !ok && len(repo.History[tag]) == 0 {
			return nil
		}
		s.Digest, s.History = t.Digest, d.history(tag)
		if ok {
			s.FirstSeen = since(t.Seen)
		}
	case digest == "":
		s.Tags = d.tags()
		for _, t := range slices.Sorted(maps.Keys(repo.History)) {
			s.History = append(s.History, d.history(t)...)
		}
	}
	if s.Digest == "" {
		return s
	}
	node, reached := x.repo.Node(digestOf(s.Digest))
	if !reached && repo.Manifests[s.Digest] == nil {
		return nil
	}
	s.Graph = d.node("manifest", s.Digest, map[string]bool{})
	if reached {
		if node.Kind == index.Blob {
			s.Graph.Kind = "blob"
		}
		for _, c := range x.Set(node.Set) {
			w := way(c)
			if !x.products {
				w.Product = ""
			}
			s.ReachedBy = append(s.ReachedBy, w)
		}
	}
	return s
}

func way(c index.Candidate) shownWay {
	return shownWay{
		Tag: c.Tag, Product: c.Product, Version: c.Version, Channel: c.Channel,
		Released: since(c.Released), Retires: instant(c.RetiresAt), Revoked: instant(c.RevokedAt), Withdrawn: instant(c.WithdrawnAt),
	}
}

func (d *describer) tags() []shownTag {
	out := []shownTag{}
	for _, name := range slices.Sorted(maps.Keys(d.repo.Tags)) {
		t := d.repo.Tags[name]
		s := shownTag{Tag: name, Digest: t.Digest, Versions: []string{}, Created: d.created(t.Digest), FirstSeen: since(t.Seen)}
		if e, ok := d.x.repo.Tag(name); ok {
			s.Hidden = e.Hidden
			for _, c := range d.x.Set(e.Set) {
				if c.Version != "" && !e.Hidden {
					s.Versions = append(s.Versions, c.Version)
				}
			}
		}
		out = append(out, s)
	}
	return out
}

func (d *describer) history(tag string) (out []shownPast) {
	for _, p := range d.repo.History[tag] {
		out = append(out, shownPast{tag, p.Digest, d.created(p.Digest), instantText(p.Until)})
	}
	return out
}

func (d *describer) created(digest string) *string {
	if m := d.repo.Manifests[digest]; m != nil {
		return since(m.Created)
	}
	return nil
}

// node describes a digest and what it leads to. above are the digests on the way here.
func (d *describer) node(kind, digest string, above map[string]bool) *shownNode {
	n := &shownNode{Digest: digest, Kind: kind}
	d.nodes++
	switch {
	case above[digest]:
		n.Cut = "it is above itself"
		return n
	case d.nodes > mostNodes:
		n.Cut = "too much to show; ask for its digest"
		return n
	}
	above[digest] = true
	defer delete(above, digest)
	if m := d.repo.Manifests[digest]; m != nil {
		n.MediaType, n.ArtifactType, n.Size, n.Created = m.MediaType, m.ArtifactType, m.Size, since(m.Created)
		n.Annotations, n.Subject = m.Annotations, m.Subject
		for _, c := range m.Index {
			n.Children = append(n.Children, d.node("manifest", c, above))
		}
		if m.Config != "" {
			n.Children = append(n.Children, &shownNode{Digest: m.Config, Kind: "config"})
		}
		for _, l := range m.Layers {
			n.Children = append(n.Children, &shownNode{Digest: l, Kind: "layer"})
		}
	}
	for _, r := range d.x.repo.Referrers(digestOf(digest)) {
		n.Referrers = append(n.Referrers, d.node("manifest", "sha256:"+hex.EncodeToString(r.Digest[:]), above))
	}
	named := "sha256-" + strings.TrimPrefix(digest, "sha256:")
	for _, tag := range slices.Sorted(maps.Keys(d.repo.Tags)) {
		if tag == named || strings.HasPrefix(tag, named+".") {
			n.Signatures = append(n.Signatures, shownSig{tag, d.repo.Tags[tag].Digest})
		}
	}
	return n
}

// digestOf is a digest without its algorithm; zero for none.
func digestOf(text string) (d index.Digest) {
	_, _ = hex.Decode(d[:], []byte(strings.TrimPrefix(text, "sha256:"))) // checked where it was read
	return d
}

// since is an instant, nil for always.
func since(at int64) *string {
	if at == authz.Always {
		return nil
	}
	return instant(at)
}
