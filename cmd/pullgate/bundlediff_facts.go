package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies"
)

// A factChange is a difference of what a bundle says, whatever comes of it.
type factChange struct {
	Kind   string  `json:"kind"`            // license, key, identity, customer; registry, public, rules, library
	ID     string  `json:"id"`              // of the license, key …
	Change string  `json:"change"`          // added, removed, changed; of a key also replaced: another one has its id
	Field  string  `json:"field,omitempty"` // of what has changed
	Before *string `json:"before,omitempty"`
	After  *string `json:"after,omitempty"`

	loses, gains bool // whoever uses it loses or gains by it, whatever is asked
	sooner       bool // something is had less long
}

// factChanges are those that are in no customer's document.
type factChanges struct {
	all        []factChange            // of no customer
	byCustomer map[string][]factChange // keys and identities
}

func (f *factChanges) of(customer string) []factChange {
	if f == nil {
		return nil
	}
	return f.byCustomer[customer]
}

func compareFacts(before, after *bundle.Bundle) (*factChanges, error) {
	f := &factChanges{byCustomer: map[string][]factChange{}}
	for _, part := range []struct {
		path    string
		compare func(before, after *bundle.Object) error
	}{
		{"pullgate/keys/data.json", f.keys},
		{"pullgate/identities/data.json", f.identities},
		{"pullgate/registries/data.json", f.registries},
		{publicPath, f.public},
	} {
		b, a := before.Object(part.path), after.Object(part.path)
		if b.Equal(a) {
			continue
		}
		if err := part.compare(b, a); err != nil {
			return nil, fmt.Errorf("%s: %w", part.path, err)
		}
	}
	paths := slices.Concat(before.Paths(), after.Paths())
	slices.Sort(paths)
	for _, p := range slices.Compact(paths) {
		b, a := before.File(p), after.File(p)
		if !strings.HasSuffix(p, ".rego") || bytes.Equal(b, a) {
			continue
		}
		kind := "library"
		if strings.HasPrefix(p, policies.RulesDir) {
			kind = "rules"
		}
		f.all = append(f.all, factChange{Kind: kind, ID: p, Change: changeOf(b != nil, a != nil)})
	}
	return f, nil
}

const publicPath = "pullgate/public/data.json"

// publicOf are the Public documents' entries by repository.
func publicOf(b *bundle.Bundle) []bundle.Member { return b.Object(publicPath).List(nil) }

func changeOf(before, after bool) string {
	switch {
	case !before:
		return "added"
	case !after:
		return "removed"
	}
	return "changed"
}

