package bundle

import (
	"errors"
	"fmt"
	"strings"
)

// TombstoneKind says what a Tombstone denies.
type TombstoneKind string

// The kinds, with the fields that each has.
const (
	TombstoneCustomer TombstoneKind = "customer" // Customer: banned
	TombstoneLicense  TombstoneKind = "license"  // Customer, License, At: revoked from At
	TombstoneKey      TombstoneKind = "key"      // Customer, Key, and Hash if only that one is meant: no key any more
	TombstoneDigest   TombstoneKind = "digest"   // Registry, Repository, Digest, At: revoked from At
)

// A Tombstone denies one thing until a bundle with its serial or a later one is active: it says
// sooner what that bundle will say (docs/design/tombstones.md). Every field counts in its text.
type Tombstone struct {
	At         int64         `json:"at,omitempty"` // Unix seconds
	Bundle     string        `json:"bundle"`       // name of the bundle that it is about
	Customer   string        `json:"customer,omitempty"`
	Digest     string        `json:"digest,omitempty"` // sha256:HEX
	Hash       string        `json:"hash,omitempty"`   // of the key, 64 hex digits
	Hold       int64         `json:"hold,omitempty"`   // seconds after Made for which a bundle without the revocation does not end it
	Key        string        `json:"key,omitempty"`
	Kind       TombstoneKind `json:"kind"`
	License    string        `json:"license,omitempty"`
	Made       int64         `json:"made"`   // Unix seconds
	Number     int64         `json:"number"` // among those of the bundle, without gaps
	Registry   string        `json:"registry,omitempty"`
	Repository string        `json:"repository,omitempty"`
	Serial     int64         `json:"serial"` // the bundle that has this serial, or a later one, ends it
}

const tombstoneType = "pullgate-tombstone"

// Sign makes the text of a tombstone.
func (t *Tombstone) Sign(s *Signer) (string, error) {
	if err := t.check(); err != nil {
		return "", err
	}
	return s.state(tombstoneType, t)
}

// ReadTombstone verifies the text of a tombstone about the bundle of this name. Errors:
// ErrForeignKey, or what is wrong with it.
func ReadTombstone(text, name string, ring *KeyRing) (*Tombstone, error) {
	t := &Tombstone{}
	if err := readStatement(ring, text, tombstoneType, t); err != nil {
		return nil, fmt.Errorf("tombstone: %w", err)
	}
	if err := t.check(); err != nil {
		return nil, err
	}
	if t.Bundle != name {
		return nil, fmt.Errorf("tombstone: it is about bundle %s", t.Bundle)
	}
	return t, nil
}

// check says what is wrong with a tombstone: fields that its kind does not have are empty.
func (t *Tombstone) check() error {
	want := Tombstone{Bundle: t.Bundle, Kind: t.Kind, Made: t.Made, Hold: t.Hold, Number: t.Number, Serial: t.Serial}
	var needed []string
	switch t.Kind {
	case TombstoneCustomer:
		want.Customer, needed = t.Customer, []string{t.Customer}
	case TombstoneLicense:
		want.Customer, want.License, want.At, needed = t.Customer, t.License, t.At, []string{t.Customer, t.License}
	case TombstoneKey:
		want.Customer, want.Key, want.Hash, needed = t.Customer, t.Key, t.Hash, []string{t.Customer, t.Key}
		if t.Hash != "" && !sumPattern.MatchString(t.Hash) {
			return errors.New("tombstone: hash is not 64 hex digits")
		}
	case TombstoneDigest:
		want.Registry, want.Repository, want.Digest, want.At = t.Registry, t.Repository, t.Digest, t.At
		needed = []string{t.Registry, t.Repository}
		if sum, ok := strings.CutPrefix(t.Digest, "sha256:"); !ok || !sumPattern.MatchString(sum) {
			return errors.New("tombstone: digest is not sha256: and 64 hex digits")
		}
	default:
		return fmt.Errorf("tombstone: kind %q", t.Kind)
	}
	for _, s := range needed {
		if s == "" {
			return fmt.Errorf("tombstone: it does not say which %s", t.Kind)
		}
	}
	switch {
	case want != *t:
		return fmt.Errorf("tombstone: it has fields that no %s has", t.Kind)
	case !ValidName(t.Bundle):
		return fmt.Errorf("tombstone: bundle %q", t.Bundle)
	case t.Number <= 0, t.Serial <= 0, t.Made <= 0, t.Hold < 0:
		return errors.New("tombstone: number, serial and made are positive")
	}
	return nil
}

// Target says what a tombstone denies, in words.
func (t *Tombstone) Target() string {
	switch t.Kind {
	case TombstoneCustomer:
		return "customer " + t.Customer
	case TombstoneLicense:
		return fmt.Sprintf("license %s of %s", t.License, t.Customer)
	case TombstoneKey:
		return fmt.Sprintf("key %s/%s", t.Customer, t.Key)
	}
	return fmt.Sprintf("digest %s of %s in registry %s", t.Digest, t.Repository, t.Registry)
}

// Denies says whether two tombstones deny the same from the same instant.
func (t *Tombstone) Denies(other *Tombstone) bool {
	a, b := *t, *other
	for _, x := range []*Tombstone{&a, &b} {
		x.Number, x.Serial, x.Made, x.Hold = 0, 0, 0, 0
	}
	return a == b
}

// A Heartbeat is what a publisher says of its tombstones every few seconds, and before each bundle
// that it publishes.
type Heartbeat struct {
	At      int64    `json:"at"` // Unix milliseconds; a later one takes the place of an earlier one
	Bundle  string   `json:"bundle"`
	Bundles []string `json:"bundles"` // names of all bundles of the publisher, sorted
	First   int64    `json:"first"`   // the lowest number of a tombstone that may still matter
	Last    int64    `json:"last"`    // the highest number; First-1 when there is none
	Serial  int64    `json:"serial"`  // the highest of a bundle that is, or is about to be, published
}

const heartbeatType = "pullgate-heartbeat"

// Sign makes the text of a heartbeat.
func (h *Heartbeat) Sign(s *Signer) (string, error) { return s.state(heartbeatType, h) }

// ReadHeartbeat verifies the text of a heartbeat about the bundle of this name, like ReadTombstone.
func ReadHeartbeat(text, name string, ring *KeyRing) (*Heartbeat, error) {
	h := &Heartbeat{}
	if err := readStatement(ring, text, heartbeatType, h); err != nil {
		return nil, fmt.Errorf("heartbeat: %w", err)
	}
	if h.Bundle != name || h.First < 1 || h.Last < h.First-1 || h.Serial < 0 {
		return nil, fmt.Errorf("heartbeat: it is about bundle %s, or no heartbeat", h.Bundle)
	}
	return h, nil
}
