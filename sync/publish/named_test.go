package publish

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/bundle"
)

// Of several bundles with the same content an order is about the one that it names.
func TestOrdersNameABundle(t *testing.T) {
	dir := t.TempDir()
	p, e := newPublisher(t, func(c *Config) {
		c.Bundles[0].Approve, c.Bundles[0].History = wary, &History{Dir: filepath.Join(dir, "default")}
		plant := c.Bundles[0]
		plant.Name, plant.History = "plant", &History{Dir: filepath.Join(dir, "plant")}
		c.Bundles = append(c.Bundles, plant)
	})
	if err := errors.Join(p.SetLicenses(t.Context(), licenses(t, "all", 0), nil), p.SetCatalog(t.Context(), "main", tagged("1.0.0", "1.1.0"))); err != nil {
		t.Fatal(err)
	}
	first := e.last(t, 4).Revision()
	if err := p.SetCatalog(t.Context(), "main", tagged("1.0.0")); err != nil || len(p.Held()) != 2 || p.Held()[0].Revision != p.Held()[1].Revision {
		t.Fatal(err, p.Held())
	}
	revision := p.Held()[0].Revision
	for _, order := range []func(context.Context, string, string) error{p.Accept, p.Rollback} {
		if err := order(t.Context(), "absent", revision); err == nil || !strings.Contains(err.Error(), "default, plant") {
			t.Errorf("another name: %v", err)
		}
	}
	if err := p.Accept(t.Context(), "plant", revision); err != nil {
		t.Fatal(err)
	}
	if b := e.last(t, 5); b.Name() != "plant" || b.Revision() != revision || len(p.Held()) != 1 || p.Held()[0].Name != "default" {
		t.Fatalf("%s %s is published, held %+v", b.Name(), b.Revision(), p.Held())
	}
	if err := p.Accept(t.Context(), "", revision); err != nil || len(p.Held()) != 0 {
		t.Fatal(err, p.Held())
	}
	e.last(t, 6)
	if err := p.Rollback(t.Context(), "", first); err == nil || !strings.Contains(err.Error(), "say which one: default, plant") {
		t.Fatalf("which one? %v", err)
	}
	if err := p.Rollback(t.Context(), "default", first); err != nil {
		t.Fatal(err)
	}
	if b := e.last(t, 7); b.Name() != "default" || b.Revision() != first || len(p.Held()) != 1 {
		t.Fatalf("%s %s is published, held %+v", b.Name(), b.Revision(), p.Held())
	}
}

// What the publisher's own reader does not take nobody gets: the last good one stays.
func TestNothingIsPublishedThatItsOwnReaderRefuses(t *testing.T) {
	p, e := newPublisher(t)
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	first, set, ring := e.last(t, 1), p.Set(), p.cfg.Ring
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if p.cfg.Ring, err = bundle.NewKeyRing(&key.PublicKey); err != nil {
		t.Fatal(err)
	}
	if err := p.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); !errors.Is(err, bundle.ErrUnknownKey) {
		t.Errorf("error %v", err)
	}
	p.mu.Lock()
	_, err = p.publish(t.Context(), true)
	p.mu.Unlock()
	if !errors.Is(err, bundle.ErrUnknownKey) || p.Set() != set || e.last(t, 1) != first {
		t.Errorf("error %v; the set is another: %t", err, p.Set() != set)
	}
	p.cfg.Ring = ring
	if err := p.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); err != nil || e.last(t, 2).Serial() <= first.Serial() {
		t.Error(err)
	}
}

// A customer of a bundle that does not exist, while others do, is told.
func TestAbsentCustomersAreTold(t *testing.T) {
	var log strings.Builder
	p, e := newPublisher(t, func(c *Config) {
		c.Bundles[0].Customers = []string{"acme", "umbrela"}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	for range 2 {
		if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
			t.Fatal(err)
		}
	}
	e.last(t, 1)
	if got := p.Absent()["default"]; !slices.Equal(got, []string{"umbrela"}) || strings.Count(log.String(), "customers=umbrela") != 1 {
		t.Errorf("%v\n%s", got, &log)
	}
}
