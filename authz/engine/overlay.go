package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	edits := map[string]*bundle.CustomerRevocation{}
	edit := func(id string) *bundle.CustomerRevocation {
		if edits[id] == nil {
			edits[id] = &bundle.CustomerRevocation{Licenses: map[string]bundle.LicenseRevocation{}}
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
			edit(t.Customer).Banned = true
		case bundle.TombstoneLicense:
			e := edit(t.Customer)
			if old, ok := e.Licenses[t.License]; !ok || t.At < old.At {
				e.Licenses[t.License] = bundle.LicenseRevocation{At: t.At}
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
		text, err := e.Apply(before)
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
