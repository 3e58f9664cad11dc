package tombstone

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// site is a publisher of bundles of one customer, with a license and a key.
type site struct {
	t      *testing.T
	m      *memory
	signer *bundle.Signer
	ring   *bundle.KeyRing
	clock  time.Time
	keep   *Keepers

	revoked string // of the license: "never" or an instant
	banned  bool
	noKey   bool
	held    bool
}

const hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func newSite(t *testing.T) *site {
	s := &site{t: t, m: newMemory(), clock: time.Unix(500, 0), revoked: `"never"`}
	s.signer, s.ring = newKey(t)
	s.keep = s.keepers()
	return s
}

func newKey(t *testing.T) (*bundle.Signer, *bundle.KeyRing) {
	t.Helper()
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := bundle.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := bundle.NewKeyRing(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	return signer, ring
}

// keepers are those of a publisher that has just been started.
func (s *site) keepers() *Keepers {
	return NewKeepers(nil, KeeperConfig{
		Name: bundle.DefaultName, Bundles: []string{bundle.DefaultName, "plant-7"}, Signer: s.signer, Ring: s.ring, Stream: s.m,
		Validity: 72 * time.Hour, Clock: func() time.Time { return s.clock }, Held: func() bool { return s.held },
	})
}

// bundle is what the publisher makes of its sources now.
func (s *site) bundle(serial int64) *bundle.Bundle {
	s.t.Helper()
	keys := `"` + hash + `":{"customer":"acme","expires":"never","key":"ci"}`
	if s.noKey {
		keys = ""
	}
	banned := "false"
	if s.banned {
		banned = "true"
	}
	var buf bytes.Buffer
	_, err := bundle.Write(&buf, &bundle.Content{Serial: serial, IssuedAt: s.clock.Unix(), NotAfter: s.clock.Add(72 * time.Hour).Unix(), Files: map[string][]byte{
		"pullgate/customers/data.json": []byte(`{"acme":{"banned":` + banned + `,"licenses":{"acme-1":{"revoked":` + s.revoked + `}}}}`),
		"pullgate/keys/data.json":      []byte("{" + keys + "}"),
	}}, s.signer)
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := bundle.Read(&buf, s.ring, bundle.ReadOptions{Name: bundle.DefaultName})
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

// publish announces a bundle of the sources as they are, and publishes it.
func (s *site) publish(serial int64) *bundle.Bundle {
	b := s.bundle(serial)
	s.keep.Announce(context.Background(), b)
	return b
}

// tick lets time pass and the Keeper have a round.
func (s *site) tick(d time.Duration) {
	s.clock = s.clock.Add(d)
	s.keep.all[bundle.DefaultName].round(context.Background(), nil)
}

func (s *site) beat() *bundle.Heartbeat {
	s.t.Helper()
	h, err := bundle.ReadHeartbeat(s.m.heartbeat, bundle.DefaultName, s.ring)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// revoke appends a tombstone of the license.
func (s *site) revoke() *Appended {
	s.t.Helper()
	return s.append(bundle.Tombstone{Kind: bundle.TombstoneLicense, Customer: "acme", License: "acme-1", At: s.clock.Unix()})
}

func (s *site) append(t bundle.Tombstone) *Appended {
	s.t.Helper()
	t.Bundle = bundle.DefaultName
	r := Revoker{Signer: s.signer, Ring: s.ring, Hold: DefaultHold, Written: true}
	a, err := r.Append(context.Background(), s.m, t, s.clock)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// serials are those of the tombstones that are in the stream.
func (s *site) serials() (all []int64) {
	s.t.Helper()
	for _, text := range s.m.all() {
		t, err := bundle.ReadTombstone(text, bundle.DefaultName, s.ring)
		if err != nil {
			s.t.Fatal(err)
		}
		all = append(all, t.Serial)
	}
	return all
}

func equal(t *testing.T, what string, got []int64, want ...int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: %v, want %v", what, got, want)
		}
	}
}

func TestTheNextBundleEndsATombstone(t *testing.T) {
	s := newSite(t)
	s.publish(500)
	if h := s.beat(); h.Serial != 500 || h.Last != h.First-1 || strings.Join(h.Bundles, " ") != "default plant-7" {
		t.Errorf("heartbeat %+v", h)
	}
	s.revoked = "500"
	a := s.revoke()
	if a.Serial != 501 || a.Before || a.Beat < 0 {
		t.Errorf("%+v", a)
	}
	if again := s.revoke(); !again.Before || again.Number != a.Number {
		t.Errorf("again: %+v", again)
	}
	s.publish(501)
	equal(t, "serials", s.serials(), 501)
	if h := s.beat(); h.Serial != 501 || h.First != a.Number || h.Last != a.Number {
		t.Errorf("heartbeat %+v", h)
	}
}

// The claim of docs/design/tombstones.md: a bundle that was compiled before the edit never ends it.
func TestABundleOfEarlierSourcesDoesNotEndATombstone(t *testing.T) {
	t.Run("compiled before, announced after", func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		early := s.bundle(501) // under way
		s.revoked = "500"
		s.revoke() // 501
		s.keep.Announce(context.Background(), early)
		equal(t, "serials", s.serials(), 501, 502)
		s.publish(502)
		equal(t, "serials after the bundle with the edit", s.serials(), 501, 502)
	})
	t.Run("announced, then published", func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		early := s.bundle(501)
		s.keep.Announce(context.Background(), early)
		if a := s.revoke(); a.Serial != 502 {
			t.Errorf("serial %d is ended by a bundle that does not have it", a.Serial)
		}
	})
	t.Run("announced while it is appended", func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		early := s.bundle(501)
		s.m.between = func() { s.keep.Announce(context.Background(), early) }
		if a := s.revoke(); a.Serial != 502 {
			t.Errorf("serial %d is ended by a bundle that does not have it", a.Serial)
		}
	})
	t.Run("announced while Redis was away", func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		s.revoke() // 501
		s.m.setAway(errAway)
		s.publish(501)
		if p := s.keep.Problem(); !strings.Contains(p, "connection refused") {
			t.Errorf("problem %q", p)
		}
		s.m.setAway(nil)
		s.tick(Beats)
		equal(t, "serials", s.serials(), 501, 502)
		if p := s.keep.Problem(); p != "" {
			t.Errorf("problem %q", p)
		}
	})
	t.Run("sources that are late", func(t *testing.T) { // such as a Git checkout
		s := newSite(t)
		s.publish(500)
		s.revoke()
		for serial := int64(501); serial < 504; serial++ {
			s.clock = s.clock.Add(time.Minute)
			s.publish(serial)
		}
		equal(t, "serials", s.serials(), 501, 502, 503, 504)
		s.revoked = "500"
		s.publish(504)
		s.publish(505)
		equal(t, "serials with the edit", s.serials(), 501, 502, 503, 504)
	})
	t.Run("sources that never come", func(t *testing.T) { // then they are the truth
		s := newSite(t)
		s.publish(500)
		s.revoke()
		s.clock = s.clock.Add(DefaultHold)
		s.publish(501)
		equal(t, "serials", s.serials(), 501)
	})
	t.Run("sources that are held back", func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		s.revoke()
		s.held = true
		s.clock = s.clock.Add(36 * time.Hour)
		s.publish(501) // what was published before, again
		equal(t, "serials", s.serials(), 501, 502)
	})
	t.Run("revoked no more", func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		s.revoked = "500"
		s.revoke()
		s.publish(501)
		s.revoked = `"never"`
		s.publish(502)
		s.tick(Beats)
		equal(t, "serials", s.serials(), 501)
	})
}

