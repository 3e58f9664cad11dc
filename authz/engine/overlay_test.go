package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/bundle"
)

// tombstone is one about the shop's bundle, which has serial 1.
func tombstone(change func(*bundle.Tombstone)) bundle.Tombstone {
	t := bundle.Tombstone{Bundle: bundle.DefaultName, Serial: 2, Number: 1, Made: now}
	change(&t)
	return t
}

func (a *asks) bury(tombstones ...bundle.Tombstone) {
	a.t.Helper()
	if err := a.engine.SetTombstones(context.Background(), tombstones); err != nil {
		a.t.Fatal(err)
	}
}

func ofLicense(at int64) bundle.Tombstone {
	return tombstone(func(t *bundle.Tombstone) {
		t.Kind, t.Customer, t.License, t.At = bundle.TombstoneLicense, "bakery", "bakery-app", at
	})
}

func ofDigest(name string, at int64) bundle.Tombstone {
	return tombstone(func(t *bundle.Tombstone) {
		t.Kind, t.Registry, t.Repository, t.Digest, t.At = bundle.TombstoneDigest, "main", "acme/app", digestOfName(name), at
	})
}

func TestTombstonesDeny(t *testing.T) {
	image := request("bakery", authz.KindManifest, "acme/app", "1.4.0")
	byDigest := request("bakery", authz.KindManifest, "acme/app", digestOfName("image140"))
	layer := request("bakery", authz.KindBlob, "acme/app", digestOfName("layer140"))
	tools := request("bakery", authz.KindManifest, "acme/tools", "1.4")
	guide := request("bakery", authz.KindManifest, "acme/docs", "guide")
	others := request("mill", authz.KindManifest, "acme/app", "2.0.0")
	hash := sha256.Sum256([]byte("bakery/ci"))
	key := func(hash string) bundle.Tombstone {
		return tombstone(func(t *bundle.Tombstone) {
			t.Kind, t.Customer, t.Key, t.Hash = bundle.TombstoneKey, "bakery", "ci", hash
		})
	}
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	w := shop(t)
	a := w.asks(t, cache)
	activate := func(t *testing.T, serial int64) {
		t.Helper()
		w.serial = serial
		if err := a.engine.Activate(context.Background(), w.bundle(t)); err != nil {
			t.Fatal(err)
		}
	}
	type answers map[*authz.Request]authz.Code
	for name, tt := range map[string]struct {
		tombstone bundle.Tombstone
		want      answers // what is not here is as before
	}{
		"license":             {ofLicense(now - 5), answers{image: authz.CodeRevoked, byDigest: authz.CodeRevoked, layer: authz.CodeRevoked}},
		"license, from later": {ofLicense(now + 1), answers{}},
		"customer": {tombstone(func(t *bundle.Tombstone) { t.Kind, t.Customer = bundle.TombstoneCustomer, "bakery" }), answers{
			image: authz.CodeCustomerBanned, byDigest: authz.CodeCustomerBanned, layer: authz.CodeCustomerBanned, tools: authz.CodeCustomerBanned,
		}},
		"key": {key(""), answers{image: authz.CodeUnknownKey, byDigest: authz.CodeUnknownKey, layer: authz.CodeUnknownKey, tools: authz.CodeUnknownKey}},
		"key by its hash": {key(hex.EncodeToString(hash[:])), answers{
			image: authz.CodeUnknownKey, byDigest: authz.CodeUnknownKey, layer: authz.CodeUnknownKey, tools: authz.CodeUnknownKey,
		}},
		"an earlier key of that name": {key(hex.EncodeToString(digestBytes("another"))), answers{}},
		"manifest":                    {ofDigest("image140", now), answers{image: authz.CodeWithdrawn, byDigest: authz.CodeWithdrawn}},
		"blob":                        {ofDigest("layer140", now), answers{layer: authz.CodeWithdrawn}},
		"digest, from later":          {ofDigest("image140", now+1), answers{}},
		"digest that is not there":    {ofDigest("nothing", now), answers{}},
		"customer that is not there":  {tombstone(func(t *bundle.Tombstone) { t.Kind, t.Customer = bundle.TombstoneCustomer, "nobody" }), answers{}},
		"another bundle": {tombstone(func(t *bundle.Tombstone) {
			t.Kind, t.Customer, t.Bundle = bundle.TombstoneCustomer, "bakery", "plant-7"
		}), answers{}},
		"ended by the active bundle": {tombstone(func(t *bundle.Tombstone) { t.Kind, t.Customer, t.Serial = bundle.TombstoneCustomer, "bakery", 1 }), answers{}},
	} {
		t.Run(name, func(t *testing.T) {
			serial := w.serial + 1
			a.bury()
			activate(t, serial)
			tt.tombstone.Serial += serial - 1
			all := []*authz.Request{image, byDigest, layer, tools, guide, others}
			before := map[*authz.Request]string{}
			for _, r := range all {
				d := a.ask(r)
				before[r] = line(d)
				if d.Outcome != authz.OutcomeAllow {
					t.Fatalf("before: %s", line(d))
				}
			}
			check := func(when string, want answers) {
				t.Helper()
				for _, r := range all {
					d := a.ask(r)
					if code, ok := want[r]; ok && (d.Outcome != authz.OutcomeDeny || d.Code != code) {
						t.Errorf("%s: %s %s%s: %s, want %s", when, r.Repository, r.Tag, r.Digest, line(d), code)
					} else if !ok && line(d) != before[r] && d.Outcome != authz.OutcomeAllow {
						t.Errorf("%s: %s %s%s: %s, was %s", when, r.Repository, r.Tag, r.Digest, line(d), before[r])
					}
				}
			}
			a.bury(tt.tombstone)
			check("under the tombstone", tt.want)

			// A bundle with a serial below the tombstone's does not end it, one with that serial does.
			if name != "ended by the active bundle" {
				tt.tombstone.Serial++
				a.bury(tt.tombstone)
				activate(t, serial+1)
				check("with an earlier bundle", tt.want)
			}
			activate(t, serial+2)
			check("with the bundle that ends it", answers{})
			if a.engine.active.Load() != a.engine.plain {
				t.Error("an overlay is left when there is nothing in it")
			}
		})
	}
}

