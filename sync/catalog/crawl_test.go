package catalog

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestCrawlLearnsTheGraph(t *testing.T) {
	r := newRegistry(t)
	amd := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z")
	arm := r.image("acme/app", "arm64", "2026-02-03T00:00:00Z")
	inner := r.index("acme/app", []string{amd, arm}, nil)
	outer := r.index("acme/app", []string{inner}, nil, "1.0.0", "latest")
	dated := r.index("acme/app", []string{amd}, map[string]string{annotationCreated: "2026-03-01T00:00:00+01:00"}, "1.1.0")
	plain := r.image("acme/app", "no date", "", "2.0.0")
	old := r.image("acme/app", "reproducible", "1980-01-01T00:00:00Z", "2.1.0")
	sbom := r.manifest("acme/app", map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest, "artifactType": "application/vnd.example.sbom",
		"config":  map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": DigestOf("{}"), "size": 2},
		"layers":  []any{},
		"subject": map[string]any{"mediaType": typeOCIIndex, "digest": outer, "size": 1},
	}, "sha256-"+strings.TrimPrefix(outer, "sha256:")+".sbom")
	s := open(t)
	res := crawlOK(t, r.crawler(), s, "acme/app", "acme/none")
	if got := res.Repositories; len(got) != 2 || got[0].Outcome != Taken || got[0].Tags != 6 || got[1].Outcome != Absent {
		t.Fatalf("%+v", got)
	}
	c := snapshot(t, s)
	if len(c.Repositories) != 1 || c.Registry != "main" {
		t.Fatalf("%v", c)
	}
	repo := c.Repositories["acme/app"]
	now := at("2026-06-01T00:00:00Z").Unix()
	for tag, want := range map[string]string{"1.0.0": outer, "latest": outer, "1.1.0": dated, "2.0.0": plain} {
		if got := repo.Tags[tag]; got != (Tag{want, now}) {
			t.Errorf("%s: %v", tag, got)
		}
	}
	for digest, want := range map[string]string{
		outer: "2026-02-03T00:00:00Z", // the latest of its platforms
		dated: "2026-02-28T23:00:00Z", // its annotation
		amd:   "2026-02-01T00:00:00Z", // its config
		plain: "2026-06-01T00:00:00Z", // first seen
		old:   "2026-06-01T00:00:00Z", // before 2000 does not count
	} {
		if got := instantText(repo.Manifests[digest].Created); got != want {
			t.Errorf("%s was created %s, want %s", digest, got, want)
		}
	}
	if m := repo.Manifests[outer]; !slices.Equal(m.Index, []string{inner}) || m.MediaType != typeOCIIndex || m.Size == 0 {
		t.Errorf("%+v", m)
	}
	if m := repo.Manifests[amd]; m.Config == "" || !slices.Equal(m.Layers, []string{DigestOf("layer of amd64")}) || m.ArtifactType != "" {
		t.Errorf("%+v", m)
	}
	if m := repo.Manifests[sbom]; m.Subject != outer || m.ArtifactType != "application/vnd.example.sbom" {
		t.Errorf("%+v", m)
	}
	if got := r.requests("GET /v2/acme/app/blobs/sha256:"); len(got) == 0 {
		t.Error("no config was fetched")
	}
	for _, name := range []string{"amd64", "arm64"} {
		if got := r.requests(DigestOf("layer of " + name)); len(got) > 0 {
			t.Errorf("a layer was fetched: %v", got)
		}
	}
}

