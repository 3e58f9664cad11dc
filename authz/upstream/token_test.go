package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pullgate/pullgate/authz/upstream"
	"github.com/pullgate/pullgate/examples/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// A world is a registry and a token server behind a network that exists only here, so that time
// can be turned: handlers by host.
type world struct {
	*testing.T
	hosts map[string]http.HandlerFunc
	log   *bytes.Buffer
	file  string
	reg   *prometheus.Registry

	mu  sync.Mutex
	got []string // METHOD URL, and the Authorization if there is one
}

func newWorld(t *testing.T) *world {
	w := &world{T: t, log: new(bytes.Buffer), file: filepath.Join(t.TempDir(), "password"), reg: prometheus.NewRegistry()}
	write(t, w.file, "s3cret", 0o600)
	w.hosts = map[string]http.HandlerFunc{
		"registry.example": challenging(`Bearer realm="https://registry.example/token?x=1",service="registry"`),
	}
	return w
}

// RoundTrip implements http.RoundTripper.
func (w *world) RoundTrip(req *http.Request) (*http.Response, error) {
	w.mu.Lock()
	line := req.Method + " " + req.URL.String()
	if a := req.Header.Get("Authorization"); a != "" {
		line += " " + a
	}
	w.got = append(w.got, line)
	handler := w.hosts[req.URL.Host]
	w.mu.Unlock()
	if handler == nil {
		return nil, fmt.Errorf("no route to %s", req.URL.Host)
	}
	rec := httptest.NewRecorder()
	done := make(chan struct{})
	go func() { defer close(done); handler(rec, req) }()
	select {
	case <-done:
		resp := rec.Result()
		resp.Request = req
		return resp, nil
	case <-req.Context().Done():
		<-done
		return nil, req.Context().Err()
	}
}

// requests are those to a path since the last call, of all hosts.
func (w *world) requests(path string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []string
	w.got = slices.DeleteFunc(w.got, func(line string) bool {
		if strings.Contains(line, path) {
			found = append(found, line)
			return true
		}
		return false
	})
	return found
}

// set changes who answers for a host.
func (w *world) set(host string, h http.HandlerFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[host] = h
}

// challenging is a registry that asks for a login, and answers /token with "token N for SCOPE".
func challenging(challenge string) http.HandlerFunc {
	n := 0
	var mu sync.Mutex
	return func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" {
			mu.Lock()
			n++
			fmt.Fprintf(rw, `{"token":"token-%d-for-%s","expires_in":300}`, n, req.URL.Query().Get("scope"))
			mu.Unlock()
			return
		}
		rw.Header().Set("WWW-Authenticate", challenge)
		rw.WriteHeader(http.StatusUnauthorized)
	}
}

func saying(status int, text string) http.HandlerFunc {
	return func(rw http.ResponseWriter, _ *http.Request) {
		rw.WriteHeader(status)
		io.WriteString(rw, text)
	}
}

// aimed makes Credentials of main at https://registry.example.
func (w *world) aimed(change func(*upstream.Credential)) *upstream.Credentials {
	w.Helper()
	from := upstream.Credential{Username: "u", PasswordFile: w.file}
	if change != nil {
		change(&from)
	}
	c, err := upstream.New(upstream.Config{
		Credentials: map[string]upstream.Credential{"main": from}, Transport: w, Logger: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: w.reg,
	})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	c.Aim(map[string]string{"main": "https://registry.example"})
	return c
}

func (w *world) ask(c *upstream.Credentials, repository string) (string, error) {
	return c.Authorization(w.Context(), "main", repository)
}

// expect asks and compares.
func (w *world) expect(c *upstream.Credentials, repository, want string) {
	w.Helper()
	if got, err := w.ask(c, repository); got != want || err != nil {
		w.Errorf("%s: %q, %v; want %q", repository, got, err, want)
	}
}

// refused asks and expects an error that says why, and no value.
func (w *world) refused(c *upstream.Credentials, want string) {
	w.Helper()
	got, err := w.ask(c, "acme/app")
	if got != "" || err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
		w.Errorf("%q, %v; want an error with %q", got, err, want)
	}
}

