package license

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// find looks an id up in documents sorted by id.
func find[T any](docs []T, id string, of func(*T) string) *T {
	i := sort.Search(len(docs), func(i int) bool { return of(&docs[i]) >= id })
	if i < len(docs) && of(&docs[i]) == id {
		return &docs[i]
	}
	return nil
}

// Registry returns the registry with the id, or nil. So do the other lookups.
func (s *Set) Registry(id string) *Registry {
	return find(s.Registries, id, func(r *Registry) string { return r.ID })
}

// Product returns the product with the id, or nil.
func (s *Set) Product(id string) *Product {
	return find(s.Products, id, func(r *Product) string { return r.ID })
}

// Customer returns the customer with the id, or nil.
func (s *Set) Customer(id string) *Customer {
	return find(s.Customers, id, func(r *Customer) string { return r.ID })
}

// License returns the license with the id, or nil.
func (s *Set) License(id string) *License {
	return find(s.Licenses, id, func(r *License) string { return r.ID })
}

// Held lists the features that the license holds, sorted: those that are present and neither
// false, 0 nor empty.
func (l *License) Held() []string {
	out := make([]string, 0, len(l.Features))
	for name, v := range l.Features {
		held := true
		switch v := v.(type) {
		case bool:
			held = v
		case int64:
			held = v != 0
		case float64:
			held = v != 0
		case string:
			held = v != ""
		case []any:
			held = len(v) > 0
		case map[string]any:
			held = len(v) > 0
		}
		if held {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// sorted returns the documents in order of their ids. It moves pointers, then every document
// once: they are large.
func sorted[T any](docs []T, of func(*T) string) []T {
	order := make([]*T, len(docs))
	for i := range docs {
		order[i] = &docs[i]
	}
	slices.SortFunc(order, func(a, b *T) int { return strings.Compare(of(a), of(b)) })
	out := make([]T, len(docs))
	for i, d := range order {
		out[i] = *d
	}
	return out
}

// set reads the collected documents. It is complete when nothing was reported.
func (p *parser) set() *Set {
	s := &Set{Customers: make([]Customer, 0, len(p.docs["Customer"]))}
	p.each("Registry", func(d *document, o *object) { s.Registries = append(s.Registries, p.registry(d, o)) })
	released := make(map[string]bool)
	p.each("Release", func(d *document, o *object) {
		r, ok := p.release(d, o)
		if !ok {
			return
		}
		released[r.Product] = true
		v, _ := o.take("version")
		p.once(v, "a Release of "+r.Product+" "+r.Version.String(), "facts about a version stand in one document")
		s.Releases = append(s.Releases, r)
	})
	p.each("Product", func(d *document, o *object) {
		r := p.product(d, o)
		if len(r.Repositories) == 0 && !released[d.id] && d.n.get("repositories") == nil {
			o.lack("repositories", "a product has at least one, or versions listed by Release documents")
		}
		s.Products = append(s.Products, r)
	})
	p.each("Plan", func(d *document, o *object) { s.Plans = append(s.Plans, p.plan(d, o)) })
	p.each("Customer", func(d *document, o *object) { s.Customers = append(s.Customers, p.customer(d, o)) })
	s.Licenses = p.licenses()
	p.each("Public", func(d *document, o *object) { s.Public = append(s.Public, p.public(d, o)) })

	s.Registries = sorted(s.Registries, func(r *Registry) string { return r.ID })
	s.Products = sorted(s.Products, func(r *Product) string { return r.ID })
	s.Plans = sorted(s.Plans, func(r *Plan) string { return r.ID })
	s.Customers = sorted(s.Customers, func(r *Customer) string { return r.ID })
	s.Licenses = sorted(s.Licenses, func(r *License) string { return r.ID })
	if p.base != nil {
		s.Customers = kept(p, p.base.Customers, s.Customers, func(r *Customer) (string, Position) { return r.ID, r.Pos })
		s.Licenses = kept(p, p.base.Licenses, s.Licenses, func(r *License) (string, Position) { return r.ID, r.Pos })
	}
	s.Public = sorted(s.Public, func(r *Public) string { return r.ID })
	slices.SortFunc(s.Releases, func(a, b Release) int {
		return cmp.Or(strings.Compare(a.Product, b.Product), a.Version.Compare(b.Version), strings.Compare(a.ID, b.ID))
	})
	p.replacements(s)
	s.shared = p.shared()
	return s
}

// once reports a thing that was written already; why says why that is wrong.
func (p *parser) once(v value, thing, why string) {
	if first, ok := p.places[thing]; ok {
		v.fail("%s is at %s already: %s", thing, first, why)
		return
	}
	p.places[thing] = v.n.pos()
}

// replacements checks `replaces` and compiles its other side.
func (p *parser) replacements(s *Set) {
	for i := range s.Licenses {
		s.Licenses[i].ReplacedAt = Never
	}
	for i := range s.Licenses {
		l := &s.Licenses[i]
		if l.Replaces == "" {
			continue
		}
		old := s.License(l.Replaces)
		doc := p.docs["License"][l.ID]
		if doc == nil && p.unchanged("License", l.ID) {
			doc = &document{kind: "License", id: l.ID, pos: l.Pos, n: &node{}}
			if old == nil {
				p.failAt(doc, "replaces", "%q is gone", l.Replaces)
			}
		}
		if old == nil || doc == nil {
			continue
		}
		if old.Customer != l.Customer {
			p.failAt(doc, "replaces", "%q is a license of %s: a license replaces one of the same customer, %s", old.ID, old.Customer, l.Customer)
		}
		for steps, at := 0, old; at != nil && steps <= len(s.Licenses); steps, at = steps+1, s.License(at.Replaces) {
			if at.ID == l.ID {
				p.failAt(doc, "replaces", "%q leads back to %q: of licenses that replace each other in a circle none would count", old.ID, l.ID)
				break
			}
			if at.Replaces == "" || at != old && at.ID == old.ID {
				break // the end, or a circle that this license is not in
			}
		}
		old.ReplacedAt = min(old.ReplacedAt, l.terms.starts)
	}
}
