package tombstone

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
)

// Has says whether a bundle has what a tombstone revokes: the license revoked by then, the customer
// banned, the key or the digest gone or revoked, or nothing of it at all.
func Has(b *bundle.Bundle, t *bundle.Tombstone) (bool, error) {
	switch t.Kind {
	case bundle.TombstoneCustomer, bundle.TombstoneLicense:
		return hasOfCustomer(b, t)
	case bundle.TombstoneKey:
		return hasNoKey(b, t)
	case bundle.TombstoneDigest:
		return hasNoDigest(b, t)
	}
	return false, fmt.Errorf("tombstone %d: kind %q", t.Number, t.Kind)
}

func hasOfCustomer(b *bundle.Bundle, t *bundle.Tombstone) (bool, error) {
	text := b.Object("pullgate/customers/data.json").Get(t.Customer)
	if text == nil {
		return true, nil
	}
	var doc struct {
		Banned   bool
		Licenses map[string]struct{ Revoked json.RawMessage }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return false, fmt.Errorf("customer %s: %w", t.Customer, err)
	}
	if t.Kind == bundle.TombstoneCustomer {
		return doc.Banned, nil
	}
	l, ok := doc.Licenses[t.License]
	var at int64
	return !ok || json.Unmarshal(l.Revoked, &at) == nil && at <= t.At, nil // else "never"
}

func hasNoKey(b *bundle.Bundle, t *bundle.Tombstone) (bool, error) {
	id, err := bundle.CanonicalJSON(t.Key)
	if err != nil {
		return false, err
	}
	for name, value := range b.Object("pullgate/keys/data.json").Members() {
		if t.Hash != "" && name != t.Hash || !bytes.Contains(value, id) {
			continue
		}
		var doc struct{ Customer, Key string }
		if err := json.Unmarshal(value, &doc); err != nil {
			return false, fmt.Errorf("key %s: %w", name, err)
		}
		if doc.Customer == t.Customer && doc.Key == t.Key {
			return false, nil
		}
	}
	return true, nil
}

func hasNoDigest(b *bundle.Bundle, t *bundle.Tombstone) (bool, error) {
	x, err := index.Open(b.File(bundle.IndexPath))
	if err != nil {
		return false, err
	}
	var d index.Digest
	if _, err := hex.Decode(d[:], []byte(strings.TrimPrefix(t.Digest, "sha256:"))); err != nil {
		return false, err
	}
	repo, ok := x.Repository(t.Registry, t.Repository)
	if !ok {
		return true, nil
	}
	n, ok := repo.Node(d)
	if !ok {
		return true, nil
	}
	for _, c := range x.Set(n.Set) {
		if c.RevokedAt > t.At {
			return false, nil
		}
	}
	return true, nil
}
