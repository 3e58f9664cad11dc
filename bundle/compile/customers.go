package compile

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
)

// keptCustomers is what a Compile made of customers, their licenses and keys. A customer's document
// depends on these, on issued_at while one of its licenses renews, on the names of the catalog that
// its repository patterns match, and, with a grant of what is current, on the catalog's tags. Its
// warnings depend on all that the index is made of.
type keptCustomers struct {
	customers []*license.Customer // by id
	licenses  []*license.License  // by id
	steady    []span              // of the customers
	current   map[string]bool     // customers with a grant of what is current
	names     []string            // of the catalog
	expanded  map[string][]string // repository patterns of grants, and what they match of the names
	listed    bool                // whether there was a catalog
	warnings  map[string][]Warning

	object, keys *bundle.Object
	identities   []byte
}

// span is that of the issued_at for which a customer is compiled the same.
type span struct{ from, to int64 }

// customers compiles what differs from what was kept, which may be everything, and keeps it.
func (c *compiler) customers(last *keptCustomers) error {
	next := &keptCustomers{
		customers: byID(c.set.Customers, customerID), licenses: byID(c.set.Licenses, licenseID),
		current: map[string]bool{}, names: c.names, listed: len(c.in.Catalog) > 0, warnings: map[string][]Warning{},
	}
	c.same = c.same && next.listed == last.listed
	renamed := c.expandAgain(last, next.licenses)
	changed := map[string]bool{} // ids of customers to compile
	var edited []pair            // customers that are others
	differing(last.customers, next.customers, customerID, (*license.Customer).Same, func(was, is *license.Customer) {
		edited = append(edited, pair{was, is})
		changed[cmp.Or(was, is).ID] = true
	})
	differing(last.licenses, next.licenses, licenseID, (*license.License).Same, func(was, is *license.License) {
		for _, l := range []*license.License{was, is} {
			if l != nil {
				changed[l.Customer] = true
			}
		}
	})
	for i, s := range last.steady {
		if c.in.IssuedAt < s.from || c.in.IssuedAt >= s.to {
			changed[last.customers[i].ID] = true
		}
	}
	if !c.same {
		maps.Copy(changed, last.current)
	}
	if len(renamed) > 0 {
		for _, l := range next.licenses {
			if slices.ContainsFunc(l.Grants, func(g license.Grant) bool { return renamed[g.Repository] }) {
				changed[l.Customer] = true
			}
		}
	}

	if err := c.encodeChanged(last, next, changed); err != nil {
		return err
	}
	if err := c.editKeys(last, next, edited); err != nil {
		return err
	}
	c.warnCustomers(last, next, changed)
	next.expanded = c.expanded
	*last = *next
	return nil
}

type pair struct{ was, is *license.Customer }

func customerID(u *license.Customer) string { return u.ID }
func licenseID(l *license.License) string   { return l.ID }

// byID are pointers to documents, sorted by id.
func byID[T any](docs []T, id func(*T) string) []*T {
	out := make([]*T, len(docs))
	for i := range docs {
		out[i] = &docs[i]
	}
	slices.SortFunc(out, func(a, b *T) int { return strings.Compare(id(a), id(b)) })
	return out
}

// differing calls f for each document that is not the same before and after, with nil where there
// is none.
func differing[T any](before, after []*T, id func(*T) string, same func(a, b *T) bool, f func(was, is *T)) {
	for len(before) > 0 || len(after) > 0 {
		order := 0
		switch {
		case len(before) == 0:
			order = 1
		case len(after) == 0:
			order = -1
		default:
			order = strings.Compare(id(before[0]), id(after[0]))
		}
		switch {
		case order < 0:
			f(before[0], nil)
			before = before[1:]
		case order > 0:
			f(nil, after[0])
			after = after[1:]
		default:
			if !same(before[0], after[0]) {
				f(before[0], after[0])
			}
			before, after = before[1:], after[1:]
		}
	}
}

