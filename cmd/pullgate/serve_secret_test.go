package main

import (
	"bytes"
	"encoding/base64"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// upstream asks the real registry with what pullgate says to send it.
func (s *served) upstream(a answer) int {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodGet, "http://"+s.registry.Addr+a.Forward.Get(":path"), nil)
	s.must(err)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	if v := a.Forward.Get("authorization"); v != "" {
		req.Header.Set("Authorization", v)
	}
	resp, err := http.DefaultClient.Do(req)
	s.must(err, resp.Body.Close())
	return resp.StatusCode
}

func TestRegistryCredentialTakesThePlaceOfTheKey(t *testing.T) {
	v := newVendor(t)
	v.attach = true
	s := v.serve()
	s.awaitReady()
	a := s.pull("1.4.0")
	if got := a.Forward.Values("authorization"); !slices.Equal(got, []string{basic(registryUser, registryPassword)}) {
		t.Fatalf("the registry is sent %q", got)
	}
	if status := s.upstream(a); status != http.StatusOK {
		t.Fatalf("the registry answers %d", status)
	}
	for _, refused := range []answer{s.pull("2.0.0"), s.ask("", http.MethodGet, "/v2/"), s.ask(v.key, http.MethodGet, "/v2/"), s.ask(v.key, http.MethodGet, "/v2/acme/app/tags/list")} {
		if len(refused.Forward) > 0 || refused.Header.Get("authorization") != "" {
			t.Errorf("an answer of pullgate's own carries %v", refused)
		}
	}
	// A rotated password counts with the next request.
	v.setPassword("rotated")
	v.write("registry-password", "rotated\n", 0o600)
	a = s.pull("1.4.0")
	if got := a.Forward.Get("authorization"); got != basic(registryUser, "rotated") {
		t.Fatalf("after the rotation the registry is sent %q", got)
	}
	if status := s.upstream(a); status != http.StatusOK {
		t.Errorf("after the rotation the registry answers %d", status)
	}
	// One that vanishes leaves the last good one.
	v.must(os.Remove(v.path("registry-password")))
	if got := s.pull("1.4.0").Forward.Get("authorization"); got != basic(registryUser, "rotated") {
		t.Errorf("without the file the registry is sent %q", got)
	}
	s.nothingLeaks("rotated")
}

func TestKeyOfACustomerReachesNoRegistry(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	a := s.pull("1.4.0")
	if a.Status != http.StatusOK || len(a.Forward.Values("authorization")) > 0 || !slices.Contains(a.Removed, "authorization") {
		t.Fatalf("%+v", a)
	}
	if status := s.upstream(a); status != http.StatusUnauthorized {
		t.Errorf("without Envoy's credential the registry answers %d", status)
	}
	s.nothingLeaks()
}

// nothingLeaks makes every kind of request with a key in it, and then looks for that key, the
// registry's password and their forms on the wire in all that pullgate writes and shows.
func (s *served) nothingLeaks(more ...string) {
	s.Helper()
	for _, path := range []string{
		"/v2/", "/v2/acme/app/manifests/1.4.0", "/v2/acme/app/manifests/2.0.0", "/v2/acme/app/tags/list", "/v2/acme/app/manifests/" + s.key,
		"/v2/acme/app/manifests/1.4.0?key=" + s.key, "/v2/" + s.key + "/tags/list", "/" + s.key, "/v2/acme/%2e/" + s.key,
	} {
		s.ask(s.key, http.MethodGet, path)
		s.ask(s.key[:len(s.key)-1]+"x", http.MethodGet, path) // a typo
		s.ask("pg_"+s.key, http.MethodPost, path)
	}
	last := s.pull("1.4.0")
	s.await("the last record", 5*time.Second, func() bool {
		return len(s.decisions("since=1h&limit=1")) == 1 && s.decisions("limit=1")[0]["id"] == last.ID
	})
	secrets := append([]string{s.key, s.key[3 : len(s.key)-9], basic("acme", s.key)[6:], registryPassword, basic(registryUser, registryPassword)[6:]}, more...)
	for _, m := range more {
		secrets = append(secrets, basic(registryUser, m)[6:])
	}
	shown := map[string][]byte{"standard output": []byte(s.out.String())}
	for _, path := range []string{"/metrics", "/healthz", "/readyz", "/v1/status", "/v1/decisions?limit=1000", "/v1/decisions?customer=" + s.key} {
		_, body := s.get(path)
		shown[path] = []byte(body)
	}
	s.stop()
	shown["the log"] = []byte(s.log.String())
	s.must(filepath.WalkDir(s.path("data"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		shown[path] = text
		return err
	}))
	if len(shown) < 10 || !bytes.Contains(shown["/v1/decisions?limit=1000"], []byte("pg_REDACTED")) {
		s.Errorf("only %d places looked at, or no record of a key in a path", len(shown))
	}
	for place, text := range shown {
		for i, secret := range secrets {
			if at := bytes.Index(text, []byte(secret)); at >= 0 {
				s.Errorf("secret %d is in %s: …%s…", i, place, text[max(0, at-80):min(len(text), at+80)])
			}
		}
	}
}
