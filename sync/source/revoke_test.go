package source

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const revocable = `# The registry.
kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://upstream.example
---
{kind: Product, id: app, repositories: [acme/app]}
---
# Acme, since 2020.
kind: Customer
id: acme   # as in the CRM
name: "Acme: the first"
keys:
  # for CI
  - {id: ci, hash: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}
  - id: people
    hash: "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

  - {id: last, hash: "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"} # newest
---
{kind: Customer, id: globex, keys: [{id: ci, hash: "sha256:dddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddddd"}, {id: two, hash: "sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}]}
---
kind: License
id: acme-app
status: active # was suspended in March
customer: acme
type: subscription
starts: 2020-01-01
ends: 2099-12-31
grants: [{product: app, versions: all}]
---
{kind: License, id: 'globex-app', customer: globex, type: perpetual, starts: 2020-01-01, ends: never, updates: forever, grants: [{product: app, versions: all}]}
---
kind: License
id: globex-more
customer: globex
type: perpetual
starts: 2020-01-01
ends: never
updates: forever
grants: [{product: app, versions: all}]
status:
  suspended: {at: 2026-03-01, reason: invoice 1042}`

func TestRevocationChangesOneThing(t *testing.T) {
	at := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	digest := "sha256:" + strings.Repeat("1", 64)
	for _, c := range []struct {
		name      string
		r         Revocation
		old, want string // the part of the text that is replaced, and by what; "" for an error
		err       string
	}{
		{name: "customer", r: Revocation{Kind: RevokeCustomer, ID: "acme"}, old: "# as in the CRM\n", want: "# as in the CRM\nstatus: banned\n"},
		{name: "customer on one line", r: Revocation{Kind: RevokeCustomer, ID: "globex"}, old: "id: globex, keys", want: "id: globex, status: banned, keys"},
		{
			name: "license with a status", r: Revocation{Kind: RevokeLicense, ID: "acme-app", At: at, Reason: "it's: a #chargeback"},
			old: "status: active #", want: "status: {revoked: {at: 2026-11-01T12:00:00Z, reason: 'it''s: a #chargeback'}} #",
		},
		{
			name: "license on one line", r: Revocation{Kind: RevokeLicense, ID: "globex-app", At: at},
			old: "id: 'globex-app',", want: "id: 'globex-app', status: {revoked: {at: 2026-11-01T12:00:00Z}},",
		},
		{name: "license that is suspended", r: Revocation{Kind: RevokeLicense, ID: "globex-more", At: at}, err: "a.yaml:34:1: edit it by hand (status: {revoked: {at: 2026-11-01T12:00:00Z}})"},
		{name: "first key", r: Revocation{Kind: RevokeKey, Customer: "acme", Key: "ci"}, old: "  - {id: ci, hash: \"sha256:" + strings.Repeat("a", 64) + "\"}\n", want: ""},
		{name: "key on several lines", r: Revocation{Kind: RevokeKey, Customer: "acme", Key: "people"}, old: "  - id: people\n    hash: \"sha256:" + strings.Repeat("b", 64) + "\"\n", want: ""},
		{name: "last key", r: Revocation{Kind: RevokeKey, Customer: "acme", Key: "last"}, old: "  - {id: last, hash: \"sha256:" + strings.Repeat("c", 64) + "\"} # newest\n", want: ""},
		{name: "first key on one line", r: Revocation{Kind: RevokeKey, Customer: "globex", Key: "ci"}, old: "{id: ci, hash: \"sha256:" + strings.Repeat("d", 64) + "\"}, ", want: ""},
		{name: "last key on one line", r: Revocation{Kind: RevokeKey, Customer: "globex", Key: "two"}, old: ", {id: two, hash: \"sha256:" + strings.Repeat("e", 64) + "\"}", want: ""},
		{
			name: "digest", r: Revocation{Kind: RevokeDigest, Registry: "main", Repository: "acme/app", Digest: digest, At: at, Reason: "CVE"},
			old: "id: main\n", want: "id: main\nrevoked_digests: [{repository: 'acme/app', digest: '" + digest + "', at: 2026-11-01T12:00:00Z, reason: 'CVE'}]\n",
		},
		{name: "no such customer", r: Revocation{Kind: RevokeCustomer, ID: "acmee"}, err: `no customer "acmee"`},
		{name: "no such key", r: Revocation{Kind: RevokeKey, Customer: "acme", Key: "x"}, err: `no key "acme/x"`},
		{name: "no such license", r: Revocation{Kind: RevokeLicense, ID: "x"}, err: `no license "x"`},
		{name: "no such registry", r: Revocation{Kind: RevokeDigest, Registry: "x"}, err: `no registry "x"`},
	} {
		for ending, newline := range map[string]string{"": "\n", ", CRLF": "\r\n"} {
			t.Run(c.name+ending, func(t *testing.T) {
				dir, text := t.TempDir(), strings.ReplaceAll(revocable, "\n", newline)
				path := filepath.Join(dir, "a.yaml")
				if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
					t.Fatal(err)
				}
				if os.Geteuid() == 0 { // who may edit the files is not always who reads them
					if err := os.Chown(path, 1234, 4321); err != nil {
						t.Fatal(err)
					}
				}
				was := ownerOf(t, path)
				file, changed, err := Dir{Path: dir}.Revoke(t.Context(), c.r)
				if owner := ownerOf(t, path); owner != was {
					t.Errorf("it belongs to %v, and belonged to %v", owner, was)
				}
				now, _ := os.ReadFile(path)
				if c.err != "" {
					if err == nil || !strings.Contains(err.Error(), c.err) || string(now) != text {
						t.Fatalf("%v, want %q; the file is as before: %v", err, c.err, string(now) == text)
					}
					return
				}
				want := strings.Replace(text, strings.ReplaceAll(c.old, "\n", newline), strings.ReplaceAll(c.want, "\n", newline), 1)
				if err != nil || !changed || file != "a.yaml" || want == text || string(now) != want {
					t.Fatalf("%v %v %q\n%s", err, changed, file, now)
				}
				if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
					t.Errorf("%v %v", info.Mode(), err)
				}
				if _, err := (Dir{Path: dir}).Load(t.Context()); err != nil {
					t.Error(err)
				}
				// Again: it says so already.
				_, changed, err = Dir{Path: dir}.Revoke(t.Context(), c.r)
				if c.r.Kind == RevokeKey {
					if !errors.Is(err, ErrNoSuch) {
						t.Errorf("again: %v", err)
					}
				} else if err != nil || changed {
					t.Errorf("again: %v %v", changed, err)
				}
			})
		}
	}
}