// The documents that decisions read say under the tombstones what the compiler would write: canonical,
// with their hash.
func TestEditedDocumentsAreWhole(t *testing.T) {
	a := shop(t).asks(t, nil)
	a.bury(ofLicense(now), tombstone(func(t *bundle.Tombstone) { t.Kind, t.Customer = bundle.TombstoneCustomer, "bakery" }))
	b, _ := a.engine.active.Load().store.blob("bakery")
	if err := bundle.CheckCanonical(b.json()); err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(b.json(), &doc); err != nil {
		t.Fatal(err)
	}
	hash, _ := doc["hash"].(string)
	plain := bytes.Replace(b.json(), []byte(`"hash":"`+hash+`",`), nil, 1)
	if sum := sha256.Sum256(plain); hash != hex.EncodeToString(sum[:]) {
		t.Error("the hash is not that of the document")
	}
	if doc["banned"] != true || doc["licenses"].(map[string]any)["bakery-app"].(map[string]any)["revoked"] != float64(now) {
		t.Errorf("%s", b.json())
	}
	untouched, _ := a.engine.active.Load().store.blob("mill")
	if was, _ := a.engine.plain.store.blob("mill"); untouched.place != was.place {
		t.Error("a customer that no tombstone is about is a copy")
	}
}

// Nobody waits for a bundle that is being made ready.
func TestTombstonesDoNotWaitForAnActivation(t *testing.T) {
	a := shop(t).asks(t, nil)
	a.engine.activating.Lock()
	defer a.engine.activating.Unlock()
	done := make(chan error, 1)
	go func() { done <- a.engine.SetTombstones(context.Background(), []bundle.Tombstone{ofLicense(now)}) }()
	select {
	case err := <-done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it waits")
	}
	if d := a.ask(request("bakery", authz.KindManifest, "acme/app", "1.4.0")); d.Code != authz.CodeRevoked {
		t.Error(line(d))
	}
}

// Tombstones that come before the first bundle count from the first decision on.
func TestTombstonesBeforeTheFirstBundle(t *testing.T) {
	e := newEngine(t, Config{})
	if err := e.SetTombstones(context.Background(), []bundle.Tombstone{ofLicense(now)}); err != nil {
		t.Fatal(err)
	}
	if err := e.Activate(context.Background(), shop(t).bundle(t)); err != nil {
		t.Fatal(err)
	}
	g := authz.NewGate(authz.GateConfig{Engine: e, Clock: func() time.Time { return time.Unix(now, 0) }})
	if d := g.Decide(context.Background(), request("bakery", authz.KindManifest, "acme/app", "1.4.0")); d.Code != authz.CodeRevoked {
		t.Error(line(d))
	}
}

func BenchmarkSetTombstones(b *testing.B) {
	a := shop(b).asks(b, nil)
	for b.Loop() {
		a.bury(ofLicense(now))
	}
}