// tokens changes who answers at https://registry.example/token; nil is the one from the beginning.
func (w *world) tokens(h http.HandlerFunc) {
	registry := challenging(`Bearer realm="https://registry.example/token?x=1",service="registry"`)
	w.set("registry.example", func(rw http.ResponseWriter, req *http.Request) {
		if req.URL.Path == "/token" && h != nil {
			h(rw, req)
			return
		}
		registry(rw, req)
	})
}

// alone runs a test where time stands still unless everybody waits.
func alone(t *testing.T, f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(newWorld(t)) })
}

func TestTokensAreFetchedOncePerRepositoryAndReused(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		for range 10 {
			w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		}
		w.expect(c, "acme/lib", "Bearer token-2-for-repository:acme/lib:pull")
		want := []string{
			"GET https://registry.example/token?scope=repository%3Aacme%2Fapp%3Apull&service=registry&x=1 " + basic("u", "s3cret"),
			"GET https://registry.example/token?scope=repository%3Aacme%2Flib%3Apull&service=registry&x=1 " + basic("u", "s3cret"),
		}
		if got := w.requests("/token"); !slices.Equal(got, want) {
			t.Errorf("token server got\n%s", strings.Join(got, "\n"))
		}
		// Asking how to log in takes no credential.
		if got := w.requests("/v2/"); !slices.Equal(got, []string{"GET https://registry.example/v2/"}) {
			t.Errorf("registry got %q", got)
		}
		// Another registry has nothing to do with it.
		if got, err := c.Authorization(w.Context(), "other", "acme/app"); got != "" || err != nil {
			t.Errorf("%q %v", got, err)
		}
	})
}

func TestManyRequestsWaitForOneToken(t *testing.T) {
	alone(t, func(w *world) {
		answer := w.hosts["registry.example"]
		w.set("registry.example", func(rw http.ResponseWriter, req *http.Request) {
			time.Sleep(50 * time.Millisecond)
			answer(rw, req)
		})
		c := w.aimed(nil)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() { w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull") })
		}
		all.Wait()
		if got := w.requests("/token"); len(got) != 1 {
			t.Errorf("%d tokens were fetched", len(got))
		}
		if got := w.requests("/v2/"); len(got) != 1 {
			t.Errorf("the registry was asked %d times", len(got))
		}
	})
}

// A token is renewed while the old one is used, so that nobody waits; one that nobody needs is not.
func TestTokensAreRenewedBeforeTheyEnd(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		w.requests("")
		time.Sleep(150*time.Second - 1)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		synctest.Wait()
		if got := w.requests("/token"); len(got) != 0 {
			t.Errorf("renewed too early: %q", got)
		}
		time.Sleep(time.Nanosecond)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull") // it does not wait for the next
		synctest.Wait()
		if got := w.requests("/token"); len(got) != 1 {
			t.Errorf("renewed %d times", len(got))
		}
		w.expect(c, "acme/app", "Bearer token-2-for-repository:acme/app:pull")

		// While the token server is away the old one goes on to its end, less the margin.
		w.tokens(saying(503, ""))
		time.Sleep(290*time.Second - 1)
		w.expect(c, "acme/app", "Bearer token-2-for-repository:acme/app:pull")
		time.Sleep(time.Nanosecond)
		w.refused(c, "answered 503")

		// After a pause there is a new one, for which the request waits.
		w.tokens(nil)
		time.Sleep(time.Hour)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		synctest.Wait()
		w.requests("")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := w.requests(""); len(got) != 0 {
			t.Errorf("renewed for nobody: %q", got)
		}
	})
}

func TestHowLongATokenIsGood(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`"expires_in":300`: 290 * time.Second, `"expires_in":60`: 50 * time.Second, `"expires_in":61.5`: 51500 * time.Millisecond,
		`"x":1`: 50 * time.Second, // who does not say means a minute
		// Nobody means less than a minute, and a token would be fetched for every request.
		`"expires_in":0`: 50 * time.Second, `"expires_in":-5`: 50 * time.Second, `"expires_in":59.9`: 50 * time.Second,
		`"expires_in":20`: 50 * time.Second, `"expires_in":1.5`: 50 * time.Second, `"expires_in":1e-12`: 50 * time.Second,
		`"expires_in":1e18`: time.Hour - 10*time.Second, `"expires_in":7200`: time.Hour - 10*time.Second,
	} {
		alone(t, func(w *world) {
			n := 0
			c := w.aimed(nil)
			synctest.Wait()
			w.tokens(func(rw http.ResponseWriter, _ *http.Request) {
				if n++; n > 1 {
					rw.WriteHeader(500)
					return
				}
				fmt.Fprintf(rw, `{"access_token":"first",%s}`, text)
			})
			w.expect(c, "acme/app", "Bearer first")
			time.Sleep(want - 1)
			w.expect(c, "acme/app", "Bearer first")
			time.Sleep(time.Millisecond)
			if got, err := w.ask(c, "acme/app"); err == nil {
				t.Errorf("%s: after %s still %q", text, want, got)
			}
		})
	}
}

