package compile

import (
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies/version"
)

// annotationVersion is what an image says its version is.
const annotationVersion = "org.opencontainers.image.version"

// product is a Product with its Release documents.
type product struct {
	*license.Product
	releases     map[string]*license.Release // by version text
	repositories []*repository               // of the catalog, in file order, those with versions
}

// release finds the document about a version: its own, else that of its base version.
func (p *product) release(v, base version.Version) *license.Release {
	if r := p.releases[v.String()]; r != nil {
		return r
	}
	return p.releases[base.String()]
}

// candidate is version v of the product, which counts as base, with the facts of its
// Release document; created dates it where the document does not.
func (p *product) candidate(v, base version.Version, created int64) index.Candidate {
	c := dated(created)
	c.Product, c.Version, c.Order, c.Channel = p.ID, base.String(), base.Order(), base.Channel()
	c.Requires = p.Requires
	if r := p.release(v, base); r != nil {
		if r.Released != nil {
			c.Released, c.CountsFrom = *r.Released, *r.Released
		}
		if r.CountsFrom != nil {
			c.CountsFrom = *r.CountsFrom
		}
		if r.Channel != "" {
			c.Channel = strings.ToLower(r.Channel)
		}
		if w := r.Withdrawn; w != nil {
			c.WithdrawnAt, c.Except = w.At, union(w.Except, nil)
		}
		c.Requires = r.Requires
	}
	c.Requires = union(p.Requires, c.Requires)
	return c
}

// dated is a candidate without a version: only its date is known.
func dated(created int64) index.Candidate {
	return index.Candidate{
		Released: created, CountsFrom: created,
		WithdrawnAt: index.Never, RetiresAt: index.Never, RevokedAt: index.Never,
	}
}

// union is sorted, each once; nil when empty.
func union(a, b []string) []string {
	if len(a)+len(b) == 0 {
		return nil
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// versionTag is a tag that is a version of its repository's product.
type versionTag struct{ v, base version.Version }

// versionOf reads a tag as a version; false for floating tags and in repositories whose
// tags are not versions.
func (r *repository) versionOf(tag string) (versionTag, bool) {
	if r.product == nil {
		return versionTag{}, false
	}
	v, base, ok := version.FromTag(tag, r.chart, r.product.Variants)
	return versionTag{v, base}, ok
}

// annotated is the version that a manifest states in its annotation.
func (r *repository) annotated(digest string) (versionTag, bool) {
	m := r.Manifests[digest]
	if r.product == nil || m == nil || m.Annotations[annotationVersion] == "" {
		return versionTag{}, false
	}
	v, err := version.Parse(m.Annotations[annotationVersion])
	return versionTag{v, v.WithoutVariant(r.product.Variants)}, err == nil
}

// created is the date of a manifest.
func (r *repository) created(digest string) int64 {
	if m := r.Manifests[digest]; m != nil {
		return m.Created
	}
	return index.Always
}

// candidates are those of a tag at a digest: of a version tag that version; of a floating
// tag the versions it stands for, which naming lists, else the one its manifest states, else
// the tag alone.
func (r *repository) candidates(tag, digest string, naming []versionTag) []index.Candidate {
	created := r.created(digest)
	if v, ok := r.versionOf(tag); ok {
		naming = []versionTag{v}
	} else if len(naming) == 0 {
		if v, ok := r.annotated(digest); ok {
			naming = []versionTag{v}
		}
	}
	if len(naming) == 0 {
		c := dated(created)
		c.Tag = tag
		return []index.Candidate{c}
	}
	out := make([]index.Candidate, 0, len(naming))
	for _, v := range naming {
		c := r.product.candidate(v.v, v.base, created)
		c.Tag = tag
		out = append(out, c)
	}
	return reduce(out)
}

// retires is the end of the time for which a digest stays reachable as what it was, after
// its tag left it at until.
func (r *repository) retires(until int64) int64 {
	if until == index.Never {
		return index.Never
	}
	return r.registry.History.AddTo(time.Unix(until, 0).UTC()).Unix()
}