// eachDifference calls f with the members of two objects that are not the same; nil where there is
// none.
func eachDifference(before, after *bundle.Object, f func(name string, before, after []byte) error) (err error) {
	b := before.List(nil)
	a := after.List(b)
	for len(b) > 0 || len(a) > 0 {
		switch {
		case len(a) == 0 || len(b) > 0 && b[0].Name < a[0].Name:
			err, b = f(b[0].Name, b[0].Value, nil), b[1:]
		case len(b) == 0 || a[0].Name < b[0].Name:
			err, a = f(a[0].Name, nil, a[0].Value), a[1:]
		default:
			if !bytes.Equal(b[0].Value, a[0].Value) {
				err = f(a[0].Name, b[0].Value, a[0].Value)
			}
			b, a = b[1:], a[1:]
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// keyDocument is one of data.pullgate.keys.
type keyDocument struct {
	Customer     string          `json:"customer"`
	Key          string          `json:"key"`
	Expires      json.RawMessage `json:"expires"`
	Repositories *[]string       `json:"repositories"`
	Addresses    *[]string       `json:"addresses"`
}

// keys compares keys by their ids: one with another hash is another key.
func (f *factChanges) keys(before, after *bundle.Object) error {
	type both struct {
		sides    [2]*keyDocument
		sameHash bool
	}
	byID := map[[2]string]*both{}
	err := eachDifference(before, after, func(_ string, b, a []byte) error {
		for i, doc := range [][]byte{b, a} {
			if doc == nil {
				continue
			}
			var k keyDocument
			if err := json.Unmarshal(doc, &k); err != nil {
				return err
			}
			id := [2]string{k.Customer, k.Key}
			if byID[id] == nil {
				byID[id] = &both{}
			}
			byID[id].sides[i], byID[id].sameHash = &k, b != nil && a != nil
		}
		return nil
	})
	for _, id := range sortedPairs(byID) {
		x := byID[id]
		c := factChange{Kind: "key", ID: id[1], Change: changeOf(x.sides[0] != nil, x.sides[1] != nil)}
		c.loses, c.gains = x.sides[1] == nil, x.sides[0] == nil
		if c.Change == "changed" && !x.sameHash {
			c.Change, c.loses, c.gains = "replaced", true, true
		}
		if c.Change != "changed" {
			f.byCustomer[id[0]] = append(f.byCustomer[id[0]], c)
		}
		if x.sides[0] != nil && x.sides[1] != nil {
			f.byCustomer[id[0]] = append(f.byCustomer[id[0]], keyFields(id[1], x.sides[0], x.sides[1])...)
		}
	}
	return err
}

func sortedPairs[V any](m map[[2]string]V) [][2]string {
	return slices.SortedFunc(maps.Keys(m), func(a, b [2]string) int { return slices.Compare(a[:], b[:]) })
}

// keyFields says which limits of a key have changed.
func keyFields(id string, before, after *keyDocument) (out []factChange) {
	add := func(field string, b, a *string) *factChange {
		out = append(out, factChange{Kind: "key", ID: id, Change: "changed", Field: field, Before: b, After: a})
		return &out[len(out)-1]
	}
	if b, a := before.Addresses, after.Addresses; !sameLimit(b, a) {
		c := add("addresses", limitText(b), limitText(a))
		c.loses, c.gains = !within(b, a), !within(a, b)
	}
	if !bytes.Equal(before.Expires, after.Expires) {
		c := add("expires", instantsText(before.Expires), instantsText(after.Expires))
		c.sooner = secondsOf(after.Expires) < secondsOf(before.Expires)
	}
	if b, a := before.Repositories, after.Repositories; !sameLimit(b, a) {
		c := add("repositories", limitText(b), limitText(a))
		c.loses, c.gains = !within(b, a), !within(a, b)
	}
	return out
}

func sameLimit(a, b *[]string) bool { return within(a, b) && within(b, a) }

// within says that whatever is within one limit is plainly within another; nil is no limit.
func within(a, b *[]string) bool {
	if b == nil || a == nil {
		return b == nil
	}
	return !slices.ContainsFunc(*a, func(s string) bool { return !slices.Contains(*b, s) })
}

func limitText(limit *[]string) *string {
	text := "no limit"
	if limit != nil {
		text = "[" + strings.Join(*limit, ", ") + "]"
	}
	return &text
}

func (f *factChanges) identities(before, after *bundle.Object) error {
	found := [2]map[[2]string]bool{{}, {}} // customer and what is identified
	for i, object := range []*bundle.Object{before, after} {
		var doc struct {
			JWT  []struct{ Issuer, Subject, Customer string }
			MTLS []struct{ SAN, Customer string }
		}
		if err := json.Unmarshal(object.Bytes(), &doc); err != nil {
			return err
		}
		for _, j := range doc.JWT {
			found[i][[2]string{j.Customer, "jwt " + j.Issuer + " " + j.Subject}] = true
		}
		for _, m := range doc.MTLS {
			found[i][[2]string{m.Customer, "mtls " + m.SAN}] = true
		}
	}
	for i, change := range []string{"removed", "added"} {
		for _, id := range sortedPairs(found[i]) {
			if !found[1-i][id] {
				f.byCustomer[id[0]] = append(f.byCustomer[id[0]], factChange{Kind: "identity", ID: id[1], Change: change, loses: i == 0, gains: i == 1})
			}
		}
	}
	return nil
}

func (f *factChanges) registries(before, after *bundle.Object) error {
	type registry struct {
		Hosts  []string
		Listed bool
	}
	return eachDifference(before, after, func(id string, b, a []byte) error {
		change := factChange{Kind: "registry", ID: id, Change: changeOf(b != nil, a != nil), loses: a == nil, gains: b == nil}
		if b == nil || a == nil {
			f.all = append(f.all, change)
			return nil
		}
		var was, is registry
		if err := cmp.Or(json.Unmarshal(b, &was), json.Unmarshal(a, &is)); err != nil {
			return err
		}
		if !sameLimit(&was.Hosts, &is.Hosts) {
			change.Field, change.Before, change.After = "hosts", limitText(&was.Hosts), limitText(&is.Hosts)
			change.loses, change.gains = !within(&was.Hosts, &is.Hosts), !within(&is.Hosts, &was.Hosts)
			f.all = append(f.all, change)
		}
		if was.Listed != is.Listed {
			before, after := strconv.FormatBool(was.Listed), strconv.FormatBool(is.Listed)
			change.Field, change.Before, change.After = "catalog is listed", &before, &after
			change.loses, change.gains = was.Listed, is.Listed
			f.all = append(f.all, change)
		}
		return nil
	})
}

func (f *factChanges) public(before, after *bundle.Object) error {
	return eachDifference(before, after, func(repository string, b, a []byte) error {
		f.all = append(f.all, factChange{Kind: "public", ID: repository, Change: changeOf(b != nil, a != nil)})
		return nil
	})
}
