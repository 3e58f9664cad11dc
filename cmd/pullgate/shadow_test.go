package main

import (
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// candidate builds a bundle of the license files as they are, with the license for a range of versions.
func (v *vendor) candidate(name, versions string) string {
	v.Helper()
	if _, err := os.Stat(v.path("release.key")); err != nil {
		if code, _, stderr := once(v.T, "bundle", "keygen", "--out", v.path("release")); code != exitYes {
			v.Fatal(stderr)
		}
	}
	v.must(os.RemoveAll(v.path(name + "-licenses")))
	v.must(os.CopyFS(v.path(name+"-licenses"), os.DirFS(v.path("licenses"))))
	v.must(os.WriteFile(v.path(name+"-licenses/license.yaml"), []byte(grants(versions)), 0o644))
	code, _, stderr := once(v.T, "bundle", "build", "--licenses", v.path(name+"-licenses"), "--data", v.path("data"),
		"--signing-key", v.path("release.key"), "--out", v.path(name+".tmp"))
	if code != exitYes {
		v.Fatal(stderr)
	}
	v.must(os.Rename(v.path(name+".tmp"), v.path(name+".tar.gz")))
	return v.path(name + ".tar.gz")
}

// A candidate beside the active bundle, on requests as they come; then on their records.
func TestShadowSaysWhatWouldChange(t *testing.T) {
	v := newVendor(t)
	s := v.serve("--shadow-bundle", v.path("candidate.tar.gz"), "--shadow-key-file", v.path("release.pub"))
	s.awaitReady()
	if code, body := s.get("/v1/shadow"); code != http.StatusNotFound {
		t.Errorf("without a candidate: %d %s", code, body)
	}
	if code, _, stderr := once(t, "shadow", "--admin", s.admin); code != exitUnknown || !strings.Contains(stderr, "--shadow-bundle") {
		t.Errorf("without a candidate: %d %s", code, stderr)
	}
	v.candidate("candidate", ">=2.0.0")
	s.await("the candidate is in use", 10*time.Second, func() bool { return s.gauge("pullgate_shadow_active") == "1" })
	if code, _, stderr := once(t, "shadow", "--admin", s.admin); code != exitUnknown || !strings.Contains(stderr, "not asked yet") {
		t.Errorf("before any request: %d %s", code, stderr)
	}

	ask := func() {
		t.Helper()
		for _, c := range []struct {
			path string
			want int
		}{
			{"/v2/acme/app/manifests/1.4.0", http.StatusOK},        // lost
			{"/v2/acme/app/manifests/1.4.0", http.StatusOK},        // again
			{"/v2/acme/app/manifests/2.0.0", http.StatusForbidden}, // gained
			{"/v2/acme/app/tags/list", http.StatusOK},              // another list
			{"/v2/", http.StatusOK},
		} {
			if got := s.ask(v.key, http.MethodGet, c.path); got.Status != c.want {
				t.Errorf("%s: %d, want %d", c.path, got.Status, c.want)
			}
		}
		if got := s.ask("", http.MethodGet, "/v2/acme/app/manifests/1.4.0"); got.Status != http.StatusUnauthorized {
			t.Errorf("anonymous: %d", got.Status)
		}
	}
	ask()
	var found shadowed
	s.await("every request is asked again", 10*time.Second, func() bool {
		_, body := s.get("/v1/shadow")
		v.must(json.Unmarshal([]byte(body), &found))
		return found.Same+found.Changed == 6
	})
	if found.Same != 2 || found.Changed != 4 || found.Lost != 2 || len(found.List) != 3 || !found.List[0].Loses() || found.List[0].Count != 2 {
		t.Errorf("%+v", found)
	}
	code, stdout, stderr := once(t, "shadow", "--admin", s.admin, "-o", "table", "--fail-on", "loss")
	for _, want := range []string{"allow ok 200", "deny version_not_granted 403", "another list", "6 requests asked, 4 answered differently, 2 of them lost"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s%s", want, stdout, stderr)
		}
	}
	if code != exitNo {
		t.Errorf("exit %d", code)
	}

	// A candidate nobody vouches for is none; the next good one starts from nothing.
	good := v.read("candidate.tar.gz")
	v.write("candidate.tar.gz", string(good[:len(good)-20]), 0o644)
	s.await("the damaged candidate is refused", 10*time.Second, func() bool { return s.gauge("pullgate_shadow_active") == "0" })
	v.candidate("candidate", ">=1.0.0 <2.0.0")
	s.await("the next candidate", 10*time.Second, func() bool { return s.gauge("pullgate_shadow_active") == "1" })
	ask()
	s.await("every request is asked again", 10*time.Second, func() bool {
		_, body := s.get("/v1/shadow")
		found = shadowed{}
		v.must(json.Unmarshal([]byte(body), &found))
		return found.Same+found.Changed == 6
	})
	if found.Changed != 0 {
		t.Errorf("the same licenses answer differently: %+v", found)
	}
	s.stop()

	// What was recorded, without a server: lists are compared by their answer alone.
	other := v.candidate("other", ">=2.0.0")
	code, stdout, stderr = once(t, "shadow", "--bundle", other, "--key-file", v.path("release.pub"), "--data", v.path("data"), "-o", "json")
	found = shadowed{}
	v.must(json.Unmarshal([]byte(stdout), &found))
	if code != exitNo || found.Changed != 6 || found.Lost != 4 || found.Same != 6 {
		t.Errorf("exit %d, %+v\n%s", code, found, stderr)
	}
	same := v.candidate("same", ">=1.0.0 <2.0.0")
	if code, stdout, stderr := once(t, "shadow", "--bundle", same, "--key-file", v.path("release.pub"), "--data", v.path("data"), "-o", "table"); code != exitYes || !strings.Contains(stdout, "12 requests asked, 0 answered differently") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	// Where nothing was asked, nothing is known.
	if code, stdout, stderr := once(t, "shadow", "--bundle", same, "--key-file", v.path("release.pub"), "--data", v.path("data"), "--customer", "nobody", "-o", "table"); code != exitUnknown || !strings.Contains(stdout, "0 requests asked") || !strings.Contains(stderr, "says nothing about the candidate") {
		t.Errorf("exit %d\n%s%s", code, stdout, stderr)
	}
	// A customer whose key is gone is answered differently, not left out.
	v.must(os.WriteFile(v.path("licenses/acme.yaml"), []byte("kind: Customer\nid: acme\n"), 0o644))
	gone := v.candidate("gone", ">=1.0.0 <2.0.0")
	if code, stdout, _ := once(t, "shadow", "--bundle", gone, "--key-file", v.path("release.pub"), "--data", v.path("data"), "-o", "table"); code != exitNo || !strings.Contains(stdout, "deny unknown_key 401") {
		t.Errorf("exit %d\n%s", code, stdout)
	}
}