func TestSecondCrawlOnlyAsksForTags(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	r.sample("acme/other") // the same content
	s, c := open(t), r.crawler()
	first := crawlOK(t, c, s, "acme/app", "acme/other")
	if got := len(r.requests("GET /v2/")) - len(r.requests("tags/list")) - len(r.requests("/referrers/")) - 2; got > 2*(9+6) || first.Manifests < 9 {
		t.Fatalf("%d fetches, %d manifests", got, first.Manifests)
	}
	before := snapshot(t, s)
	r.forget()
	if second := crawlOK(t, c, s, "acme/app", "acme/other"); second.Manifests != 0 {
		t.Fatalf("fetched %d manifests again", second.Manifests)
	}
	got := r.requests("")
	slices.Sort(got)
	want := []string{"GET /v2/", "GET /v2/acme/app/tags/list", "GET /v2/acme/other/tags/list"}
	for _, repo := range []string{"acme/app", "acme/other"} {
		for _, tag := range []string{"1.0.0", "1.1.0", "2.0.0", "latest"} {
			want = append(want, "HEAD /v2/"+repo+"/manifests/"+tag)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
		t.Fatal(diff)
	}
}

func TestCrawlKeepsHistoryAndFrozenDates(t *testing.T) {
	r := newRegistry(t)
	one := r.image("acme/app", "one", "", "1.0.0", "stable", "old")
	s := open(t)
	crawlOK(t, r.crawler(clock("2026-01-01T00:00:00Z")), s, "acme/app")
	two := r.image("acme/app", "two", "", "1.0.0", "stable", "2.0.0")
	r.untag("acme/app", "old")
	crawlOK(t, r.crawler(clock("2026-02-01T00:00:00Z")), s, "acme/app")
	r.image("acme/app", "one", "", "stable", "old")
	crawlOK(t, r.crawler(clock("2026-03-01T00:00:00Z")), s, "acme/app")

	repo := snapshot(t, s).Repositories["acme/app"]
	jan, feb, mar := at("2026-01-01T00:00:00Z").Unix(), at("2026-02-01T00:00:00Z").Unix(), at("2026-03-01T00:00:00Z").Unix()
	wantTags := map[string]Tag{"1.0.0": {two, jan}, "2.0.0": {two, feb}, "stable": {one, jan}, "old": {one, jan}}
	if diff := cmp.Diff(wantTags, repo.Tags); diff != "" {
		t.Error(diff)
	}
	wantHistory := map[string][]Past{"1.0.0": {{one, feb}}, "stable": {{one, feb}, {two, mar}}, "old": {{one, feb}}}
	if diff := cmp.Diff(wantHistory, repo.History); diff != "" {
		t.Error(diff)
	}
	if repo.Manifests[one].Created != jan || repo.Manifests[two].Created != feb {
		t.Error("a date is not the first sight's")
	}
}

func TestCrawlExpandsPatterns(t *testing.T) {
	r := newRegistry(t)
	for _, name := range []string{"acme/tools/a", "acme/tools/b", "acme/app", "else/x"} {
		r.image(name, "x", "", "1.0.0")
	}
	s := open(t)
	c := r.crawler(func(c *Config) { c.Match = matchPath })
	targets := Targets{Repositories: []string{"acme/app"}, Patterns: []string{"acme/tools/*"}}
	res, err := c.Crawl(t.Context(), s, targets)
	if err != nil || len(res.Repositories) != 3 || len(res.Warnings) != 0 {
		t.Fatalf("%+v, %v", res, err)
	}
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, "_catalog") {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
		return false
	})
	res, err = c.Crawl(t.Context(), s, targets)
	if err != nil || len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], `"acme/tools/*"`) || !strings.Contains(res.Warnings[0], "403 Forbidden") {
		t.Fatalf("%+v, %v", res, err)
	}
	if len(res.Repositories) != 3 { // the known ones are asked all the same
		t.Fatalf("%+v", res.Repositories)
	}
}

func TestCrawlFollowsPages(t *testing.T) {
	r := newRegistry(t)
	for i := range 25 {
		r.image("acme/app", "x", "", fmt.Sprintf("1.0.%02d", i))
	}
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, "/tags/list") {
			return false
		}
		q := req.URL.Query()
		q.Set("n", "10")
		req.URL.RawQuery = q.Encode()
		last := "1.0.09"
		if q.Get("last") == last {
			last = "1.0.19"
		}
		if q.Get("last") != "1.0.19" {
			w.Header().Set("Link", fmt.Sprintf(`</v2/acme/app/tags/list?n=10&last=%s>; rel="next"`, last))
		}
		return false
	})
	s := open(t)
	if got := crawlOK(t, r.crawler(), s, "acme/app").Repositories[0].Tags; got != 25 {
		t.Fatalf("%d tags", got)
	}
}

func TestCrawlCutsDepthAndCycles(t *testing.T) {
	r := newRegistry(t)
	d := r.image("acme/app", "leaf", "2026-01-01T00:00:00Z")
	levels := []string{d}
	for range 5 {
		d = r.index("acme/app", []string{d}, nil)
		levels = append(levels, d)
	}
	top := r.index("acme/app", []string{d}, nil, "deep")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if len(repo.Manifests) != 4 || repo.Manifests[top] == nil || repo.Manifests[levels[5]] == nil || repo.Manifests[levels[3]] == nil || repo.Manifests[levels[2]] != nil {
		t.Fatalf("%d manifests", len(repo.Manifests))
	}
}

