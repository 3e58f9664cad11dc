package catalog

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// referrer pushes an artifact about a subject and returns its digest.
func (r *testRegistry) referrer(repo, name, subject string, tags ...string) string {
	m := map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest, "artifactType": "application/vnd.example." + name,
		"config":      map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": DigestOf("{}"), "size": 2},
		"layers":      []any{map[string]any{"mediaType": "application/octet-stream", "digest": DigestOf("content of " + name), "size": 1}},
		"annotations": map[string]string{"org.example.name": name},
	}
	if subject != "" {
		m["subject"] = map[string]any{"mediaType": typeOCIIndex, "digest": subject, "size": 1}
	}
	return r.manifest(repo, m, tags...)
}

// listing answers every request for the referrers of a subject with digests.
func listingReferrers(subject string, digests ...string) hostile {
	return func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, "/referrers/"+subject) {
			return false
		}
		list := []any{}
		for _, d := range digests {
			list = append(list, map[string]any{"mediaType": "text/lie", "digest": d, "size": 7, "artifactType": "a lie", "annotations": map[string]string{"a": "lie"}})
		}
		w.Header().Set("Content-Type", typeOCIIndex)
		json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": list}) //nolint:errcheck // a test's answer
		return true
	}
}

func TestCrawlLearnsReferrers(t *testing.T) {
	r := newRegistry(t)
	amd := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z")
	top := r.index("acme/app", []string{amd}, nil, "1.0.0")
	sbom := r.referrer("acme/app", "sbom", top)
	scan := r.referrer("acme/app", "scan", amd) // of a platform
	two := r.referrer("acme/app", "two", sbom)
	three := r.referrer("acme/app", "three", two)
	r.referrer("acme/app", "four", three) // deeper than anybody may go
	r.referrer("acme/app", "other", DigestOf("nothing"))
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	want := map[string]string{top: "", amd: "", sbom: top, scan: amd, two: sbom, three: two}
	got := map[string]string{}
	for d, m := range repo.Manifests {
		got[d] = m.Subject
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if m := repo.Manifests[sbom]; m.ArtifactType != "application/vnd.example.sbom" || m.MediaType != typeOCIManifest || m.Size == 0 ||
		m.Annotations["org.example.name"] != "sbom" || !slices.Equal(m.Layers, []string{DigestOf("content of sbom")}) || instantText(m.Created) != "2026-02-01T00:00:00Z" {
		t.Errorf("%+v", m)
	}
	if repo.Referrers != nil {
		t.Errorf("%v", repo.Referrers)
	}

	// A referrer that is taken away is gone.
	r.misbehave(listingReferrers(top))
	crawlOK(t, r.crawler(clock("2026-06-01T02:00:00Z")), s, "acme/app")
	if repo := snapshot(t, s).Repositories["acme/app"]; repo.Manifests[sbom] != nil || repo.Manifests[two] != nil || repo.Manifests[scan] == nil {
		t.Errorf("%v", slices.Collect(maps.Keys(repo.Manifests)))
	}
}

// What a registry's list says about a manifest does not count, the manifest does; and what it
// lists without a subject of its own is believed, as it is in an index tagged sha256-HEX.
func TestListedReferrersAreHeldAgainstTheirContent(t *testing.T) {
	r := newRegistry(t)
	top := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z", "1.0.0")
	other := r.image("acme/app", "other", "2026-02-01T00:00:00Z", "2.0.0")
	sig := r.referrer("acme/app", "signature", "")
	sbom := r.referrer("acme/app", "sbom", top)
	elsewhere := r.referrer("acme/app", "elsewhere", other)
	blob := r.blob("acme/app", []byte("no manifest"))
	r.misbehave(listingReferrers(top, sig, sbom, sbom, elsewhere, top, DigestOf("absent"), blob, "sha512:"+strings.Repeat("0", 128), "x"))
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if diff := cmp.Diff(map[string][]string{top: {sig}}, repo.Referrers); diff != "" {
		t.Error(diff)
	}
	if m := repo.Manifests[sig]; m == nil || m.ArtifactType != "application/vnd.example.signature" || m.Annotations["a"] != "" || m.Size < 100 {
		t.Errorf("%+v", m)
	}
	if repo.Manifests[sbom] == nil || repo.Manifests[elsewhere] == nil || len(repo.Manifests) != 5 {
		t.Errorf("%d manifests", len(repo.Manifests))
	}
	var b strings.Builder
	if err := Write(&b, &Catalog{Repositories: map[string]*Repository{"acme/app": repo}}); err != nil {
		t.Fatal(err)
	}
	if back, err := Read("c.yaml", []byte(b.String())); err != nil || !cmp.Equal(back[0].Repositories["acme/app"].Referrers, repo.Referrers) {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestReferrersComeInPages(t *testing.T) {
	r := newRegistry(t)
	top := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z", "1.0.0")
	one, two := r.referrer("acme/app", "one", top), r.referrer("acme/app", "two", top)
	evil := newOther(t, func(http.ResponseWriter, *http.Request) {})
	for _, c := range []struct {
		name, next string // the Link of the first page
		want       []string
		reason     Reason
	}{
		{"relative", "?page=2", []string{one, two}, ""},
		{"absolute, same origin", r.server.URL + "/v2/acme/app/referrers/" + top + "?page=2", []string{one, two}, ""},
		{"itself", "", nil, Garbage},
		{"another origin", evil.URL + "/v2/acme/app/referrers/" + top, nil, Foreign},
		{"another port", "//127.0.0.1:1/v2/acme/app/referrers/" + top, nil, Foreign},
		{"another scheme", "https://" + strings.TrimPrefix(r.server.URL, "http://") + "/v2/", nil, Foreign},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.RawQuery != "" {
					return listingReferrers(top, two)(w, req)
				}
				w.Header().Set("Link", "<"+c.next+`>; rel="next"`)
				return listingReferrers(top, one)(w, req)
			})
			s := open(t)
			res, err := r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
			if err != nil {
				t.Fatal(err)
			}
			if fs := res.Failures(); c.reason == "" && len(fs) > 0 || c.reason != "" && (len(fs) != 1 || fs[0].Reason != c.reason || !strings.Contains(fs[0].Error(), "what refers to "+top+" stays as it was")) {
				t.Fatal(fs)
			}
			var got []string
			for d := range snapshot(t, s).Repositories["acme/app"].Manifests {
				if d != top {
					got = append(got, d)
				}
			}
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) || len(evil.requests) > 0 {
				t.Fatalf("%q, want %q; elsewhere: %q", got, c.want, evil.requests)
			}
		})
	}
}

