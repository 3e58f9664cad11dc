// Package tombstone makes a revocation count before the bundle that has it (docs/design/tombstones.md):
// Append writes a tombstone, a Keeper beside the publisher keeps them in order, and a Follower in each
// sidecar reads them.
//
// What lies between them is not trusted. Whoever writes there can hold tombstones back, which is an
// alarm, and can deny nobody anything and allow nobody anything: the bundle remains the truth.
package tombstone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// Stream is where the tombstones of one bundle and the heartbeat of its publisher are, as texts.
// Package redisstore has one. Ids name entries; they ascend. It is safe for concurrent use.
type Stream interface {
	// Read returns the entries after an id, "" for all; of very many the first.
	Read(ctx context.Context, after string) (ids, texts []string, err error)
	// Wait is Read that waits for an entry, and returns none when the time is over.
	Wait(ctx context.Context, after string, most time.Duration) (ids, texts []string, err error)
	// Append appends what next makes of the entries and the heartbeat, if neither has changed when it
	// is appended; else it asks again. Of "" nothing is appended.
	Append(ctx context.Context, next func(texts []string, heartbeat string) (string, error)) error
	Restore(ctx context.Context, texts []string) error
	Remove(ctx context.Context, ids []string) error
	// Heartbeat returns the newest one, "" when there is none.
	Heartbeat(ctx context.Context) (string, error)
	Beat(ctx context.Context, text string) error
}

const (
	// Beats is the time between two heartbeats.
	Beats = 5 * time.Second
	// Missed is how long no heartbeat may come before that is an alarm.
	Missed = 15 * time.Second
	// DefaultHold is for how long a bundle that was made of sources without the revocation does not
	// end a tombstone.
	DefaultHold = 10 * time.Minute
	// MaxHold bounds it.
	MaxHold = 7 * 24 * time.Hour

	// fresh is the age of a heartbeat whose serial is the highest there is.
	fresh = time.Minute
	// most bounds the tombstones that are held in memory.
	most = 20_000
)

// Appended is what Append did.
type Appended struct {
	*bundle.Tombstone
	Before bool          // it was there already
	Beat   time.Duration // age of the publisher's heartbeat; negative when there is none
}

// ErrQuiet means that no publisher has been heard of lately: append after the sources have the revocation.
var ErrQuiet = errors.New("no publisher was heard of in the last minute")

// ErrForeignHeartbeat means that the publisher signs with a key that Append was not given, so that
// it cannot know which serial comes next.
var ErrForeignHeartbeat = errors.New("the publisher's heartbeat is signed with a key that is not configured")

// Revoker appends tombstones.
type Revoker struct {
	Signer *bundle.Signer
	Ring   *bundle.KeyRing // keys of the publisher and of others who revoke, Signer's among them
	Hold   time.Duration   // see DefaultHold
	// Written says that the revocation is where the publisher reads it. Else, when no publisher has been
	// heard of lately, nothing is appended, and the error is ErrQuiet.
	Written bool
}

// Append signs a tombstone about what t says and appends it; Number, Serial, Made and Hold are filled
// in. Its serial is the one after the last that the publisher has told of, so that the next bundle
// ends it; should that be made of sources without the revocation, the publisher's Keeper makes the
// tombstone anew. When no publisher tells, the clock does: see docs/design/tombstones.md.
func (r *Revoker) Append(ctx context.Context, s Stream, t bundle.Tombstone, now time.Time) (*Appended, error) {
	signer, ring := r.Signer, r.Ring
	var out *Appended
	err := s.Append(ctx, func(texts []string, heartbeat string) (string, error) {
		out = &Appended{Tombstone: &t, Beat: -1}
		t.Made, t.Hold, t.Number, t.Serial = now.Unix(), int64(r.Hold/time.Second), 0, now.Unix()
		if heartbeat != "" {
			h, err := bundle.ReadHeartbeat(heartbeat, t.Bundle, ring)
			switch {
			case errors.Is(err, bundle.ErrForeignKey):
				return "", fmt.Errorf("%w: %w", ErrForeignHeartbeat, err)
			case err == nil:
				t.Number = h.Last
				out.Beat = max(0, now.Sub(time.UnixMilli(h.At)))
				if t.Serial = h.Serial; out.Beat > fresh { // it may have published since without saying so
					t.Serial = max(h.Serial, now.Unix())
				}
			}
		}
		if !r.Written && (out.Beat < 0 || out.Beat > fresh) {
			return "", ErrQuiet
		}
		t.Serial++
		for _, text := range texts {
			old, err := bundle.ReadTombstone(text, t.Bundle, ring)
			if err != nil {
				continue // the Keeper tells of it
			}
			if old.Denies(&t) && old.Serial >= t.Serial {
				out.Tombstone, out.Before = old, true
				return "", nil
			}
			t.Number = max(t.Number, old.Number)
		}
		if t.Number == 0 {
			t.Number = firstNumber(now) - 1
		}
		t.Number++
		return t.Sign(signer)
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// firstNumber is where numbers begin: above all that a stream ever had that was lost.
func firstNumber(now time.Time) int64 { return now.Unix() }

// Bundles returns whether a publisher has ever been heard of a bundle, and the names of all bundles of that
// publisher; none when the ring does not vouch for its heartbeat.
func Bundles(ctx context.Context, s Stream, name string, ring *bundle.KeyRing) (heard bool, names []string, err error) {
	text, err := s.Heartbeat(ctx)
	if err != nil || text == "" {
		return false, nil, err
	}
	h, err := bundle.ReadHeartbeat(text, name, ring)
	if err != nil {
		return true, nil, nil
	}
	return true, slices.Clone(h.Bundles), nil
}
