package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/source"
)

// hanging takes requests and answers none of them.
type hanging struct{ asked atomic.Int32 }

func (h *hanging) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	h.asked.Add(1)
	<-r.Context().Done()
}

// An edit counts at once while the registry is being read, and so do questions.
func TestServeTakesEditsWhileARegistryHangs(t *testing.T) {
	v := newVendor(t)
	s := v.serve("--crawl-every", "1s")
	s.awaitReady()
	h := &hanging{}
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if h.asked.Load() > 0 || r.URL.Path == "/v2/" && r.Header.Get("Authorization") == "" { // from the beginning of a crawl on
			h.ServeHTTP(w, r)
			return
		}
		v.front.pass.ServeHTTP(w, r)
	})
	s.await("a crawl that hangs", 10*time.Second, func() bool { return h.asked.Load() > 0 })
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Fatalf("%+v", a)
	}
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	took := s.await("the edit", 5*time.Second, func() bool { return s.pull("1.4.0").Status == http.StatusForbidden })
	t.Logf("an edit during a crawl counted after %s", took.Round(time.Millisecond))
	code, out, errs := once(t, "decide", "--licenses", v.path("licenses"), "--data", v.path("data"), "--as", "acme", "GET", "https://"+customersHost+"/v2/acme/app/manifests/2.0.0")
	if code != exitYes {
		t.Errorf("decide: %d %s%s", code, out, errs)
	}
	if code, out, errs := once(t, "catalog", "show", "--data", v.path("data"), "acme/app"); code != exitYes {
		t.Errorf("catalog show: %d %s%s", code, out, errs)
	}
	s.await("health says that it takes long", 10*time.Second, func() bool {
		_, body := s.get("/healthz")
		return strings.HasPrefix(body, "degraded\nregistry main: being read since 2") && strings.Contains(body, "(0 of 0 repositories, 0 requests answered)")
	})
}

// A registry that is added and hangs delays neither edits nor the reading of another one.
func TestServeReadsRegistriesIndependently(t *testing.T) {
	v := newVendor(t)
	h := &hanging{}
	second := newFront(t, "")
	second.misbehave(h.ServeHTTP)
	s := v.serve("--crawl-every", "1s")
	s.awaitReady()
	v.write("licenses/second.yaml", fmt.Sprintf("kind: Registry\nid: second\nhosts: [second.acme.example]\nupstream: %s\n---\nkind: Product\nid: tool\nregistry: second\nrepositories: [acme/tool]\n", second.URL), 0o644)
	vendorFile, err := os.ReadFile(v.path("licenses/vendor.yaml"))
	v.must(err)
	v.write("licenses/vendor.yaml", strings.Replace(string(vendorFile), "id: app\n", "id: app\nregistry: main\n", 1), 0o644)
	s.await("a crawl that hangs", 10*time.Second, func() bool { return h.asked.Load() > 0 })
	v.push("acme/app", "1.5.0")
	s.await("a new tag of the other registry", 10*time.Second, func() bool { return s.pull("1.5.0").Status == http.StatusOK })
	v.write("licenses/license.yaml", grants("1.5.0"), 0o644)
	s.await("the edit", 5*time.Second, func() bool { return s.pull("1.4.0").Status == http.StatusForbidden })
	s.await("health names the one that hangs", 10*time.Second, func() bool {
		_, body := s.get("/healthz")
		return strings.HasPrefix(body, "degraded\nregistry second: being read since ")
	})
	// Taken out again, it is forgotten at once, though its crawl hangs.
	v.must(os.Remove(v.path("licenses/second.yaml")))
	s.await("healthz ok", 5*time.Second, func() bool { _, body := s.get("/healthz"); return body == "ok\n" })
	s.stop()
	second.CloseClientConnections()
}

