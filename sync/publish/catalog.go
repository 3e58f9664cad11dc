package publish

import (
	"errors"
	"maps"
	"slices"

	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// Repositories hands a catalog over to the compiler. A catalog that names no registry is
// that of the only one in the set.
func Repositories(cats []*catalog.Catalog, set *license.Set) ([]compile.Repository, error) {
	var out []compile.Repository
	for _, c := range cats {
		registry := c.Registry
		if registry == "" {
			if len(set.Registries) != 1 {
				return nil, errors.New("catalog: say `registry: ID`; the license files have more than one registry")
			}
			registry = set.Registries[0].ID
		}
		for _, name := range slices.Sorted(maps.Keys(c.Repositories)) {
			out = append(out, repository(registry, name, c.Repositories[name]))
		}
	}
	return out, nil
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
		Registry: registry, Name: name,
		Tags:      make(map[string]compile.Tag, len(r.Tags)),
		History:   make(map[string][]compile.Past, len(r.History)),
		Manifests: make(map[string]*compile.Manifest, len(r.Manifests)),
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