// A registry without the API is asked once a crawl, however many manifests it has.
func TestAbsentReferrersAPICostsOneRequest(t *testing.T) {
	for _, code := range []string{"404", "405", "400", "501"} {
		r := newRegistry(t)
		r.sample("acme/app")
		r.sample("acme/other")
		r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
			if answering("/referrers/", code, "404 page not found")(w, req) {
				r.mu.Lock()
				r.log = append(r.log, req.Method+" "+req.URL.Path)
				r.mu.Unlock()
				return true
			}
			return false
		})
		s := open(t)
		for crawl := 1; crawl <= 3; crawl++ {
			crawlOK(t, r.crawler(), s, "acme/app", "acme/other")
			if got := len(r.requests("/referrers/")); got != crawl {
				t.Errorf("%s: %d requests after %d crawls", code, got, crawl)
			}
		}
	}
}

// Once the API has answered, a 404 is not the registry's word that there is nothing.
func TestReferrersStayWhenTheAPIFails(t *testing.T) {
	for code, fails := range map[string]bool{"404": false, "500": true, "403": true, "200": true} {
		r := newRegistry(t)
		top := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z", "1.0.0")
		sbom := r.referrer("acme/app", "sbom", top)
		two := r.referrer("acme/app", "two", sbom)
		s := open(t)
		crawlOK(t, r.crawler(clock("2026-01-01T00:00:00Z")), s, "acme/app")
		r.misbehave(answering("/referrers/", code, "<html>"))
		late := r.image("acme/app", "late", "2026-02-01T00:00:00Z", "1.1.0")
		res, err := r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
		if err != nil || res.Repositories[0].Outcome != Taken || (len(res.Failures()) > 0) != fails {
			t.Fatalf("%s: %v %+v", code, err, res)
		}
		if fails {
			t.Log(res.Failures()[0])
		}
		repo := snapshot(t, s).Repositories["acme/app"]
		if repo.Manifests[sbom] == nil || repo.Manifests[two] == nil || repo.Manifests[late] == nil {
			t.Errorf("%s: lost %v", code, slices.Collect(maps.Keys(repo.Manifests)))
		}
	}
}

func TestReferrersAreBounded(t *testing.T) {
	r := newRegistry(t)
	top := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z", "1.0.0")
	var many []string
	for i := range maxReferrers + 1 {
		many = append(many, DigestOf(fmt.Sprint(i)))
	}
	r.misbehave(listingReferrers(top, many...))
	s := open(t)
	res, err := r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	if err != nil || len(res.Failures()) != 1 || res.Failures()[0].Reason != TooLarge {
		t.Fatalf("%v %+v", err, res)
	}
	page := 0
	r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
		if strings.Contains(req.URL.Path, "/referrers/") {
			page++
			w.Header().Set("Link", fmt.Sprintf(`<?page=%d>; rel="next"`, page))
			io.WriteString(w, `{"manifests":[]}`)
			return true
		}
		return false
	})
	res, err = r.crawler().Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
	if err != nil || len(res.Failures()) != 1 || res.Failures()[0].Reason != Garbage || page > maxReferrerPages+1 {
		t.Fatalf("%v %+v, %d pages", err, res, page)
	}
}

