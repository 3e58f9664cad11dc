package catalog

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func rereadOK(t testing.TB, c *Crawler, s *Store, hints ...Hint) *Result {
	t.Helper()
	res, err := c.Reread(t.Context(), s, hints)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range res.Failures() {
		t.Fatal(f)
	}
	return res
}

// asked are the requests since the last call, without the login.
func (r *testRegistry) asked() []string {
	out := slices.DeleteFunc(r.requests(""), func(l string) bool { return l == "GET /v2/" })
	r.forget()
	return out
}

func TestRereadAsksAboutOneTag(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	r.sample("acme/other")
	s := open(t)
	crawlOK(t, r.crawler(clock("2026-06-01T00:00:00Z")), s, "acme/app", "acme/other")
	was := snapshot(t, s)
	amd := r.image("acme/app", "2.1.0 amd64", "2026-05-01T00:00:00Z")
	top := r.index("acme/app", []string{amd}, nil, "2.1.0", "latest")
	r.image("acme/app", "nobody hints at it", "", "9.9.9")
	r.asked()
	res := rereadOK(t, r.crawler(clock("2026-06-01T00:01:00Z")), s, Hint{Repository: "acme/app", Tag: "latest"}, Hint{Repository: "acme/app", Tag: "2.1.0"}, Hint{Repository: "acme/app", Tag: "latest"})
	got := r.asked()
	slices.Sort(got)
	config := r.digestOfConfig("acme/app", amd)
	want := []string{
		"GET /v2/acme/app/blobs/" + config, "GET /v2/acme/app/manifests/" + amd, "GET /v2/acme/app/manifests/" + top,
		"GET /v2/acme/app/referrers/" + amd, "GET /v2/acme/app/referrers/" + top,
		"HEAD /v2/acme/app/manifests/2.1.0", "HEAD /v2/acme/app/manifests/latest",
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	repo := res.Catalog.Repositories["acme/app"]
	if len(res.Catalog.Repositories) != 1 || !slices.Equal(tagNames(repo), []string{"1.0.0", "1.1.0", "2.0.0", "2.1.0", "latest"}) {
		t.Fatalf("%v", tagNames(repo))
	}
	if repo.Tags["latest"].Digest != top || repo.Tags["2.1.0"] != (Tag{top, at("2026-06-01T00:01:00Z").Unix()}) || instantText(repo.Manifests[top].Created) != "2026-05-01T00:00:00Z" {
		t.Errorf("%+v", repo.Tags)
	}
	if diff := cmp.Diff([]Past{{was.Repositories["acme/app"].Tags["latest"].Digest, at("2026-06-01T00:01:00Z").Unix()}}, repo.History["latest"]); diff != "" {
		t.Error(diff)
	}
	states, err := s.States()
	if err != nil || instantText(states["acme/app"].Succeeded) != "2026-06-01T00:00:00Z" {
		t.Errorf("a hint counts as a reading of the whole repository: %v %v", states, err)
	}
	if diff := cmp.Diff(was.Repositories["acme/other"], snapshot(t, s).Repositories["acme/other"]); diff != "" {
		t.Error(diff)
	}
	// What is as it was costs one request a tag.
	rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app", Tag: "1.0.0"})
	if got := r.asked(); got[0] != "HEAD /v2/acme/app/manifests/1.0.0" || len(slices.DeleteFunc(got, func(l string) bool { return strings.Contains(l, "/referrers/") })) != 1 {
		t.Errorf("%q", got)
	}
}

func (r *testRegistry) digestOfConfig(repo, digest string) string {
	s := open(r.t)
	crawlOK(r.t, r.crawler(), s, repo)
	defer r.forget()
	return snapshot(r.t, s).Repositories[repo].Manifests[digest].Config
}

// Whatever a hint does not say, and whatever would be a removal, is found out from the list; what tags alone do not
// settle waits for a hint at all of it.
func TestRereadOfAWholeRepository(t *testing.T) {
	many := []Hint{}
	for i := range mostHints + 1 {
		many = append(many, Hint{Repository: "acme/app", Tag: fmt.Sprintf("t%d", i)})
	}
	for name, hints := range map[string][]Hint{
		"no tag":         {{Repository: "acme/app"}},
		"a tag and none": {{Repository: "acme/app", Tag: "2.0.0"}, {Repository: "acme/app"}},
		"no tag that is": {{Repository: "acme/app", Tag: "../x"}},
		"a tag is gone":  {{Repository: "acme/app", Tag: "1.0.0"}},
		"too many":       many,
	} {
		r := newRegistry(t)
		r.sample("acme/app")
		s := open(t)
		crawlOK(t, r.crawler(), s, "acme/app")
		r.untag("acme/app", "1.0.0")
		late := r.image("acme/app", "late", "", "3.0.0")
		r.asked()
		res := rereadOK(t, r.crawler(), s, hints...)
		if unsettled := name == "a tag is gone" || name == "too many"; unsettled {
			if !slices.Equal(res.Unsettled, []string{"acme/app"}) || slices.Contains(r.asked(), "GET /v2/acme/app/tags/list") || len(tagNames(res.Catalog.Repositories["acme/app"])) != 4 {
				t.Errorf("%s: %v %v", name, res.Unsettled, tagNames(res.Catalog.Repositories["acme/app"]))
			}
			res = rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app"})
		}
		if len(res.Unsettled) > 0 {
			t.Errorf("%s: unsettled %v", name, res.Unsettled)
		}
		if !slices.Contains(r.asked(), "GET /v2/acme/app/tags/list") {
			t.Errorf("%s: no list", name)
		}
		repo := res.Catalog.Repositories["acme/app"]
		if !slices.Equal(tagNames(repo), []string{"1.1.0", "2.0.0", "3.0.0", "latest"}) || len(repo.History["1.0.0"]) != 1 || repo.Tags["3.0.0"].Digest != late {
			t.Errorf("%s: %v %v", name, tagNames(repo), repo.History)
		}
	}
}

func TestRereadBelievesNoLoss(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	r.sample("acme/other")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app", "acme/other")
	want := snapshot(t, s)
	for name, bad := range map[string]hostile{
		"everything is 404": answering("/v2/acme/", "404", `{"errors":[{"code":"NAME_UNKNOWN"}]}`),
		"everything is 500": answering("/v2/acme/", "500", ""),
		"nothing is listed": func(w http.ResponseWriter, req *http.Request) bool {
			return answering("/manifests/", "404", `{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`)(w, req) || answering("/tags/list", "200", `{"tags":[]}`)(w, req)
		},
	} {
		r.misbehave(bad)
		for _, hint := range []Hint{{Repository: "acme/app"}, {Repository: "acme/app", Tag: "latest"}, {Repository: "acme/app", Digest: want.Repositories["acme/app"].Tags["latest"].Digest}} {
			res, err := r.crawler().Reread(t.Context(), s, []Hint{hint})
			if _, ok := err.(*Failure); err != nil && !ok {
				t.Fatal(err)
			}
			if hint.Digest == "" && err == nil && len(res.Failures())+len(res.Unsettled) != 1 {
				t.Errorf("%s: %+v: neither a failure nor unsettled", name, hint)
			}
			if diff := cmp.Diff(want, snapshot(t, s)); diff != "" {
				t.Fatalf("%s: %+v: %s", name, hint, diff)
			}
		}
	}
	r.misbehave(nil)
	r.asked()
	if res := rereadOK(t, r.crawler(), s, Hint{Repository: "Not/A/Name"}, Hint{}); len(res.Catalog.Repositories) != 0 || len(r.asked()) > 0 {
		t.Error("asked about what is no repository")
	}
}

// A signature pushed without a tag counts for its subject, however long ago that was asked about.
func TestRereadFindsReferrersByDigest(t *testing.T) {
	r := newRegistry(t)
	amd := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z")
	r.index("acme/app", []string{amd}, nil, "1.0.0")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	sig := r.referrer("acme/app", "signature", amd)
	r.referrer("acme/app", "unseen", DigestOf("unknown"))
	strange := r.referrer("acme/app", "strange", DigestOf("unknown"))
	r.asked()
	res := rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app", Digest: sig}, Hint{Repository: "acme/app", Digest: strange}, Hint{Repository: "acme/app", Digest: DigestOf("absent")})
	if repo := res.Catalog.Repositories["acme/app"]; repo.Manifests[sig] == nil || repo.Manifests[strange] != nil {
		t.Errorf("%d manifests", len(repo.Manifests))
	}
	if got := r.asked(); len(got) != 5 || slices.Contains(got, "GET /v2/acme/app/tags/list") {
		t.Errorf("%q", got)
	}
	// And one of the signature.
	two := r.referrer("acme/app", "two", sig)
	res = rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app", Digest: two})
	if res.Catalog.Repositories["acme/app"].Manifests[two] == nil {
		t.Error("what refers to a referrer is not found")
	}
}

func TestRereadOfWhatWasNeverReadReadsAll(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	res := rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app", Tag: "1.0.0"})
	if len(res.Catalog.Repositories["acme/app"].Tags) != 4 {
		t.Errorf("%v", tagNames(res.Catalog.Repositories["acme/app"]))
	}
}

// A tag that is gone keeps none of the others from being taken.
func TestRereadTakesTagsBesideOneThatIsGone(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	r.untag("acme/app", "1.0.0")
	late := r.image("acme/app", "late", "", "3.0.0")
	res := rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app", Tag: "1.0.0"}, Hint{Repository: "acme/app", Tag: "3.0.0"})
	repo := res.Catalog.Repositories["acme/app"]
	if !slices.Equal(res.Unsettled, []string{"acme/app"}) || repo.Tags["3.0.0"].Digest != late || repo.Tags["1.0.0"].Digest == "" || len(repo.History) != 0 {
		t.Errorf("%v %v", res.Unsettled, repo.Tags)
	}
}

// Names that nobody has are asked for, and leave nothing behind: they would be crawled for ever.
func TestRereadKeepsNoNamesThatWereMadeUp(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	for answer, bad := range map[string]hostile{
		"404": nil, "403": answering("/v2/acme/made-up", "403", `{"errors":[{"code":"DENIED"}]}`), "500": answering("/v2/acme/made-up", "500", ""),
		"an empty list": answering("/v2/acme/made-up/tags/list", "200", `{"name":"acme/made-up","tags":[]}`),
		"no list":       answering("/v2/acme/made-up/tags/list", "200", `<html>`),
	} {
		r.misbehave(bad)
		for _, hint := range []Hint{{Repository: "acme/made-up"}, {Repository: "acme/made-up", Tag: "1.0.0"}} {
			res, err := r.crawler().Reread(t.Context(), s, []Hint{hint})
			if err != nil || len(res.Catalog.Repositories) != 0 {
				t.Errorf("%s: %v %v", answer, res, err)
			}
			states, err := s.States()
			if err != nil || len(states) != 1 {
				t.Errorf("%s: %v %v", answer, states, err)
			}
		}
	}
}

// What a reading has cost the registry is told, so that hints can be rationed.
func TestRequestsAreCounted(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	for what, read := range map[string]func() (*Result, error){
		"a crawl": func() (*Result, error) {
			return r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app", "acme/absent"}})
		},
		"a tag": func() (*Result, error) {
			return r.crawler().Reread(t.Context(), s, []Hint{{Repository: "acme/app", Tag: "latest"}})
		},
		"a repository": func() (*Result, error) {
			return r.crawler().Reread(t.Context(), s, []Hint{{Repository: "acme/app"}})
		},
	} {
		r.forget()
		res, err := read()
		if err != nil {
			t.Fatal(err)
		}
		// Nobody asks this registry for a token, which would be one more for each repository.
		if sent := len(r.requests("")); res.Requests < sent || res.Requests > sent+2 {
			t.Errorf("%s: %d requests are counted as %d", what, sent, res.Requests)
		}
	}
}

// What was read again while a crawl is under way is newer than what that crawl asked before.
func TestRereadBesideACrawl(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	r.image("acme/app", "gone", "", "gone")
	s := open(t)
	c := r.crawler()
	crawlOK(t, c, s, "acme/app")
	stuck, release := make(chan struct{}), make(chan struct{})
	r.misbehave(func(_ http.ResponseWriter, req *http.Request) bool {
		if req.Method == http.MethodHead && strings.HasSuffix(req.URL.Path, "/manifests/2.0.0") {
			stuck <- struct{}{}
			<-release
		}
		return false
	})
	done := make(chan *Result)
	go func() {
		res, _ := c.Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
		done <- res
	}()
	<-stuck // the list is read, and perhaps other tags
	for len(r.requests("HEAD /v2/acme/app/manifests/latest")) < 2 || len(r.requests("HEAD /v2/acme/app/manifests/gone")) < 2 {
		time.Sleep(time.Millisecond)
	}
	r.misbehave(nil)
	moved := r.image("acme/app", "moved", "", "latest", "new")
	r.untag("acme/app", "gone")
	rereadOK(t, c, s, Hint{Repository: "acme/app", Tag: "latest"}, Hint{Repository: "acme/app", Tag: "new"})
	rereadOK(t, c, s, Hint{Repository: "acme/app"})
	close(release)
	res := <-done
	if res == nil || len(res.Failures()) > 0 {
		t.Fatalf("%+v", res)
	}
	for name, repo := range map[string]*Repository{"the crawl's": res.Catalog.Repositories["acme/app"], "the store's": snapshot(t, s).Repositories["acme/app"]} {
		if repo.Tags["latest"].Digest != moved || repo.Tags["new"].Digest != moved || repo.Tags["gone"].Digest != "" || len(repo.History["latest"]) != 1 || len(repo.History["gone"]) != 1 || len(repo.Tags) != 5 {
			t.Errorf("%s: %v %v", name, repo.Tags, repo.History)
		}
	}
	// The next crawl counts again.
	back := r.image("acme/app", "back", "", "latest")
	crawlOK(t, c, s, "acme/app")
	if got := snapshot(t, s).Repositories["acme/app"].Tags["latest"].Digest; got != back {
		t.Errorf("%s", got)
	}
}