// Before anything is known, messages do not speak of a last good catalog.
func TestServeSaysThatNothingIsKnownYet(t *testing.T) {
	v := newVendor(t)
	v.front.misbehave(hangUp)
	s := v.serve("--crawl-every", "1s")
	s.await("the failure", 20*time.Second, func() bool { return strings.Contains(s.log.String(), "registry not read; ") })
	if log := s.log.String(); strings.Contains(log, "last good") || strings.Contains(log, "known before") || !strings.Contains(log, "nothing is known of this registry yet") {
		t.Error(log)
	}
	if _, body := s.get("/healthz"); strings.Contains(body, "last good") || strings.Contains(body, "known before") {
		t.Error(body)
	}
	s.stop()
	code, out, errs := once(t, "decide", "--licenses", v.path("licenses"), "--data", v.path("data"), "--as", "acme", "GET", "https://"+customersHost+"/v2/acme/app/manifests/2.0.0")
	if code == exitYes || !strings.Contains(errs, "catalog") {
		t.Errorf("a question without a catalog: %d %s%s", code, out, errs)
	}
}

// One tag that keeps failing is named, though the rest of its repository is fine.
func TestServeNamesARepositoryWhoseTagFails(t *testing.T) {
	v := newVendor(t)
	s := v.serve("--crawl-every", "1s")
	s.awaitReady()
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/manifests/1.4.0") {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		v.front.pass.ServeHTTP(w, r)
	})
	s.await("health names it", 20*time.Second, func() bool {
		_, body := s.get("/healthz")
		return strings.HasPrefix(body, "degraded\n") && strings.Contains(body, "repository acme/app: tag 1.4.0 stays as it was: answered 502 Bad Gateway")
	})
	if _, text := s.get("/metrics"); strings.Contains(text, `pullgate_catalog_failures_total{reason="failing",registry="main"} 0`) {
		t.Error("the metric does not count it")
	}
	v.front.misbehave(nil)
	s.await("healthz ok", 10*time.Second, func() bool { _, body := s.get("/healthz"); return body == "ok\n" })
}

func TestHealthSaysWhenACrawlTakesLong(t *testing.T) {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	s := newStatus(func() time.Time { return now }, prometheus.NewRegistry())
	s.crawling("main", false)
	s.progress("main", catalog.Progress{Repositories: 2, Total: 3, Requests: 7})
	now = now.Add(30 * time.Second)
	if _, why := s.ready(); strings.Contains(why, "being read") {
		t.Error(why)
	}
	now = now.Add(time.Second)
	if _, why := s.ready(); !strings.Contains(why, "registry main: being read since 2026-01-01T12:00:00Z (2 of 3 repositories, 7 requests answered)") {
		t.Error(why)
	}
	s.crawled("main", false, errors.New("no"))
	if _, why := s.ready(); why != "no bundle yet; registry main: no" {
		t.Error(why)
	}
}

func TestFailuresAreNamedUpToABound(t *testing.T) {
	r := &catalog.Result{}
	for i := range 1000 {
		r.Repositories = append(r.Repositories, catalog.RepositoryResult{Failure: &catalog.Failure{Repository: fmt.Sprint("acme/app", i), Err: errors.New("no")}})
	}
	text := failuresOf(r).Error()
	if n := strings.Count(text, "\n"); n != mostFailures || !strings.HasSuffix(text, "and 995 more repositories") {
		t.Error(text)
	}
}

func TestDataDirectoryIsTightened(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	for _, dir := range []string{data, catalogDir(data), decisionsDir(data)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		d, err := openDataDir(data)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		for _, dir := range []string{data, catalogDir(data), decisionsDir(data)} {
			if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
				t.Errorf("%s: %v %v", dir, info.Mode(), err)
			}
		}
	}
	// A directory that holds other things is not ours to close; what is below it is.
	shared := t.TempDir()
	if err := errors.Join(os.WriteFile(filepath.Join(shared, "other"), nil, 0o644), os.Chmod(shared, 0o755)); err != nil {
		t.Fatal(err)
	}
	d, err := openDataDir(shared)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
	if info, err := os.Stat(shared); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

