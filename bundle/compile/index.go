package compile

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies/version"
)

// index makes index.bin: the products, what is known of their versions, and every
// repository of the catalog.
func (c *compiler) index() (text []byte, err error) {
	var products []index.Product
	var releases []index.Release
	for _, id := range slices.Sorted(maps.Keys(c.products)) {
		p := c.products[id]
		products = append(products, index.Product{ID: id, Variants: p.Variants, Requires: union(p.Requires, nil)})
		c.versions[id] = p.versions()
		for _, r := range c.versions[id] {
			releases = append(releases, r.Release)
		}
	}
	repositories, all := make(map[keptName]*keptRepository, len(c.repos)), true
	for _, r := range c.repos {
		facts, err := c.facts(r, c.public[r.Name])
		if err != nil {
			return nil, err
		}
		k, again := c.compiled(r, facts)
		all = all && again
		repositories[keptName{r.registry.ID, r.Name}] = k
		c.warnings = append(c.warnings, k.warnings...)
	}
	text, c.same, err = c.kept.build(products, releases, repositories, all)
	return text, err
}

// knownVersion is what is known of a version by its own text.
type knownVersion struct {
	index.Release
	base version.Version
}

// versions is what is known of the product's versions by their own text, sorted: of a version
// with a tag, that of the tag (the first repository of the product's list, there the first
// tag bytewise; tags before what tags were earlier), else that of its Release document. A
// variant stands in for its base version where nothing else is known of it.
func (p *product) versions() []knownVersion {
	out, variants := map[string]knownVersion{}, map[string]knownVersion{}
	add := func(to map[string]knownVersion, v, base version.Version, created int64) {
		text := v.String()
		if _, ok := to[text]; ok {
			return
		}
		c := p.candidate(v, base, created)
		to[text] = knownVersion{base: base, Release: index.Release{
			Product: p.ID, Version: text, Channel: c.Channel, Released: c.Released, CountsFrom: c.CountsFrom,
			WithdrawnAt: c.WithdrawnAt, Except: c.Except, Requires: c.Requires,
		}}
	}
	tagged := func(v versionTag, created int64) {
		add(out, v.v, v.base, created)
		add(variants, v.base, v.base, created)
	}
	for _, r := range p.repositories {
		for _, tag := range slices.Sorted(maps.Keys(r.Tags)) {
			if v, ok := r.versionOf(tag); ok {
				tagged(v, r.created(r.Tags[tag].Digest))
			}
		}
	}
	for _, r := range p.repositories {
		for _, tag := range slices.Sorted(maps.Keys(r.History)) {
			v, ok := r.versionOf(tag)
			if !ok || len(r.History[tag]) == 0 {
				continue
			}
			last := slices.MaxFunc(r.History[tag], func(a, b Past) int {
				return cmp.Or(cmp.Compare(a.Until, b.Until), cmp.Compare(a.Digest, b.Digest))
			})
			tagged(v, r.created(last.Digest))
		}
	}
	for text, k := range variants {
		if _, ok := out[text]; !ok {
			out[text] = k
		}
	}
	for _, doc := range p.releases {
		add(out, doc.Version, doc.Version.WithoutVariant(p.Variants), index.Always)
	}
	return slices.SortedFunc(maps.Values(out), func(a, b knownVersion) int { return cmp.Compare(a.Version, b.Version) })
}

// facts is the content hash of what a verdict about a repository can depend on besides the
// customer and the candidates (docs/design/cache-key.md): its registry's catalog flag and
// revocations, its product with all Release documents, how it is one of its repositories, and
// the Public documents that open it. Tags and digests are not part of it: candidate sets have
// hashes of their own.
func (c *compiler) facts(r *repository, public []publicDoc) (hash [32]byte, err error) {
	type releaseFacts struct {
		Version, Channel     string
		Released, CountsFrom *int64
		Withdrawn            *license.Withdrawal
		Requires             []string
	}
	doc := struct {
		Registry, Name string
		Listed, Chart  bool
		Public         []publicDoc
		Revoked        [][2]any
		Product        string
		Variants       []string
		Requires       []string
		Releases       []releaseFacts
	}{Registry: r.registry.ID, Name: r.Name, Listed: r.registry.Catalog, Chart: r.chart, Public: public}
	for _, d := range r.registry.RevokedDigests {
		if d.Repository == r.Name {
			doc.Revoked = append(doc.Revoked, [2]any{d.Digest, d.At})
		}
	}
	slices.SortFunc(doc.Revoked, func(a, b [2]any) int {
		return cmp.Or(cmp.Compare(a[0].(string), b[0].(string)), cmp.Compare(a[1].(int64), b[1].(int64)))
	})
	if p := r.product; p != nil {
		doc.Product, doc.Variants, doc.Requires = p.ID, p.Variants, union(p.Requires, nil)
		for _, text := range slices.Sorted(maps.Keys(p.releases)) {
			d := p.releases[text]
			doc.Releases = append(doc.Releases, releaseFacts{
				text, d.Channel, d.Released, d.CountsFrom, d.Withdrawn, union(d.Requires, nil),
			})
		}
	}
	text, err := bundle.CanonicalJSON(doc)
	if err != nil {
		return hash, err
	}
	return sha256.Sum256(text), nil
}