// expandAgain makes sure that every pattern that was kept is expanded, and returns those that now
// match other names.
func (c *compiler) expandAgain(last *keptCustomers, licenses []*license.License) map[string]bool {
	if slices.Equal(c.names, last.names) {
		maps.Copy(c.expanded, last.expanded)
		return nil
	}
	renamed := map[string]bool{}
	for _, l := range licenses { // and not those of last.expanded that no license has any more
		for i := range l.Grants {
			pattern := l.Grants[i].Repository
			if names, ok := last.expanded[pattern]; ok && !slices.Equal(names, c.expand(pattern)) {
				renamed[pattern] = true
			}
		}
	}
	return renamed
}

// encodeChanged compiles the documents of changed customers.
func (c *compiler) encodeChanged(last, next *keptCustomers, changed map[string]bool) error {
	licenses := make(map[string][]*license.License, len(changed))
	if len(changed) > 0 {
		for _, l := range next.licenses {
			if changed[l.Customer] {
				licenses[l.Customer] = append(licenses[l.Customer], l)
			}
		}
	}
	var edits []bundle.Member
	next.steady = make([]span, 0, len(next.customers))
	was := 0 // in last.customers
	for _, u := range next.customers {
		for was < len(last.customers) && last.customers[was].ID < u.ID {
			edits = append(edits, bundle.Member{Name: last.customers[was].ID}) // is gone
			was++
		}
		known := was < len(last.customers) && last.customers[was].ID == u.ID
		if known && !changed[u.ID] {
			next.steady = append(next.steady, last.steady[was])
			if last.current[u.ID] {
				next.current[u.ID] = true
			}
			was++
			continue
		}
		if known {
			was++
		}
		text, err := c.encode(u, licenses[u.ID])
		if err != nil {
			return err
		}
		edits = append(edits, bundle.Member{Name: u.ID, Value: text})
		s := span{math.MinInt64, math.MaxInt64}
		for _, l := range licenses[u.ID] {
			from, to := l.Steady(c.in.IssuedAt)
			s = span{max(s.from, from), min(s.to, to)}
			if slices.ContainsFunc(l.Grants, func(g license.Grant) bool { return g.Current != nil }) {
				next.current[u.ID] = true
			}
		}
		next.steady = append(next.steady, s)
	}
	for _, u := range last.customers[was:] {
		edits = append(edits, bundle.Member{Name: u.ID})
	}
	var err error
	if next.object, err = last.object.Edit(edits); err != nil {
		return fmt.Errorf("compile customers: %w", err)
	}
	return nil
}

// editKeys compiles keys and identities of customers that are others.
func (c *compiler) editKeys(last, next *keptCustomers, edited []pair) (err error) {
	edits := map[string]bundle.Member{}
	identities := last.identities == nil
	for _, e := range edited {
		if e.was == nil {
			continue
		}
		identities = identities || len(e.was.Identities) > 0
		for i := range e.was.Keys {
			name := strings.TrimPrefix(e.was.Keys[i].Hash, "sha256:")
			edits[name] = bundle.Member{Name: name}
		}
	}
	for _, e := range edited {
		if e.is == nil {
			continue
		}
		identities = identities || len(e.is.Identities) > 0
		for i := range e.is.Keys {
			m, err := c.key(e.is, &e.is.Keys[i])
			if err != nil {
				return err
			}
			edits[m.Name] = m
		}
	}
	if next.keys, err = last.keys.Edit(slices.Collect(maps.Values(edits))); err != nil {
		return fmt.Errorf("compile keys: %w", err)
	}
	if next.identities = last.identities; identities {
		if next.identities, err = bundle.CanonicalJSON(c.identities()); err != nil {
			return fmt.Errorf("compile identities: %w", err)
		}
	}
	return nil
}

// warnCustomers tells what there is to tell of every license: of customers that are the same what
// was told, while the index is the same.
func (c *compiler) warnCustomers(last, next *keptCustomers, changed map[string]bool) {
	if c.same {
		for id, warnings := range last.warnings {
			if !changed[id] {
				next.warnings[id] = warnings
				c.warnings = append(c.warnings, warnings...)
			}
		}
	}
	for _, l := range next.licenses {
		if c.same && !changed[l.Customer] {
			continue
		}
		before := len(c.warnings)
		c.warnLicense(l)
		if more := c.warnings[before:]; len(more) > 0 {
			next.warnings[l.Customer] = append(next.warnings[l.Customer], more...)
		}
	}
}