// A registry that asks for an hour has it, whatever crawl_every says.
func TestServeLeavesABusyRegistryAlone(t *testing.T) {
	v := newVendor(t)
	s := v.serve("--crawl-every", "1s")
	s.awaitReady()
	var asked atomic.Int32
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.URL.Path, "/acme/") {
			v.front.pass.ServeHTTP(w, r)
			return
		}
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	s.await("health names it", 10*time.Second, func() bool {
		_, body := s.get("/healthz")
		return strings.Contains(body, "the registry asks to be left alone until 2")
	})
	n := asked.Load()
	v.write("licenses/license.yaml", grants(">=1.0.0 <2.0.0")+"---\nkind: Public\nid: docs\nrepositories: [acme/docs]\ntags: all\n", 0o644) // would be a reason to read
	time.Sleep(2500 * time.Millisecond)
	if got := asked.Load(); got != n || n > 10 {
		t.Errorf("asked %d times, then %d", n, got-n)
	}
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
}

func TestJitter(t *testing.T) {
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := jitter(10 * time.Minute)
		least, most = min(least, d), max(most, d)
	}
	if least < 9*time.Minute || most > 11*time.Minute || most-least < time.Minute {
		t.Errorf("from %s to %s", least, most)
	}
	if d := jitter(0); d != 0 {
		t.Error(d)
	}
}

// handedOver is what a publisher has delivered last, and why it cannot any more.
type handedOver struct {
	last    *bundle.Bundle
	refuses error
}

// vendorSet is a set of license files with one customer; change edits the text.
func vendorSet(t *testing.T, change ...string) *license.Set {
	t.Helper()
	text := "kind: Registry\nid: main\nhosts: [registry.example]\nupstream: https://upstream.example\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n" +
		"---\nkind: Customer\nid: acme\nstatus: active\n---\n" + grants(">=1.0.0")
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(strings.NewReplacer(change...).Replace(text))})
	must(t, err)
	return set
}

// startedAgain is a publisher that starts again after it has published vendorSet, and the registry as it was read.
func startedAgain(t *testing.T) (*compileSide, *handedOver, *catalog.Catalog) {
	t.Helper()
	dir, to := t.TempDir(), &handedOver{}
	key, err := bundle.GenerateKey()
	must(t, err)
	signer, err := bundle.NewSigner(key)
	must(t, err)
	ring, err := bundle.NewKeyRing(signer.Public())
	must(t, err)
	cfg := publish.Config{Signer: signer, Ring: ring, Bundles: []publish.Bundle{{
		History: &publish.History{Dir: dir},
		Deliver: func(_ context.Context, issue *publish.Issue) error {
			if to.refuses == nil {
				to.last = issue.Bundle
			}
			return to.refuses
		},
	}}}
	read := &catalog.Catalog{Registry: "main", Repositories: map[string]*catalog.Repository{}}
	earlier := publish.New(cfg)
	must(t, errors.Join(earlier.SetCatalog(t.Context(), "main", read), earlier.SetLicenses(t.Context(), vendorSet(t), nil)))

	side := &compileSide{publisher: publish.New(cfg), process: &process{
		status: newStatus(time.Now, prometheus.NewRegistry()), log: slog.New(slog.DiscardHandler), cfg: &settings{Data: t.TempDir(), publish: &publishSettings{}},
	}}
	side.crawls = newCrawls(side)
	must(t, side.publisher.Restore(t.Context(), nil))
	return side, to, read
}

