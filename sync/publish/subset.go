package publish

import (
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies/version"
	"github.com/pullgate/pullgate/sync/catalog"
)

// subset is what a bundle of chosen customers is made of. It goes to a place that the vendor does not
// run, so it holds nothing about other customers, and no product or repository that neither a license
// of theirs nor a Public document names.
func subset(set *license.Set, catalogs map[string]*catalog.Catalog, customers []string) (*license.Set, map[string]*catalog.Catalog) {
	chosen := func(id string) bool { return slices.Contains(customers, id) }
	out := &license.Set{Registries: slices.Clone(set.Registries), Plans: set.Plans, Public: set.Public}
	products, patterns := map[string]bool{}, []string{}
	for _, c := range set.Customers {
		if chosen(c.ID) {
			out.Customers = append(out.Customers, c)
		}
	}
	for _, l := range set.Licenses {
		if !chosen(l.Customer) {
			continue
		}
		out.Licenses = append(out.Licenses, l)
		for _, g := range l.Grants {
			if g.Product != "" {
				products[g.Product] = true
			} else {
				patterns = append(patterns, g.Repository)
			}
		}
	}
	for _, p := range set.Public {
		patterns = append(patterns, p.Repositories...)
	}
	named := func(repository string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool { return version.MatchRepository(p, repository) })
	}
	// A product tells what is a version in its repositories: it comes with each of them.
	theirs := map[[2]string]bool{} // registry, repository
	for _, p := range set.Products {
		has := slices.ContainsFunc(p.Repositories, func(r license.ProductRepository) bool { return named(r.Name) })
		if !products[p.ID] && !has {
			continue
		}
		products[p.ID] = true
		out.Products = append(out.Products, p)
		for _, r := range p.Repositories {
			theirs[[2]string{p.Registry, r.Name}] = true
		}
	}
	for _, r := range set.Releases {
		if !products[r.Product] {
			continue
		}
		if w := r.Withdrawn; w != nil {
			only := *w
			only.Except = nil
			for _, id := range w.Except {
				if chosen(id) {
					only.Except = append(only.Except, id)
				}
			}
			r.Withdrawn = &only
		}
		out.Releases = append(out.Releases, r)
	}
	cats := map[string]*catalog.Catalog{}
	for id, c := range catalogs {
		only := &catalog.Catalog{Registry: c.Registry, Repositories: map[string]*catalog.Repository{}}
		for name, r := range c.Repositories {
			if theirs[[2]string{id, name}] || named(name) {
				only.Repositories[name] = r
			}
		}
		cats[id] = only
	}
	for i := range out.Registries {
		r := &out.Registries[i]
		r.RevokedDigests = slices.DeleteFunc(slices.Clone(r.RevokedDigests), func(d license.RevokedDigest) bool {
			return !theirs[[2]string{r.ID, d.Repository}] && !named(d.Repository)
		})
	}
	return out, cats
}

// Missing returns the chosen customers that a set does not have.
func Missing(set *license.Set, customers []string) []string {
	return slices.DeleteFunc(slices.Clone(customers), func(id string) bool { return set.Customer(strings.TrimSpace(id)) != nil })
}
