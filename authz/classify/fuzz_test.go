package classify_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
)

// FuzzPath: a target that is given a kind is, printed again from the parts, the bytes that were
// received up to the query; so what is judged is what is forwarded. No percent sign is in such
// a path, and a request without a kind has no parts.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"/v2/", "/v2", "/v2/_catalog?n=1", "/v2/a/b/manifests/1.0", "/v2/a/blobs/" + digest, "/v2/a/tags/list?last=%41&n=7",
		"/v2/a/referrers/" + digest + "?artifactType=a%2Fb", "/v2/a/blobs/uploads/x", "/v2/a/manifests/sha256-" + hex64 + ".sig",
		"/v2/a%2Fb/manifests/1", "/v2/a/../b/manifests/1", "/v2/a/manifests/1?ns=x", "/v2/a/tags/list?", "/v2/" + key + "/tags/list", "/v2/a/tags/list?last=%70g_" + key[3:],
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		r := get(target)
		if r.Kind == authz.KindMalformed {
			if r.Repository+r.Tag+r.Digest+r.Last+r.ArtifactType != "" || r.N != -1 || r.DigestTag {
				t.Fatalf("%q: malformed, but has parts: %+v", target, r)
			}
			return
		}
		path, query, hasQuery := strings.Cut(target, "?")
		if r.Path != target || len(target) > 2048 {
			t.Fatalf("%q: kept as %q", target, r.Path)
		}
		if strings.Contains(path, "%") || strings.Contains(path, "//") || strings.Contains(path, "/../") || strings.ContainsAny(target, "\\;#\x00 ") {
			t.Fatalf("%q: %s", target, r.Kind)
		}
		if hasQuery && query == "" {
			t.Fatalf("%q: bare question mark", target)
		}
		var again string
		switch r.Kind {
		case authz.KindPing:
			if again = "/v2"; strings.HasSuffix(path, "/") {
				again = "/v2/"
			}
		case authz.KindCatalog:
			again = "/v2/_catalog"
		case authz.KindManifest:
			again = "/v2/" + r.Repository + "/manifests/" + r.Tag
			if r.Tag == "" {
				again += r.Digest
			} else if r.DigestTag != (r.Digest != "") {
				t.Fatalf("%q: tag and digest", target)
			}
		case authz.KindBlob:
			again = "/v2/" + r.Repository + "/blobs/" + r.Digest
		case authz.KindTags:
			again = "/v2/" + r.Repository + "/tags/list"
		case authz.KindReferrers:
			again = "/v2/" + r.Repository + "/referrers/" + r.Digest
		case authz.KindUnsupported:
			if r.Tag+r.Digest+r.Last+r.ArtifactType != "" {
				t.Fatalf("%q: unsupported, but has parts: %+v", target, r)
			}
			again = path
		}
		if again != path {
			t.Fatalf("%q: printed again %q", target, again)
		}
		if r.N < -1 || r.N > 1000 || len(r.Repository) > 255 || len(r.Tag) > 128 {
			t.Fatalf("%q: limits: %+v", target, r)
		}
	})
}

// FuzzAuthorization: no value panics; only one whose password has the form and the checksum of a
// key is CredentialKey, and then Hash is its SHA-256; every other has no hash; nothing of the
// value is kept as text.
func FuzzAuthorization(f *testing.F) {
	for _, s := range []string{"", "Basic Og==", basic("u:" + key), "Basic " + key, "Bearer " + key, basic("u:" + key[1:]), "Basic \xff", "basic  Og=="} {
		f.Add(s)
	}
	for _, s := range []string{"u:" + key, ":" + key, "u:" + otherKey + "x"} {
		f.Add(s) // the target also encodes what it gets
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, value := range []string{s, basic(s)} {
			r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Headers: []classify.Header{{Name: "authorization", Value: value}}})
			c := r.Credential
			if c.Kind != authz.CredentialKey {
				if c.Hash != [32]byte{} {
					t.Fatalf("%q: a hash without a key", value)
				}
				continue
			}
			fields := strings.Fields(value)
			plain, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
			if err != nil {
				t.Fatalf("%q: %v", value, err)
			}
			_, password, _ := strings.Cut(string(plain), ":")
			if c.Hash != sha256.Sum256([]byte(password)) {
				t.Fatalf("%q: hash of something else", value)
			}
			body := password[:max(0, len(password)-9)]
			if want := fmt.Sprintf("%s_%08x", body, crc32.ChecksumIEEE([]byte(body))); want != password || !strings.HasPrefix(password, "pg_") || len(password) != 64 {
				t.Fatalf("%q: not a key", password)
			}
		}
	})
}
