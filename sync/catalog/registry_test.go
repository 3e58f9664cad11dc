package catalog

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// testRegistry is go-containerregistry's registry behind a password, with an access log and a
// place to misbehave.
type testRegistry struct {
	t      testing.TB
	server *httptest.Server
	inner  http.Handler

	mu     sync.Mutex
	log    []string                                          // METHOD PATH of every answered request
	before func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newRegistry(t testing.TB) *testRegistry {
	r := &testRegistry{t: t, inner: registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(true))}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

func (r *testRegistry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if user, pass, _ := req.BasicAuth(); user != "crawler" || pass != "s3cret" {
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}`)
		return
	}
	r.mu.Lock()
	before := r.before
	r.mu.Unlock()
	if before != nil && before(w, req) {
		return
	}
	r.mu.Lock()
	r.log = append(r.log, req.Method+" "+req.URL.Path)
	r.mu.Unlock()
	r.inner.ServeHTTP(w, req)
}

// misbehave sets what happens before every request; nil ends it.
func (r *testRegistry) misbehave(f func(w http.ResponseWriter, req *http.Request) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before = f
}

// requests returns and forgets the log, of the methods and paths that contain part.
func (r *testRegistry) requests(part string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, l := range r.log {
		if strings.Contains(l, part) {
			out = append(out, l)
		}
	}
	return out
}

func (r *testRegistry) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
}

// manifest pushes content as each of the tags and returns its digest. It bypasses the password and
// the log.
func (r *testRegistry) manifest(repo string, m map[string]any, tags ...string) string {
	r.t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		r.t.Fatal(err)
	}
	mediaType, _ := m["mediaType"].(string)
	for _, ref := range append(tags, digestOf(body)) {
		r.call(http.MethodPut, "/v2/"+repo+"/manifests/"+ref, body, mediaType)
	}
	return digestOf(body)
}

// blob pushes a blob and returns its digest.
func (r *testRegistry) blob(repo string, body []byte) string {
	r.t.Helper()
	r.call(http.MethodPost, "/v2/"+repo+"/blobs/uploads/?digest="+digestOf(body), body, "application/octet-stream")
	return digestOf(body)
}

func (r *testRegistry) call(method, target string, body []byte, contentType string) {
	r.t.Helper()
	req := httptest.NewRequest(method, target, bytes.NewReader(body))
	req.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	r.inner.ServeHTTP(w, req)
	if w.Code >= 300 {
		r.t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
	}
}

// untag removes a tag.
func (r *testRegistry) untag(repo, tag string) {
	r.t.Helper()
	r.call(http.MethodDelete, "/v2/"+repo+"/manifests/"+tag, nil, "")
}

// image pushes an image manifest whose config was made at created ("" for none) and returns its
// digest. Images differ by name.
func (r *testRegistry) image(repo, name, created string, tags ...string) string {
	r.t.Helper()
	config := map[string]any{"architecture": "amd64", "comment": name}
	if created != "" {
		config["created"] = created
	}
	body, _ := json.Marshal(config)
	return r.manifest(repo, map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest,
		"config": map[string]any{"mediaType": typeOCIConfig, "digest": r.blob(repo, body), "size": len(body)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DigestOf("layer of " + name), "size": 1}},
	}, tags...)
}

// index pushes an index over manifests that exist.
func (r *testRegistry) index(repo string, children []string, annotations map[string]string, tags ...string) string {
	r.t.Helper()
	list := []any{}
	for _, d := range children {
		list = append(list, map[string]any{"mediaType": r.mediaType(repo, d), "digest": d, "size": 1})
	}
	return r.manifest(repo, map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": list, "annotations": annotations,
	}, tags...)
}

func (r *testRegistry) mediaType(repo, digest string) string {
	req := httptest.NewRequest(http.MethodHead, "/v2/"+repo+"/manifests/"+digest, nil)
	w := httptest.NewRecorder()
	r.inner.ServeHTTP(w, req)
	return w.Header().Get("Content-Type")
}

// digest is what a reference names now, "" for nothing.
func (r *testRegistry) digest(repo, ref string) string {
	req := httptest.NewRequest(http.MethodHead, "/v2/"+repo+"/manifests/"+ref, nil)
	w := httptest.NewRecorder()
	r.inner.ServeHTTP(w, req)
	return w.Header().Get("Docker-Content-Digest")
}

// sample fills a repository: three versions with two platforms each, and a floating tag.
func (r *testRegistry) sample(repo string) {
	for i, v := range []string{"1.0.0", "1.1.0", "2.0.0"} {
		created := fmt.Sprintf("2026-0%d-01T00:00:00Z", i+1)
		a := r.image(repo, v+" amd64", created)
		b := r.image(repo, v+" arm64", created)
		tags := []string{v}
		if v == "2.0.0" {
			tags = append(tags, "latest")
		}
		r.index(repo, []string{a, b}, nil, tags...)
	}
}

// crawler is a Crawler of the registry; change may alter its configuration.
func (r *testRegistry) crawler(change ...func(*Config)) *Crawler {
	r.t.Helper()
	cfg := Config{
		Upstream: r.server.URL, RetryWait: time.Microsecond,
		Credentials: func() (string, string, error) { return "crawler", "s3cret", nil },
		Clock:       func() time.Time { return at("2026-06-01T00:00:00Z") },
		Transport:   &http.Transport{DisableKeepAlives: true},
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := NewCrawler(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func clock(s string) func(*Config) {
	return func(c *Config) { c.Clock = func() time.Time { return at(s) } }
}

func at(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		panic(err)
	}
	return t
}

// open opens a fresh store.
func open(t testing.TB) *Store {
	t.Helper()
	s, err := Open(t.TempDir(), "main")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// crawlOK crawls and wants no failure.
func crawlOK(t testing.TB, c *Crawler, s *Store, repos ...string) *Result {
	t.Helper()
	r, err := c.Crawl(t.Context(), s, Targets{Repositories: repos})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Failures() {
		t.Fatal(f)
	}
	return r
}

func snapshot(t testing.TB, s *Store) *Catalog {
	t.Helper()
	c, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// matchPath is a stand-in for the pattern language, which this package does not know.
func matchPath(pattern, name string) bool {
	ok, _ := path.Match(pattern, name)
	return ok
}

func tagNames(r *Repository) []string {
	var out []string
	if r != nil {
		for t := range r.Tags {
			out = append(out, t)
		}
	}
	slices.Sort(out)
	return out
}
