package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// A second crawl of distribution costs one list, one 304 for each tag, and one question for the
// referrers API, which it does not have.
func TestSecondCrawlOfDistributionIsConditional(t *testing.T) {
	v := newVendor(t)
	v.configure()
	crawl := func() (log []string) {
		t.Helper()
		before, err := v.registry.Requests(t.Context())
		v.must(err)
		if code, out, errs := once(t, "catalog", "crawl", "--config", v.path("pullgate.yaml")); code != exitYes {
			t.Fatalf("exit code %d: %s%s", code, out, errs)
		}
		after, err := v.registry.Requests(t.Context())
		v.must(err)
		for _, r := range after[len(before):] {
			path, _, _ := strings.Cut(r.Path, "?")
			if i := strings.Index(path, "/sha256:"); i > 0 {
				path = path[:i] + "/DIGEST"
			}
			log = append(log, r.Method+" "+path+" "+http.StatusText(r.Status))
		}
		slices.Sort(log)
		return log
	}
	crawl()
	want := []string{
		"GET /v2/ OK", "GET /v2/ Unauthorized",
		"GET /v2/acme/app/referrers/DIGEST Not Found",
		"GET /v2/acme/app/tags/list OK",
		"HEAD /v2/acme/app/manifests/1.4.0 Not Modified", "HEAD /v2/acme/app/manifests/2.0.0 Not Modified",
	}
	if got := crawl(); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}
