package license

import (
	"io/fs"
	"slices"
	"time"
)

// Stated reads what license files say is taken back: the customers that are banned, the licenses that
// are revoked, and the registries with digests that are revoked, no more of them than that. It is for
// files with mistakes, of which Load makes no Set. What can be read counts; of a file that is no YAML,
// or where something is wrong in this very place, nothing is stated. That a key was taken out is not
// stated: it is only not there, which may be the mistake.
func Stated(fsys fs.FS) *Set {
	l := &loader{fsys: fsys, files: make(map[string][]byte)}
	l.folder(".", 0)
	return StatedParts(fileParts(l.files))
}

// StatedParts is Stated of parts.
func StatedParts(parts []Part) *Set {
	p := newParser()
	for i := range parts {
		if len(parts[i].errs) == 0 {
			p.collect(parts[i].documents)
		}
	}
	s := &Set{}
	for _, doc := range p.order {
		if doc.id == "" || p.docs[doc.kind][doc.id] != doc {
			continue // of two of one name the first counts, as in errors
		}
		p.errs = nil
		o := &object{v: value{p: p, n: doc.n, missing: doc.pos}}
		switch doc.kind {
		case "Customer":
			if status := doc.n.get("status"); status != nil && status.value.kind == scalarNode && status.value.text == "banned" {
				s.Customers = append(s.Customers, Customer{ID: doc.id, Pos: doc.pos, Banned: true})
			}
		case "License":
			l := License{ID: doc.id, Pos: doc.pos, Customer: doc.n.word("customer")}
			if v, ok := o.take("status"); ok {
				v.status(&l, p.statusZone(doc, l.Customer))
			}
			if l.Revoked != nil && len(p.errs) == 0 {
				s.Licenses = append(s.Licenses, l)
			}
		case "Registry":
			r := Registry{ID: doc.id, Pos: doc.pos}
			v, ok := o.take("revoked_digests")
			if !ok {
				continue
			}
			items, _ := v.list()
			for _, item := range items {
				p.errs = nil
				if d, ok := item.revokedDigest(); ok && len(p.errs) == 0 {
					r.RevokedDigests = append(r.RevokedDigests, d)
				}
			}
			if len(r.RevokedDigests) > 0 {
				s.Registries = append(s.Registries, r)
			}
		}
	}
	s.Registries = sorted(s.Registries, func(r *Registry) string { return r.ID })
	s.Customers = sorted(s.Customers, func(r *Customer) string { return r.ID })
	s.Licenses = sorted(s.Licenses, func(r *License) string { return r.ID })
	return s
}

// statusZone is the zone of the dates in a license's status.
func (p *parser) statusZone(doc *document, customer string) *time.Location {
	zone := doc.n.word("zone")
	if plan := p.docs["Plan"][doc.n.word("plan")]; zone == "" && plan != nil {
		zone = plan.n.word("zone")
	}
	if loc, err := p.zones.load(zone); err == nil && zone != "" {
		return loc
	}
	return p.customerZone(customer)
}

// word is the text of a field that is a scalar, "" of any other.
func (n *node) word(name string) string {
	if f := n.get(name); f != nil && f.value.kind == scalarNode {
		return f.value.text
	}
	return ""
}

// Revoked is the Set in which what another one says is taken back is taken back, too: customers are banned,
// licenses and digests revoked, no later than it says. With keys also the keys that the other's customers
// do not have any more. What s does not have is not added.
func (s *Set) Revoked(by *Set, keys bool) *Set {
	out := *s
	out.Customers, out.Licenses, out.Registries = slices.Clone(s.Customers), slices.Clone(s.Licenses), slices.Clone(s.Registries)
	for i := range by.Customers {
		was := &by.Customers[i]
		c := out.Customer(was.ID)
		if c == nil {
			continue
		}
		c.Banned = c.Banned || was.Banned
		gone := func(k Key) bool {
			return !slices.ContainsFunc(was.Keys, func(o Key) bool { return o.Hash == k.Hash })
		}
		if keys && slices.ContainsFunc(c.Keys, gone) {
			c.Keys = slices.DeleteFunc(slices.Clone(c.Keys), gone)
		}
	}
	for i := range by.Licenses {
		was := &by.Licenses[i]
		l := out.License(was.ID)
		if l == nil || was.Revoked == nil || l.Revoked != nil && l.Revoked.At <= was.Revoked.At {
			continue
		}
		l.Revoked = was.Revoked
		if s := l.Suspended; s != nil { // until then it stays what it is
			l.Suspended = nil
			if s.At < was.Revoked.At {
				cut := *s
				cut.Until = min(s.Until, was.Revoked.At)
				l.Suspended = &cut
			}
		}
	}
	for i := range by.Registries {
		was := &by.Registries[i]
		r := out.Registry(was.ID)
		if r == nil {
			continue
		}
		for _, d := range was.RevokedDigests {
			has := func(o RevokedDigest) bool {
				return o.Repository == d.Repository && o.Digest == d.Digest && o.At <= d.At
			}
			if !slices.ContainsFunc(r.RevokedDigests, has) {
				r.RevokedDigests = append(slices.Clone(r.RevokedDigests), d)
			}
		}
	}
	return &out
}
