package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var anyone = map[string]Access{"default": {Anyone: true}}

// ask sends a request; header is "Name: value" lines.
func ask(t *testing.T, s http.Handler, target string, header ...string) *http.Response {
	t.Helper()
	return askAs(t, s, http.MethodGet, target, header...)
}

func askAs(t *testing.T, s http.Handler, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, target, nil)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBundleIsServedUnderItsName(t *testing.T) {
	s := New(Config{Bundles: anyone})
	if r := ask(t, s, "/bundles/default"); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("before the first: %s", r.Status)
	}
	s.Publish("default", []byte("one"))
	for _, target := range []string{"/bundles/default", "/bundles/default.tar.gz"} {
		r := ask(t, s, target)
		if got := body(t, r); r.StatusCode != 200 || got != "one" || r.Header.Get("ETag") != ETag([]byte("one")) || r.Header.Get("Content-Type") != "application/gzip" {
			t.Errorf("%s: %s %q %v", target, r.Status, got, r.Header)
		}
	}
	if r := askAs(t, s, http.MethodHead, "/bundles/default"); r.StatusCode != 200 || r.ContentLength != 3 || body(t, r) != "" {
		t.Errorf("HEAD: %s, length %d", r.Status, r.ContentLength)
	}
	if r := ask(t, s, "/bundles/default", "Range: bytes=1-"); r.StatusCode != 206 || body(t, r) != "ne" {
		t.Errorf("range: %s", r.Status)
	}
	for _, target := range []string{"/", "/bundles/", "/bundles/other", "/bundles/default/x", "/default"} {
		if r := ask(t, s, target); r.StatusCode != 404 {
			t.Errorf("%s: %s", target, r.Status)
		}
	}
	if r := askAs(t, s, http.MethodPut, "/bundles/default"); r.StatusCode != 405 || r.Header.Get("Allow") == "" {
		t.Errorf("PUT: %s", r.Status)
	}
}

func TestClientThatHasTheBundleGetsNoBody(t *testing.T) {
	s := New(Config{Bundles: anyone})
	s.Publish("default", []byte("one"))
	etag := ETag([]byte("one"))
	for _, header := range []string{etag, "W/" + etag, `"other", ` + etag, "*"} {
		r := ask(t, s, "/bundles/default", "If-None-Match: "+header)
		if r.StatusCode != 304 || r.Header.Get("ETag") != etag || body(t, r) != "" {
			t.Errorf("%s: %s", header, r.Status)
		}
	}
	if r := ask(t, s, "/bundles/default", `If-None-Match: "other"`); r.StatusCode != 200 {
		t.Errorf("another: %s", r.Status)
	}
}

func TestLongPollIsAnsweredByTheNextBundle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Bundles: anyone})
		s.Publish("default", []byte("one"))
		one := "If-None-Match: " + ETag([]byte("one"))
		started := time.Now()
		go func() {
			time.Sleep(7 * time.Second)
			s.Publish("default", []byte("one")) // the same wakes nobody
			time.Sleep(time.Second)
			s.Publish("default", []byte("two"))
		}()
		r := ask(t, s, "/bundles/default", one, "Prefer: modes=snapshot,delta;wait=30")
		if took := time.Since(started); r.StatusCode != 200 || body(t, r) != "two" || took != 8*time.Second {
			t.Errorf("%s after %s", r.Status, took)
		}
		if got := r.Header.Get("Content-Type"); got != "application/vnd.openpolicyagent.bundles" {
			t.Errorf("content type %q", got)
		}
		// Who has another one, or none, is not kept waiting.
		started = time.Now()
		if r := ask(t, s, "/bundles/default", one, "Prefer: wait=30"); r.StatusCode != 200 || time.Since(started) != 0 {
			t.Errorf("outdated: %s after %s", r.Status, time.Since(started))
		}
	})
}

func TestNotModifiedComesOnlyAfterTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Bundles: anyone, MaxWait: time.Minute})
		s.Publish("default", []byte("one"))
		for _, c := range []struct {
			prefer string
			want   time.Duration
		}{
			{"modes=snapshot,delta;wait=30", 30 * time.Second},
			{"wait=30, respond-async", 30 * time.Second},
			{"wait=3600", time.Minute},
			{"wait=0", 0},
			{"wait=-1", 0},
			{"wait=soon", 0},
			{"modes=snapshot", 0},
		} {
			started := time.Now()
			r := ask(t, s, "/bundles/default", "If-None-Match: "+ETag([]byte("one")), "Prefer: "+c.prefer)
			if took := time.Since(started); r.StatusCode != 304 || took != c.want {
				t.Errorf("%s: %s after %s, want 304 after %s", c.prefer, r.Status, took, c.want)
			}
			if long := strings.Contains(c.prefer, "wait=3"); long && r.Header.Get("Content-Type") != longPollType {
				t.Errorf("%s: a 304 without the content type ends OPA's long polling", c.prefer)
			}
		}
	})
}

func TestFirstBundleAnswersThoseWhoWaitForIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Bundles: anyone})
		go func() {
			time.Sleep(3 * time.Second)
			s.Publish("default", []byte("one"))
		}()
		if r := ask(t, s, "/bundles/default", "Prefer: wait=10"); r.StatusCode != 200 || body(t, r) != "one" {
			t.Errorf("%s", r.Status)
		}
	})
}

func TestWaitingIsBoundedAndEndsWithTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Bundles: anyone, MaxWaiting: 2})
		s.Publish("default", []byte("one"))
		poll := func() *http.Response {
			return ask(t, s, "/bundles/default", "If-None-Match: "+ETag([]byte("one")), "Prefer: wait=60")
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if r := poll(); r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
					t.Errorf("when the server stops: %s", r.Status)
				}
			})
		}
		synctest.Wait()
		if r := poll(); r.StatusCode != 503 {
			t.Errorf("one too many: %s", r.Status)
		}
		s.Close()
		s.Close()
		wg.Wait()
		if s.waiting != 0 {
			t.Errorf("%d still wait", s.waiting)
		}
	})
}

func TestClientThatLeavesIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{Bundles: anyone})
		s.Publish("default", []byte("one"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/bundles/default", nil)
		r.Header.Set("If-None-Match", ETag([]byte("one")))
		r.Header.Set("Prefer", "wait=60")
		started := time.Now()
		s.ServeHTTP(httptest.NewRecorder(), r)
		if took := time.Since(started); took != time.Second || s.waiting != 0 {
			t.Errorf("left after %s, %d wait", took, s.waiting)
		}
	})
}

func tokens(list ...string) func() ([]string, error) {
	return func() ([]string, error) { return list, nil }
}

