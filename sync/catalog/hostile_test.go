package catalog

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// Descriptors may say where else their content is (urls): nobody asks there.
func TestForeignURLsAreNeverFetched(t *testing.T) {
	r := newRegistry(t)
	evil := newOther(t, func(http.ResponseWriter, *http.Request) {})
	elsewhere := func(mediaType, digest string) map[string]any {
		return map[string]any{"mediaType": mediaType, "digest": digest, "size": 1, "urls": []string{evil.URL + "/" + digest}, "data": "e30="}
	}
	config := r.blob("acme/app", []byte(`{"created":"2026-01-01T00:00:00Z"}`))
	image := r.manifest("acme/app", map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest, "config": elsewhere(typeOCIConfig, config),
		"layers": []any{elsewhere("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", DigestOf("foreign"))},
	})
	absent := r.image("acme/app", "only its url has it", "")
	r.manifest("acme/app", map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []any{elsewhere(typeOCIManifest, image), elsewhere(typeOCIManifest, absent)},
	}, "1.0.0")
	r.untag("acme/app", absent)
	lost := r.manifest("acme/app", map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest, "config": elsewhere(typeOCIConfig, DigestOf("a config that only its url has")), "layers": []any{},
	}, "2.0.0")
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		w.Header().Set("Content-Location", evil.URL)
		w.Header().Set("Location", evil.URL)
		w.Header().Set("Refresh", "0; url="+evil.URL)
		return false
	})
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if repo.Manifests[image] == nil || repo.Manifests[lost] == nil || repo.Manifests[absent] != nil || instantText(repo.Manifests[image].Created) != "2026-01-01T00:00:00Z" {
		t.Errorf("%+v", repo.Manifests)
	}
	if len(evil.requests) > 0 {
		t.Fatalf("asked elsewhere: %q", evil.requests)
	}
}

// A storage that asks for a login is not given one, and its realm is not asked.
func TestStorageGetsNoLogin(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	b := newBearer(t, r)
	evil := newOther(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{"token":"x"}`) })
	storage := newOther(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="s",scope="repository:acme/app:pull"`, evil.named()))
		w.WriteHeader(http.StatusUnauthorized)
	})
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/blobs/") {
			http.Redirect(w, req, storage.URL+req.URL.Path, http.StatusTemporaryRedirect)
			return true
		}
		return false
	})
	res, err := b.crawler(func(c *Config) { c.Storage = []string{storage.URL} }).Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app"}})
	if err != nil || len(res.Failures()) != 1 {
		t.Fatalf("%v %+v", err, res)
	}
	t.Log(res.Failures()[0])
	for _, got := range storage.requests {
		if strings.Contains(got, "Bearer") || strings.Contains(got, "Basic") {
			t.Errorf("a credential left: %q", got)
		}
	}
	if len(storage.requests) == 0 || len(evil.requests) > 0 {
		t.Errorf("storage %q, elsewhere %q", storage.requests, evil.requests)
	}
}

// Answers without end cost no more than their bound, whoever reads them.
func TestEndlessAnswersAreCut(t *testing.T) {
	endless := func(w http.ResponseWriter) {
		line := []byte(strings.Repeat(" ", 1<<16))
		for range 1 << 12 {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	}
	for _, part := range []string{"/tags/list", "/manifests/sha256:", "/referrers/", "/token"} {
		r := newRegistry(t)
		r.sample("acme/app")
		b := newBearer(t, r)
		realm := newOther(t, func(w http.ResponseWriter, req *http.Request) {
			if part == "/token" {
				endless(w)
				return
			}
			b.token(w, req)
		})
		b.realm = realm.named() + "/token"
		r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			if req.Method != http.MethodGet || !strings.Contains(req.URL.Path, part) {
				return false
			}
			endless(w)
			return true
		})
		res, err := b.crawler(func(c *Config) { c.Realms = []string{realm.named()} }).Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app"}})
		if err != nil {
			t.Fatalf("%s: %v", part, err)
		}
		if rr := res.Repositories[0]; part == "/manifests/sha256:" {
			if rr.Outcome != Taken || rr.Tags != 0 || len(rr.Warnings) != 4 || !strings.Contains(rr.Warnings[0], "has more than 4194304 bytes") {
				t.Errorf("%s: %+v", part, rr)
			}
		} else if rr.Failure == nil || rr.Failure.Reason != TooLarge && part != "/token" || part == "/token" && rr.Failure.Reason != Garbage {
			t.Errorf("%s: %v", part, rr.Failure)
		}
	}
	body := &bounded{ReadCloser: io.NopCloser(strings.NewReader("123456")), left: 5}
	if text, err := io.ReadAll(body); string(text) != "12345" || !errors.Is(err, errTooMany) {
		t.Errorf("%q, %v", text, err)
	}
}

