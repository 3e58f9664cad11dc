package catalog

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Questions do not wait for a crawl: they see what the last one knew at its end.
func TestLastReadsBesideACrawl(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	dir := t.TempDir()
	s, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Last(dir, "main"); !errors.Is(err, ErrNoCatalog) {
		t.Fatalf("during the first crawl: %v", err)
	}
	want := crawlOK(t, r.crawler(), s, "acme/app").Catalog
	first, err := os.ReadFile(filepath.Join(dir, "main.json"))
	if err != nil {
		t.Fatal(err)
	}
	r.misbehave(func(http.ResponseWriter, *http.Request) bool {
		got, err := Last(dir, "main")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("during a crawl: %v %s", err, diff)
		}
		return false
	})
	crawlOK(t, r.crawler(func(c *Config) { c.Parallel = 1 }), s, "acme/app")
	again, err := os.ReadFile(filepath.Join(dir, "main.json"))
	if err != nil || !bytes.Equal(first, again) {
		t.Fatalf("the same catalog is other bytes: %v", err)
	}
	if info, err := os.Stat(filepath.Join(dir, "main.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s.Close()

	// A damaged snapshot, and none, are replaced from the store.
	for name, spoil := range map[string]func(string) error{
		"cut":     func(p string) error { return os.Truncate(p, 100) },
		"missing": os.Remove,
		"edited": func(p string) error {
			return os.WriteFile(p, bytes.Replace(first, []byte("1.0.0"), []byte("1.0.1"), 1), 0o600)
		},
	} {
		if err := spoil(filepath.Join(dir, "main.json")); err != nil {
			t.Fatal(err)
		}
		got, err := Last(dir, "main")
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", name, err, diff)
		}
		s, err := Open(dir, "main")
		if err != nil {
			t.Fatal(err)
		}
		again, err := os.ReadFile(filepath.Join(dir, "main.json"))
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%s: not written again: %v", name, err)
		}
		s.Close()
	}
}

// A first crawl that failed leaves a store that knows nothing: no catalog, not one that is empty.
func TestAFailedFirstCrawlIsNoCatalog(t *testing.T) {
	r := newRegistry(t)
	dir := t.TempDir()
	s, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	wrong := func(c *Config) { c.Credentials = func() (string, string, error) { return "crawler", "wrong", nil } }
	_, err = r.crawler(wrong).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	if err == nil || !strings.Contains(err.Error(), "; nothing is known of it yet; check the registry's credentials") {
		t.Fatalf("%v", err)
	}
	r.misbehave(answering("tags/list", "500", ""))
	result, err := r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	if err != nil || len(result.Failures()) != 1 || len(result.Catalog.Repositories) != 0 || strings.Contains(result.Failures()[0].Error(), "known before") {
		t.Fatalf("%v %v", result, err)
	}
	s.Close()
	if _, err := Last(dir, "main"); !errors.Is(err, ErrNoCatalog) {
		t.Fatal(err)
	}
}

// A registry that stops answering is not asked for every repository in turn.
func TestSilentRegistryIsGivenUp(t *testing.T) {
	r := newRegistry(t)
	var names []string
	for i := range 100 {
		names = append(names, fmt.Sprint("acme/app", i))
	}
	s := open(t)
	var asked atomic.Int32
	r.misbehave(func(_ http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "tags/list") {
			return false
		}
		asked.Add(1)
		panic(http.ErrAbortHandler)
	})
	result, err := r.crawler().Crawl(t.Context(), s, Targets{Repositories: names})
	if err != nil {
		t.Fatal(err)
	}
	failures := result.Failures()
	if len(failures) != 100 || failures[99].Reason != Unreachable || !strings.Contains(failures[99].Error(), "requests in a row had no answer") {
		t.Fatalf("%d failures, the last: %v", len(failures), failures[len(failures)-1])
	}
	if n := asked.Load(); n > 40 {
		t.Errorf("asked %d times", n)
	}
}

// The deadline of a request covers its whole answer.
func TestDrippingAnswerEnds(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "tags/list") {
			return false
		}
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-req.Context().Done():
				return true
			case <-tick.C:
				_, _ = w.Write([]byte(" "))
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	result, err := r.crawler(func(c *Config) { c.Timeout = time.Second }).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	if err != nil {
		t.Fatal(err)
	}
	if f := result.Failures(); len(f) != 1 || f[0].Reason != Unreachable || !strings.Contains(f[0].Error(), "no end of the answer in time") {
		t.Fatalf("%v", f)
	}
}
