package redisstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// alone is one Redis for the tests that need no other.
func alone(t *testing.T) *peers.RedisProcess {
	t.Helper()
	r, err := peers.StartRedis(t.Context(), peers.Redis(t), peers.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func open(t *testing.T, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// proxy stands between somebody and a Redis.
func proxy(t *testing.T, server string) *peers.Proxy {
	t.Helper()
	p, err := peers.StartProxy(server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	return p
}

func at(addr string) Config { return Config{URLs: []string{"redis://" + addr}} }

// count appends the number after the highest one.
func count(texts []string, _ string) (string, error) {
	highest := 0
	for _, text := range texts {
		if n, err := strconv.Atoi(text); err == nil {
			highest = max(highest, n)
		}
	}
	return strconv.Itoa(highest + 1), nil
}

// appends counts up n times at once, and holds that no number is there twice and none is missing.
func appends(t *testing.T, s *Store, n int) {
	t.Helper()
	ts := s.Tombstones("default")
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			if err := ts.Append(context.Background(), count); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	_, texts, err := ts.Read(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	for i, text := range texts {
		if text != strconv.Itoa(i+1) {
			t.Fatalf("entries %q", texts)
		}
	}
	if len(texts) != n {
		t.Errorf("%d entries, want %d", len(texts), n)
	}
	if err := ts.Beat(t.Context(), "beat"); err != nil {
		t.Error(err)
	}
	if text, err := ts.Heartbeat(t.Context()); text != "beat" || err != nil {
		t.Errorf("heartbeat %q, %v", text, err)
	}
	began := time.Now()
	if ids, _, err := ts.Wait(t.Context(), "9999999999999-0", 200*time.Millisecond); len(ids) > 0 || err != nil || time.Since(began) < 150*time.Millisecond {
		t.Errorf("waited %s for nothing: %v, %v", time.Since(began), ids, err)
	}
	if _, texts, err := ts.Wait(t.Context(), "", time.Second); len(texts) != n || err != nil {
		t.Errorf("waited for what is there: %d, %v", len(texts), err)
	}
}

func TestEntriesAreInOrder(t *testing.T) {
	r := alone(t)
	s := open(t, at(r.Addr))
	appends(t, s, 10)
	ts := s.Tombstones("default")

	// Another bundle's are others.
	if ids, _, err := s.Tombstones("plant-7").Read(t.Context(), ""); len(ids) > 0 || err != nil {
		t.Errorf("%v, %v", ids, err)
	}

	// What is appended while somebody waits comes at once.
	ids, _, err := ts.Read(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan time.Duration, 1)
	began := time.Now()
	const most = time.Minute
	go func() {
		_, texts, err := ts.Wait(context.Background(), ids[len(ids)-1], most)
		if err != nil || !slices.Equal(texts, []string{"11"}) {
			t.Errorf("%q, %v", texts, err)
		}
		got <- time.Since(began)
	}()
	time.Sleep(50 * time.Millisecond)
	if err := ts.Append(t.Context(), count); err != nil {
		t.Fatal(err)
	}
	if took := <-got; took > most/2 {
		t.Errorf("it came after %s", took)
	}

	// A heartbeat in between makes Append ask again; an error and "" append nothing.
	calls := 0
	err = ts.Append(t.Context(), func(texts []string, heartbeat string) (string, error) {
		if calls++; calls == 1 {
			if err := ts.Beat(t.Context(), "another"); err != nil {
				t.Error(err)
			}
		} else if heartbeat != "another" {
			t.Errorf("asked again with heartbeat %q", heartbeat)
		}
		return count(texts, heartbeat)
	})
	if err != nil || calls != 2 {
		t.Errorf("asked %d times: %v", calls, err)
	}
	for _, err := range []error{nil, os.ErrInvalid} {
		if got := ts.Append(t.Context(), func([]string, string) (string, error) { return "", err }); got != err {
			t.Errorf("%v, want %v", got, err)
		}
	}

	// Many, in pages, and removed again.
	var many []string
	for i := range 1200 {
		many = append(many, fmt.Sprint("more ", i))
	}
	if err := ts.Restore(t.Context(), many); err != nil {
		t.Fatal(err)
	}
	ids, texts, err := ts.Read(t.Context(), "")
	if len(texts) != 1212 || err != nil {
		t.Fatalf("%d entries, %v", len(texts), err)
	}
	if err := ts.Remove(t.Context(), ids[12:]); err != nil {
		t.Fatal(err)
	}
	if _, texts, err = ts.Read(t.Context(), ids[9]); !slices.Equal(texts, []string{"11", "12"}) || err != nil {
		t.Errorf("%q, %v", texts, err)
	}
	if _, err := r.Do("XADD", tombstoneStream("default"), "*", "other", "field"); err != nil {
		t.Fatal(err)
	}
	if _, texts, err = ts.Read(t.Context(), ids[11]); !slices.Equal(texts, []string{""}) || err != nil {
		t.Errorf("an entry without a text is %q, %v", texts, err)
	}
}

// What somebody does to the keys ends nothing for good.
func TestSpoiltKeysAreMadeAnew(t *testing.T) {
	r := alone(t)
	s := open(t, at(r.Addr))
	ts := s.Tombstones("default")
	spoil := map[string]func(){
		"the last id": func() {
			if _, err := r.Do("XADD", tombstoneStream("default"), "18446744073709551615-18446744073709551615", "t", "x"); err != nil {
				t.Fatal(err)
			}
		},
		"another type": func() {
			if _, err := r.Do("SET", tombstoneStream("default"), "x"); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, do := range spoil {
		do()
		if err := ts.Append(t.Context(), count); err != nil {
			t.Errorf("%s: append: %v", name, err)
		}
		if _, texts, err := ts.Read(t.Context(), ""); !slices.Equal(texts, []string{"1"}) || err != nil {
			t.Errorf("%s: %q, %v", name, texts, err)
		}
		do()
		if err := ts.Restore(t.Context(), []string{"1"}); err == nil {
			t.Errorf("%s: restored at once", name)
		}
		if err := ts.Restore(t.Context(), []string{"1", "2"}); err != nil {
			t.Errorf("%s: restore: %v", name, err)
		}
		if _, texts, err := ts.Read(t.Context(), ""); !slices.Equal(texts, []string{"1", "2"}) || err != nil {
			t.Errorf("%s: %q, %v", name, texts, err)
		}
	}
	// An answer that is too long is not read to its end.
	if _, err := r.Do("SETRANGE", tombstoneHeartbeat("default"), fmt.Sprint(3*maxReply), "x"); err != nil {
		t.Fatal(err)
	}
	if text, err := ts.Heartbeat(t.Context()); err == nil {
		t.Errorf("read %d bytes", len(text))
	}
	if err := ts.Beat(t.Context(), "beat"); err != nil {
		t.Error(err)
	}
	if text, err := ts.Heartbeat(t.Context()); text != "beat" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

func TestRedisWithTLSAndAUser(t *testing.T) {
	dir := t.TempDir()
	certs, err := peers.NewCertificates(dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := peers.StartRedis(t.Context(), peers.Redis(t), peers.RedisConfig{TLS: certs, User: "gate", Password: "open"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	good := Config{URLs: []string{"rediss://gate@" + r.Addr}, PasswordFile: password, CAFile: certs.CA}
	appends(t, open(t, good), 4)

	for name, bad := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"unknown authority": {func(c *Config) { c.CAFile = "" }, "certificate"},
		"no password":       {func(c *Config) { c.PasswordFile = "" }, "NOAUTH"},
		"no such user":      {func(c *Config) { c.URLs = []string{"rediss://other@" + r.Addr} }, "WRONGPASS"},
	} {
		cfg := good
		bad.change(&cfg)
		if _, err := open(t, cfg).Tombstones("default").Heartbeat(t.Context()); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The password is read again for the next connection.
	if err := os.WriteFile(password, []byte("wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, good)
	if _, err := s.Tombstones("default").Heartbeat(t.Context()); err == nil {
		t.Error("a wrong password is good")
	}
	if err := os.WriteFile(password, []byte("open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if text, err := s.Tombstones("default").Heartbeat(t.Context()); text != "beat" || err != nil {
		t.Errorf("with the right password: %q, %v", text, err)
	}
}
