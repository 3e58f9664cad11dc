package compile

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies/version"
)

// data adds the data files; those that grow with the customers are objects.
func (c *compiler) data(files map[string][]byte, objects map[string]*bundle.Object) (err error) {
	k := &c.kept.customers
	if err := c.customers(k); err != nil {
		return err
	}
	objects[pathCustomers], objects[pathKeys] = k.object, k.keys
	files[pathIdentities] = k.identities
	for p, doc := range map[string]any{pathPublic: c.public, pathRegistries: c.registries()} {
		if files[p], err = bundle.CanonicalJSON(doc); err != nil {
			return fmt.Errorf("compile %s: %w", p, err)
		}
	}
	return nil
}

// encode writes a customer with its licenses, and the hash of the bytes it is made of.
func (c *compiler) encode(u *license.Customer, licenses []*license.License) ([]byte, error) {
	text, err := bundle.CanonicalJSON(c.customer(u, licenses))
	if err != nil {
		return nil, fmt.Errorf("compile customer %s: %w", u.ID, err)
	}
	// "hash" sorts right after "banned", the first key.
	head, rest, _ := bytes.Cut(text, []byte(","))
	sum := sha256.Sum256(text)
	out := make([]byte, 0, len(text)+len(sum)*2+16)
	out = append(append(out, head...), `,"hash":"`...)
	out = append(hex.AppendEncode(out, sum[:]), `",`...)
	return append(out, rest...), nil
}

// customer compiles one customer with its licenses, which are sorted by id.
func (c *compiler) customer(u *license.Customer, licenses []*license.License) *customerDoc {
	doc := &customerDoc{
		Banned: u.Banned, ID: u.ID, Name: u.Name, Labels: u.Labels, Licenses: map[string]licenseDoc{},
		Products: map[string][]*grantDoc{}, Repositories: map[string][]*grantDoc{},
	}
	if doc.Labels == nil {
		doc.Labels = map[string]any{}
	}
	for _, l := range licenses {
		ld := c.license(l)
		doc.Licenses[l.ID] = ld
		boundaries, held := ld.boundaries(), l.Held()
		for n := range l.Grants {
			g := &l.Grants[n]
			gd := &grantDoc{
				License: l.ID, Grant: n, Type: ld.Type, Empty: g.Empty(),
				Clocks: clocksDoc{
					Starts: ld.Starts, Ends: ld.Ends, Updates: ld.Updates, Grace: ld.Grace, Terminates: ld.Terminates,
					Revoked: ld.Revoked, Suspended: ld.Suspended, Replaced: ld.Replaced,
				},
				Keep: l.KeepVersions, Enforcement: ld.Enforcement, Held: held, Boundaries: boundaries,
			}
			if gd.Empty {
				gd.Boundaries = []int64{}
			}
			if g.Product != "" {
				gd.Ranges, gd.Channels, gd.Constraint = ranges(g.Versions), list(g.Channels), &g.Constraint
				doc.Products[g.Product] = append(doc.Products[g.Product], gd)
				continue
			}
			gd.Tags, gd.Patterns = tagPatterns(g.Tags)
			for _, name := range c.expand(g.Repository) {
				at := gd
				if g.Current != nil {
					at = &grantDoc{}
					*at = *gd
					at.Tags = c.currentTags(name, *g.Current)
				}
				doc.Repositories[name] = append(doc.Repositories[name], at)
			}
		}
	}
	return doc
}

// license compiles what does not depend on the grant.
func (c *compiler) license(l *license.License) licenseDoc {
	s := l.Schedule(c.in.IssuedAt)
	d := licenseDoc{
		Type: l.Type, Features: l.Features, Enforcement: cmp.Or(l.Enforcement, "enforce"),
		Starts: instant(s.Starts), Ends: instant(s.Ends), Updates: instant(s.Updates),
		Grace: instant(s.Grace), Terminates: instant(s.Terminates), ExpiringFrom: instant(l.ExpiringFrom(s.Ends)),
		Revoked: never, Suspended: [2]instant{never, never}, Replaced: instant(l.ReplacedAt), Zone: l.Zone,
	}
	if d.Features == nil {
		d.Features = map[string]any{}
	}
	if l.Revoked != nil {
		d.Revoked, d.PublicReason = instant(l.Revoked.At), l.Revoked.PublicReason
	}
	if l.Suspended != nil {
		d.Suspended = [2]instant{instant(l.Suspended.At), instant(l.Suspended.Until)}
		d.PublicReason = cmp.Or(d.PublicReason, l.Suspended.PublicReason)
	}
	return d
}

