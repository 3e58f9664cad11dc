package publish

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
)

// wary approves of nothing that takes a tag away.
func wary(_ context.Context, _ *license.Set, previous, candidate *bundle.Bundle) error {
	return Shrunk(previous, candidate, 0.05, func(string, string) bool { return true })
}

func TestWhatIsHeldBackWaitsToBeAccepted(t *testing.T) {
	p, e := newPublisher(t, func(c *Config) { c.Bundles[0].Approve = wary })
	if err := errors.Join(p.SetLicenses(t.Context(), licenses(t, "all", 0), nil), p.SetCatalog(t.Context(), "main", tagged("1.0.0", "1.1.0"))); err != nil {
		t.Fatal(err)
	}
	first := e.last(t, 2)
	if err := p.SetCatalog(t.Context(), "main", tagged("1.0.0")); err != nil {
		t.Fatal("held back is no failure: the catalog is what the registry says: ", err)
	}
	e.last(t, 2)
	held := p.Held()
	if len(held) != 1 || !strings.Contains(held[0].Reason, "acme/app (1 of 2 tags)") {
		t.Fatalf("held: %+v", held)
	}
	// It is issued again as it was while the other waits.
	p.mu.Lock()
	_, err := p.publish(t.Context(), true)
	p.mu.Unlock()
	again := e.last(t, 3)
	if err != nil || again.Revision() != first.Revision() || again.Serial() <= first.Serial() {
		t.Fatalf("%v: revision %s serial %d after %s %d", err, again.Revision(), again.Serial(), first.Revision(), first.Serial())
	}
	for revision, want := range map[string]string{
		"0000000000000000": "what is: " + held[0].Revision,
		"abc":              "at least 8",
		"../../../../x":    "hex digits",
	} {
		if err := p.Accept(t.Context(), "", revision); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("accept %s: %v", revision, err)
		}
	}
	e.last(t, 3)
	if err := p.Accept(t.Context(), "", held[0].Revision[:8]); err != nil {
		t.Fatal(err)
	}
	if got := e.last(t, 4); got.Revision() != held[0].Revision || len(p.Held()) != 0 {
		t.Errorf("accepted %s, published %s, held %v", held[0].Revision, got.Revision(), p.Held())
	}
	if err := p.Accept(t.Context(), "", held[0].Revision); err == nil || !strings.Contains(err.Error(), "nothing else is") {
		t.Errorf("accepted twice: %v", err)
	}
	// Accepted is a revision, not whatever comes next.
	if err := p.SetCatalog(t.Context(), "main", tagged("2.0.0")); err != nil || len(p.Held()) != 0 {
		t.Fatal(err, p.Held()) // as many tags as before: nothing shrank
	}
	if err := p.SetCatalog(t.Context(), "main", tagged()); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
}

func TestHeldBackIsForgottenWhenTheSourceIsAsBefore(t *testing.T) {
	p, e := newPublisher(t, func(c *Config) { c.Bundles[0].Approve = wary })
	both := tagged("1.0.0", "1.1.0")
	if err := errors.Join(p.SetLicenses(t.Context(), licenses(t, "all", 0), nil), p.SetCatalog(t.Context(), "main", both),
		p.SetCatalog(t.Context(), "main", tagged("1.0.0"))); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	if err := p.SetCatalog(t.Context(), "main", both); err != nil || len(p.Held()) != 0 {
		t.Fatal(err, p.Held())
	}
	e.last(t, 2)
}

