package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
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

// The secret is read again when its file changes; what is no secret is told once, and the one before stays.
func TestTheSecretOfVerdictsIsFollowed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	write := func(text string) {
		t.Helper()
		if err := errors.Join(os.WriteFile(file+".new", []byte(text), 0o600), os.Rename(file+".new", file)); err != nil {
			t.Fatal(err)
		}
	}
	one, two := strings.Repeat("1", 32), strings.Repeat("2", 32)
	write(one)
	var log lockedLog
	ctx, stop := context.WithCancel(t.Context())
	got := make(chan []string)
	s := sharedSettings{RedisSecretFile: file}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.followSecrets(ctx, time.Millisecond, []string{one}, func(all []string) error { got <- all; return nil }, slog.New(slog.NewTextHandler(&log, nil)))
	}()
	write(one + "\n") // the same
	write(two + "\n" + one)
	if all := <-got; !slices.Equal(all, []string{two, one}) {
		t.Errorf("%q", all)
	}
	write("short")
	for end := time.Now().Add(20 * time.Second); !strings.Contains(log.String(), "stays what it was"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a bad secret is not told")
		}
	}
	write(two)
	if all := <-got; !slices.Equal(all, []string{two}) {
		t.Errorf("%q", all)
	}
	stop()
	<-ended
	if text := log.String(); strings.Count(text, "level=ERROR") != 1 || strings.Contains(text, one) || strings.Contains(text, two) {
		t.Errorf("the log:\n%s", text)
	}
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedLog) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }
