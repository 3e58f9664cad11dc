package engine

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
)

// sealed is a bundle that shares with another one what does not change.
func sealed(t *testing.T, b *bundle.Bundle, customers []bundle.Member) *bundle.Bundle {
	t.Helper()
	c := &bundle.Content{Serial: b.Serial() + 1, IssuedAt: b.IssuedAt(), NotAfter: b.NotAfter(), Files: map[string][]byte{}, Objects: map[string]*bundle.Object{}}
	for _, p := range b.Paths() {
		switch o := b.Object(p); {
		case p == bundle.ManifestPath || p == bundle.SignaturesPath:
		case o != nil:
			c.Objects[p] = o
		default:
			c.Files[p] = b.File(p)
		}
	}
	var err error
	path := customersDir + "/" + dataFile
	if c.Objects[path], err = c.Objects[path].Edit(customers); err != nil {
		t.Fatal(err)
	}
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
	out, err := bundle.Seal(c, signer, ring, bundle.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A generation is kept by the requests that it has to answer, and freed after the last of them: also
// one of which the next has taken over customers, keys and index, and one with tombstones.
func TestAGenerationIsFreedAfterItsLastRequest(t *testing.T) {
	for name, next := range map[string]func(w *world, b *bundle.Bundle) *bundle.Bundle{
		"bundles from a file": func(w *world, _ *bundle.Bundle) *bundle.Bundle { w.serial++; return w.bundle(t) },
		"bundles that share":  func(_ *world, b *bundle.Bundle) *bundle.Bundle { return sealed(t, b, nil) },
		"bundles that share some": func(_ *world, b *bundle.Bundle) *bundle.Bundle {
			return sealed(t, b, []bundle.Member{{Name: "mill", Value: fmt.Appendf(nil, `{"id":"mill","licenses":{},"serial":%d}`, b.Serial())}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			ofMill := tombstone(func(t *bundle.Tombstone) {
				t.Kind, t.Customer, t.Serial = bundle.TombstoneCustomer, "mill", 100 // no bundle has it
			})
			w := shop(t)
			a := w.asks(t, nil)
			pull := request("bakery", authz.KindManifest, "acme/app", "1.4.0")
			var there []func() bool // of each generation, whether anything of it is still there
			b := w.bundle(t)
			activate := func() {
				if err := a.engine.Activate(context.Background(), b); err != nil {
					t.Fatal(err)
				}
				if d := a.ask(pull); d.Outcome != authz.OutcomeAllow {
					t.Fatal(line(d))
				}
				g := a.engine.plain
				generation, subjects, store, content := weak.Make(g), weak.Make(g.subjects), weak.Make(g.store), weak.Make(b)
				there = append(there, func() bool {
					return generation.Value() != nil || subjects.Value() != nil || store.Value() != nil || content.Value() != nil
				})
			}
			activate()
			held := a.engine.Generation() // by a request under way
			b = next(w, b)
			if err := a.engine.SetTombstones(context.Background(), []bundle.Tombstone{ofMill}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				activate()
				b = next(w, b)
			}
			b = nil
			freed := func() (n int) {
				runtime.GC()
				for _, is := range there {
					if !is() {
						n++
					}
				}
				return n
			}
			await := func(want int) {
				t.Helper()
				for limit := time.Now().Add(20 * time.Second); freed() != want; runtime.Gosched() {
					if time.Now().After(limit) {
						t.Fatalf("%d of %d generations are freed, want %d", freed(), len(there), want)
					}
				}
			}
			await(2) // not the first, which a request holds, nor the last, which is active
			if held.Revision() == "" || !there[0]() {
				t.Error("the generation of a request is gone")
			}
			runtime.KeepAlive(held)
			held = nil
			await(3)
		})
	}
}