func TestCrawlLeavesOutWhatItCannotUse(t *testing.T) {
	r := newRegistry(t)
	r.image("acme/app", "good", "", "good")
	r.manifest("acme/app", map[string]any{"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+prettyjws", "name": "x"}, "ancient")
	r.manifest("acme/app", map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.other+json"}, "odd")
	r.manifest("acme/app", map[string]any{"schemaVersion": 2, "layers": []any{}, "manifests": []any{}}, "both")
	r.manifest("acme/app", map[string]any{"schemaVersion": 2, "layers": []any{map[string]any{"digest": "md5:x"}}}, "md5")
	r.manifest("acme/app", map[string]any{"schemaVersion": "2"}, "types")
	r.manifest("acme/app", map[string]any{"schemaVersion": 2, "layers": []any{}, "annotations": map[string]string{"x": strings.Repeat("x", maxManifest)}}, "huge")
	s, c := open(t), r.crawler()
	res := crawlOK(t, c, s, "acme/app").Repositories[0]
	if got := tagNames(snapshot(t, s).Repositories["acme/app"]); !slices.Equal(got, []string{"good"}) {
		t.Fatalf("%v", got)
	}
	for i, want := range []string{"tag ancient left out: Docker schema 1", "tag both left out: an index and an image", "tag huge left out: manifest sha256", `tag md5 left out: refers to "md5:x"`, `tag odd left out: unknown media type "application/vnd.other+json"`, "tag types left out"} {
		if len(res.Warnings) != 6 || !strings.HasPrefix(res.Warnings[i], want) {
			t.Fatalf("want %q, got %q", want, res.Warnings)
		}
	}
	r.forget()
	crawlOK(t, c, s, "acme/app") // remembered: only the one that was never read whole is asked again
	if got := r.requests("GET /v2/acme/app/manifests/sha256:"); len(got) != 1 {
		t.Fatalf("%v", got)
	}
}

func TestCrawlAllowsChildrenThatTheRegistryLacks(t *testing.T) {
	r := newRegistry(t)
	amd, arm := r.image("acme/app", "amd", "2026-01-01T00:00:00Z"), r.image("acme/app", "arm", "2026-01-01T00:00:00Z")
	top := r.index("acme/app", []string{amd, arm}, nil, "1.0.0")
	r.untag("acme/app", arm)
	s, c := open(t), r.crawler()
	crawlOK(t, c, s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if repo.Manifests[arm] != nil || len(repo.Manifests[top].Index) != 2 {
		t.Fatal("the absent child is known, or no longer listed")
	}
	r.image("acme/app", "arm", "2026-01-01T00:00:00Z")
	crawlOK(t, c, s, "acme/app")
	if snapshot(t, s).Repositories["acme/app"].Manifests[arm] == nil {
		t.Fatal("a child pushed later was not learned")
	}
}

// hostile answers a request instead of the registry.
type hostile func(w http.ResponseWriter, req *http.Request) bool

func answering(path, status, body string) hostile {
	code := 0
	fmt.Sscan(status, &code)
	return func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, path) {
			return false
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
		return true
	}
}

func TestBadRegistryKeepsTheLastGoodState(t *testing.T) {
	list := func(tags ...string) string {
		b, _ := json.Marshal(map[string]any{"name": "acme/app", "tags": tags})
		return string(b)
	}
	const oci = `{"errors":[{"code":"%s","message":"no"}]}`
	for _, c := range []struct {
		name   string
		bad    hostile
		reason Reason
		remedy string
	}{
		{"401 on the list", answering("tags/list", "401", fmt.Sprintf(oci, "UNAUTHORIZED")), Unauthorized, "credentials"},
		{"403 on the list", answering("tags/list", "403", fmt.Sprintf(oci, "DENIED")), Forbidden, "right to pull"},
		{"429 on the list", answering("tags/list", "429", ""), Failing, "next crawl"},
		{"500 on the list", answering("tags/list", "500", ""), Failing, "own log"},
		{"500 on everything", answering("/v2/", "500", ""), Failing, "own log"},
		{"403 on manifests", answering("/manifests/", "403", ""), Forbidden, "right to pull"},
		{"502 on manifests", answering("/manifests/", "502", "<html>"), Failing, "own log"},
		{"HTML with 200", answering("tags/list", "200", "<html>Welcome</html>"), Garbage, "upstream"},
		{"HTML with 404", answering("tags/list", "404", "<html>Not here</html>"), Garbage, "upstream"},
		{"HTML with 200 everywhere", answering("/v2/", "200", "<html>Welcome</html>"), Garbage, "upstream"},
		{"truncated JSON", answering("tags/list", "200", list("1.0.0", "1.0.1")[:30]), Garbage, "upstream"},
		{"empty object", answering("tags/list", "200", "{}"), Garbage, "upstream"},
		{"tags of another type", answering("tags/list", "200", `{"name":"acme/app","tags":{"a":1}}`), Garbage, "upstream"},
		{"cut off connection", func(w http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, "tags/list") {
				w.Header().Set("Content-Length", "1000")
				io.WriteString(w, `{"tags":["1.0.0"`)
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			return false
		}, Garbage, "upstream"},
		{"half the tags", answering("tags/list", "200", list("1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4")), Shrunk, "--accept-removals"},
		{"no tags", answering("tags/list", "200", list()), Shrunk, "--accept-removals"},
		{"null tags", answering("tags/list", "200", `{"name":"acme/app","tags":null}`), Shrunk, "--accept-removals"},
		{"forgotten repository", answering("tags/list", "404", fmt.Sprintf(oci, "NAME_UNKNOWN")), Shrunk, "--accept-removals"},
		{"tags without manifests", answering("/manifests/", "404", fmt.Sprintf(oci, "MANIFEST_UNKNOWN")), Shrunk, "--accept-removals"},
		{"endless pages", func(w http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, "tags/list") {
				w.Header().Set("Link", `</v2/acme/app/tags/list?n=1>; rel="next"`)
				io.WriteString(w, list("1.0.0"))
				return true
			}
			return false
		}, Garbage, "upstream"},
		{"next page elsewhere", func(w http.ResponseWriter, req *http.Request) bool {
			if strings.Contains(req.URL.Path, "tags/list") {
				w.Header().Set("Link", `<https://evil.example/v2/acme/app/tags/list?n=1>; rel="next"`)
				io.WriteString(w, list("1.0.0"))
				return true
			}
			return false
		}, Foreign, "own origin"},
		{"other content than the digest", func(w http.ResponseWriter, req *http.Request) bool {
			if req.Method == http.MethodHead {
				w.Header().Set("Docker-Content-Digest", DigestOf(req.URL.Path))
				return true
			}
			if strings.Contains(req.URL.Path, "/manifests/sha256:") {
				io.WriteString(w, `{"schemaVersion":2,"layers":[]}`)
				return true
			}
			return false
		}, Garbage, "upstream"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRegistry(t)
			for i := range 12 {
				r.image("acme/app", fmt.Sprint(i), "", fmt.Sprintf("1.0.%d", i))
			}
			s := open(t)
			reg := prometheus.NewRegistry()
			crawler := r.crawler(func(c *Config) { c.Registerer = reg })
			crawlOK(t, crawler, s, "acme/app")
			before := snapshot(t, s)
			r.misbehave(c.bad)
			res, err := crawler.Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
			f, _ := err.(*Failure)
			if err == nil {
				if got := res.Repositories[0]; got.Outcome != Kept || got.Tags != 12 {
					t.Fatalf("%+v", got)
				}
				f = res.Failures()[0]
			}
			if f == nil || f.Reason != c.reason || !strings.Contains(f.Error(), c.remedy) || !strings.Contains(f.Error(), "is kept") {
				t.Fatalf("got %v (%+v)", err, res)
			}
			t.Log(f)
			if strings.ContainsAny(f.Error(), "\n") || strings.Contains(f.Error(), "s3cret") {
				t.Fatal(f)
			}
			if diff := cmp.Diff(before, snapshot(t, s)); diff != "" {
				t.Fatal(diff)
			}
			if got := testutil.ToFloat64(crawler.metrics.failures.WithLabelValues(string(c.reason))); got != 1 {
				t.Errorf("counted %v failures", got)
			}
			r.misbehave(nil)
			crawlOK(t, crawler, s, "acme/app")
		})
	}
}

