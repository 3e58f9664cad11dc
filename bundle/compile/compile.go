// Package compile turns licenses, a catalog and the Rego library into the content of a
// bundle: the compiled data that the policy reads (data.go), and the registry index that
// says through which versions and tags a digest may be reached (graph.go).
//
// The result depends on the Input alone, and not on the order of anything in it: the same
// licenses, catalog, modules, serial and issued_at give the same bytes.
package compile

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

// Paths of what Compile writes, beside the modules.
const (
	pathCustomers  = "pullgate/customers/data.json"
	pathKeys       = "pullgate/keys/data.json"
	pathPublic     = "pullgate/public/data.json"
	pathRegistries = "pullgate/registries/data.json"
	pathIdentities = "pullgate/identities/data.json"
	pathRules      = "pullgate/rules/data.json"
)

// Input is everything a bundle is made of. Compile does not change it, and keeps nothing of it but
// in Kept.
type Input struct {
	Set     *license.Set // required
	Catalog []Repository // in any order, each repository once
	Kept    *Kept        // of the Compile before, and for the next; may be nil

	// Modules is the Rego library by its path in the bundle ("pullgate/….rego"), required.
	Modules map[string][]byte
	// Rules are the vendor's modules by file name ("region.rego").
	Rules map[string][]byte

	// Name, Serial, IssuedAt and NotAfter are the bundle's metadata (docs/bundle.md). IssuedAt also
	// decides up to which term renewing licenses are compiled.
	Name     string
	Serial   int64
	IssuedAt int64
	NotAfter int64 // license.Never: none
}

// Warning is something a vendor should look at; it stops nothing.
type Warning struct {
	Pos  license.Position // zero when it is about the catalog
	Kind string           // what many of them have in common, such as "tag patterns that no tag matches"
	Msg  string
}

// String is "FILE:LINE:COLUMN: MESSAGE", or the message where there is no position.
func (w Warning) String() string {
	if w.Pos.File == "" {
		return w.Msg
	}
	return w.Pos.String() + ": " + w.Msg
}

// Compile makes the content of a bundle. Warnings are sorted by position. It fails when the
// catalog contradicts itself or the licenses (a repository twice, a repository without a
// registry while there are several), when the modules are missing or misplaced, when vendor
// rules are refused (policies.Check, with files named "rules/….rego"), or when the index would
// be larger than index.MaxBytes.
func Compile(in *Input) (_ *bundle.Content, _ []Warning, err error) {
	defer func() {
		if err != nil && in.Kept != nil {
			*in.Kept = Kept{} // half of it may be of this Input
		}
	}()
	c, err := newCompiler(in)
	if err != nil {
		return nil, nil, err
	}
	files, err := c.modules()
	if err != nil {
		return nil, nil, err
	}
	digest := bundle.PolicyDigest(files)

	if files[bundle.IndexPath], err = c.index(); err != nil {
		return nil, nil, fmt.Errorf("compile index: %w", err)
	}
	objects := map[string]*bundle.Object{}
	if err := c.data(files, objects); err != nil {
		return nil, nil, err
	}
	c.warnPublic()

	slices.SortFunc(c.warnings, func(a, b Warning) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), a.Pos.Line-b.Pos.Line,
			a.Pos.Column-b.Pos.Column, cmp.Compare(a.Msg, b.Msg))
	})
	return &bundle.Content{
		Name: in.Name, Serial: in.Serial, IssuedAt: in.IssuedAt, NotAfter: in.NotAfter,
		PolicyDigest: digest, Files: files, Objects: objects,
	}, slices.Compact(c.warnings), nil
}

// compiler holds the Input, resolved.
type compiler struct {
	in   *Input
	set  *license.Set
	kept *Kept
	same bool // the index is the last one, so all that it is made of is

	products map[string]*product
	repos    []*repository            // by registry, then name
	byName   map[string][]*repository // one for each registry that has the name
	names    []string                 // sorted, each once

	expanded map[string][]string       // repository pattern → names
	public   map[string][]publicDoc    // repository name → what opens it, by id
	versions map[string][]knownVersion // product → what is known of its versions

	warnings []Warning
	granted  map[string]bool   // grants, by what they say: whether the catalog has something of it
	matched  map[askedTag]bool // tag patterns: whether they match a tag
}

// repository is a repository of the catalog with what the licenses say about it.
type repository struct {
	*Repository
	registry *license.Registry
	product  *product // nil when its tags are not versions
	owner    *license.Product
	chart    bool
}

