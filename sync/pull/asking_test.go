package pull

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

func TestSourcesAreAskedInTurn(t *testing.T) {
	a, b := newPublisher(t), newPublisher(t)
	r := newRig(t, a.URL, b.URL).open()
	b.has(made(t, 5))
	r.expect("", 5)
	a.has(made(t, 6))
	r.expect("", 5) // b goes on being asked
	if n := len(a.requests()); n != 1 {
		t.Errorf("the other one was asked %d times", n)
	}
	b.says(nil)
	r.expect("", 6)
	b.has(made(t, 5)) // a replica that lags
	a.says(nil)
	r.expect(Rollback, 6)
	r.says("serial 5, at least 6")
}

// A busy publisher is left alone for as long as it says, and another one is asked meanwhile.
func TestRetryAfterIsHonoured(t *testing.T) {
	a, b := newPublisher(t), newPublisher(t)
	busy := func(after string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(503)
		}
	}
	a.says(busy("60"))
	b.says(busy("20"))
	r := newRig(t, a.URL, b.URL).open()
	began := time.Now()
	for range 2 {
		pause := r.round(t.Context())
		if least := 20*time.Second - time.Since(began); pause < least || pause > 20*time.Second {
			t.Errorf("pause %s, want at least %s", pause, least)
		}
		if n := len(a.requests()) + len(b.requests()); n != 2 {
			t.Errorf("asked %d times", n)
		}
	}
	b.has(made(t, 5))
	r.sources[1].held = time.Time{}
	r.expect("", 5)
	for text, want := range map[string]time.Duration{"": 0, "-5": 0, "x": 0, "7": 7 * time.Second, "99999999999": maxPause, "Thu, 28 May 2026 20:26:50 GMT": 10 * time.Second} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, time.Unix(start, 0)); got != want {
			t.Errorf("Retry-After %q: %s, want %s", text, got, want)
		}
	}
}

func TestPausesGrowAndAreJittered(t *testing.T) {
	l := limits{}.orDefault()
	for fails, most := range map[int]time.Duration{1: 500 * time.Millisecond, 2: time.Second, 5: 8 * time.Second, 8: time.Minute, 1000: time.Minute} {
		seen := map[time.Duration]bool{}
		for range 50 {
			d := l.pause(fails)
			if seen[d] = true; d < most/2 || d > most {
				t.Errorf("%d failures: %s", fails, d)
			}
		}
		if len(seen) < 10 {
			t.Errorf("%d failures: only %d different pauses", fails, len(seen))
		}
	}
}

// Who waits is asked at once, who does not is asked every Poll, and nobody in a loop.
func TestLongPolls(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	r.cfg.Wait, r.cfg.Poll = 7*time.Second, time.Minute
	r.open()
	kind, file := longPollType, made(t, 5)
	wait, prefer := time.Duration(0), "modes=snapshot"
	pub.says(func(w http.ResponseWriter, q *http.Request) {
		if q.Header.Get("Prefer") != prefer || q.Header.Get("Accept-Encoding") != "" {
			t.Errorf("asked with %v", q.Header)
		}
		w.Header().Set("ETag", `"x"`)
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		if q.Header.Get("If-None-Match") == `"x"` {
			time.Sleep(wait)
			w.WriteHeader(304)
			return
		}
		_, _ = w.Write(file)
	})
	between := func(what string, least, most time.Duration) {
		t.Helper()
		began := time.Now()
		if got := r.round(t.Context()); got < least-time.Since(began) || got > most { // less what it took
			t.Errorf("%s: %s", what, got)
		}
	}
	between("a first one", 0, 0)
	prefer = "modes=snapshot;wait=7"
	file = made(t, 6)
	r.sources[0].tag = ""
	between("a new one from who waits", 0, 0)
	between("304 that did not wait", time.Second, time.Second)
	wait = time.Second
	between("304 that did", 0, 0)
	kind = "application/gzip"
	file = made(t, 7)
	r.sources[0].tag = ""
	between("a new one from who does not wait", 57*time.Second, 63*time.Second)
	wait = 0
	between("304 of who does not wait", 57*time.Second, 63*time.Second)
	r.sources[0].tag = ""
	pub.says(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(file) })
	between("the same again and again", 57*time.Second, 63*time.Second)
	r.expect("", 7)
	if len(r.delivered) != 3 {
		t.Errorf("delivered %v", r.delivered)
	}
	// After a failure it is asked at once what is the newest, not what will be.
	pub.says(nil)
	r.expect(NotFound, 7)
	pub.says(func(w http.ResponseWriter, q *http.Request) {
		if got := q.Header.Get("Prefer"); got != "modes=snapshot" {
			t.Errorf("asked with %s", got)
		}
		w.WriteHeader(http.StatusNotModified)
	})
	between("the first after a failure", 0, 0)
}

func TestRunFollowsUntilItIsTold(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	got := make(chan int64, 3)
	r.cfg.Deliver = func(_ context.Context, b *bundle.Bundle) error { got <- b.Serial(); return nil }
	r.cfg.Poll = time.Millisecond
	r.open()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for serial := range int64(3) {
		pub.has(made(t, 5+serial))
		select {
		case s := <-got:
			if s != 5+serial {
				t.Errorf("serial %d", s)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing is delivered")
		}
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
