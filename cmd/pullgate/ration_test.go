package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pullgate/pullgate/sync/catalog"
)

func TestRation(t *testing.T) {
	var r ration
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	read := func(requests int) {
		r.begin(now)
		r.end(now, requests)
	}
	for i := range rereadBurst {
		if left := r.left(now); left != 0 {
			t.Errorf("%d: wait %s", i, left)
		}
		read(50 * i / 3) // up to 50 requests are one reading
	}
	for range 3 {
		left := r.left(now)
		if left != rereadEvery {
			t.Errorf("wait %s", left)
		}
		now = now.Add(left)
		read(50)
	}
	now = now.Add(time.Hour)
	for range rereadBurst {
		read(0)
	}
	if left := r.left(now); left != rereadEvery {
		t.Errorf("more than the burst was saved up: wait %s", left)
	}
	// A large reading is paid for afterwards.
	now = now.Add(time.Hour)
	read(10_000)
	if left := r.left(now); left != 200*time.Second-3*rereadEvery {
		t.Errorf("after 10,000 requests: wait %s", left)
	}
	// In the long run it is 50 requests a second, however they are spread.
	for _, requests := range []int{50, 70, 1000, 100_000} {
		r, at, sum := ration{}, now, 0
		for at.Sub(now) < 24*time.Hour {
			at = at.Add(r.left(at))
			r.begin(at)
			r.end(at, requests)
			sum += requests
		}
		if most := 50*86400 + rereadBurst*50 + 2*requests; sum > most {
			t.Errorf("readings of %d: %d requests in a day", requests, sum)
		}
	}
}

// A reread that fails brings the next crawl nearer, but no more often than hints may cause one.
func TestFailedRereadsCauseNoMoreCrawlsThanHintsMay(t *testing.T) {
	l := &crawlLoop{wholes: newLane("", 1, true)}
	if got := l.sooner(); got != soonAfter {
		t.Errorf("%s", got)
	}
	l.wholes.ration.end(time.Now(), 31_000)
	if got := l.sooner(); got < 10*time.Minute || got > 11*time.Minute {
		t.Errorf("after a crawl of 31,000 requests: %s", got)
	}
}

func TestHintsWaitInTheirLane(t *testing.T) {
	l := &crawlLoop{tags: newLane("", 4, false), wholes: newLane("", 1, true), targets: catalog.Targets{Repositories: []string{"acme/app"}, Patterns: []string{"acme/tools/*"}}, underway: rereadings{repositories: map[string]bool{}}}
	tag := func(repository, tag string) catalog.Hint { return catalog.Hint{Repository: repository, Tag: tag} }
	if n := l.hint([]catalog.Hint{tag("acme/app", "1"), tag("acme/app", "1"), tag("acme/tools/x", "2"), {Repository: "acme/app"}, {Repository: "acme/tools/x"}, tag("acme/other", "1"), {Repository: "acme/other"}}); n != 5 {
		t.Errorf("%d taken", n)
	}
	l.underway.repositories["acme/app"] = true
	if got := l.takeHints(l.tags); len(got) != 1 || got[0] != tag("acme/tools/x", "2") {
		t.Errorf("%v", got)
	}
	if got := l.takeHints(l.wholes); len(got) != 1 || got[0].Repository != "acme/tools/x" {
		t.Errorf("%v", got)
	}
	clear(l.underway.repositories)
	l.hint([]catalog.Hint{{Repository: "acme/tools/y"}, {Repository: "acme/tools/z"}})
	for range 3 { // one at a time
		if got := l.takeHints(l.wholes); len(got) != 1 {
			t.Errorf("%v", got)
		}
	}
	if l.takeEverything() {
		t.Error("everything is to be read")
	}
	var many []catalog.Hint
	for n := range 3 * mostHints {
		many = append(many, tag("acme/app", fmt.Sprint(n)))
		if n%3 == 0 {
			many = append(many, catalog.Hint{Repository: fmt.Sprint("acme/tools/", n)})
		}
	}
	l.hint(many)
	if waiting := len(l.tags.hints) + len(l.wholes.hints); waiting > mostHints || !l.takeEverything() || l.takeEverything() {
		t.Errorf("%d wait", waiting)
	}
}

