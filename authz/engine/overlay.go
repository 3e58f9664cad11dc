package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
)

// overlay is what tombstones change of a bundle's data (docs/design/tombstones.md): documents of
// customers as the compiler would write them after the edit, keys that are none any more, and
// revoked digests. The policy and the cache keys see what it says as if the bundle said it.
type overlay struct {
	customers map[string]blob
	keys      map[revokedKey]bool
	digests   map[repositoryName]map[index.Digest]int64 // revoked from
}

// revokedKey is a key of a customer; without a hash whichever has that name.
type revokedKey struct {
	customer, id string
	hash         string // hex
}

type repositoryName struct{ registry, name string }

// overlaid is the generation with what tombstones change, or itself when they change nothing.
// The two share all that is large.
func (g *generation) overlaid(ctx context.Context, tombstones []bundle.Tombstone) (*generation, error) {
	o, err := g.overlay(tombstones)
	if o == nil || err != nil {
		return g, err
	}
	out := *g
	out.over = o
	if len(o.digests) > 0 {
		out.lists = newMemo[[2]string, *candidateSet](hotListed)
		out.revoked = newMemo[revokedSet, *candidateSet](hotCandidates / 4)
	}
	if len(o.customers) == 0 {
		return &out, nil
	}
	out.store = g.store.with(o.customers)
	out.keyer = newKeyer(out.policy, out.store)
	if out.decision, err = prepare(ctx, out.policy.compiler, out.store, decisionQuery); err != nil {
		return g, err
	}
	if out.visible, err = prepare(ctx, out.policy.compiler, out.store, out.policy.visibleQuery()); err != nil {
		return g, err
	}
	return &out, nil
}

// overlay collects what tombstones change; nil when that is nothing. Those of another bundle, and
// those that the bundle has ended, do not count.
func (g *generation) overlay(tombstones []bundle.Tombstone) (*overlay, error) {
	o := &overlay{customers: map[string]blob{}, keys: map[revokedKey]bool{}, digests: map[repositoryName]map[index.Digest]int64{}}
	edits := map[string]*customerEdit{}
	edit := func(id string) *customerEdit {
		if edits[id] == nil {
			edits[id] = &customerEdit{licenses: map[string]int64{}}
		}
		return edits[id]
	}
	for i := range tombstones {
		t := &tombstones[i]
		if t.Bundle != g.bundle.Name() || t.Serial <= g.bundle.Serial() {
			continue
		}
		switch t.Kind {
		case bundle.TombstoneCustomer:
			edit(t.Customer).banned = true
		case bundle.TombstoneLicense:
			e := edit(t.Customer)
			if at, ok := e.licenses[t.License]; !ok || t.At < at {
				e.licenses[t.License] = t.At
			}
		case bundle.TombstoneKey:
			o.keys[revokedKey{t.Customer, t.Key, t.Hash}] = true
		case bundle.TombstoneDigest:
			d, ok := digestOf(t.Digest)
			if !ok {
				return nil, fmt.Errorf("tombstone %d: %q is no digest", t.Number, t.Digest)
			}
			at := repositoryName{t.Registry, t.Repository}
			if o.digests[at] == nil {
				o.digests[at] = map[index.Digest]int64{}
			}
			if old, ok := o.digests[at][d]; !ok || t.At < old {
				o.digests[at][d] = t.At
			}
		}
	}
	for id, e := range edits {
		b, ok := g.store.blob(id)
		if !ok {
			continue // nobody to deny anything
		}
		before := b.json()
		text, err := e.apply(before)
		if err != nil {
			return nil, fmt.Errorf("tombstones about customer %s: %w", id, err)
		}
		if !bytes.Equal(text, before) {
			o.customers[id] = blob{text: text, hash: sha256.Sum256(text)}
		}
	}
	if len(o.customers) == 0 && len(o.keys) == 0 && len(o.digests) == 0 {
		return nil, nil
	}
	return o, nil
}

// denies says whether a key is none any more.
func (o *overlay) denies(k *authz.Key, hash [32]byte) bool {
	return o != nil && len(o.keys) > 0 &&
		(o.keys[revokedKey{k.Customer, k.ID, ""}] || o.keys[revokedKey{k.Customer, k.ID, hex.EncodeToString(hash[:])}])
}

