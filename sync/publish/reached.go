package publish

import (
	"maps"
	"slices"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

// reached is an index of the repositories in which a set revokes digests, for what only those reach: of the
// draft, the bundle that is not published, or where there is none of the catalogs and of what the published
// bundle says of products. That is for a set with mistakes, which cannot be compiled. It is nil when no digest
// is revoked.
func (o *outlet) reached(draft *bundle.Bundle, set *license.Set) (*index.Index, error) {
	if !slices.ContainsFunc(set.Registries, func(r license.Registry) bool { return len(r.RevokedDigests) > 0 }) {
		return nil, nil
	}
	if draft != nil {
		return index.Open(draft.File(bundle.IndexPath))
	}
	x, err := index.Open(o.current.File(bundle.IndexPath))
	if err != nil {
		return nil, err
	}
	in := &compile.Input{Set: &license.Set{}, Kept: &o.reaching, Modules: policies.Modules(), Name: o.Name}
	products := map[string]*license.Product{}
	for _, r := range set.Registries {
		in.Set.Registries = append(in.Set.Registries, license.Registry{ID: r.ID, RevokedDigests: r.RevokedDigests})
		c, revoked := o.publisher.catalogs[r.ID], map[string]bool{}
		for _, d := range r.RevokedDigests {
			revoked[d.Repository] = true
		}
		for _, name := range slices.Sorted(maps.Keys(revoked)) {
			published, ok := x.Repository(r.ID, name)
			if !ok || c == nil || c.Repositories[name] == nil {
				continue
			}
			in.Catalog = append(in.Catalog, repository(r.ID, name, c.Repositories[name]))
			if id := published.Product(); id != "" {
				if products[id] == nil {
					p, _ := x.Product(id)
					products[id] = &license.Product{ID: id, Registry: r.ID, Variants: p.Variants}
				}
				products[id].Repositories = append(products[id].Repositories, license.ProductRepository{Name: name, Chart: published.Chart(), Versions: true})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(products)) {
		in.Set.Products = append(in.Set.Products, *products[id])
	}
	content, _, err := compile.Compile(in)
	if err != nil {
		return nil, err
	}
	return index.Open(content.Files[bundle.IndexPath])
}