func TestWhatABundleHas(t *testing.T) {
	license := bundle.Tombstone{Kind: bundle.TombstoneLicense, Customer: "acme", License: "acme-1", At: 100}
	customer := bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"}
	key := bundle.Tombstone{Kind: bundle.TombstoneKey, Customer: "acme", Key: "ci"}
	hashed, other := key, key
	hashed.Hash, other.Hash = hash, strings.Repeat("0", 64)
	nobody, none := customer, license
	nobody.Customer, none.License = "nobody", "acme-2"
	for name, tt := range map[string]struct {
		t      bundle.Tombstone
		change func(*site)
		want   bool
	}{
		"license":                   {license, func(*site) {}, false},
		"license, revoked":          {license, func(s *site) { s.revoked = "100" }, true},
		"license, revoked earlier":  {license, func(s *site) { s.revoked = "99" }, true},
		"license, revoked later":    {license, func(s *site) { s.revoked = "101" }, false},
		"license that is not there": {none, func(*site) {}, true},
		"customer":                  {customer, func(*site) {}, false},
		"customer, banned":          {customer, func(s *site) { s.banned = true }, true},
		"customer who is not there": {nobody, func(*site) {}, true},
		"key":                       {key, func(*site) {}, false},
		"key by its hash":           {hashed, func(*site) {}, false},
		"key of another hash":       {other, func(*site) {}, true},
		"key that is gone":          {key, func(s *site) { s.noKey = true }, true},
	} {
		s := newSite(t)
		tt.change(s)
		if got, err := Has(s.bundle(1), &tt.t); got != tt.want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// Whoever writes to Redis makes the Keeper lose nothing.
func TestTheKeeperMends(t *testing.T) {
	s := newSite(t)
	s.publish(500)
	a := s.revoke()
	s.tick(Beats)
	s.m.flush()
	s.tick(Beats)
	equal(t, "serials after Redis was emptied", s.serials(), 501)
	if h := s.beat(); h.Last != a.Number {
		t.Errorf("heartbeat %+v, want last %d", h, a.Number)
	}

	other, _ := newKey(t)
	forged, err := (&bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme", Bundle: bundle.DefaultName, Made: 1, Number: 1 << 40, Serial: 1 << 40}).Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere, err := (&bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme", Bundle: "plant-7", Made: 1, Number: 1 << 40, Serial: 1 << 40}).Sign(s.signer)
	if err != nil {
		t.Fatal(err)
	}
	s.m.put("nonsense", elsewhere, forged)
	s.tick(Beats)
	texts := s.m.all()
	if len(texts) != 2 || texts[1] != forged {
		t.Errorf("%d entries are left, want the tombstone and the one that somebody else may vouch for", len(texts))
	}
	if p := s.keep.Problem(); !strings.Contains(p, "1 are signed with a key that is not known here") {
		t.Errorf("problem %q", p)
	}
	if next := s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"}); next.Number != a.Number+1 {
		t.Errorf("number %d follows %d", next.Number, a.Number)
	}
}

