package main

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
)

// approvable makes the files of twelve customers who may all pull acme/app:1.0.0 and 1.1.0; edit
// changes the text of a customer's documents.
func approvable(t *testing.T, serial int64, registry string, edit func(n int, text string) string) (*license.Set, *bundle.Bundle) {
	text := "kind: Registry\nid: main\nhosts: [registry.acme.example]\nupstream: https://upstream.example\n" + registry +
		"---\n{kind: Product, id: app, repositories: [acme/app]}\n---\n{kind: Public, id: docs, repositories: [acme/docs], tags: all}\n"
	for n := range 12 {
		doc := fmt.Sprintf("---\nkind: Customer\nid: c%d\nkeys: [{id: ci, hash: \"sha256:%064x\"}]\n", n, n)
		doc += fmt.Sprintf("---\n{kind: License, id: l%d, customer: c%d, type: perpetual, ends: never, updates: forever, grants: [{product: app, versions: all}]}\n", n, n)
		text += edit(n, doc)
	}
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	c := &catalog.Catalog{Registry: "main", Repositories: map[string]*catalog.Repository{}}
	for _, name := range []string{"acme/app", "acme/docs"} {
		c.Repositories[name] = &catalog.Repository{Tags: map[string]catalog.Tag{}, Manifests: map[string]*catalog.Manifest{}}
		for _, tag := range []string{"1.0.0", "1.1.0"} {
			d := catalog.DigestOf(name + tag)
			c.Repositories[name].Tags[tag] = catalog.Tag{Digest: d, Seen: catalog.Always}
			c.Repositories[name].Manifests[d] = &catalog.Manifest{Created: catalog.Always}
		}
	}
	repositories, err := publish.Repositories([]*catalog.Catalog{c}, set)
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: repositories, Modules: policies.Modules(), Name: bundle.DefaultName,
		Serial: serial, IssuedAt: agreeStart.Unix(), NotAfter: license.Never,
	})
	if err != nil {
		t.Fatal(err)
	}
	return set, writtenBundle(t, content)
}

func TestWhatIsTakenBackIsNotHeldBack(t *testing.T) {
	same := func(_ int, text string) string { return text }
	of := func(n int, old, text string) func(int, string) string { // of the first n customers
		return func(i int, doc string) string {
			if i >= n {
				return doc
			}
			return strings.Replace(doc, old, text, 1)
		}
	}
	revoked := func(repository, tag string) string {
		return fmt.Sprintf("revoked_digests: [{repository: %s, digest: %q, at: 2025-06-01}]\n", repository, catalog.DigestOf(repository+tag))
	}
	e := newComparing()
	t.Cleanup(e.Close)
	pub := &publisher{process: &process{log: slog.New(slog.DiscardHandler)}, settings: &publishSettings{MaxLoss: "5%", share: 0.05}, comparing: e}
	_, before := approvable(t, 1, "", same)
	for _, c := range []struct {
		name, registry string
		edit           func(int, string) string
		reason         string // "" for none
	}{
		{name: "a license is revoked", edit: of(1, "type: perpetual", "status: {revoked: {at: 2025-06-01}}, type: perpetual")},
		{name: "a customer is banned", edit: of(1, "keys:", "status: banned\nkeys:")},
		{name: "a key is taken out", edit: of(1, "keys: [", "keys: [] # [")},
		{name: "a key is replaced", edit: of(1, "sha256:0", "sha256:f")},
		{name: "everybody's keys are gone", edit: of(12, "keys: [", "keys: [] # ["), reason: "12 of 12 customers would lose something"},
		{name: "a digest is revoked", registry: revoked("acme/app", "1.1.0"), edit: same},
		{name: "a digest that is public is revoked", registry: revoked("acme/docs", "1.1.0"), edit: same},
		{name: "a digest is revoked, and somebody loses the other one", registry: revoked("acme/app", "1.1.0"), edit: of(1, "versions: all", "versions: [1.1.0]"), reason: "1 of 12 customers would lose something (c0)"},
		{name: "a license ends one day", edit: of(1, "type: perpetual, ends: never", "type: subscription, ends: 2090-01-01"), reason: "1 of 12 customers would lose something (c0)"},
		{name: "a license is kept for less long", edit: of(1, "updates: forever", "updates: {until: 2090-01-01}"), reason: "1 of 12 customers would lose something (c0)"},
		{name: "a key expires", edit: of(1, "0\"}]", "0\", expires: 2090-01-01}]")},
		{name: "a version is granted no more", edit: of(1, "versions: all", "versions: [1.1.0]"), reason: "1 of 12 customers would lose something (c0)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, after := approvable(t, 2, c.registry, c.edit)
			err := pub.approve(t.Context(), set, before, after)
			if (c.reason == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v, want %q", err, c.reason)
			}
		})
	}
}

// A share is held to: so many may lose something and no more, and 0% is nobody.
func TestAsManyMayLoseSomethingAsMaxLossSays(t *testing.T) {
	e := newComparing()
	t.Cleanup(e.Close)
	_, before := approvable(t, 1, "", func(_ int, text string) string { return text })
	for _, c := range []struct {
		maxLoss string
		losers  int
		held    bool
	}{{"25%", 3, false}, {"25%", 4, true}, {"8%", 1, true}, {"8.4%", 1, false}, {"0%", 1, true}, {"100%", 12, false}} {
		settings := &publishSettings{MaxLoss: c.maxLoss}
		_ = settings.validate(func(string, string, ...any) error { return nil }) // other settings are missing
		pub := &publisher{process: &process{log: slog.New(slog.DiscardHandler)}, settings: settings, comparing: e}
		set, after := approvable(t, 2, "", func(n int, text string) string {
			if n < c.losers {
				return strings.Replace(text, "versions: all", "versions: [1.1.0]", 1)
			}
			return text
		})
		if err := pub.approve(t.Context(), set, before, after); (err != nil) != c.held {
			t.Errorf("max-loss %s, %d of 12 lose something: %v", c.maxLoss, c.losers, err)
		}
	}
}
