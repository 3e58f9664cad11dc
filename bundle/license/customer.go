package license

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/pullgate/pullgate/policies/version"
)

// customerZone is the zone of a customer's dates, also while its document has mistakes.
func (p *parser) customerZone(id string) *time.Location {
	if doc := p.docs["Customer"][id]; doc != nil {
		if doc.zone != nil {
			return doc.zone
		}
		if f := doc.n.get("zone"); f != nil && f.value.kind == scalarNode {
			if loc, err := p.zones.load(f.value.text); err == nil {
				return loc
			}
		}
	} else if p.unchanged("Customer", id) {
		if loc, err := p.zones.load(p.base.Customer(id).Zone); err == nil {
			return loc
		}
	}
	return time.UTC
}

func (p *parser) customer(doc *document, o *object) Customer {
	c := Customer{ID: doc.id, Name: doc.id, Pos: doc.pos, Zone: "UTC"}
	loc := time.UTC
	if v, ok := o.take("name"); ok {
		c.Name, _ = v.text()
	}
	if v, ok := o.take("zone"); ok {
		if l, ok := v.zone(); ok {
			loc, c.Zone = l, l.String()
		}
	}
	doc.zone = loc
	if v, ok := o.take("status"); ok {
		s, _ := v.oneOf("active", "banned")
		c.Banned = s == "banned"
	}
	if v, ok := o.take("labels"); ok {
		c.Labels, _ = v.fields()
	}
	// `keys:` with nothing below is what a starting set has: no key yet.
	if v, ok := o.take("keys"); ok && v.n.tag != "!!null" {
		items, _ := v.list()
		ids := make(map[string]bool, len(items))
		for _, item := range items {
			k, ok := item.key(loc)
			if !ok {
				continue
			}
			if ids[k.ID] {
				item.fail("%s has a key %q already: ids are unique per customer", doc.id, k.ID)
			}
			ids[k.ID] = true
			c.Keys = append(c.Keys, k)
		}
	}
	if v, ok := o.take("identities"); ok {
		items, _ := v.list()
		for _, item := range items {
			if id, ok := item.identity(); ok {
				c.Identities = append(c.Identities, id)
			}
		}
	}
	return c
}

func (v value) key(loc *time.Location) (k Key, ok bool) {
	v.missing = v.n.pos()
	o, ok := v.object()
	if !ok {
		return k, false
	}
	defer o.done()
	k.Pos, k.Expires = v.n.pos(), Never
	ok = false
	if f, has := o.need("id", "a name for the key, unique among those of the customer"); has {
		k.ID, ok = f.id(false)
	}
	if f, has := o.need("hash", "`pullgate key new` prints it with the key, `pullgate key hash` for a key you have"); has {
		k.Hash = f.hash()
	}
	if f, has := o.take("expires"); has {
		if m, good := f.moment(); good {
			k.Expires = m.ends(loc)
		}
	}
	if f, has := o.take("repositories"); has {
		patterns, _ := f.texts(version.ValidRepositoryPattern)
		k.Repositories = &patterns
	}
	if f, has := o.take("addresses"); has {
		items, _ := f.list()
		prefixes := make([]netip.Prefix, 0, len(items))
		for _, item := range items {
			if s, good := item.textLike("a network like 10.0.0.0/8 or \"2001:db8::/32\""); good {
				prefix, err := network(s)
				if err != nil {
					item.fail("%v", err)
				}
				prefixes = append(prefixes, prefix)
			}
		}
		k.Addresses = &prefixes
	}
	return k, ok
}

// hash reads a key's hash and refuses one that is anywhere else already.
func (v value) hash() string {
	s, ok := v.textLike("`sha256:` and 64 lower-case hexadecimal digits, as `pullgate key hash` prints it")
	switch {
	case !ok:
		return ""
	case strings.HasPrefix(s, "pg_"):
		v.fail("is a key, not its hash: license files hold no secrets. Replace this key, it has been written down; `pullgate key new` makes another")
		return ""
	case !digestSyntax.MatchString(s):
		v.fail("%q is no hash of a key: `sha256:` and 64 lower-case hexadecimal digits, as `pullgate key hash` prints it", s)
		return ""
	}
	if first, ok := v.p.hashes[s]; ok {
		v.fail("the same key is at %s already: every key is one customer's, make another with `pullgate key new`", first)
		return ""
	}
	v.p.hashes[s] = v.n.pos()
	return s
}

func network(s string) (netip.Prefix, error) {
	prefix, err := netip.ParsePrefix(s)
	if err != nil {
		if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			return netip.Prefix{}, fmt.Errorf("%q is an address, a network is meant: write %s/%d", s, addr, addr.BitLen())
		}
		return netip.Prefix{}, fmt.Errorf("%q is no network: write one like 10.0.0.0/8 or 2001:db8::/32", s)
	}
	if prefix.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 network written as IPv6: write it as IPv4", s)
	}
	if prefix != prefix.Masked() {
		return netip.Prefix{}, fmt.Errorf("%q has address bits behind its mask: write %s", s, prefix.Masked())
	}
	return prefix, nil
}

func (v value) identity() (id Identity, ok bool) {
	v.missing = v.n.pos()
	o, ok := v.object()
	if !ok {
		return id, false
	}
	defer o.done()
	if len(v.n.fields) != 1 {
		v.fail("must be exactly one of {jwt: {issuer, subject}} and {mtls: {san}}")
		o.known = []string{"jwt", "mtls"}
		return id, false
	}
	if f, has := o.take("jwt"); has {
		inner, good := f.object()
		if !good {
			return id, false
		}
		defer inner.done()
		if g, has := inner.need("issuer", "the token's `iss`"); has {
			id.Issuer, _ = g.text()
		}
		if g, has := inner.need("subject", "the token's `sub`"); has {
			id.Subject, _ = g.text()
		}
	}
	if f, has := o.take("mtls"); has {
		inner, good := f.object()
		if !good {
			return id, false
		}
		defer inner.done()
		if g, has := inner.need("san", "the certificate's subject alternative name, like spiffe://acme/ci"); has {
			id.SAN, _ = g.text()
		}
	}
	if id == (Identity{}) {
		return id, false
	}
	if first, taken := v.p.identities[id]; taken {
		v.fail("the same identity is at %s already: an identity is one customer's", first)
		return id, false
	}
	v.p.identities[id] = v.n.pos()
	return id, true
}
