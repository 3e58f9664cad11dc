package license

import (
	"slices"
	"strings"
)

// Edited is the Set that ParseParts makes of the parts of s after an edit, without those that did
// not change: changed are the parts that are new or different, gone the places of parts that are
// not there any more.
//
// It gives nil when only reading all parts can tell: something is wrong, or what changed is
// needed by licenses that are in no changed part (their plan, their customer's zone, a product, a
// customer or a license that is gone). Then nothing is known, and s is as good as before. With the
// licenses of changed customers and plans among the changed parts this is rare.
func (s *Set) Edited(changed []Part, gone []string) *Set {
	p := newParser()
	p.base, p.replaced = s, make(map[string]bool, len(changed)+len(gone))
	for _, place := range gone {
		p.replaced[place] = true
	}
	for i := range changed {
		p.replaced[changed[i].place] = true
	}
	for _, doc := range s.shared {
		if !p.replaced[doc.pos.File] {
			p.docs[doc.kind][doc.id] = doc
			p.order = append(p.order, doc)
		}
	}
	for i := range changed {
		p.errs = append(p.errs, changed[i].errs...)
		p.collect(changed[i].documents)
	}
	if len(p.errs) > 0 || len(p.order) == 0 {
		return nil
	}
	edited := p.set()
	if len(p.errs) > 0 || !p.independent(edited) {
		return nil
	}
	return edited
}

// has reports whether there is a document of the kind and id.
func (p *parser) has(kind, id string) bool {
	return p.docs[kind][id] != nil || p.unchanged(kind, id)
}

// unchanged reports whether there is such a document among those that need not be read again.
func (p *parser) unchanged(kind, id string) bool {
	if p.base == nil {
		return false
	}
	switch kind {
	case "Customer":
		c := p.base.Customer(id)
		return c != nil && !p.replaced[c.Pos.File]
	case "License":
		l := p.base.License(id)
		return l != nil && !p.replaced[l.Pos.File]
	}
	return false // all others are among p.docs
}

// kept adds those of before, sorted, that need not be read again to those that were read, sorted.
func kept[T any](p *parser, before, read []T, of func(*T) (string, Position)) []T {
	if p.base == nil {
		return read
	}
	out := make([]T, 0, len(before)+len(read))
	from := 0 // of those that come next, and stay together
	for i := range before {
		id, pos := of(&before[i])
		if p.replaced[pos.File] {
			out = append(out, before[from:i]...)
			from = i + 1
			continue
		}
		for len(read) > 0 {
			if next, _ := of(&read[0]); next > id {
				break
			}
			out = append(append(out, before[from:i]...), read[0])
			from, read = i, read[1:]
		}
	}
	return append(append(out, before[from:]...), read...)
}

// independent reports whether nothing that was not read again depends on what has changed, or
// contradicts it.
func (p *parser) independent(edited *Set) bool {
	zones := make(map[string]bool) // customers whose zone is another one, or who are gone
	hashes, identities := p.hashes, p.identities
	for i := range p.base.Customers {
		before := &p.base.Customers[i]
		if p.replaced[before.Pos.File] {
			now := edited.Customer(before.ID)
			if now == nil || now.Zone != before.Zone {
				zones[before.ID] = true
			}
			continue
		}
		for _, k := range before.Keys {
			if _, twice := hashes[k.Hash]; twice {
				return false
			}
		}
		for _, id := range before.Identities {
			if _, twice := identities[id]; twice {
				return false
			}
		}
	}
	plans, products := p.differing("Plan"), p.differing("Product")
	for id := range products {
		if edited.Product(id) != nil {
			delete(products, id) // what a product is matters to no license, only that it is there
		}
	}
	for i := range p.base.Licenses {
		l := &p.base.Licenses[i]
		if len(zones)+len(plans)+len(products) == 0 {
			break
		}
		if p.replaced[l.Pos.File] {
			continue
		}
		if zones[l.Customer] || plans[l.Plan] || len(products) > 0 && slices.ContainsFunc(l.Grants, func(g Grant) bool { return products[g.Product] }) {
			return false
		}
	}
	return true
}

// differing returns the ids of a shared kind whose documents are not what they were.
func (p *parser) differing(kind string) map[string]bool {
	out := make(map[string]bool)
	for _, before := range p.base.shared {
		if before.kind != kind || !p.replaced[before.pos.File] {
			continue
		}
		if now := p.docs[kind][before.id]; now == nil || !same(before.n, now.n) {
			out[before.id] = true
		}
	}
	return out
}

// same reports whether two nodes say the same in the same places.
func same(a, b *node) bool {
	if *a.file != *b.file || a.line != b.line || a.col != b.col || a.kind != b.kind || a.tag != b.tag || a.text != b.text || len(a.fields) != len(b.fields) {
		return false
	}
	for i := range a.fields {
		x, y := &a.fields[i], &b.fields[i]
		if (x.key == nil) != (y.key == nil) || x.key != nil && !same(x.key, y.key) || !same(x.value, y.value) {
			return false
		}
	}
	return true
}

// shared are the documents that others are read with, all but customers and licenses: few, and
// kept whole. Each is a copy, so that it holds no more of its file in memory.
func (p *parser) shared() []*document {
	var out []*document
	for _, doc := range p.order {
		if doc.kind == "Customer" || doc.kind == "License" {
			continue
		}
		if p.base == nil || p.replaced[doc.pos.File] {
			whole := *doc
			file := strings.Clone(doc.pos.File)
			whole.n = doc.n.clone(&file)
			doc = &whole
		}
		out = append(out, doc)
	}
	return out
}

func (n *node) clone(file *string) *node {
	out := *n
	if *n.file == *file {
		out.file = file
	}
	out.fields = make([]field, len(n.fields))
	for i, f := range n.fields {
		out.fields[i].value = f.value.clone(file)
		if f.key != nil {
			out.fields[i].key = f.key.clone(file)
		}
	}
	return &out
}