// Tombstones go when no bundle from before can still be used, from the lowest number on.
func TestOldTombstonesGo(t *testing.T) {
	s := newSite(t)
	s.publish(s.clock.Unix())
	s.revoked = "1"
	a := s.revoke()
	s.publish(a.Serial)
	s.clock = s.clock.Add(time.Hour)
	s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"})
	s.banned = true
	s.clock = s.clock.Add(time.Second)
	last := s.publish(s.clock.Unix())
	for range 73 {
		s.tick(time.Hour)
		if len(s.serials()) == 0 {
			t.Fatal("both are gone before the last bundle without what they revoke is past its not_after")
		}
	}
	if got := s.serials(); len(got) != 1 || got[0] <= a.Serial {
		t.Errorf("serials %v", got)
	}
	s.tick(2 * time.Hour)
	if got := s.serials(); len(got) != 0 {
		t.Errorf("serials %v, with bundle %d", got, last.Serial())
	}
	if h := s.beat(); h.First != a.Number+2 || h.Last != a.Number+1 {
		t.Errorf("heartbeat %+v", h)
	}
}

func TestAPublisherThatIsStartedAgainGoesOn(t *testing.T) {
	s := newSite(t)
	s.publish(500)
	a := s.revoke()
	s.tick(Beats)
	s.keep = s.keepers()
	s.publish(500) // what it has kept
	if h := s.beat(); h.First != a.Number || h.Last != a.Number || h.Serial != 500 {
		t.Errorf("heartbeat %+v after number %d", h, a.Number)
	}
	s.publish(501)
	equal(t, "serials", s.serials(), 501, 502)

	// What has gone meanwhile is told of until there is another bundle.
	ids, _, _ := s.m.Read(context.Background(), "")
	if err := s.m.Remove(context.Background(), ids[:1]); err != nil {
		t.Fatal(err)
	}
	s.keep = s.keepers()
	s.publish(501)
	if h := s.beat(); h.First != a.Number {
		t.Errorf("heartbeat %+v, want first %d: it is missing", h, a.Number)
	}
	s.publish(502)
	s.tick(Beats)
	if h := s.beat(); h.First != a.Number+1 {
		t.Errorf("heartbeat %+v, want first %d", h, a.Number+1)
	}

	// Numbers rise even when nothing is left to learn them from.
	s.m.flush()
	s.keep = s.keepers()
	s.clock = s.clock.Add(time.Hour)
	s.publish(503)
	if next := s.revoke(); next.Number <= a.Number+1 {
		t.Errorf("number %d was used", next.Number)
	}
}

func TestAppendWithoutAPublisher(t *testing.T) {
	s := newSite(t)
	a := s.revoke()
	if a.Beat >= 0 || a.Serial != s.clock.Unix()+1 {
		t.Errorf("%+v", a)
	}
	s.publish(500)
	s.clock = s.clock.Add(2 * time.Minute) // it has not been heard of since
	if a := s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"}); a.Beat != 2*time.Minute || a.Serial != s.clock.Unix()+1 {
		t.Errorf("%+v", a)
	}
	mill := bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "mill", Bundle: bundle.DefaultName}
	early := Revoker{Signer: s.signer, Ring: s.ring}
	if _, err := early.Append(context.Background(), s.m, mill, s.clock); !errors.Is(err, ErrQuiet) {
		t.Errorf("before it is written: %v", err)
	}
	s.tick(0)
	if a, err := early.Append(context.Background(), s.m, mill, s.clock); err != nil || a.Serial != s.beat().Serial+1 {
		t.Errorf("before it is written, with a publisher: %+v, %v", a, err)
	}
	other, ring := newKey(t)
	stranger := Revoker{Signer: other, Ring: ring, Written: true}
	if _, err := stranger.Append(context.Background(), s.m, mill, s.clock); !errors.Is(err, ErrForeignHeartbeat) {
		t.Errorf("with a key that the publisher does not have: %v", err)
	}
}