func TestCrawlAcceptsRemovalsWhenTold(t *testing.T) {
	r := newRegistry(t)
	for i := range 12 {
		r.image("acme/app", fmt.Sprint(i), "", fmt.Sprintf("1.0.%d", i))
	}
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	for i := range 11 {
		r.untag("acme/app", fmt.Sprintf("1.0.%d", i))
	}
	if _, err := r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}}); err != nil {
		t.Fatal(err)
	}
	if got := len(snapshot(t, s).Repositories["acme/app"].Tags); got != 12 {
		t.Fatalf("%d tags", got)
	}
	crawlOK(t, r.crawler(func(c *Config) { c.AcceptRemovals = true }), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if len(repo.Tags) != 1 || len(repo.History) != 11 {
		t.Fatalf("%d tags, %d in history", len(repo.Tags), len(repo.History))
	}
}

func TestAbsentRepositoryLosesItsTagsWhileOthersAnswer(t *testing.T) {
	r := newRegistry(t)
	r.image("acme/app", "a", "", "1.0.0")
	r.image("acme/gone", "a", "", "1.0.0")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app", "acme/gone")
	r.misbehave(answering("acme/gone/tags", "404", `{"errors":[{"code":"NAME_UNKNOWN"}]}`))
	res := crawlOK(t, r.crawler(), s, "acme/app", "acme/gone")
	if res.Repositories[1].Outcome != Absent {
		t.Fatalf("%+v", res)
	}
	repo := snapshot(t, s).Repositories["acme/gone"]
	if len(repo.Tags) != 0 || len(repo.History["1.0.0"]) != 1 {
		t.Fatalf("%+v", repo)
	}
}

