package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// A registry that cannot be read at the first start is said on /readyz with what to do, and
// read as soon as it can be.
func TestServeRecoversWhenTheRegistryAppears(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(*vendor)
		mend   func(*vendor)
		remedy string // on /readyz
	}{
		{"it hangs up", func(v *vendor) { v.front.misbehave(hangUp) }, func(v *vendor) { v.front.misbehave(nil) }, "check upstream, the network and the certificate"},
		{
			"it takes no password of ours", func(v *vendor) { v.write("registry-password", "wrong\n", 0o600) },
			func(v *vendor) { v.write("registry-password", registryPassword+"\n", 0o600) }, "check the registry's credentials",
		},
		{"it talks garbage", func(v *vendor) {
			v.front.misbehave(func(w http.ResponseWriter, _ *http.Request) {
				io.WriteString(w, "<html>Welcome to your new server!</html>")
			})
		}, func(v *vendor) { v.front.misbehave(nil) }, "check that upstream names the registry itself"},
		{"it fails", func(v *vendor) {
			v.front.misbehave(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		}, func(v *vendor) { v.front.misbehave(nil) }, "look at the registry's own log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVendor(t)
			c.spoil(v)
			s := v.serve("--crawl-every", "1s")
			s.await("the remedy on /readyz", 20*time.Second, func() bool {
				code, body := s.get("/readyz")
				return code == http.StatusServiceUnavailable && strings.Contains(body, "; registry main: ") && strings.Contains(body, c.remedy)
			})
			_, body := s.get("/readyz")
			t.Log(strings.TrimSpace(body))
			if a := s.pull("1.4.0"); a.Status != http.StatusServiceUnavailable || a.Code != "not_ready" {
				t.Errorf("%+v", a)
			}
			c.mend(v)
			s.awaitReady()
			if a := s.pull("1.4.0"); a.Status != http.StatusOK {
				t.Errorf("%+v", a)
			}
			s.await("healthz ok", 5*time.Second, func() bool { _, body := s.get("/healthz"); return body == "ok\n" })
		})
	}
}

// Nothing listens at all; then something does.
func TestServeRecoversWhenTheRegistryListens(t *testing.T) {
	v := newVendor(t)
	addr, listen := reservedAddr(t)
	vendorFile, err := os.ReadFile(v.path("licenses/vendor.yaml"))
	v.must(err)
	v.write("licenses/vendor.yaml", strings.Replace(string(vendorFile), v.front.URL, "http://"+addr, 1), 0o644)
	s := v.serve("--crawl-every", "1s")
	s.await("the remedy on /readyz", 20*time.Second, func() bool {
		_, body := s.get("/readyz")
		return strings.Contains(body, "connection refused") && strings.Contains(body, "check upstream, the network and the certificate")
	})
	v.front.Close()
	v.front.Server = &httptest.Server{Listener: listen(), Config: &http.Server{Handler: v.front}}
	v.front.Start()
	s.awaitReady()
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	v.front.Close()
	s.stop()
}

// A restart does not need the registry: what was learned is on disk.
func TestServeKeepsServingWhileTheRegistryIsDown(t *testing.T) {
	v := newVendor(t)
	s := v.serve("--crawl-every", "1s")
	s.awaitReady()
	before := s.pull("1.4.0")
	v.front.misbehave(hangUp)
	s.await("degraded", 20*time.Second, func() bool {
		_, body := s.get("/healthz")
		return strings.HasPrefix(body, "degraded\nregistry main: the last good catalog is in use: ")
	})
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("while the registry is down: %+v", a)
	}
	s.stop()
	s = v.serve("--crawl-every", "1s")
	s.awaitReady()
	a := s.pull("1.4.0")
	if a.Status != http.StatusOK || a.Forward.Get(":path") != before.Forward.Get(":path") {
		t.Errorf("after a restart: %+v, before: %+v", a, before)
	}
	if a := s.pull("2.0.0"); a.Status != http.StatusForbidden {
		t.Errorf("after a restart: %+v", a)
	}
	// A new tag counts when the registry is read again.
	v.push("acme/app", "1.5.0")
	if a := s.pull("1.5.0"); a.Status != http.StatusNotFound {
		t.Errorf("a tag nobody has read: %+v", a)
	}
	v.front.misbehave(nil)
	s.await("1.5.0", 20*time.Second, func() bool { return s.pull("1.5.0").Status == http.StatusOK })
	s.await("healthz ok", 5*time.Second, func() bool { _, body := s.get("/healthz"); return body == "ok\n" })
}

