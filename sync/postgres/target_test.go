package postgres

import (
	"errors"
	"testing"

	"github.com/pullgate/pullgate/sync/source"
)

func TestTargetIsFound(t *testing.T) {
	db := open(t, filled(t, map[string]string{"all.yaml": `kind: Registry
id: main
hosts: [registry.example]
upstream: https://upstream.example
---
kind: Product
id: app
repositories: [acme/app]
---
kind: Customer
id: acme
keys: [{id: ci, hash: "sha256:b7bd55c11b781b0ccc43aa6e57f9dadf0660e9d1d4e27e0979ee43a407d454ae"}]
---
kind: License
id: acme-1
customer: acme
type: perpetual
ends: never
updates: forever
grants: []
`}))
	for _, tt := range []struct {
		r    source.Revocation
		want source.Target
		none bool
	}{
		{r: source.Revocation{Kind: source.RevokeCustomer, ID: "acme"}, want: source.Target{Customer: "acme"}},
		{r: source.Revocation{Kind: source.RevokeCustomer, ID: "globex"}, none: true},
		{r: source.Revocation{Kind: source.RevokeLicense, ID: "acme-1"}, want: source.Target{Customer: "acme"}},
		{r: source.Revocation{Kind: source.RevokeLicense, ID: "acme"}, none: true},
		{r: source.Revocation{Kind: source.RevokeKey, ID: "acme/ci", Customer: "acme", Key: "ci"}, want: source.Target{Customer: "acme", Hash: "sha256:b7bd55c11b781b0ccc43aa6e57f9dadf0660e9d1d4e27e0979ee43a407d454ae"}},
		{r: source.Revocation{Kind: source.RevokeKey, ID: "acme/dev", Customer: "acme", Key: "dev"}, none: true},
		{r: source.Revocation{Kind: source.RevokeDigest, Registry: "main"}},
		{r: source.Revocation{Kind: source.RevokeDigest, Registry: "other"}, none: true},
	} {
		got, err := db.Target(t.Context(), tt.r)
		if got != tt.want || errors.Is(err, source.ErrNoSuch) != tt.none || (err != nil) != tt.none {
			t.Errorf("%+v: %+v, %v", tt.r, got, err)
		}
	}
}