func TestRollbackPublishesAnOlderContentAndHolds(t *testing.T) {
	history := &History{Dir: filepath.Join(t.TempDir(), "default")}
	var cfg Config
	p, e := newPublisher(t, func(c *Config) {
		c.Bundles[0].History = history
		cfg = *c
	})
	cfg = p.cfg
	if err := p.Rollback(t.Context(), "", strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), "no older bundle") {
		t.Fatalf("nothing to roll back to: %v", err)
	}
	var revisions []string
	for _, versions := range []string{">=1.0.0", ">=1.5.0", ">=2.0.0"} {
		if err := p.SetLicenses(t.Context(), licenses(t, versions, 0), nil); err != nil {
			t.Fatal(err)
		}
		revisions = append(revisions, e.got[len(e.got)-1].Revision())
	}
	newest := e.last(t, 3)
	if err := p.Rollback(t.Context(), "", strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), revisions[0]) {
		t.Errorf("unknown revision: %v", err)
	}
	if err := p.Rollback(t.Context(), "", revisions[0][:12]); err != nil {
		t.Fatal(err)
	}
	back := e.last(t, 4)
	if back.Revision() != revisions[0] || back.Serial() <= newest.Serial() {
		t.Fatalf("revision %s serial %d", back.Revision(), back.Serial())
	}
	// A registry that is read again does not undo it, nor does another process.
	if err := p.SetCatalog(t.Context(), "main", tagged("9.0.0")); err != nil || len(p.Held()) != 1 || !strings.Contains(p.Held()[0].Reason, "rolled back") {
		t.Fatal(err, p.Held())
	}
	cfg.Registerer = nil
	second := New(cfg)
	if err := second.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got := e.last(t, 5); got.Serial() != back.Serial() || got.Revision() != back.Revision() {
		t.Fatalf("restored serial %d revision %s", got.Serial(), got.Revision())
	}
	if err := second.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); err != nil || len(second.Held()) != 1 || second.Held()[0].Revision != revisions[2] {
		t.Fatal(err, second.Held())
	}
	if err := second.Accept(t.Context(), "", revisions[2]); err != nil {
		t.Fatal(err)
	}
	if err := second.SetLicenses(t.Context(), licenses(t, ">=3.0.0", 0), nil); err != nil || len(second.Held()) != 0 {
		t.Fatalf("the rollback is not over: %v %v", err, second.Held())
	}
}

func (e *engine) none(t *testing.T) {
	t.Helper()
	if len(e.got) != 0 {
		t.Fatalf("%d bundles delivered, want none", len(e.got))
	}
}

func TestExpiredBundleIsComparedWithAndNotServed(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	dir := filepath.Join(t.TempDir(), "default")
	change := func(c *Config) {
		c.Bundles[0].History, c.Bundles[0].Approve = &History{Dir: dir}, wary
		c.Clock = func() time.Time { return now }
	}
	p, _ := newPublisher(t, change)
	if err := errors.Join(p.SetLicenses(t.Context(), licenses(t, "all", 0), nil), p.SetCatalog(t.Context(), "main", tagged("1.0.0", "1.1.0"))); err != nil {
		t.Fatal(err)
	}
	now = now.Add(DefaultValidity)
	late, e := newPublisher(t, change)
	late.cfg.Ring, late.cfg.Signer = p.cfg.Ring, p.cfg.Signer
	if err := late.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	e.none(t)
	if err := errors.Join(late.SetCatalog(t.Context(), "main", tagged("1.0.0")), late.SetLicenses(t.Context(), licenses(t, "all", 0), nil)); err != nil || len(late.Held()) != 1 {
		t.Fatal(err, late.Held())
	}
}

func TestSerialThatIsNotHadIsNotPublished(t *testing.T) {
	began := time.Now()
	var err error
	p, e := newPublisher(t, func(c *Config) {
		c.Bundles[0].NextSerial = func(_ context.Context, atLeast int64) (int64, error) { return atLeast + 100, err }
	})
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	if first := e.last(t, 1); first.Serial() < began.Unix()+100 {
		t.Errorf("serial %d", first.Serial())
	}
	err = errors.New("another publisher leads")
	if got := p.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); got == nil || !strings.Contains(got.Error(), "another publisher leads") {
		t.Fatal(got)
	}
	e.last(t, 1)
}

func TestChosenCustomersBundleHoldsNothingOfOthers(t *testing.T) {
	text := `kind: Registry
id: main
hosts: [registry.example]
upstream: https://upstream.example
revoked_digests:
  - {repository: secret/tool, digest: "sha256:` + strings.Repeat("a", 64) + `", at: 2026-01-01T00:00:00Z}
---
{kind: Product, id: app, repositories: [acme/app]}
---
{kind: Product, id: tool, repositories: [secret/tool]}
---
kind: Release
id: app-1
product: app
version: 1.0.0
withdrawn: {at: 2026-01-01, reason: x, except: [acme, globex]}
---
{kind: Release, id: tool-9, product: tool, version: 9.9.9}
---
{kind: Customer, id: acme}
---
{kind: Customer, id: globex, labels: {tier: gold}}
---
{kind: License, id: acme-app, customer: acme, type: perpetual, starts: 2020-01-01, ends: never, updates: forever, grants: [{product: app, versions: all}]}
---
{kind: License, id: globex-tool, customer: globex, type: perpetual, starts: 2020-01-01, ends: never, updates: forever, grants: [{product: tool, versions: all}]}
`
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	all := &engine{}
	p, plant := newPublisher(t, func(c *Config) {
		c.Bundles[0].Name, c.Bundles[0].Customers = "plant", []string{"acme"}
		c.Bundles = append(c.Bundles, Bundle{Deliver: all.take})
	})
	c := tagged("1.0.0")
	c.Repositories["secret/tool"] = tagged("9.9.9").Repositories["acme/app"]
	if err := errors.Join(p.SetCatalog(t.Context(), "main", c), p.SetLicenses(t.Context(), set, nil)); err != nil {
		t.Fatal(err)
	}
	theirs, everything := plant.last(t, 1), all.last(t, 1)
	if theirs.Name() != "plant" || everything.Name() != "default" {
		t.Errorf("names %q and %q", theirs.Name(), everything.Name())
	}
	foreign := []string{"globex", "gold", "tool", "9.9.9", strings.Repeat("a", 64)}
	for _, word := range append(foreign, "acme") {
		in := func(b *bundle.Bundle) string {
			for _, path := range b.Paths() {
				if !strings.HasSuffix(path, ".rego") && strings.Contains(string(b.File(path)), word) {
					return path
				}
			}
			return ""
		}
		if path := in(theirs); (path != "") != (word == "acme") {
			t.Errorf("%q: in %q of the chosen customer's bundle", word, path)
		}
		if word != strings.Repeat("a", 64) && in(everything) == "" {
			t.Errorf("%q is nowhere in the bundle of all: the test proves nothing", word)
		}
	}
	if missing := Missing(set, []string{"acme", "umbrella"}); !slices.Equal(missing, []string{"umbrella"}) {
		t.Errorf("missing %q", missing)
	}
}