func TestWithoutATokenThereIsNoCredential(t *testing.T) {
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   string
	}{
		"refused":            {saying(401, `{"errors":[]}`), "answered 401"},
		"forbidden":          {saying(403, ""), "answered 403"},
		"in trouble":         {saying(500, ""), "answered 500"},
		"no JSON":            {saying(200, "<html>Welcome!</html>"), "something else than tokens"},
		"no token":           {saying(200, `{"refresh_token":"x"}`), "without a token that can be sent"},
		"a line end":         {saying(200, `{"token":"a\r\nx-evil: 1"}`), "without a token that can be sent"},
		"a space":            {saying(200, `{"token":"a b"}`), "without a token that can be sent"},
		"not ASCII":          {saying(200, `{"token":"\u00e9"}`), "without a token that can be sent"},
		"a number":           {saying(200, `{"token":1}`), "something else than tokens"},
		"a long token":       {saying(200, `{"token":"`+strings.Repeat("x", 8193)+`"}`), "without a token that can be sent"},
		"a very long answer": {saying(200, `{"token":"x","more":"`+strings.Repeat("x", 70_000)+`"}`), "something else than tokens"},
		"a redirect": {func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://evil.example/token", http.StatusTemporaryRedirect)
		}, "redirects: no credential follows"},
		"a redirect to itself": {func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://registry.example/other", http.StatusFound)
		}, "redirects: no credential follows"},
		"silence": {func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() }, "no token yet"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(w *world) {
				creds := w.aimed(nil)
				synctest.Wait()
				w.requests("")
				w.tokens(c.answer)
				started := time.Now()
				w.refused(creds, c.want)
				if took := time.Since(started); took > 150*time.Millisecond {
					t.Errorf("a request waited %s", took)
				}
				for range 20 { // the token server is not asked for each
					w.refused(creds, "")
				}
				if got := w.requests("registry.example/token"); len(got) != 1 {
					t.Errorf("asked %d times: %q", len(got), got)
				}
				if got := w.requests(""); slices.ContainsFunc(got, func(s string) bool { return !strings.Contains(s, "registry.example/v2/") }) {
					t.Errorf("went to %q", got)
				}
				// It is there again when the token server is.
				w.tokens(nil)
				time.Sleep(12 * time.Second)
				w.expect(creds, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
				if strings.Count(w.log.String(), "level=ERROR") > 1 || strings.Contains(w.log.String(), "s3cret") || strings.Contains(w.log.String(), basic("u", "s3cret")[6:]) {
					t.Errorf("log:\n%s", w.log)
				}
				if p := creds.Problem(); p != "" {
					t.Errorf("still: %s", p)
				}
			})
		})
	}
}