// A set that is refused, as when it cannot be handed over, is published when the registry is read again,
// with what a later set takes back that has mistakes; health goes on telling of those.
func TestRefusedPendingSetDoesNotGiveAgain(t *testing.T) {
	for _, first := range []string{"what waits is refused", "a mistake"} {
		t.Run(first, func(t *testing.T) {
			side, to, read := startedAgain(t)
			side.take(t.Context(), &source.Snapshot{Set: vendorSet(t, `">=1.0.0"`, `">=1.5.0"`)}, nil)
			if side.publisher.Set() != nil {
				t.Fatal("it does not wait for the registry")
			}
			registryRead := func() { must(t, side.crawls.take(t.Context(), "main", read)) }
			refused := func() {
				to.refuses = errors.New("no room")
				registryRead()
				to.refuses = nil
				if side.crawls.whyNot == "" {
					t.Fatal("what waits is not refused")
				}
			}
			mistake := func() {
				side.take(t.Context(), nil, &source.Refused{Stated: vendorSet(t, "status: active", "status: banned"), Err: errors.New("nmae")})
				if !strings.Contains(string(to.last.Object("pullgate/customers/data.json").Get("acme")), `"banned":true`) {
					t.Fatal("the ban is not published")
				}
			}
			if first == "a mistake" {
				mistake()
				refused()
			} else {
				refused()
				mistake()
			}
			registryRead()
			if doc := string(to.last.Object("pullgate/customers/data.json").Get("acme")); !strings.Contains(doc, ">=1.5.0") || !strings.Contains(doc, `"banned":true`) {
				t.Errorf("what waited is not published, or without the ban: %s", doc)
			}
			if side.status.licenses != "nmae" {
				t.Errorf("health says of the license files %q", side.status.licenses)
			}
			if r := side.publisher.Revoked(); len(r) != 1 || !slices.Equal(r[0].What, []string{"customer acme"}) {
				t.Errorf("told of what is revoked: %+v", r)
			}
			side.take(t.Context(), &source.Snapshot{Set: vendorSet(t, "status: active", "status: banned")}, nil)
			if r := side.publisher.Revoked(); side.status.licenses != "" || len(r) != 0 {
				t.Errorf("mended: health says %q, and of what is revoked %+v", side.status.licenses, r)
			}
			// What waits because it was refused itself is an edit like any other once it is published.
			to.refuses = errors.New("no room")
			side.take(t.Context(), &source.Snapshot{Set: vendorSet(t, "ends: 2099", "status: {revoked: {at: 2026-01-01T00:00:00Z}}\nends: 2199")}, nil)
			to.refuses = nil
			registryRead()
			if doc, r := string(to.last.Object("pullgate/customers/data.json").Get("acme")), side.publisher.Revoked(); side.status.licenses != "" || len(r) != 0 || strings.Contains(doc, `"revoked":"never"`) {
				t.Errorf("published: health says %q, and of what is revoked %+v; %s", side.status.licenses, r, doc)
			}
		})
	}
}

// What a good set takes back does not wait for the registry with the rest.
func TestPendingSetRevokesBeforeItsRegistryIsRead(t *testing.T) {
	revoked := []string{"ends: 2099", "status: {revoked: {at: 2026-01-01T00:00:00Z}}\nends: 2099"}
	for _, later := range []string{"in use", "not handed over"} {
		t.Run(later, func(t *testing.T) {
			side, to, read := startedAgain(t)
			acme := func() string { return string(to.last.Object("pullgate/customers/data.json").Get("acme")) }
			side.take(t.Context(), &source.Snapshot{Set: vendorSet(t, append(revoked, `">=1.0.0"`, `">=1.5.0"`)...)}, nil)
			if side.publisher.Set() != nil || side.status.licenses != "" {
				t.Fatalf("it does not wait for the registry; health says %q", side.status.licenses)
			}
			if doc := acme(); strings.Contains(doc, `"revoked":"never"`) || !strings.Contains(doc, ">=1.0.0") {
				t.Errorf("before the registry is read: %s", doc)
			}
			if r := side.publisher.Revoked(); len(r) != 1 || !slices.Equal(r[0].What, []string{"license acme-app of acme"}) {
				t.Errorf("told of what is revoked: %+v", r)
			}
			if later == "not handed over" {
				to.refuses = errors.New("no room")
				must(t, side.crawls.take(t.Context(), "main", read))
				to.refuses = nil
				if doc := acme(); side.status.licenses == "" || strings.Contains(doc, `"revoked":"never"`) || len(side.publisher.Revoked()) != 1 {
					t.Errorf("not handed over: health says %q, and of what is revoked %+v; %s", side.status.licenses, side.publisher.Revoked(), doc)
				}
			}
			must(t, side.crawls.take(t.Context(), "main", read))
			if doc := acme(); strings.Contains(doc, `"revoked":"never"`) || !strings.Contains(doc, ">=1.5.0") {
				t.Errorf("with the registry read: %s", doc)
			}
			if r := side.publisher.Revoked(); side.status.licenses != "" || len(r) != 0 {
				t.Errorf("in use: health says %q, and of what is revoked %+v", side.status.licenses, r)
			}
		})
	}
}