func newCompiler(in *Input) (*compiler, error) {
	if in.Set == nil {
		return nil, errors.New("compile: no licenses")
	}
	c := &compiler{
		in: in, set: in.Set, kept: cmp.Or(in.Kept, &Kept{}),
		products: map[string]*product{}, byName: map[string][]*repository{}, expanded: map[string][]string{},
		versions: map[string][]knownVersion{}, granted: map[string]bool{}, matched: map[askedTag]bool{},
	}

	for i := range c.set.Products {
		p := &c.set.Products[i]
		c.products[p.ID] = &product{Product: p, releases: map[string]*license.Release{}}
	}
	for i := range c.set.Releases {
		r := &c.set.Releases[i]
		if p := c.products[r.Product]; p != nil {
			p.releases[r.Version.String()] = r
		}
	}
	if err := c.addCatalog(); err != nil {
		return nil, err
	}
	c.public = c.openAll()
	return c, nil
}

// addCatalog resolves each repository's registry and product.
func (c *compiler) addCatalog() error {
	registries := map[string]*license.Registry{}
	for i := range c.set.Registries {
		registries[c.set.Registries[i].ID] = &c.set.Registries[i]
	}
	type key struct{ registry, name string }
	known := map[key]*repository{}
	for i := range c.in.Catalog {
		r := &repository{Repository: &c.in.Catalog[i]}
		switch id := r.Registry; {
		case id != "":
			r.registry = registries[id]
		case len(c.set.Registries) == 1:
			r.registry = &c.set.Registries[0]
		case len(c.set.Registries) > 1:
			return fmt.Errorf("compile: the catalog does not say which of %d registries has %s", len(c.set.Registries), r.Name)
		}
		if r.registry == nil {
			c.warn(license.Position{}, "repository %s: the licenses have no registry %q; it is left out", r.Name, r.Registry)
			continue
		}
		k := key{r.registry.ID, r.Name}
		if known[k] != nil {
			return fmt.Errorf("compile: the catalog has repository %s of registry %s twice", r.Name, r.registry.ID)
		}
		known[k] = r
		c.repos = append(c.repos, r)
		c.byName[r.Name] = append(c.byName[r.Name], r)
	}
	slices.SortFunc(c.repos, func(a, b *repository) int {
		return cmp.Or(cmp.Compare(a.registry.ID, b.registry.ID), cmp.Compare(a.Name, b.Name))
	})
	c.names = slices.Sorted(maps.Keys(c.byName))

	for _, id := range slices.Sorted(maps.Keys(c.products)) {
		p := c.products[id]
		registry := p.Registry
		if registry == "" && len(c.set.Registries) == 1 {
			registry = c.set.Registries[0].ID
		}
		for _, pr := range p.Repositories {
			r := known[key{registry, pr.Name}]
			switch {
			case r == nil:
				if len(c.in.Catalog) > 0 {
					c.warn(p.Pos, "product %s: the catalog has no repository %s", p.ID, pr.Name)
				}
			case r.owner != nil && r.owner != p.Product:
				c.warn(p.Pos, "repository %s belongs to product %s already; it is not one of product %s", pr.Name, r.owner.ID, p.ID)
			default:
				r.owner, r.chart = p.Product, pr.Chart
				if pr.Versions {
					r.product = p
					p.repositories = append(p.repositories, r)
				}
			}
		}
	}
	return nil
}

func (c *compiler) warn(pos license.Position, format string, args ...any) {
	c.warnings = append(c.warnings, Warning{Pos: pos, Kind: "differences from the catalog", Msg: fmt.Sprintf(format, args...)})
}

// modules lays out the Rego library and the vendor's rules.
func (c *compiler) modules() (map[string][]byte, error) {
	if len(c.in.Modules) == 0 {
		return nil, errors.New("compile: no Rego library")
	}
	files := map[string][]byte{}
	for p, text := range c.in.Modules {
		if path.Clean(p) != p || !strings.HasPrefix(p, "pullgate/") || path.Ext(p) != ".rego" {
			return nil, fmt.Errorf("compile: module %q is not pullgate/….rego", p)
		}
		files[p] = text
	}
	shown := make(map[string][]byte, len(c.in.Rules))
	for name, text := range c.in.Rules {
		shown["rules/"+name] = text
		files[policies.RulesDir+name] = text
	}
	if err := policies.Check(shown); err != nil {
		return nil, err
	}
	names, err := policies.RulePackages(shown)
	if err != nil {
		return nil, fmt.Errorf("compile: %w", err)
	}
	listed := map[string]bool{}
	for _, name := range names {
		listed[name] = true
	}
	files[pathRules], err = bundle.CanonicalJSON(listed)
	return files, err
}