func TestWhoMayBeAskedForATokenIsListed(t *testing.T) {
	for name, c := range map[string]struct {
		challenge string
		realms    []string
		insecure  bool
		want      string // "" is a token
	}{
		"its own origin":           {`Bearer realm="https://registry.example/token"`, nil, false, ""},
		"with the port":            {`Bearer realm="https://registry.example:443/token"`, nil, false, ""},
		"a listed realm":           {`Bearer realm="https://auth.example/token"`, []string{"https://auth.example"}, false, ""},
		"listed with the port":     {`Bearer realm="https://AUTH.example/token"`, []string{"https://auth.example:443/"}, false, ""},
		"another host":             {`Bearer realm="https://evil.example/token"`, nil, false, "wants a token from https://evil.example:443"},
		"another host beside one":  {`Bearer realm="https://evil.example/token"`, []string{"https://auth.example"}, false, "wants a token from https://evil.example"},
		"another port":             {`Bearer realm="https://registry.example:8443/token"`, nil, false, "wants a token from"},
		"another scheme":           {`Bearer realm="http://registry.example/token"`, nil, false, "wants a token from"},
		"another scheme, insecure": {`Bearer realm="http://registry.example/token"`, nil, true, "wants a token from"},
		"listed without TLS":       {`Bearer realm="http://auth.example/token"`, []string{"http://auth.example"}, false, "has no TLS"},
		"listed, insecure":         {`Bearer realm="http://auth.example/token"`, []string{"http://auth.example"}, true, ""},
		"a user in front":          {`Bearer realm="https://registry.example@evil.example/token"`, nil, false, "without saying where"},
		"a relative realm":         {`Bearer realm="/token"`, nil, false, "without saying where"},
		"no realm":                 {`Bearer service="x"`, nil, false, "without saying where"},
		"no host":                  {`Bearer realm="https:///token"`, nil, false, "without saying where"},
		"two realms":               {`Bearer realm="https://evil.example/token",realm="https://registry.example/token"`, nil, false, "wants a token from https://evil.example"},
		"an unusual scheme":        {`Negotiate`, nil, false, "neither Basic nor bearer"},
		"nothing":                  {``, nil, false, "neither Basic nor bearer"},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(w *world) {
				w.set("registry.example", challenging(c.challenge))
				for _, host := range []string{"registry.example:443", "auth.example", "AUTH.example", "evil.example"} {
					w.set(host, challenging(""))
				}
				creds := w.aimed(func(from *upstream.Credential) { from.Realms, from.Insecure = c.realms, c.insecure })
				if c.want == "" {
					w.expect(creds, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
					return
				}
				w.refused(creds, c.want)
				if got := w.requests("/token"); len(got) > 0 {
					t.Errorf("asked %q", got)
				}
				if p := creds.Problem(); !strings.HasPrefix(p, "registry main: ") || !strings.Contains(p, c.want) {
					t.Errorf("problem %q", p)
				}
				if n := strings.Count(w.log.String(), "level=ERROR"); n != 1 {
					t.Errorf("logged %d times:\n%s", n, w.log)
				}
			})
		})
	}
}

func TestRegistriesThatTakeBasicGetIt(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"Basic":          challenging(`Basic realm="x"`),
		"Basic, too":     challenging(`Bearer realm="https://evil.example/token", basic realm="x"`),
		"nothing at all": saying(200, "{}"),
		"trouble":        saying(500, ""),
		"another page":   saying(404, "<html>"),
		"a redirect": func(rw http.ResponseWriter, req *http.Request) {
			http.Redirect(rw, req, "https://evil.example/v2/", http.StatusTemporaryRedirect)
		},
		"nobody there": nil,
	} {
		t.Run(name, func(t *testing.T) {
			alone(t, func(w *world) {
				w.set("registry.example", answer)
				c := w.aimed(nil)
				for range 3 {
					w.expect(c, "acme/app", basic("u", "s3cret"))
				}
				if got := w.requests("evil"); len(got) > 0 {
					t.Errorf("went to %q", got)
				}
			})
		})
	}
	// Who is not aimed at is not asked.
	alone(t, func(w *world) {
		c, err := upstream.New(upstream.Config{Credentials: map[string]upstream.Credential{"main": {Username: "u", PasswordFile: w.file}}, Transport: w})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Aim(map[string]string{"other": "https://registry.example", "main": "::"})
		w.expect(c, "acme/app", basic("u", "s3cret"))
		if got := w.requests(""); len(got) > 0 {
			t.Errorf("asked %q", got)
		}
	})
}

