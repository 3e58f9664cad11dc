package catalog

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRetryAfter(t *testing.T) {
	now := at("2026-06-01T00:00:00Z")
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, "-7": 0, "1.5": 0, "soon": 0,
		"Mon, 01 Jun 2026 00:00:09 GMT": 9 * time.Second, "Sun, 31 May 2026 00:00:00 GMT": 0,
		"99999999999": 24 * time.Hour, "99999999999999999999": 0, "Mon, 01 Jun 2099 00:00:09 GMT": 24 * time.Hour,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// tooMany answers the first n requests for manifests with a status and Retry-After, and notes when
// every request came.
type tooMany struct {
	status, n int
	after     string
	mu        sync.Mutex
	refused   []time.Time
	later     []time.Time
}

func (m *tooMany) answer(w http.ResponseWriter, req *http.Request) bool {
	if !strings.Contains(req.URL.Path, "/manifests/") {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.refused) == m.n {
		m.later = append(m.later, time.Now())
		return false
	}
	m.refused = append(m.refused, time.Now())
	if m.after != "" {
		w.Header().Set("Retry-After", m.after)
	}
	w.WriteHeader(m.status)
	return true
}

// All requests wait while a registry asks for it, and nothing fails.
func TestCrawlWaitsWhenTold(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusServiceUnavailable} {
		r := newRegistry(t)
		r.sample("acme/app")
		m := &tooMany{status: status, n: 1, after: "1"}
		r.misbehave(m.answer)
		s := open(t)
		crawlOK(t, r.crawler(func(c *Config) { c.Parallel = 1 }), s, "acme/app")
		if waited := m.later[0].Sub(m.refused[0]); waited < time.Second || waited > 30*time.Second {
			t.Errorf("%d: waited %s", status, waited)
		}
		if len(snapshot(t, s).Repositories["acme/app"].Tags) != 4 {
			t.Error("not everything was learned")
		}
	}
	// Without an instant the crawl slows down by itself.
	r := newRegistry(t)
	r.sample("acme/app")
	m := &tooMany{status: http.StatusTooManyRequests, n: 2}
	r.misbehave(m.answer)
	crawlOK(t, r.crawler(func(c *Config) { c.RetryWait = 20 * time.Millisecond }), open(t), "acme/app")
}

// A registry that asks for an hour is left alone at once.
func TestCrawlEndsWhenToldToComeBackMuchLater(t *testing.T) {
	r := newRegistry(t)
	for i := range 100 {
		r.image("acme/app", fmt.Sprint(i), "", fmt.Sprintf("1.0.%d", i))
	}
	r.image("acme/other", "x", "", "1.0.0")
	m := &tooMany{status: http.StatusTooManyRequests, n: 1000, after: "3600"}
	r.misbehave(m.answer)
	started := time.Now()
	res, err := r.crawler().Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app", "acme/other"}})
	if err != nil {
		t.Fatal(err)
	}
	fs := res.Failures()
	if len(fs) != 2 || fs[0].Reason != Failing || !strings.Contains(fs[0].Error(), "asks to be left alone until 2") {
		t.Fatal(fs)
	}
	if left := res.NotBefore.Sub(started); left < 59*time.Minute || left > 61*time.Minute {
		t.Errorf("not before %s", left)
	}
	if len(m.refused) > 8 {
		t.Errorf("asked %d times", len(m.refused))
	}
}