// boundaries are the instants at which the license may change an answer, ascending. Once it
// is replaced it has none.
func (d *licenseDoc) boundaries() []int64 {
	out := []int64{}
	for _, at := range []instant{d.Starts, d.Ends, d.Updates, d.Grace, d.Terminates, d.Suspended[0], d.Suspended[1], d.Revoked, d.Replaced} {
		if at != never && int64(at) != license.Always && at <= d.Replaced {
			out = append(out, int64(at))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func ranges(rs version.Ranges) [][2]json.RawMessage {
	out := make([][2]json.RawMessage, 0, len(rs))
	for _, r := range rs {
		out = append(out, [2]json.RawMessage{json.RawMessage(r.From), json.RawMessage(r.To)})
	}
	return out
}

// tagPatterns divides tag patterns into names, which are looked up, and those with a star,
// which are matched one by one.
func tagPatterns(tags []string) (map[string]bool, []string) {
	names, patterns := map[string]bool{}, []string{}
	for _, t := range tags {
		if strings.Contains(t, "*") {
			patterns = append(patterns, t)
		} else {
			names[t] = true
		}
	}
	slices.Sort(patterns)
	return names, slices.Compact(patterns)
}

// currentTags are the tags of a repository that were there before an instant: those first
// seen by then, and those that are gone and had left a digest by then. Where several
// registries have a repository of this name, a tag that came later in one of them is out.
func (c *compiler) currentTags(name string, before int64) map[string]bool {
	out, late := map[string]bool{}, map[string]bool{}
	for _, r := range c.byName[name] {
		for t, tag := range r.Tags {
			if _, ok := version.DigestTag(t); ok {
				continue
			}
			out[t] = true
			if tag.Seen >= before {
				late[t] = true
			}
		}
		for t, pasts := range r.History {
			if _, now := r.Tags[t]; now {
				continue
			}
			if _, ok := version.DigestTag(t); !ok && slices.ContainsFunc(pasts, func(p Past) bool { return p.Until <= before }) {
				out[t] = true
			}
		}
	}
	for t := range late {
		delete(out, t)
	}
	return out
}

// expand returns the names of the catalog that a repository pattern matches, sorted.
func (c *compiler) expand(pattern string) []string {
	names, ok := c.expanded[pattern]
	if !ok {
		for _, name := range c.names {
			if version.MatchRepository(pattern, name) {
				names = append(names, name)
			}
		}
		c.expanded[pattern] = names
	}
	return names
}

// list is never null.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// key compiles one key of a customer.
func (c *compiler) key(u *license.Customer, k *license.Key) (bundle.Member, error) {
	doc := keyDoc{Customer: u.ID, Key: k.ID, Expires: instant(k.Expires)}
	if k.Repositories != nil {
		doc.Repositories = list(*k.Repositories)
	}
	if k.Addresses != nil {
		doc.Addresses = []string{}
		for _, a := range *k.Addresses {
			doc.Addresses = append(doc.Addresses, a.String())
		}
	}
	text, err := bundle.CanonicalJSON(doc)
	if err != nil {
		return bundle.Member{}, fmt.Errorf("compile key %s of customer %s: %w", k.ID, u.ID, err)
	}
	return bundle.Member{Name: strings.TrimPrefix(k.Hash, "sha256:"), Value: text}, nil
}

// openAll expands the Public documents over the catalog.
func (c *compiler) openAll() map[string][]publicDoc {
	sorted := slices.Clone(c.set.Public)
	slices.SortFunc(sorted, func(a, b license.Public) int { return cmp.Compare(a.ID, b.ID) })
	out := map[string][]publicDoc{}
	for _, p := range sorted {
		names := map[string]bool{}
		for _, pattern := range p.Repositories {
			found := c.expand(pattern)
			if len(found) == 0 && len(c.in.Catalog) > 0 {
				c.warn(p.Pos, "public %s: the catalog has no repository %s", p.ID, pattern)
			}
			for _, name := range found {
				names[name] = true
			}
		}
		doc := publicDoc{ID: p.ID}
		doc.Tags, doc.Patterns = tagPatterns(p.Tags)
		for name := range names {
			out[name] = append(out[name], doc)
		}
	}
	return out
}

func (c *compiler) registries() map[string]registryDoc {
	out := map[string]registryDoc{}
	for i := range c.set.Registries {
		r := &c.set.Registries[i]
		out[r.ID] = registryDoc{Hosts: list(r.Hosts), Listed: r.Catalog, Upstream: r.Upstream}
	}
	return out
}

func (c *compiler) identities() identitiesDoc {
	doc := identitiesDoc{JWT: []jwtDoc{}, MTLS: []mtlsDoc{}}
	for i := range c.set.Customers {
		u := &c.set.Customers[i]
		for _, id := range u.Identities {
			if id.SAN != "" {
				doc.MTLS = append(doc.MTLS, mtlsDoc{Customer: u.ID, SAN: id.SAN})
			} else {
				doc.JWT = append(doc.JWT, jwtDoc{Customer: u.ID, Issuer: id.Issuer, Subject: id.Subject})
			}
		}
	}
	slices.SortFunc(doc.JWT, func(a, b jwtDoc) int {
		return cmp.Or(cmp.Compare(a.Issuer, b.Issuer), cmp.Compare(a.Subject, b.Subject), cmp.Compare(a.Customer, b.Customer))
	})
	slices.SortFunc(doc.MTLS, func(a, b mtlsDoc) int {
		return cmp.Or(cmp.Compare(a.SAN, b.SAN), cmp.Compare(a.Customer, b.Customer))
	})
	return doc
}