func TestEachTokenIsGoodForItsBundlesOnly(t *testing.T) {
	s := New(Config{Bundles: map[string]Access{
		"default": {Tokens: tokens("all-1", "all-2")},
		"plant":   {Tokens: tokens("plant-token", "all-2")},
		"broken":  {Tokens: func() ([]string, error) { return []string{"x"}, errors.New("no file") }},
		"nobody":  {},
	}})
	for name := range s.cfg.Bundles {
		s.Publish(name, []byte(name))
	}
	for _, c := range []struct {
		name, authorization string
		want                int
	}{
		{"default", "", 401},
		{"default", "Bearer all-1", 200},
		{"default", "bearer all-2", 200},
		{"plant", "Bearer all-2", 200},
		{"plant", "Bearer plant-token", 200},
		{"plant", "Bearer all-1", 404},
		{"absent", "Bearer all-1", 404},
		{"default", "Bearer plant-token", 404},
		{"default", "Bearer all-", 401},
		{"default", "Bearer ", 401},
		{"default", "Bearer", 401},
		{"default", "Basic all-1", 401},
		{"broken", "Bearer x", 401},
		{"nobody", "Bearer all-1", 404},
		{"nobody", "Bearer ", 401},
	} {
		var header []string
		if c.authorization != "" {
			header = append(header, "Authorization: "+c.authorization)
		}
		r := ask(t, s, "/bundles/"+c.name, header...)
		text := body(t, r)
		if r.StatusCode != c.want {
			t.Errorf("%s with %q: %s, want %d", c.name, c.authorization, r.Status, c.want)
		}
		if r.StatusCode == 401 && (r.Header.Get("WWW-Authenticate") == "" || strings.Contains(text, "default")) {
			t.Errorf("%s with %q: a stranger is told %q", c.name, c.authorization, text)
		}
		if r.StatusCode == 404 && strings.Contains(text, "nobody") {
			t.Errorf("%s with %q: told of another bundle: %q", c.name, c.authorization, text)
		}
	}
	// Two Authorization headers are none.
	if r := ask(t, s, "/bundles/default", "Authorization: Bearer all-1", "Authorization: Bearer all-1"); r.StatusCode != 401 {
		t.Errorf("two headers: %s", r.Status)
	}
}

func TestCertificateIsGoodForItsBundlesOnly(t *testing.T) {
	s := New(Config{Bundles: map[string]Access{
		"default": {ClientSANs: []string{"spiffe://example.com/sidecar"}},
		"plant":   {ClientSANs: []string{"plant.example.com"}},
	}})
	s.Publish("default", []byte("one"))
	s.Publish("plant", []byte("two"))
	uri, err := url.Parse("spiffe://example.com/sidecar")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name     string
		cert     *x509.Certificate
		verified bool
		want     int
	}{
		{"default", &x509.Certificate{URIs: []*url.URL{uri}}, true, 200},
		{"default", &x509.Certificate{URIs: []*url.URL{uri}, NotAfter: time.Now().Add(-time.Second)}, true, 401}, // it was good when the connection began
		{"plant", &x509.Certificate{URIs: []*url.URL{uri}}, true, 404},
		{"plant", &x509.Certificate{DNSNames: []string{"other", "plant.example.com"}}, true, 200},
		{"plant", &x509.Certificate{DNSNames: []string{"plant.example.com"}}, false, 401},
		{"plant", &x509.Certificate{}, true, 401},
	} {
		if c.cert.NotAfter.IsZero() {
			c.cert.NotAfter = time.Now().Add(time.Hour)
		}
		r := httptest.NewRequest(http.MethodGet, "/bundles/"+c.name, nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{c.cert}}
		if c.verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{c.cert}}
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s, names %v %v, verified %v: %d, want %d", c.name, c.cert.DNSNames, c.cert.URIs, c.verified, w.Code, c.want)
		}
	}
}

// Whoever may not lead any more confirms nothing either: a 304 says that nothing is newer.
func TestNothingIsGivenOutThatMayNotBeCurrent(t *testing.T) {
	current := true
	s := New(Config{Bundles: anyone, Current: func() bool { return current }})
	s.Publish("default", []byte("one"))
	tag := "If-None-Match: " + ETag([]byte("one"))
	for _, c := range []struct {
		current bool
		header  []string
		want    int
	}{{true, nil, 200}, {true, []string{tag}, 304}, {false, nil, 503}, {false, []string{tag}, 503}, {true, nil, 200}} {
		current = c.current
		if r := ask(t, s, "/bundles/default", c.header...); r.StatusCode != c.want || c.want == 503 && (r.Header.Get("Retry-After") == "" || r.Header.Get("ETag") != "") {
			t.Errorf("%+v: %s %v", c, r.Status, r.Header)
		}
	}
}

