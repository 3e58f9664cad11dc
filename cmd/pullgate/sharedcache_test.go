package main

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// from is where the verdict of an answer came from, by its record.
func (s *served) from(a answer) (cached string) {
	s.Helper()
	s.await("the record of "+a.ID, 10*time.Second, func() bool {
		for _, d := range s.decisions("limit=20") {
			if d["id"] == a.ID {
				cached, _ = d["cached"].(string)
				return true
			}
		}
		return false
	})
	return cached
}

// What one sidecar has evaluated another takes from Redis, if it has the secret. Without Redis both
// go on, ready as ever.
func TestSidecarsShareVerdicts(t *testing.T) {
	v := newVendor(t)
	redis := v.redis()
	v.write("other-secret", "oooooooooooooooooooooooooooooooo\n", 0o600)
	sidecar := func(name, secret string) *served {
		s := v.serve("--data", v.path(name), "--redis", "redis://"+redis.Addr, "--redis-secret-file", secret, "--redis-cache", "always")
		s.beside = true
		return s
	}
	secret := v.sharedSecret()
	first, second, stranger := sidecar("first", secret), sidecar("second", secret), sidecar("stranger", v.path("other-secret"))
	for _, s := range []*served{first, second, stranger} {
		s.awaitReady()
	}
	// Until what the first writes is there, within its minute of life; a busy machine may lose some.
	first.await("a verdict of the first in the second", 30*time.Second, func() bool {
		path := "/v2/acme/app/manifests/1.4.0"
		if first.from(first.ask(first.key, http.MethodGet, path)) == "l1" {
			path = "/v2/acme/app/tags/list" // what is in memory is written no more
			first.ask(first.key, http.MethodGet, path)
		}
		a := second.ask(second.key, http.MethodGet, path)
		return a.Status < 400 && second.from(a) == "l2"
	})
	if a := stranger.pull("1.4.0"); a.Code != "ok" || stranger.from(a) != "none" {
		t.Errorf("with another secret: %s from %s", a.Code, stranger.from(a))
	}
	if n := stranger.gauge(`pullgate_shared_cache_rejected_total\{reason="mac"\}`); n != "0" {
		t.Errorf("%s alarms because of another secret", n)
	}
	_ = redis.Close()
	for _, s := range []*served{first, second} {
		for _, tag := range []string{"1.4.0", "2.0.0", "1.4.0"} {
			if a := s.pull(tag); a.Code != map[string]string{"1.4.0": "ok", "2.0.0": "version_not_granted"}[tag] {
				t.Errorf("without Redis %s is %s", tag, a.Code)
			}
		}
		if code, text := s.get("/readyz"); code != http.StatusOK {
			t.Errorf("/readyz: %d %s", code, text)
		}
		if code, text := s.get("/healthz"); code != http.StatusOK || strings.Contains(text, "edis") {
			t.Errorf("/healthz: %d %s", code, text)
		}
	}
	for _, s := range []*served{first, second, stranger} {
		for _, path := range []string{"/metrics", "/v1/status", "/v1/decisions"} {
			if _, text := s.get(path); strings.Contains(text, "ssssssss") || strings.Contains(text, "oooooooo") {
				t.Errorf("%s shows the secret", path)
			}
		}
		s.stop()
		if strings.Contains(s.log.String(), "ssssssss") || strings.Contains(s.log.String(), "oooooooo") {
			t.Error("the log shows the secret")
		}
	}
}
