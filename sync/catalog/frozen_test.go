package catalog

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// An image that is rebuilt under the same tag changes nothing that was known: the tag keeps the
// instant at which it was first seen, the old image its date, and the new one gets its own. What was
// frozen stays when the old image comes back, when the new one learns of a date, and in a store
// that is opened again.
func TestDatesStayFrozenWhenATagIsRebuilt(t *testing.T) {
	r := newRegistry(t)
	dir := t.TempDir()
	s, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	crawl := func(now string) *Repository {
		t.Helper()
		crawlOK(t, r.crawler(clock(now)), s, "acme/app")
		return snapshot(t, s).Repositories["acme/app"]
	}
	check := func(when string, repo *Repository, digest string, created map[string]string) {
		t.Helper()
		if got := repo.Tags["1.4.0"]; got != (Tag{digest, at("2026-02-01T00:00:00Z").Unix()}) {
			t.Errorf("%s: 1.4.0 is %+v", when, got)
		}
		got := map[string]string{}
		for d := range created {
			if m := repo.Manifests[d]; m != nil {
				got[d] = instantText(m.Created)
			}
		}
		if diff := cmp.Diff(created, got); diff != "" {
			t.Errorf("%s: dates:\n%s", when, diff)
		}
	}

	undated := r.image("acme/app", "first build", "", "1.4.0")
	check("first seen", crawl("2026-02-01T00:00:00Z"), undated, map[string]string{undated: "2026-02-01T00:00:00Z"})

	rebuilt := r.image("acme/app", "second build", "2026-06-01T09:00:00Z", "1.4.0")
	both := map[string]string{undated: "2026-02-01T00:00:00Z", rebuilt: "2026-06-01T09:00:00Z"}
	repo := crawl("2026-06-02T00:00:00Z")
	check("rebuilt", repo, rebuilt, both)
	if diff := cmp.Diff(map[string][]Past{"1.4.0": {{undated, at("2026-06-02T00:00:00Z").Unix()}}}, repo.History); diff != "" {
		t.Error(diff)
	}

	r.untag("acme/app", "1.4.0")
	crawlOK(t, r.crawler(clock("2026-06-15T00:00:00Z"), func(c *Config) { c.AcceptRemovals = true }), s, "acme/app")
	r.image("acme/app", "first build", "", "1.4.0", "stable")
	check("the first build is back after the tag was gone", crawl("2026-07-01T00:00:00Z"), undated, both)

	// An index is dated by its children, and not again when it is tagged once more.
	index := r.index("acme/app", []string{undated, rebuilt}, nil, "1.4.0")
	both[index] = "2026-06-01T09:00:00Z"
	check("an index of both", crawl("2026-08-01T00:00:00Z"), index, both)

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(dir, "main"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	check("opened again", snapshot(t, s).Repositories["acme/app"], index, both)
	check("and crawled again", crawl("2026-09-01T00:00:00Z"), index, both)
}