// A registry has been read, and what waits for it is tried, also while what a later set takes back cannot be
// handed over.
func TestRegistryCountsAsReadWhileARevocationIsNotHandedOver(t *testing.T) {
	side, to, read := startedAgain(t)
	side.take(t.Context(), &source.Snapshot{Set: vendorSet(t, `">=1.0.0"`, `">=1.5.0"`)}, nil)
	to.refuses = errors.New("no room")
	side.take(t.Context(), nil, &source.Refused{Stated: vendorSet(t, "status: active", "status: banned"), Err: errors.New("nmae")})
	must(t, side.crawls.take(t.Context(), "main", read))
	if !side.crawls.isKnown("main") || side.crawls.whyNot == "" {
		t.Fatalf("the registry is known: %t, why what waits is refused: %q", side.crawls.isKnown("main"), side.crawls.whyNot)
	}
	to.refuses = nil
	must(t, side.crawls.take(t.Context(), "main", read))
	if doc := string(to.last.Object("pullgate/customers/data.json").Get("acme")); side.publisher.Set() == nil || !strings.Contains(doc, ">=1.5.0") || !strings.Contains(doc, `"banned":true`) {
		t.Errorf("what waited is not published, or without the ban: %s", doc)
	}
}

// What was kept of a registry is read once for files with mistakes, however often they change.
func TestKeptCatalogIsReadOnceForRefusedFiles(t *testing.T) {
	side, _, _ := startedAgain(t)
	var log strings.Builder
	side.log = slog.New(slog.NewTextHandler(&log, nil))
	text, err := json.Marshal(&catalog.Catalog{Registry: "main", Repositories: map[string]*catalog.Repository{"acme/app": {}}})
	must(t, err)
	dir := catalogDir(side.cfg.Data)
	must(t, errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, "main.json"), fmt.Appendf(nil, "pullgate catalog 1 %x\n%s", sha256.Sum256(text), text), 0o600)))
	mistake := func() {
		stated := vendorSet(t, "hosts: [", `revoked_digests: [{repository: acme/app, digest: "`+catalog.DigestOf("x")+`", at: 2026-01-01T00:00:00Z}]`+"\nhosts: [")
		side.take(t.Context(), nil, &source.Refused{Stated: stated, Err: errors.New("nmae")})
	}
	mistake()
	must(t, errors.Join(os.Remove(filepath.Join(dir, "main.json")), os.WriteFile(filepath.Join(dir, "main.db"), []byte("junk"), 0o600)))
	mistake()
	const unread = "the kept catalog is not used"
	if strings.Contains(log.String(), unread) {
		t.Errorf("it is read again\n%s", &log)
	}
	side.crawls = newCrawls(side)
	if mistake(); !strings.Contains(log.String(), unread) {
		t.Errorf("another process does not say that it cannot be read\n%s", &log)
	}
}
