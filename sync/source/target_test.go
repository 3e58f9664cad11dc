package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTargetIsFoundWithoutReadingEverything(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"acme.yaml":      "kind: Customer\nid: acme\nkeys:\n  - {id: ci, hash: \"sha256:12\"}\n  - {id: dev, hash: \"sha256:34\"}\n---\nkind: License\nid: acme-1\ncustomer: acme\n",
		"globex.yaml":    "kind: Customer\nid: globex\n---\nkind: License\nid: globex-1\ncustomer: globex\nreplaces: acme-0\n",
		"main.yml":       "kind: Registry\nid: main\n",
		"broken.yaml":    "kind: [of nothing at all\n",
		"sub/moved.yaml": "kind: License\nid: lic-7\ncustomer: globex\n",
	} {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		r    Revocation
		want Target
		none string
	}{
		{r: Revocation{Kind: RevokeCustomer, ID: "acme"}, want: Target{Customer: "acme"}},
		{r: Revocation{Kind: RevokeCustomer, ID: "acm"}, none: `no customer "acm"`},
		{r: Revocation{Kind: RevokeLicense, ID: "acme-1"}, want: Target{Customer: "acme"}},
		{r: Revocation{Kind: RevokeLicense, ID: "lic-7"}, want: Target{Customer: "globex"}},
		{r: Revocation{Kind: RevokeLicense, ID: "acme-0"}, none: `no license "acme-0"`},
		{r: Revocation{Kind: RevokeKey, Customer: "acme", Key: "dev"}, want: Target{Customer: "acme", Hash: "sha256:34"}},
		{r: Revocation{Kind: RevokeKey, Customer: "acme", Key: "prod"}, none: `no key "acme/prod"`},
		{r: Revocation{Kind: RevokeKey, Customer: "globex", Key: "ci"}, none: `no key "globex/ci"`},
		{r: Revocation{Kind: RevokeDigest, Registry: "main"}},
		{r: Revocation{Kind: RevokeDigest, Registry: "other"}, none: `no registry "other"`},
	} {
		got, err := Dir{Path: dir}.Target(t.Context(), tt.r)
		if got != tt.want || (err == nil) != (tt.none == "") || err != nil && (!errors.Is(err, ErrNoSuch) || !strings.Contains(err.Error(), tt.none)) {
			t.Errorf("%+v: %+v, %v", tt.r, got, err)
		}
	}
	if _, err := (Dir{Path: filepath.Join(dir, "absent")}).Target(t.Context(), Revocation{Kind: RevokeCustomer, ID: "acme"}); err == nil || errors.Is(err, ErrNoSuch) {
		t.Errorf("in no directory: %v", err)
	}
}
