package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// A usedBundle is what /v1/status of a sidecar says about the bundle in use.
type usedBundle struct {
	Serial        int64
	Revision, Key string
}

func (s *served) used() usedBundle {
	s.Helper()
	var report struct{ Bundle usedBundle }
	_, text := s.get("/v1/status")
	s.must(json.Unmarshal([]byte(text), &report))
	return report.Bundle
}

// fresh fails unless the sidecar pulls by a fresh bundle, and has never refused one.
func (s *served) fresh(when string) {
	s.Helper()
	_, metrics := s.get("/metrics")
	if a := s.pull("1.4.0"); a.Status != http.StatusOK || !strings.Contains(metrics, `pullgate_bundle_freshness{state="fresh"} 1`) || !strings.Contains(metrics, `pullgate_bundle_pulls_total{result="unknown_key"} 0`) {
		s.Errorf("%s: %+v\n%s", when, a, s.log)
	}
}

// The steps of docs/operations.md, "Replacing the signing key".
func TestSigningKeyIsReplacedStepByStep(t *testing.T) {
	v := newVendor(t)
	p := v.publish("max_loss: 100%\n")
	between := newFront(t, strings.TrimSuffix(strings.TrimPrefix(p.bundles, "http://"), "/bundles/"))
	address := between.URL + "/bundles/default"
	sidecar := func(keys ...string) *served {
		v.write("sidecar.yaml", fmt.Sprintf("bundle_url: %s\nbundle_key_file: [%s]\ndata: %q\ncredentials:\n  main: {username: %s, password_file: %q}\n",
			address, strings.Join(keys, ", "), v.path("sidecar"), registryUser, v.path("registry-password")), 0o600)
		s := v.serveAs(v.path("sidecar.yaml"))
		s.beside = true
		s.awaitReady()
		return s
	}
	publisher := func(args ...string) {
		p.beside = true
		between.misbehave(hangUp)
		between.CloseClientConnections()
		p.stop()
		p = v.publish("max_loss: 100%\n", args...)
		p.beside = true
		between.lead(strings.TrimSuffix(strings.TrimPrefix(p.bundles, "http://"), "/bundles/"))
		between.misbehave(nil)
	}
	old, next := v.path("release.pub"), v.path("next.pub")
	s := sidecar(old)
	first := s.used()
	v.write("licenses/license.yaml", grants(">=1.0.0 <3.0.0"), 0o644)
	s.await("the edit", 10*time.Second, func() bool { return s.pull("2.0.0").Status == http.StatusOK })
	second := s.used()

	// 1. A new pair of keys.
	code, printed, stderr := once(t, "bundle", "keygen", "--out", v.path("next"))
	if code != exitYes {
		t.Fatal(stderr)
	}
	// 2. Every sidecar believes both.
	s.stop()
	s = sidecar(old, next)
	s.fresh("with both keys")
	// 3. The publisher signs with the new one.
	publisher("--signing-key", v.path("next.key"), "--key-file", old)
	s.await("a bundle of the new key", 20*time.Second, func() bool { return s.used().Key != second.Key })
	third := s.used()
	if third.Revision != second.Revision || third.Serial <= second.Serial || !strings.Contains(printed, third.Key) {
		t.Errorf("%+v after %+v; the key was made as\n%s", third, second, printed)
	}
	s.fresh("with the first bundle of the new key")
	// Back to what the old key had signed, and forth.
	for _, c := range []struct {
		order, revision string
		want            int
	}{{"--rollback", first.Revision, http.StatusForbidden}, {"--accept", second.Revision, http.StatusOK}} {
		if code, _, stderr := once(t, "publish", "--data", v.path("publisher"), c.order, c.revision); code != exitYes {
			t.Fatalf("%s: %s", c.order, stderr)
		}
		s.await(c.order, 10*time.Second, func() bool { return s.used().Revision == c.revision })
		if u, a := s.used(), s.pull("2.0.0"); u.Key != third.Key || a.Status != c.want {
			t.Errorf("%s: %+v, %+v", c.order, u, a)
		}
		s.fresh(c.order)
	}
	// 4. Every sidecar forgets the old key.
	s.stop()
	s = sidecar(next)
	s.fresh("without the old key")
	// From now on whoever has the old one is not believed, whatever serial it uses.
	last := s.used()
	publisher("--key-file", next)
	s.await("health says so", 20*time.Second, func() bool {
		_, text := s.get("/healthz")
		return strings.Contains(text, "check bundle_key_file against the publisher's key")
	})
	_, metrics := s.get("/metrics")
	if u := s.used(); u != last || strings.Contains(metrics, `pullgate_bundle_pulls_total{result="unknown_key"} 0`) {
		t.Errorf("%+v after %+v\n%s", u, last, s.log)
	}
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("the last good one is not in use: %+v", a)
	}
}