// What stood by publishes the newest sources when it begins, also when it has published the same before.
func TestStandByPublishesWhenItBegins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	now := time.Now()
	change := func(c *Config) {
		c.Bundles[0].History, c.StandBy = &History{Dir: dir}, true
		c.Clock = func() time.Time { return now }
	}
	p, e := newPublisher(t, change)
	both := errors.Join(p.SetLicenses(t.Context(), licenses(t, "all", 0), nil), p.SetCatalog(t.Context(), "main", tagged("1.0.0")))
	if both != nil {
		t.Fatal(both)
	}
	e.none(t)
	if err := p.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	first := e.last(t, 1)
	second, e := newPublisher(t, change)
	second.cfg.Ring, second.cfg.Signer = p.cfg.Ring, p.cfg.Signer
	both = errors.Join(second.SetLicenses(t.Context(), licenses(t, "all", 0), nil), second.SetCatalog(t.Context(), "main", tagged("1.0.0")))
	if both != nil {
		t.Fatal(both)
	}
	// Another has published since: what this one has kept is not given out again.
	if err := second.Restore(t.Context(), map[string]Newest{"default": {Serial: first.Serial() + 7}}); err != nil {
		t.Fatal(err)
	}
	e.none(t)
	if err := second.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := e.last(t, 1); got.Serial() != first.Serial()+8 || got.Revision() != first.Revision() {
		t.Errorf("serial %d after %d", got.Serial(), first.Serial()+7)
	}
}

func TestSerialsRiseWhenTheClockIsSetBack(t *testing.T) {
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	p, e := newPublisher(t, func(c *Config) { c.Clock = func() time.Time { return now } })
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	first := e.last(t, 1)
	now = now.Add(-time.Hour)
	if err := p.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); err != nil {
		t.Fatal(err)
	}
	if second := e.last(t, 2); second.Serial() != first.Serial()+1 {
		t.Errorf("serial %d after %d", second.Serial(), first.Serial())
	}
}

// Who is elected after another has published, with an older bundle of its own, must not bring that back.
func TestOlderHistoryIsNeverIssuedAgain(t *testing.T) {
	for _, pinned := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "default")
		change := func(c *Config) { c.Bundles[0].History, c.Bundles[0].Approve = &History{Dir: dir}, wary }
		p, _ := newPublisher(t, change)
		if err := errors.Join(p.SetCatalog(t.Context(), "main", tagged("1.0.0", "1.1.0")), p.SetLicenses(t.Context(), licenses(t, "all", 0), nil)); err != nil {
			t.Fatal(err)
		}
		was := p.outlets[0].current
		if pinned {
			if err := p.Rollback(t.Context(), "", was.Revision()); err != nil {
				t.Fatal(err)
			}
		}
		late, e := newPublisher(t, change)
		late.cfg.Ring, late.cfg.Signer = p.cfg.Ring, p.cfg.Signer
		if err := late.Restore(t.Context(), map[string]Newest{"default": {Serial: was.Serial() + 100, Revision: strings.Repeat("a", 64)}}); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(late.SetCatalog(t.Context(), "main", tagged("1.0.0")), late.SetLicenses(t.Context(), licenses(t, "all", 0), nil)); err != nil {
			t.Fatal(err)
		}
		late.mu.Lock()
		_, err := late.publish(t.Context(), true)
		late.mu.Unlock()
		if err != nil || len(late.Held()) != 1 || strings.Contains(late.Held()[0].Reason, "rolled back") {
			t.Fatal(err, late.Held())
		}
		e.none(t)
		if err := late.Accept(t.Context(), "", late.Held()[0].Revision); err != nil {
			t.Fatal(err)
		}
		if got := e.last(t, 1); got.Serial() <= was.Serial()+100 {
			t.Errorf("serial %d", got.Serial())
		}
	}
}

