package authz

import (
	"context"
	"math"
)

// Cache keeps verdicts in this process (L1). Implemented by package memstore. All methods
// are safe for concurrent use, never block on I/O and may forget at any time: an Entry says
// itself when it is true, and the Gate checks that on every read, so a store's own expiry is
// housekeeping and can never extend a right.
type Cache interface {
	Get(key [32]byte) (Entry, bool)
	Put(key [32]byte, e Entry)
	// Drop forgets the entry of a key, if there is one.
	Drop(key [32]byte)
}

// SharedCache keeps verdicts for several processes (L2). It is asked when the Cache does not
// know, and may be slow or lie only as far as its owner lets it: Get must return within its
// own small budget and only what it has authenticated; Put must not wait. An Entry is handed
// to it whole and must come back whole. Both methods are safe for concurrent use.
type SharedCache interface {
	Get(ctx context.Context, key [32]byte) (Entry, Found)
	Put(key [32]byte, e Entry)
}

// Found says what came of asking a SharedCache.
type Found uint8

const (
	FoundNothing Found = iota // it has none, or none that is authentic
	FoundEntry                // which may be out of date
	FoundFailed               // it did not say
	NotAsked                  // it is known to be out of order: asking took no time
)

// Entry is a cached verdict with the interval it is true for, [From, Until) in Unix seconds.
// It holds nothing of a request, so that all requests with the same key share it: expiry of
// keys and of the bundle are applied after the cache. Shared and immutable.
type Entry struct {
	Verdict Verdict
	Visible []int // of a tag list that is allowed: indexes into Target.Candidates
	From    int64
	Until   int64
}

// Longest lives of entries in seconds, so that a clock that jumps or a boundary nobody
// declared does harm for a short time only. Errors are never cached.
const (
	allowCap = 60
	denyCap  = 5
)

// holds reports whether the entry is true at an instant.
func (e *Entry) holds(at int64) bool { return e.From <= at && at < e.Until }

// entryOf makes the entry of a verdict given at an instant: true from then until the
// answer may change, its warnings change, or the cap of its class.
func entryOf(v Verdict, visible []int, at int64) Entry {
	life := int64(denyCap)
	if v.Allow {
		life = allowCap
	}
	until := min(v.Until, at+life)
	if v.ExpiringFrom > at { // no boundary of the answer, but a warning begins there
		until = min(until, v.ExpiringFrom)
	}
	return Entry{Verdict: v, Visible: visible, From: at, Until: until}
}

// nextBoundary is the earliest instant after `at` at which one of the candidates changes, or
// Never. A list ends there although the policy was not shown its candidates.
func nextBoundary(candidates []Candidate, at int64) int64 {
	next := int64(math.MaxInt64)
	for i := range candidates {
		c := &candidates[i]
		for _, t := range [...]int64{c.Released, c.WithdrawnAt, c.RetiresAt, c.RevokedAt} {
			if t > at && t < next {
				next = t
			}
		}
	}
	return next
}