func TestOneBadTagDoesNotHoldTheOthersBack(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	was := snapshot(t, s).Repositories["acme/app"]
	three := r.image("acme/app", "three", "", "3.0.0", "latest")
	r.misbehave(answering("/manifests/1.0.0", "500", ""))
	metrics := prometheus.NewRegistry()
	result, err := r.crawler(func(c *Config) { c.Registerer = metrics }).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	if err != nil {
		t.Fatal(err)
	}
	res := result.Repositories[0]
	if f := result.Failures(); len(f) != 1 || res.Outcome != Taken || f[0].Reason != Failing || !strings.Contains(f[0].Error(), "repository acme/app: tag 1.0.0 stays as it was: answered 500 Internal Server Error; what was known before is kept") {
		t.Fatalf("%s %v", res.Outcome, f)
	}
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(`# HELP pullgate_catalog_failures_total Crawls of a repository, of some of its tags, or of the whole registry, that failed and kept the last good state, by reason.
# TYPE pullgate_catalog_failures_total counter
pullgate_catalog_failures_total{reason="failing",registry=""} 1
pullgate_catalog_failures_total{reason="forbidden",registry=""} 0
pullgate_catalog_failures_total{reason="foreign",registry=""} 0
pullgate_catalog_failures_total{reason="garbage",registry=""} 0
pullgate_catalog_failures_total{reason="shrunk",registry=""} 0
pullgate_catalog_failures_total{reason="slow",registry=""} 0
pullgate_catalog_failures_total{reason="too_large",registry=""} 0
pullgate_catalog_failures_total{reason="unauthorized",registry=""} 0
pullgate_catalog_failures_total{reason="unreachable",registry=""} 0
`), "pullgate_catalog_failures_total"); err != nil {
		t.Fatal(err)
	}
	if len(res.Warnings) != 1 || !strings.Contains(res.Warnings[0], "tag 1.0.0 stays as it was: answered 500") {
		t.Fatalf("%q", res.Warnings)
	}
	is := snapshot(t, s).Repositories["acme/app"]
	if is.Tags["1.0.0"] != was.Tags["1.0.0"] || is.Tags["latest"].Digest != three || is.Tags["3.0.0"].Digest != three {
		t.Fatalf("%v", is.Tags)
	}
}

func TestUnreachableRegistryIsOneFailure(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s, c := open(t), r.crawler()
	crawlOK(t, c, s, "acme/app")
	r.server.Close()
	_, err := c.Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	f, ok := err.(*Failure)
	if !ok || f.Reason != Unreachable || !strings.Contains(f.Error(), "connection refused") || !strings.Contains(f.Error(), "check upstream, the network") {
		t.Fatalf("%v", err)
	}
	if got := len(snapshot(t, s).Repositories["acme/app"].Tags); got != 4 {
		t.Fatalf("%d tags", got)
	}
}

func TestWrongPasswordIsOneFailure(t *testing.T) {
	r := newRegistry(t)
	c := r.crawler(func(c *Config) {
		c.Credentials = func() (string, string, error) { return "crawler", "wr0ng", nil }
	})
	_, err := c.Crawl(t.Context(), open(t), Targets{Repositories: []string{"a", "b"}})
	f, ok := err.(*Failure)
	if !ok || f.Reason != Unauthorized || strings.Contains(err.Error(), "wr0ng") {
		t.Fatalf("%v", err)
	}
}