// What a registry wants is asked again, in the background; a registry that could not be asked is
// asked soon.
func TestRegistriesMayChangeTheirMind(t *testing.T) {
	alone(t, func(w *world) {
		token := w.hosts["registry.example"]
		w.set("registry.example", saying(502, ""))
		c := w.aimed(nil)
		w.expect(c, "acme/app", basic("u", "s3cret")) // as far as anybody knows
		if p := c.Problem(); !strings.Contains(p, "answered 502") {
			t.Errorf("problem %q", p)
		}
		w.set("registry.example", token)
		time.Sleep(5 * time.Second)
		w.ask(c, "acme/app")
		synctest.Wait()
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		if p := c.Problem(); p != "" {
			t.Errorf("problem %q", p)
		}
		w.set("registry.example", challenging("Basic"))
		time.Sleep(5 * time.Minute)
		w.ask(c, "acme/app")
		synctest.Wait()
		w.expect(c, "acme/app", basic("u", "s3cret"))
		w.set("registry.example", token)
		time.Sleep(5 * time.Minute)
		w.ask(c, "acme/app")
		synctest.Wait()
		w.expect(c, "acme/app", "Bearer token-2-for-repository:acme/app:pull")
		// One that fails meanwhile stays what it was.
		w.requests("")
		w.set("registry.example", saying(502, ""))
		time.Sleep(100 * time.Second)
		w.expect(c, "acme/app", "Bearer token-2-for-repository:acme/app:pull")
	})
}

func TestARotatedPasswordGetsTokensOfItsOwn(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		write(t, w.file, "rotated", 0o600)
		w.expect(c, "acme/app", "Bearer token-2-for-repository:acme/app:pull")
		if got := w.requests("/token"); len(got) != 2 || !strings.HasSuffix(got[1], basic("u", "rotated")) {
			t.Errorf("token server got %q", got)
		}
	})
}

func TestAnotherUpstreamIsAnotherLogin(t *testing.T) {
	alone(t, func(w *world) {
		w.set("next.example", challenging(`Bearer realm="https://next.example/token"`))
		c := w.aimed(nil)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		c.Aim(map[string]string{"main": "https://registry.example/"}) // the same
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		if got := w.requests("/v2/"); len(got) != 1 {
			t.Errorf("asked %q", got)
		}
		c.Aim(map[string]string{"main": "https://next.example"})
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		if got := w.requests("next.example/token"); len(got) != 1 {
			t.Errorf("asked %q", got)
		}
	})
}

// A request gives up with its context.
func TestARequestThatIsOverWaitsForNothing(t *testing.T) {
	alone(t, func(w *world) {
		w.set("registry.example", func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
		c := w.aimed(nil)
		ctx, cancel := context.WithTimeout(w.Context(), 10*time.Millisecond)
		defer cancel()
		started := time.Now()
		got, err := c.Authorization(ctx, "main", "acme/app")
		if took := time.Since(started); got != "" || err == nil || took > 10*time.Millisecond {
			t.Errorf("%q, %v after %s", got, err, took)
		}
		w.refused(c, "not yet said how to log in")
	})
}

func TestTokensOfUpstreamsAreCounted(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		w.ask(c, "acme/app")
		w.ask(c, "acme/lib")
		w.tokens(saying(401, ""))
		w.ask(c, "acme/new")
		w.tokens(saying(500, ""))
		time.Sleep(2 * time.Second)
		w.ask(c, "acme/new")
		want := `# HELP pullgate_upstream_tokens_total Bearer tokens asked for, for requests that go on to a registry, by result (ok, refused by the token server, failed).
# TYPE pullgate_upstream_tokens_total counter
pullgate_upstream_tokens_total{registry="main",result="failed"} 1
pullgate_upstream_tokens_total{registry="main",result="ok"} 2
pullgate_upstream_tokens_total{registry="main",result="refused"} 1
# HELP pullgate_upstream_without_credential_total Allowed requests that were answered with 503 because the registry's credential could not be had.
# TYPE pullgate_upstream_without_credential_total counter
pullgate_upstream_without_credential_total{registry="main"} 2
`
		if err := testutil.GatherAndCompare(w.reg, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	})
}

func TestTokensNeverPrint(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		w.expect(c, "acme/app", "Bearer token-1-for-repository:acme/app:pull")
		var all strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			fmt.Fprintf(&all, verb+"\n", c)
			fmt.Fprintf(&all, verb+"\n", struct{ C *upstream.Credentials }{c})
		}
		slog.New(slog.NewJSONHandler(&all, nil)).Info("x", "c", c)
		if text := all.String() + w.log.String(); strings.Contains(text, "token-1") || strings.Contains(text, "s3cret") {
			t.Errorf("printed:\n%s", text)
		}
	})
}