func ownerOf(t *testing.T, path string) [2]uint32 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	st := info.Sys().(*syscall.Stat_t)
	return [2]uint32{st.Uid, st.Gid}
}

// Who revokes takes nothing back that others revoke at the same time.
func TestRevocationsAtTheSameTimeAllCount(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(revocable), 0o644); err != nil {
		t.Fatal(err)
	}
	all := []Revocation{
		{Kind: RevokeKey, Customer: "acme", Key: "ci"},
		{Kind: RevokeKey, Customer: "acme", Key: "people"},
		{Kind: RevokeKey, Customer: "globex", Key: "ci"},
		{Kind: RevokeLicense, ID: "acme-app", At: time.Unix(1_800_000_000, 0)},
		{Kind: RevokeLicense, ID: "globex-app", At: time.Unix(1_800_000_000, 0)},
		{Kind: RevokeCustomer, ID: "acme"},
		{Kind: RevokeCustomer, ID: "globex"},
	}
	var revoking sync.WaitGroup
	for _, r := range all {
		revoking.Go(func() {
			if _, changed, err := (Dir{Path: dir}).Revoke(t.Context(), r); err != nil || !changed {
				t.Errorf("%s %s%s: %v %v", r.Kind, r.ID, r.Key, changed, err)
			}
		})
	}
	revoking.Wait()
	snap, err := Dir{Path: dir}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range all {
		if !r.Done(snap.Set) {
			t.Errorf("%s %s%s is not revoked", r.Kind, r.ID, r.Key)
		}
	}
}

// What somebody else has written since the file was read stays.
func TestRevocationOverwritesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.yaml")
	if err := os.WriteFile(path, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := replace(path, []byte("read"), []byte("ours"), info); !errors.Is(err, errChanged) {
		t.Error(err)
	}
	if now, err := os.ReadFile(path); err != nil || string(now) != "theirs" {
		t.Errorf("%q %v", now, err)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
}

// What git-sync and Kubernetes swap is not written: the next swap would take it away unseen.
func TestNothingIsRevokedBehindASwappedLink(t *testing.T) {
	dir := t.TempDir()
	for _, of := range []string{".worktrees/abc/licenses", "kept"} {
		if err := os.MkdirAll(filepath.Join(dir, of), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, of, "a.yaml"), []byte(revocable), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"current": ".worktrees/abc", "own": filepath.Join(dir, "kept")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	ban := Revocation{Kind: RevokeCustomer, ID: "acme"}
	_, changed, err := (Dir{Path: filepath.Join(dir, "current/licenses")}).Revoke(t.Context(), ban)
	if changed || err == nil || !strings.Contains(err.Error(), filepath.Join(dir, "current")+"; one that git-sync") {
		t.Error(changed, err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "current/licenses/a.yaml")); err != nil || string(text) != revocable {
		t.Errorf("it was written: %s (%v)", text, err)
	}
	if _, changed, err := (Dir{Path: filepath.Join(dir, "own")}).Revoke(t.Context(), ban); !changed || err != nil {
		t.Error(changed, err)
	}
}

func TestRevocationNeedsGoodFiles(t *testing.T) {
	dir := t.TempDir()
	broken := "kind: Customer\nid: acme\nfoo: 1\n"
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Dir{Path: dir}).Revoke(t.Context(), Revocation{Kind: RevokeCustomer, ID: "acme"}); err == nil || !strings.Contains(err.Error(), "mended first") {
		t.Error(err)
	}
	readOnly := t.TempDir()
	if err := os.WriteFile(filepath.Join(readOnly, "a.yaml"), []byte(revocable), 0o444); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Dir{Path: readOnly}).Revoke(t.Context(), Revocation{Kind: RevokeCustomer, ID: "acme"}); err == nil || !strings.Contains(err.Error(), "may not write it") {
		t.Error(err)
	}
	linked := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.yaml"), []byte(revocable), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "a.yaml"), filepath.Join(linked, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (Dir{Path: linked}).Revoke(t.Context(), Revocation{Kind: RevokeCustomer, ID: "acme"}); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Error(err)
	}
}
