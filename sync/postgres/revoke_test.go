package postgres

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/sync/source"
)

const revocable = `kind: Registry
id: main
hosts: [registry.example]
upstream: https://upstream.example
revoked_digests:
  - {repository: acme/app, digest: "sha256:1111111111111111111111111111111111111111111111111111111111111111", at: 2026-03-01T00:00:00Z}
  - {repository: acme/app, digest: "sha256:2222222222222222222222222222222222222222222222222222222222222222", at: 2099-03-01T00:00:00Z, reason: later}
---
{kind: Product, id: app, repositories: [acme/app]}
---
kind: Customer
id: acme
keys: [{id: ci, hash: "sha256:b7bd55c11b781b0ccc43aa6e57f9dadf0660e9d1d4e27e0979ee43a407d454ae"}]
---
{kind: License, id: plain, customer: acme, type: perpetual, ends: never, updates: forever, grants: []}
---
{kind: License, id: revoked, customer: acme, type: perpetual, ends: never, updates: forever, grants: [], status: {revoked: {at: 2026-03-01T00:00:00Z}}}
---
{kind: License, id: later, customer: acme, type: perpetual, ends: never, updates: forever, grants: [], status: {revoked: {at: 2099-03-01, reason: agreed}}}
---
{kind: License, id: suspended, customer: acme, type: perpetual, ends: never, updates: forever, grants: [], status: {suspended: {at: 2026-03-01, until: 2099-01-01, reason: unpaid}}}
`

func TestRevocationIsInTheDatabase(t *testing.T) {
	db := open(t, filled(t, map[string]string{"all.yaml": revocable}))
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	digest := func(d, repository string) source.Revocation {
		return source.Revocation{Kind: source.RevokeDigest, ID: d, Registry: "main", Repository: repository, Digest: "sha256:" + strings.Repeat(d, 64), At: at}
	}
	for _, c := range []struct {
		name   string
		r      source.Revocation
		row    string
		before bool
	}{
		{name: "a license", r: source.Revocation{Kind: source.RevokeLicense, ID: "plain", At: at, Reason: "it's"}, row: "licenses/plain"},
		{name: "a license that was revoked", r: source.Revocation{Kind: source.RevokeLicense, ID: "revoked", At: at}, row: "licenses/revoked", before: true},
		{name: "a license that is to be revoked later", r: source.Revocation{Kind: source.RevokeLicense, ID: "later", At: at}, row: "licenses/later"},
		{name: "a suspended license", r: source.Revocation{Kind: source.RevokeLicense, ID: "suspended", At: at}, row: "licenses/suspended"},
		{name: "a digest", r: digest("3", "acme/app"), row: "registries/main"},
		{name: "a digest that was revoked", r: digest("1", "acme/app"), row: "registries/main", before: true},
		{name: "a digest that is to be revoked later", r: digest("2", "acme/app"), row: "registries/main"},
		{name: "the same digest elsewhere", r: digest("1", "acme/other"), row: "registries/main"},
		{name: "a key", r: source.Revocation{Kind: source.RevokeKey, ID: "acme/ci", Customer: "acme", Key: "ci"}, row: "keys/acme/ci"},
		{name: "a customer", r: source.Revocation{Kind: source.RevokeCustomer, ID: "acme"}, row: "customers/acme"},
	} {
		t.Run(c.name, func(t *testing.T) {
			row, changed, err := db.Revoke(t.Context(), c.r)
			if err != nil || row != c.row || changed == c.before {
				t.Fatalf("%s %v %v", row, changed, err)
			}
			snap, err := db.Load(t.Context())
			if err != nil || !c.r.Done(snap.Set) {
				t.Fatalf("%v, or the licenses do not say so", err)
			}
			_, changed, err = db.Revoke(t.Context(), c.r)
			if none := errors.Is(err, source.ErrNoSuch); changed || none != (c.r.Kind == source.RevokeKey) || !none && err != nil {
				t.Errorf("again: %v %v", changed, err)
			}
		})
	}
	snap, err := db.Load(t.Context())
	if err != nil || len(snap.Set.Licenses) != 4 || len(snap.Set.Registries[0].RevokedDigests) != 4 {
		t.Errorf("%v, or something else has changed: %+v", err, snap)
	}
	for _, r := range []source.Revocation{
		{Kind: source.RevokeLicense, ID: "x", At: at},
		{Kind: source.RevokeCustomer, ID: "x"},
		{Kind: source.RevokeKey, ID: "acme/x", Customer: "acme", Key: "x"},
		{Kind: source.RevokeDigest, Registry: "x", Repository: "acme/app", Digest: "sha256:" + strings.Repeat("1", 64), At: at},
	} {
		if _, _, err := db.Revoke(t.Context(), r); !errors.Is(err, source.ErrNoSuch) {
			t.Errorf("%s %s: %v", r.Kind, r.ID, err)
		}
	}
}