// A registry that answers slowly has its time; what it told by then is not asked again.
func TestSlowRepositoryHasItsTime(t *testing.T) {
	r := newRegistry(t)
	for i := range 40 {
		r.image("acme/slow", fmt.Sprint(i), "2026-01-01T00:00:00Z", fmt.Sprintf("1.0.%d", i))
	}
	r.image("acme/app", "x", "", "1.0.0")
	wait := 200 * time.Millisecond
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasPrefix(req.URL.Path, "/v2/acme/slow/manifests") {
			time.Sleep(wait)
		}
		return false
	})
	s := open(t)
	res, err := r.crawler(func(c *Config) { c.Parallel, c.MaxTime = 2, 2*time.Second }).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app", "acme/slow"}})
	if err != nil {
		t.Fatal(err)
	}
	if app, slow := res.Repositories[0], res.Repositories[1]; app.Outcome != Taken || slow.Outcome != Kept || slow.Failure.Reason != Slow || !strings.Contains(slow.Failure.Error(), "more than 2s") {
		t.Fatalf("%+v", res.Repositories)
	}
	before := r.requests("GET /v2/acme/slow/manifests/")
	if len(before) == 0 {
		t.Fatal("nothing was learned")
	}
	r.misbehave(nil)
	crawlOK(t, r.crawler(), s, "acme/app", "acme/slow")
	after := r.requests("GET /v2/acme/slow/manifests/")
	if got := snapshot(t, s).Repositories["acme/slow"]; len(got.Tags) != 40 || len(after) > 40+2 {
		t.Fatalf("%d tags, %d fetches", len(got.Tags), len(after))
	}

	// A list that drips is cut as well.
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, "acme/slow/tags/list") {
			return false
		}
		time.Sleep(wait)
		n := len(req.URL.RawQuery)
		w.Header().Set("Link", fmt.Sprintf(`<?%s>; rel="next"`, strings.Repeat("x", n+1)))
		fmt.Fprintf(w, `{"tags":["t%d"]}`, n)
		return true
	})
	res, err = r.crawler(func(c *Config) { c.MaxTime = time.Second }).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/slow"}})
	if err != nil || res.Repositories[0].Failure == nil || res.Repositories[0].Failure.Reason != Slow {
		t.Fatalf("%v %+v", err, res)
	}
}

// Tags that are what they were are answered with 304, and nothing below them is fetched.
func TestKnownTagsAreAskedConditionally(t *testing.T) {
	for _, head := range []bool{true, false} {
		r := newRegistry(t)
		r.sample("acme/app")
		var conditions []string
		r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			_, tag, ok := strings.Cut(req.URL.Path, "/manifests/")
			if !ok || strings.HasPrefix(tag, "sha256:") {
				return false
			}
			if req.Method == http.MethodHead && !head {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return true
			}
			is := r.digest("acme/app", tag)
			conditions = append(conditions, req.Header.Get("If-None-Match"))
			if req.Header.Get("If-None-Match") == `"`+is+`"` {
				w.WriteHeader(http.StatusNotModified)
				return true
			}
			return false
		})
		s, c := open(t), r.crawler(func(c *Config) { c.Parallel = 1 })
		crawlOK(t, c, s, "acme/app")
		if !slices.Equal(conditions, []string{"", "", "", ""}) {
			t.Fatalf("%q", conditions)
		}
		want := snapshot(t, s)
		r.forget()
		crawlOK(t, c, s, "acme/app")
		if got := r.requests("/manifests/"); len(got) > 0 || len(conditions) != 8 {
			t.Fatalf("head %v: %q, %q", head, got, conditions)
		}
		if got := snapshot(t, s).Repositories["acme/app"]; len(got.Tags) != 4 || got.Tags["latest"] != want.Repositories["acme/app"].Tags["latest"] {
			t.Fatalf("%v", got.Tags)
		}
		moved := r.image("acme/app", "moved", "", "latest")
		crawlOK(t, c, s, "acme/app")
		if got := snapshot(t, s).Repositories["acme/app"]; got.Tags["latest"].Digest != moved || len(got.History["latest"]) != 1 {
			t.Fatalf("%v", got.Tags)
		}
	}
}