// Young manifests are asked about in every crawl, old ones once in a period, each at its own time.
func TestReferrersAreAskedForInTurn(t *testing.T) {
	const period, hour = 3600, 3600
	start := at("2026-06-01T00:00:00Z").Unix()
	digests := make([]string, 1000)
	for i := range digests {
		digests[i] = DigestOf(fmt.Sprint(i))
	}
	asked := map[string]int64{}
	for _, d := range digests {
		asked[d] = start
	}
	for crawl := int64(1); crawl <= 12; crawl++ { // every ten minutes for two hours
		now, due := start+crawl*600, 0
		for _, d := range digests {
			if (referrersRecord{Asked: asked[d]}).due(d, now, period) {
				asked[d] = now
				due++
			}
		}
		if due < 100 || due > 240 {
			t.Errorf("crawl %d asks about %d of 1000", crawl, due)
		}
	}
	for _, c := range []struct {
		rec  referrersRecord
		now  int64
		want bool
	}{
		{referrersRecord{}, start, true},
		{referrersRecord{Asked: start}, start, false},
		{referrersRecord{First: start, Asked: start}, start, true},
		{referrersRecord{First: start, Asked: start + 23*hour}, start + 23*hour, true},
		{referrersRecord{First: start, Asked: start + 24*hour}, start + 24*hour, false},
		{referrersRecord{Asked: start}, start + hour, true},
	} {
		if got := c.rec.due(digests[0], c.now, period); got != c.want {
			t.Errorf("%+v at %d: %v", c.rec, c.now-start, got)
		}
	}
}

// A signature pushed after its image is found by the next crawl, and an old image's within the period.
func TestLateReferrersAreFound(t *testing.T) {
	r := newRegistry(t)
	old := r.image("acme/app", "old", "2026-02-01T00:00:00Z", "1.0.0")
	s := open(t)
	crawlOK(t, r.crawler(clock("2026-06-01T00:00:00Z")), s, "acme/app")
	fresh := r.image("acme/app", "fresh", "2026-02-01T00:00:00Z", "2.0.0")
	crawlOK(t, r.crawler(clock("2026-06-01T00:00:01Z")), s, "acme/app")
	a, b := r.referrer("acme/app", "a", fresh), r.referrer("acme/app", "b", old)
	crawlOK(t, r.crawler(clock("2026-06-01T00:00:02Z")), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if repo.Manifests[a] == nil || repo.Manifests[b] != nil {
		t.Fatalf("%v", slices.Collect(maps.Keys(repo.Manifests)))
	}
	crawlOK(t, r.crawler(clock("2026-06-01T01:00:00Z"), func(c *Config) { c.ReferrersEvery = time.Hour }), s, "acme/app")
	if snapshot(t, s).Repositories["acme/app"].Manifests[b] == nil {
		t.Fatal("not found after an hour")
	}
}

// An attestation of BuildKit is a child of its index like a platform, and has no date of its own.
func TestCrawlLearnsBuildKitAttestations(t *testing.T) {
	r := newRegistry(t)
	amd := r.image("acme/app", "amd64", "2026-02-01T00:00:00Z")
	config := r.blob("acme/app", []byte(`{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":["`+DigestOf("sbom")+`"]}}`))
	att := r.manifest("acme/app", map[string]any{
		"schemaVersion": 2, "mediaType": typeOCIManifest,
		"config": map[string]any{"mediaType": typeOCIConfig, "digest": config, "size": 1},
		"layers": []any{map[string]any{
			"mediaType": "application/vnd.in-toto+json", "digest": DigestOf("sbom"), "size": 1,
			"annotations": map[string]string{"in-toto.io/predicate-type": "https://spdx.dev/Document"},
		}},
	})
	top := r.manifest("acme/app", map[string]any{"schemaVersion": 2, "mediaType": typeOCIIndex, "manifests": []any{
		map[string]any{"mediaType": typeOCIManifest, "digest": amd, "size": 1, "platform": map[string]string{"architecture": "amd64", "os": "linux"}},
		map[string]any{
			"mediaType": typeOCIManifest, "digest": att, "size": 1, "platform": map[string]string{"architecture": "unknown", "os": "unknown"},
			"annotations": map[string]string{"vnd.docker.reference.digest": amd, "vnd.docker.reference.type": "attestation-manifest"},
		},
	}}, "1.0.0")
	s := open(t)
	crawlOK(t, r.crawler(), s, "acme/app")
	repo := snapshot(t, s).Repositories["acme/app"]
	if m := repo.Manifests[top]; !slices.Equal(m.Index, []string{amd, att}) || instantText(m.Created) != "2026-02-01T00:00:00Z" {
		t.Errorf("%+v", m)
	}
	if m := repo.Manifests[att]; m == nil || m.Config != config || !slices.Equal(m.Layers, []string{DigestOf("sbom")}) {
		t.Errorf("%+v", m)
	}
}
