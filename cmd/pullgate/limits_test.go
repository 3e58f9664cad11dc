package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz/authztest"
)

// A layer that every version uses has a candidate for each of them. Refusing it is more work
// than a manifest's decision, and must stay a refusal with its reason, not become a 503.
func TestALayerThatManyVersionsShareIsRefusedWithItsReason(t *testing.T) {
	const versions = 1000
	var tags, manifests strings.Builder
	for i := range versions {
		fmt.Fprintf(&tags, "      1.%d.0: I%d\n", i, i)
		fmt.Fprintf(&manifests, "      I%d: {layers: [Base, L%d]}\n", i, i)
	}
	licenses := ""
	for year := 2023; year < 2026; year++ {
		licenses += fmt.Sprintf("---\nkind: License\nid: acme-%d\ncustomer: acme\ntype: subscription\nstarts: %d-01-01\nends: %d-12-31\ngrants: [{product: app, versions: all}]\n", year, year, year)
	}
	script := `
-- a.yaml --
kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Product
id: app
repositories: [acme/app]
---
kind: Customer
id: acme
` + licenses + `-- catalog.yaml --
kind: Catalog
repositories:
  acme/app:
    tags:
` + tags.String() + "    manifests:\n" + manifests.String() + `-- decisions --
at 2025-06-01T00:00:00Z
as acme
GET /v2/acme/app/blobs/@Base    allow license acme-2025
at 2026-06-01T00:00:00Z
GET /v2/acme/app/blobs/@Base    deny expired 403
GET /v2/acme/app/blobs/@L7      deny expired 403
GET /v2/acme/app/tags/list      deny expired 403
`
	s, err := authztest.ParseScript("shared.txtar", []byte(script), nil)
	if err != nil {
		t.Fatal(err)
	}
	door := authztest.NewGateDoor()
	defer door.Close()
	results, err := (&authztest.Runner{Door: door, Catalog: readScriptCatalog}).Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if len(r.Problems) > 0 {
			t.Errorf("%s: %s", r.Text, strings.Join(r.Problems, "; "))
		}
		if r.Answer != nil {
			t.Logf("%s: %d µs", r.Text, r.Answer.Record.DurationUS)
		}
	}
}