// An edit that names another repository is crawled before it counts for it.
func TestEditThatNamesANewRepositoryReadsIt(t *testing.T) {
	v := newVendor(t)
	v.push("acme/tools", "stable")
	s := v.serve()
	s.awaitReady()
	if a := s.ask(v.key, http.MethodGet, "/v2/acme/tools/manifests/stable"); a.Status != http.StatusNotFound {
		t.Errorf("%+v", a)
	}
	v.write("licenses/license.yaml", grants(">=1.0.0 <2.0.0")+"---\nkind: License\nid: acme-tools\ncustomer: acme\ntype: perpetual\nends: never\nupdates: forever\ngrants: [{repository: acme/tools, tags: all}]\n", 0o644)
	took := s.await("the new repository", 10*time.Second, func() bool {
		return s.ask(v.key, http.MethodGet, "/v2/acme/tools/manifests/stable").Status == http.StatusOK
	})
	t.Logf("an edit that needs the registry counted after %s", took.Round(time.Millisecond))
}

// crawl reads what the license files name, keeps it for questions, and keeps it whole when the
// registry fails.
func TestCatalogCrawl(t *testing.T) {
	v := newVendor(t)
	v.configure()
	crawl := func(args ...string) (int, string) {
		code, out, errs := once(t, append([]string{"catalog", "crawl", "--config", v.path("pullgate.yaml")}, args...)...)
		if strings.Contains(errs, "\r") {
			t.Errorf("a line for terminals elsewhere: %q", errs)
		}
		return code, out + errs
	}
	decide := func(args ...string) (int, string) {
		code, out, errs := once(t, append(append([]string{"decide", "--licenses", v.path("licenses"), "--as", "acme"}, args...), "GET", "https://"+customersHost+"/v2/acme/app/manifests/1.4.0")...)
		return code, out + errs
	}
	if code, out := crawl("--out", v.path("catalog.yaml")); code != exitYes || !strings.Contains(out, "acme/app") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	if code, out := decide("--data", v.path("data")); code != exitYes || !strings.Contains(out, `"code":"ok"`) {
		t.Errorf("from what was kept: %d %s", code, out)
	}
	if code, out := decide("--catalog", v.path("catalog.yaml")); code != exitYes || !strings.Contains(out, `"code":"ok"`) {
		t.Errorf("from the file: %d %s", code, out)
	}
	v.front.misbehave(hangUp)
	if code, out := crawl(); code != exitNo || !strings.Contains(out, "what was known before is kept") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if code, out := decide("--data", v.path("data")); code != exitYes {
		t.Errorf("after a failed crawl: %d %s", code, out)
	}
	if code, out, errs := once(t, "catalog", "show", "--data", v.path("data"), "acme/app"); code != exitYes || strings.Count(out, "sha256:") != 2 {
		t.Errorf("catalog show: %d %s%s", code, out, errs)
	}
	if code, out, errs := once(t, "catalog", "show", "-o", "table", "--data", v.path("data"), "acme/app:1.4.0"); code != exitYes || !regexp.MustCompile(`^registry main, acme/app, read 2\S+Z \(\d+s ago\)\n`).MatchString(out) {
		t.Errorf("catalog show: %d %s%s", code, out, errs)
	}
}
