package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/bundle"
)

// TestBundlesOfOlderPublishersStillDecide: a sidecar is updated before its publisher, and then follows
// bundles that an older pullgate has made. Those in testdata/bundles are of programs as they were
// released; none is ever made again. Each is of examples/first-license, "-rules" with examples/rules/cve.
func TestBundlesOfOlderPublishersStillDecide(t *testing.T) {
	files, err := filepath.Glob("testdata/bundles/*.tar.gz")
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			release, rules := strings.CutSuffix(strings.TrimSuffix(file, ".tar.gz"), "-rules")
			// The rule has something against 1.4.0 from 15 June on.
			fault := func(otherwise string) string {
				if rules {
					return "vendor.cve.known_fault"
				}
				return otherwise
			}
			for _, q := range []struct{ as, at, path, want string }{
				{"globex", "2026-06-10T12:00:00Z", "/v2/acme/app/manifests/1.4.0", "ok"},
				{"globex", "2026-06-20T12:00:00Z", "/v2/acme/app/manifests/1.4.0", fault("ok")},
				{"globex", "2026-06-10T12:00:00Z", "/v2/acme/app/manifests/2.0.0", "version_not_granted"},
				{"globex", "2026-06-10T12:00:00Z", "/v2/acme/app/tags/list", "ok"},
				{"globex", "2027-06-10T12:00:00Z", "/v2/acme/app/manifests/1.4.0", fault("expired")},
				{"", "2026-06-10T12:00:00Z", "/v2/acme/app/manifests/1.4.0", "anonymous"},
			} {
				who := []string{"--as", q.as}
				if q.as == "" {
					who = []string{"--anonymous"}
				}
				args := append(append([]string{"decide", "--bundle", file, "--key-file", release + ".pub", "--at", q.at}, who...), "GET", "https://registry.acme.example"+q.path)
				_, stdout, stderr := once(t, args...)
				var d struct{ Code string }
				if err := json.Unmarshal([]byte(stdout), &d); err != nil || d.Code != q.want {
					t.Errorf("%s %s %s: %s, want %s\n%s", q.as, q.at, q.path, d.Code, q.want, stderr)
				}
			}
		})
	}
}

// A newer publisher's bundle is refused before anything in it is looked at, with the remedy.
func TestBundleOfANewerFormatIsRefused(t *testing.T) {
	l := firstLicense(t)
	shipped, err := os.ReadFile(l.file)
	if err != nil {
		t.Fatal(err)
	}
	newer := changed(t, shipped, bundle.ManifestPath, func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"format":1`), []byte(`"format":2`), 1)
	})
	file := filepath.Join(t.TempDir(), "newer.tar.gz")
	if err := os.WriteFile(file, newer, 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, _ := once(t, "bundle", "verify", "--key-file", l.public, file)
	if want := "format 2, this program reads format 1; update it before the publisher"; code != exitNo || !strings.Contains(stdout, want) {
		t.Errorf("exit %d, want %q in\n%s", code, want, stdout)
	}
}