func TestCrawlHonoursItsContext(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	ctx, cancel := context.WithCancel(t.Context())
	r.misbehave(func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/manifests/sha256:") {
			cancel()
		}
		return false
	})
	s := open(t)
	if _, err := r.crawler().Crawl(ctx, s, Targets{Repositories: []string{"acme/app"}}); err != context.Canceled {
		t.Fatalf("%v", err)
	}
	if got := snapshot(t, s); len(got.Repositories) != 0 {
		t.Fatalf("%v", got)
	}
}

func TestProgressAndMetricsCount(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	reg := prometheus.NewRegistry()
	var last Progress
	c := r.crawler(func(c *Config) {
		c.Registerer, c.Registry = reg, "main"
		c.Progress = func(p Progress) { last = p }
	})
	crawlOK(t, c, open(t), "acme/app")
	if last != (Progress{Repositories: 1, Total: 1, Tags: 4, Manifests: 9, Requests: 29}) {
		t.Fatalf("%+v", last)
	}
	const want = `
# HELP pullgate_catalog_last_success_timestamp_seconds When a crawl of the repository last succeeded, Unix seconds. The first 1000 repositories have a series; see pullgate_catalog_failures_total for the rest.
# TYPE pullgate_catalog_last_success_timestamp_seconds gauge
pullgate_catalog_last_success_timestamp_seconds{registry="main",repository="acme/app"} 1.780272e+09
# HELP pullgate_catalog_fetches_total Requests made to the registry, by kind: list, head, manifest, config, referrers.
# TYPE pullgate_catalog_fetches_total counter
pullgate_catalog_fetches_total{kind="config",registry="main"} 6
pullgate_catalog_fetches_total{kind="head",registry="main"} 4
pullgate_catalog_fetches_total{kind="list",registry="main"} 1
pullgate_catalog_fetches_total{kind="manifest",registry="main"} 9
pullgate_catalog_fetches_total{kind="referrers",registry="main"} 9
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "pullgate_catalog_last_success_timestamp_seconds", "pullgate_catalog_fetches_total"); err != nil {
		t.Fatal(err)
	}
}

// When a repository was last read is known after a restart, too, and forgotten with the repository.
func TestAgeOfARepositoryOutlivesTheProcess(t *testing.T) {
	r := newRegistry(t)
	r.image("acme/app", "x", "", "1.0.0")
	r.image("acme/old", "x", "", "1.0.0")
	s := open(t)
	crawlOK(t, r.crawler(clock("2026-01-01T00:00:00Z")), s, "acme/app", "acme/old")
	r.misbehave(answering("/acme/app/tags/list", "500", ""))
	reg := prometheus.NewRegistry()
	c := r.crawler(func(c *Config) { c.Registerer = reg })
	series := func(want ...string) {
		t.Helper()
		text := "# HELP pullgate_catalog_last_success_timestamp_seconds When a crawl of the repository last succeeded, Unix seconds. The first 1000 repositories have a series; see pullgate_catalog_failures_total for the rest.\n# TYPE pullgate_catalog_last_success_timestamp_seconds gauge\n" + strings.Join(want, "\n") + "\n"
		if err := testutil.GatherAndCompare(reg, strings.NewReader(text), "pullgate_catalog_last_success_timestamp_seconds"); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app", "acme/old"}}); err != nil {
		t.Fatal(err)
	}
	series(`pullgate_catalog_last_success_timestamp_seconds{registry="",repository="acme/app"} 1.7672256e+09`, `pullgate_catalog_last_success_timestamp_seconds{registry="",repository="acme/old"} 1.780272e+09`)
	if _, err := c.Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}}); err != nil {
		t.Fatal(err)
	}
	series(`pullgate_catalog_last_success_timestamp_seconds{registry="",repository="acme/app"} 1.7672256e+09`)
}

func TestConfigIsChecked(t *testing.T) {
	for upstream, want := range map[string]string{
		"":                             "write https://HOST",
		"registry.example":             "write https://HOST",
		"http://registry.example":      "http is for loopback",
		"http://127.evil.example":      "http is for loopback",
		"https://u:p@registry.example": "credentials do not belong",
		"https://registry.example/x":   "root of its host",
		"https://registry.example":     "",
		"http://127.0.0.1:5000":        "",
		"http://[::1]:5000/":           "",
	} {
		_, err := NewCrawler(Config{Upstream: upstream})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", upstream, err)
		}
	}
	if _, err := NewCrawler(Config{Upstream: "http://registry.example", Insecure: true}); err != nil {
		t.Error(err)
	}
}
