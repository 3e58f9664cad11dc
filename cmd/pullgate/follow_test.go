package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/pull"
)

// follow starts a sidecar of its own state that follows a publisher.
func (v *vendor) follow(p *published, name, more string) *served {
	v.Helper()
	v.write(name+".yaml", fmt.Sprintf("bundle_url: %sdefault\nbundle_key_file: %q\ndata: %q\ninstance: %s\nlog_level: debug\n", p.bundles, v.path("release.pub"), v.path(name), name)+more, 0o600)
	s := v.serveAs(v.path(name + ".yaml"))
	s.beside = true
	return s
}

// Two sidecars follow one publisher over HTTP, with a token: edits count in both, the credential goes
// where the bundle says the registry is, and the publisher may go away.
func TestSidecarsFollowAPublisher(t *testing.T) {
	v := newVendor(t)
	v.write("token", "a-token-of-the-sidecars-0123456789\n", 0o600)
	p := v.publish(fmt.Sprintf("max_loss: 100%%\nbundles:\n  default: {token_file: %q}\n", v.path("token")))
	between := newFront(t, strings.TrimSuffix(strings.TrimPrefix(p.bundles, "http://"), "/bundles/"))
	p.bundles = between.URL + "/bundles/"
	auth := fmt.Sprintf("bundle_token_file: %q\ncredentials:\n  main: {username: %s, password_file: %q}\n", v.path("token"), registryUser, v.path("registry-password"))
	sidecars := []*served{v.follow(p, "one", auth), v.follow(p, "two", auth)}
	for _, s := range sidecars {
		s.awaitReady()
		if a := s.pull("1.4.0"); a.Status != http.StatusOK || a.Forward.Get("Authorization") != basic(registryUser, registryPassword) {
			t.Errorf("%+v", a)
		}
		if a := s.pull("2.0.0"); a.Status != http.StatusForbidden {
			t.Errorf("%+v", a)
		}
		s.await("/healthz", 5*time.Second, func() bool { code, text := s.get("/healthz"); return code == http.StatusOK && text == "ok\n" })
	}
	for i, versions := range []string{">=2.0.0", ">=1.0.0 <2.0.0", ">=2.0.0"} {
		v.write("licenses/license.yaml", grants(versions), 0o644)
		for _, s := range sidecars {
			want := http.StatusOK
			if i%2 == 0 {
				want = http.StatusForbidden
			}
			took := s.await("the edit", 10*time.Second, func() bool { return s.pull("1.4.0").Status == want })
			t.Logf("edit saved → different answer of %s: %s", s.gauge("pullgate_bundle_serial"), took.Round(time.Millisecond))
		}
	}

	between.misbehave(hangUp)
	between.CloseClientConnections()
	s := sidecars[0]
	s.await("the failure is noticed", 10*time.Second, func() bool {
		_, text := s.get("/metrics")
		return strings.Contains(text, `pullgate_bundle_pulls_total{result="unreachable"} `) && !strings.Contains(text, `pullgate_bundle_pulls_total{result="unreachable"} 0`)
	})
	if a := s.pull("2.0.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	var report struct {
		Ready     bool
		Following map[string]any
		Bundle    struct{ Serial int64 }
	}
	_, text := s.get("/v1/status")
	v.must(json.Unmarshal([]byte(text), &report))
	f := report.Following
	if !report.Ready || f["freshness"] != "fresh" || f["kept"] != true || f["highest_serial"] != float64(report.Bundle.Serial) || f["reason"] != "unreachable" || f["refreshed"] == nil {
		t.Errorf("/v1/status: %s", text)
	}
	sidecars[1].stop()
	sidecars[0].stop()
	// From the disk, with the publisher still away.
	again := v.follow(p, "one", auth)
	again.awaitReady()
	if a := again.pull("2.0.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
	for _, s := range []*served{sidecars[0], again} {
		if strings.Contains(s.log.String(), "a-token") || strings.Contains(s.log.String(), registryPassword) {
			t.Error("a secret is in the log")
		}
	}
}

// A publisher that writes to a directory is followed as well.
func TestSidecarFollowsADirectory(t *testing.T) {
	v := newVendor(t)
	v.must(os.Mkdir(v.path("out"), 0o700))
	p := v.publish(fmt.Sprintf("max_loss: 100%%\nout: %q\n", v.path("out")))
	p.bundles = "file://" + v.path("out") + "/"
	p.await("the file", 20*time.Second, func() bool { _, err := os.Stat(v.path("out/default.tar.gz")); return err == nil })
	v.write("dir.yaml", fmt.Sprintf("bundle_url: file://%s\nbundle_key_file: %q\ndata: %q\n", v.path("out"), v.path("release.pub"), v.path("dir")), 0o600)
	s := v.serveAs(v.path("dir.yaml"))
	s.beside = true
	s.awaitReady()
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	took := s.await("the edit", 10*time.Second, func() bool { return s.pull("1.4.0").Status == http.StatusForbidden })
	t.Logf("edit saved → different answer: %s", took.Round(time.Millisecond))
	if a := s.pull("2.0.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
}

// The one-process mode has the same floor under its clock: what an earlier process has seen.
func TestClockFloorInOneProcess(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	if text := s.gauge("pullgate_clock_behind_seconds"); text != "0" {
		t.Errorf("behind by %s", text)
	}
	s.stop()
	floor := time.Now().Add(100 * time.Hour)
	clock := pull.OpenClock(clockFile(v.path("data")), pull.SystemTime())
	clock.Raise(floor.Unix())
	v.must(clock.Save())
	v.write("licenses/license.yaml", strings.Replace(grants(">=1.0.0 <2.0.0"), "2099-12-31", floor.Add(-48*time.Hour).Format(time.DateOnly), 1), 0o644)
	s = v.serve()
	s.awaitReady()
	s.await("expired", 10*time.Second, func() bool { return s.pull("1.4.0").Code == "expired" })
	if _, text := s.get("/healthz"); !strings.Contains(text, "clock: this machine's is ") || !strings.Contains(text, clockFile(v.path("data"))) {
		t.Errorf("/healthz: %s", text)
	}
	since := floor.Add(-time.Minute).UTC().Format(time.RFC3339)
	s.await("the record", 10*time.Second, func() bool { return len(s.decisions("since="+since)) > 0 })
}

// Whoever signs bundles may not send the credential elsewhere when the configuration says where.
func TestConfiguredUpstreamCounts(t *testing.T) {
	w := theFollowWorld()
	signer, err := bundle.NewSigner(w.keys[0])
	must(t, err)
	ring, err := bundle.NewKeyRing(signer.Public())
	must(t, err)
	b, err := bundle.Read(strings.NewReader(string(w.allowing(t, 5))), ring, bundle.ReadOptions{})
	must(t, err)
	said, err := engine.Upstreams(b)
	if err != nil || said["main"] != "https://harbor.internal" {
		t.Errorf("%v, %v", said, err)
	}
	f := newFollowed(t)
	asked := newFront(t, "127.0.0.1:1")
	f.pub.has(w.allowing(t, 5))
	secret := filepath.Join(t.TempDir(), "password")
	must(t, os.WriteFile(secret, []byte("x"), 0o600))
	hits := make(chan string, 10)
	asked.misbehave(func(w http.ResponseWriter, r *http.Request) {
		select {
		case hits <- r.URL.Path:
		default: // enough
		}
		w.WriteHeader(http.StatusUnauthorized)
	})
	config := filepath.Join(t.TempDir(), "pullgate.yaml")
	must(t, os.WriteFile(config, fmt.Appendf(nil, "credentials:\n  main: {username: u, password_file: %q, upstream: %q}\n", secret, asked.URL), 0o600))
	f.config = config
	f.start()
	if got := <-hits; got != "/v2/" {
		t.Errorf("asked for %s", got)
	}
	f.await("that is said", func() bool { return strings.Contains(f.log.String(), "the configuration counts") })
}