// deletionIn is a notification that leads to a reading of all of a repository.
func deletionIn(repository string) string {
	return fmt.Sprintf(`{"events":[{"action":"delete","target":{"repository":%q,"tag":"1.4.0"}}]}`, repository)
}

// grow makes acme/app appear to have many more tags, which name what 1.4.0 names, and returns a counter of the
// requests that the registry gets from pullgate.
func (v *vendor) grow(tags int) *atomic.Int64 {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodHead, "http://"+v.registry.Addr+"/v2/acme/app/manifests/1.4.0", nil)
	v.must(err)
	req.SetBasicAuth(registryUser, registryPassword)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	v.must(err, resp.Body.Close())
	head := resp.Header
	var requests atomic.Int64
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		switch tag, ok := strings.CutPrefix(r.URL.Path, "/v2/acme/app/manifests/1.3."); {
		case ok && tag != "" && r.Method == http.MethodHead: // the registry itself takes its time over passwords
			maps.Copy(w.Header(), head)
			return
		case r.URL.Path != "/v2/acme/app/tags/list":
			v.front.pass.ServeHTTP(w, r)
			return
		}
		real := httptest.NewRecorder()
		v.front.pass.ServeHTTP(real, r)
		var list struct {
			Name string   `json:"name"`
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(real.Body.Bytes(), &list); err != nil || real.Code != http.StatusOK {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		for i := range tags {
			list.Tags = append(list.Tags, fmt.Sprintf("1.3.%d", i))
		}
		json.NewEncoder(w).Encode(list) //nolint:errcheck // a test's answer
	})
	return &requests
}

// Who knows the secret has a large repository read, or the whole registry, no more often than is worth what it
// costs the registry; and a push counts at once meanwhile.
func TestHintsMayCostTheRegistryOnlySoMuch(t *testing.T) {
	v, n := newNotifying(t)
	const tags = 300
	requests := v.grow(tags)
	s := v.serve()
	n.pointTo(s.admin)
	s.awaitReady()
	accepted := func(body string) {
		if got := s.notify(s.admin, "main", webhookSecret, body); got != http.StatusAccepted {
			t.Error(got)
		}
	}
	before, began := requests.Load(), time.Now()
	var pushed sync.WaitGroup
	pushed.Go(func() {
		time.Sleep(time.Second)
		v.pushImage("acme/app", "1.5.0")
		took := s.await("the push", 3*time.Second, func() bool { return s.pull("1.5.0").Status == http.StatusOK })
		t.Logf("pushed → pullable: %s", took.Round(time.Millisecond))
	})
	for time.Since(began) < 3*time.Second {
		accepted(deletionIn("acme/app"))
		time.Sleep(10 * time.Millisecond)
	}
	pushed.Wait()
	for round := 0; time.Since(began) < 6*time.Second; round++ { // more than may wait
		for part := range 5 {
			var events []string
			for i := range mostHints / 4 {
				events = append(events, fmt.Sprintf(`{"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":"acme/app","tag":"x%d-%d-%d"}}`, round, part, i))
			}
			accepted(`{"events":[` + strings.Join(events, ",") + `]}`)
		}
	}
	took := time.Since(began)
	asked := int(requests.Load() - before)
	most := int((took+rereadBurst*rereadEvery)/requestCost) + 2*(tags+50) // and two whose cost shows afterwards
	t.Logf("%d requests in %s", asked, took.Round(time.Millisecond))
	if asked > most {
		t.Errorf("asked %d times in %s, more than %d", asked, took, most)
	}
	if text := s.log.String(); !strings.Contains(text, "notifications wait") {
		t.Error("the log does not say why")
	}
	n.to.Store(nil)
	n.CloseClientConnections()
}