// revokedAt is from when a digest is revoked by a tombstone.
func (o *overlay) revokedAt(repo index.Repo, d index.Digest) int64 {
	if o == nil {
		return index.Never
	}
	if at, ok := o.digests[repositoryName{repo.Registry(), repo.Name()}][d]; ok {
		return at
	}
	return index.Never
}

// revokedSet is a candidate set of which every way is revoked from an instant.
type revokedSet struct {
	set [32]byte
	at  int64
}

// within is a candidate set after a digest that every way to it has was revoked.
func (g *generation) within(s *candidateSet, at int64) *candidateSet {
	if at == index.Never || len(s.list) == 0 {
		return s
	}
	key := revokedSet{s.hash, at}
	if r, ok := g.revoked.get(key); ok {
		return r
	}
	list := slices.Clone(s.list)
	for i := range list {
		list[i].RevokedAt = min(list[i].RevokedAt, at)
	}
	r := newSet(list...)
	g.revoked.put(key, r, len(list)+1)
	return r
}

// customerEdit is what tombstones change of one customer's document.
type customerEdit struct {
	banned   bool
	licenses map[string]int64 // revoked from
}

// licenseClocks are those fields of a compiled license that are boundaries, but for a suspension.
var licenseClocks = []string{"starts", "ends", "updates", "grace", "terminates", "revoked", "replaced"}

// apply makes the document that the compiler would make after the edit.
func (e *customerEdit) apply(text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if e.banned {
		doc["banned"] = true
	}
	licenses, _ := doc["licenses"].(map[string]any)
	for id, at := range e.licenses {
		if l, ok := licenses[id].(map[string]any); ok {
			if err := revoke(doc, id, l, at); err != nil {
				return nil, fmt.Errorf("license %s: %w", id, err)
			}
		}
	}
	delete(doc, "hash")
	plain, err := bundle.CanonicalJSON(doc)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	doc["hash"] = hex.EncodeToString(sum[:])
	return bundle.CanonicalJSON(doc)
}

// revoke makes a license of a customer's document revoked from an instant. It takes the place of a
// suspension; one that was revoked earlier stays as it is.
func revoke(doc map[string]any, id string, l map[string]any, at int64) error {
	old, err := instantOf(l["revoked"])
	if err != nil {
		return err
	}
	if old <= at {
		return nil
	}
	if old == authz.Never { // not of an earlier revocation, whose reason it is
		delete(l, "public_reason")
	}
	l["revoked"], l["suspended"] = at, []any{"never", "never"}
	bounds, err := licenseBoundaries(l)
	if err != nil {
		return err
	}
	for _, table := range []string{"products", "repositories"} {
		byName, _ := doc[table].(map[string]any)
		for _, grants := range byName {
			list, _ := grants.([]any)
			for _, grant := range list {
				g, _ := grant.(map[string]any)
				clocks, ok := g["clocks"].(map[string]any)
				if g["license"] != id || !ok {
					continue
				}
				clocks["revoked"], clocks["suspended"] = at, []any{"never", "never"}
				if g["empty"] != true {
					g["boundaries"] = bounds
				}
			}
		}
	}
	return nil
}

// licenseBoundaries are the instants at which a license may change an answer, ascending. Once it is
// replaced it has none.
func licenseBoundaries(l map[string]any) ([]int64, error) {
	replaced, err := instantOf(l["replaced"])
	if err != nil {
		return nil, err
	}
	bounds := []int64{}
	add := func(v any) error {
		at, err := instantOf(v)
		if err == nil && at != authz.Never && at != authz.Always && at <= replaced {
			bounds = append(bounds, at)
		}
		return err
	}
	for _, name := range licenseClocks {
		if err := add(l[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	slices.Sort(bounds)
	return slices.Compact(bounds), nil
}

// instantOf reads an instant of a document.
func instantOf(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
	case string:
		if v == "never" {
			return authz.Never, nil
		}
	}
	return 0, errNoInstant
}
