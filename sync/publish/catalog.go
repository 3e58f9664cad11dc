package publish

import (
	"errors"
	"maps"
	"slices"

	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// Repositories hands a catalog over to the compiler. A catalog that names no registry, as one
// written by hand may, is that of the only one; where there are several, a repository belongs
// to the registries of the products that have it, or to all when none has.
func Repositories(cats []*catalog.Catalog, set *license.Set) ([]compile.Repository, error) {
	if len(set.Registries) == 0 && len(cats) > 0 {
		return nil, errors.New("a catalog, and no license file has a Registry that it could be of")
	}
	var out []compile.Repository
	for _, c := range cats {
		for _, name := range slices.Sorted(maps.Keys(c.Repositories)) {
			registries := []string{c.Registry}
			if c.Registry == "" {
				registries = registriesOf(name, set)
			}
			for _, registry := range registries {
				out = append(out, repository(registry, name, c.Repositories[name]))
			}
		}
	}
	return out, nil
}

func registriesOf(name string, set *license.Set) []string {
	var of, all []string
	for i := range set.Registries {
		all = append(all, set.Registries[i].ID)
	}
	for i := range set.Products {
		p := &set.Products[i]
		has := slices.ContainsFunc(p.Repositories, func(r license.ProductRepository) bool { return r.Name == name })
		if has && !slices.Contains(of, p.Registry) {
			of = append(of, p.Registry)
		}
	}
	if len(of) == 0 {
		return all
	}
	return of
}

// ReadCatalog parses a kind: Catalog file for the compiler.
func ReadCatalog(name string, data []byte, set *license.Set) ([]compile.Repository, error) {
	cats, err := catalog.Read(name, data)
	if err != nil {
		return nil, err
	}
	return Repositories(cats, set)
}

func repository(registry, name string, r *catalog.Repository) compile.Repository {
	out := compile.Repository{
		Registry: registry, Name: name, Key: r,
		Tags:      make(map[string]compile.Tag, len(r.Tags)),
		History:   make(map[string][]compile.Past, len(r.History)),
		Manifests: make(map[string]*compile.Manifest, len(r.Manifests)),
		Referrers: r.Referrers,
	}
	for t, v := range r.Tags {
		out.Tags[t] = compile.Tag(v)
	}
	for t, list := range r.History {
		for _, p := range list {
			out.History[t] = append(out.History[t], compile.Past(p))
		}
	}
	for d, m := range r.Manifests {
		cm := compile.Manifest(*m)
		out.Manifests[d] = &cm
	}
	return out
}