func TestWhoStandsByTakesNoOrders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, _ := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	revision := p.outlets[0].current.Revision()
	waits, e := newPublisher(t, func(c *Config) { c.Bundles[0].History, c.StandBy = &History{Dir: dir}, true })
	waits.cfg.Ring, waits.cfg.Signer = p.cfg.Ring, p.cfg.Signer
	for _, err := range []error{waits.Rollback(t.Context(), "", revision), waits.Accept(t.Context(), "", revision)} {
		if !errors.Is(err, ErrStandsBy) {
			t.Error(err)
		}
	}
	e.none(t)
}

// Of two bundles one goes out and the other fails: the new set is in use, and is tried again.
func TestOneBundleThatFailsTakesNothingBack(t *testing.T) {
	other := &engine{}
	p, e := newPublisher(t, func(c *Config) { c.Bundles = append(c.Bundles, Bundle{Name: "other", Deliver: other.take}) })
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	other.refuse = errors.New("no room")
	next := licenses(t, ">=2.0.0", 0)
	if err := p.SetLicenses(t.Context(), next, nil); err == nil || p.Set() != next {
		t.Fatalf("%v; the new set is in use: %v", err, p.Set() == next)
	}
	published := e.last(t, 2)
	if wait := p.due(); wait > retryAfter {
		t.Errorf("tried again after %s", wait)
	}
	other.refuse = nil
	if err := p.SetCatalog(t.Context(), "main", tagged("1.0.0")); err != nil {
		t.Fatal(err)
	}
	if got := other.last(t, 2); got.Serial() < published.Serial() {
		t.Errorf("serial %d", got.Serial())
	}
}

func TestRollbackIsSeenAndEndsWhenTheSourceIsMended(t *testing.T) {
	p, _ := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: filepath.Join(t.TempDir(), "default")} })
	good, bad := licenses(t, ">=1.0.0", 0), licenses(t, ">=2.0.0", 0)
	if err := p.SetLicenses(t.Context(), good, nil); err != nil {
		t.Fatal(err)
	}
	revision := p.outlets[0].current.Revision()
	if err := p.SetLicenses(t.Context(), bad, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Rollback(t.Context(), "", revision); err != nil || len(p.Held()) != 1 {
		t.Fatalf("%v: what the sources say is not held: %v", err, p.Held())
	}
	if err := p.SetLicenses(t.Context(), good, nil); err != nil || len(p.Held()) != 0 {
		t.Fatal(err, p.Held())
	}
	if err := p.SetLicenses(t.Context(), bad, nil); err != nil || len(p.Held()) != 0 {
		t.Fatalf("the rollback is not over: %v %v", err, p.Held())
	}
}

func TestWithoutReadableHistoryNothingIsTakenOnTrust(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, _ := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil {
		t.Fatal(err)
	}
	highest := p.outlets[0].serial
	other, e := newPublisher(t, func(c *Config) { // another signing key, and its predecessor is not known
		c.Bundles[0].History = &History{Dir: dir}
		c.Clock = func() time.Time { return time.Now().Add(-time.Hour) }
	})
	if err := other.Restore(t.Context(), nil); err == nil {
		t.Error("nothing is said")
	}
	if err := other.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); err != nil || len(other.Held()) != 1 {
		t.Fatal(err, other.Held())
	}
	e.none(t)
	if err := other.Accept(t.Context(), "", other.Held()[0].Revision); err != nil {
		t.Fatal(err)
	}
	if got := e.last(t, 1); got.Serial() <= highest {
		t.Errorf("serial %d after %d", got.Serial(), highest)
	}
}

func TestBundleOfNobodyIsHeld(t *testing.T) {
	p, e := newPublisher(t, func(c *Config) { c.Bundles[0].Customers = []string{"acmee"} })
	if err := p.SetLicenses(t.Context(), licenses(t, "all", 0), nil); err != nil || len(p.Held()) != 1 || !strings.Contains(p.Held()[0].Reason, "acmee") {
		t.Fatal(err, p.Held())
	}
	e.none(t)
}