// A page that somebody's browser shows gets nothing that anyone on the machine may have (DNS
// rebinding); whoever has a token is no page.
func TestForeignHostsGetNothing(t *testing.T) {
	s := New(Config{
		Bundles: map[string]Access{"default": {Anyone: true}, "plant": {Tokens: tokens("plant-token")}},
		Foreign: func(host string) bool { return host == "evil.example:9193" },
	})
	for name := range s.cfg.Bundles {
		s.Publish(name, []byte(name))
	}
	for _, c := range []struct {
		host, name, token string
		want              int
	}{
		{"127.0.0.1:9193", "default", "", 200},
		{"evil.example:9193", "default", "", 421},
		{"evil.example:9193", "plant", "", 421},
		{"evil.example:9193", "absent", "", 421},
		{"evil.example:9193", "plant", "plant-token", 200},
		{"evil.example:9193", "default", "plant-token", 404},
	} {
		r := httptest.NewRequest(http.MethodGet, "/bundles/"+c.name, nil)
		r.Host = c.host
		if c.token != "" {
			r.Header.Set("Authorization", "Bearer "+c.token)
		}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%+v: %d %s", c, w.Code, w.Body)
		}
	}
}

// What is refused is in the log, once a minute for the same, without the token.
func TestRefusalsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text strings.Builder
		logger := slog.New(slog.NewTextHandler(&text, nil))
		s := New(Config{Logger: logger, Bundles: map[string]Access{"default": {Tokens: tokens("all-1")}, "plant": {Tokens: tokens("plant-token")}}})
		lines := func() (n int) { n = strings.Count(text.String(), "\n"); text.Reset(); return n }
		again := func() {
			for range 3 {
				ask(t, s, "/bundles/default")
				ask(t, s, "/bundles/default", "Authorization: Bearer wrong-token")
				ask(t, s, "/bundles/default", "Authorization: Bearer plant-token")
			}
			for _, want := range []string{"with=\"neither token nor client certificate\"", "with=\"a token\"", "those for it: plant", "from=192.0.2.1 "} {
				if !strings.Contains(text.String(), want) {
					t.Errorf("%s is not in\n%s", want, text.String())
				}
			}
			if strings.Contains(text.String(), "-token") {
				t.Errorf("a token is in the log:\n%s", text.String())
			}
			if n := lines(); n != 3 {
				t.Errorf("%d lines", n)
			}
		}
		again()
		ask(t, s, "/bundles/default")
		if n := lines(); n != 0 {
			t.Errorf("%d lines within a minute", n)
		}
		time.Sleep(time.Minute)
		again()
		// Whoever comes from everywhere does not fill the log.
		for i := range 300 {
			r := httptest.NewRequest(http.MethodGet, "/bundles/default", nil)
			r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1000", i)
			s.ServeHTTP(httptest.NewRecorder(), r)
		}
		if n := lines(); n > mostTexts {
			t.Errorf("%d lines", n)
		}
		refused := ErrorLog(logger)
		for range 3 {
			refused.Print("http: TLS handshake error from 192.0.2.7:4711: tls: no")
		}
		if got := text.String(); !strings.Contains(got, `msg="connection refused" from=192.0.2.7 error="TLS: tls: no"`) || lines() != 1 {
			t.Errorf("%s", got)
		}
	})
}

// TestSlowClientIsCutOff: a client that reads nothing must not hold the bundle in memory for ever.
func TestSlowClientIsCutOff(t *testing.T) {
	s := New(Config{Bundles: anyone})
	s.Publish("default", make([]byte, 1<<20))
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/bundles/default", nil))
	if len(w.deadlines) != 2 || !w.deadlines[0].IsZero() {
		t.Fatalf("the deadlines %v: want none while it waits, also on a connection that has had one", w.deadlines)
	}
	if left := time.Until(w.deadlines[1]); left < time.Minute || left > 2*time.Minute {
		t.Errorf("a bundle of 1 MiB may take %s", left)
	}
}

type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadlines []time.Time
}

func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	w.deadlines = append(w.deadlines, t)
	return nil
}
