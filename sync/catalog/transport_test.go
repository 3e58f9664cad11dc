package catalog

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// other is a server at another origin that remembers what reached it.
type other struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string // METHOD PATH AUTHORIZATION
}

func newOther(t *testing.T, answer http.HandlerFunc) *other {
	o := &other{}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.requests = append(o.requests, strings.TrimSpace(r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")))
		o.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

// named is the server under a name, which the library takes as a realm where it refuses addresses.
func (o *other) named() string { return strings.Replace(o.URL, "127.0.0.1", "localhost", 1) }

// bearer puts a bearer challenge before a registry. The token is "token for SCOPE".
type bearer struct {
	registry *testRegistry
	realm    string // "" is its own /token
	reply    string // of the token server, "" is a token
	server   *httptest.Server
	scopes   []string
	mu       sync.Mutex
}

func newBearer(t *testing.T, r *testRegistry) *bearer {
	b := &bearer{registry: r}
	b.server = httptest.NewServer(b)
	t.Cleanup(b.server.Close)
	return b
}

func (b *bearer) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path == "/token" {
		b.token(w, req)
		return
	}
	realm := b.realm
	if realm == "" {
		realm = b.server.URL + "/token"
	}
	scope := "registry:catalog:*"
	if rest, ok := strings.CutPrefix(req.URL.Path, "/v2/acme/"); ok {
		scope = "repository:acme/" + rest[:strings.IndexByte(rest, '/')] + ":pull"
	}
	if got := req.Header.Get("Authorization"); got != "Bearer token for "+scope {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s",service="test",scope="%s"`, realm, scope))
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	req.SetBasicAuth("crawler", "s3cret")
	b.registry.ServeHTTP(w, req)
}

func (b *bearer) token(w http.ResponseWriter, req *http.Request) {
	if user, pass, _ := req.BasicAuth(); user != "crawler" || pass != "s3cret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	b.mu.Lock()
	b.scopes = append(b.scopes, req.URL.Query()["scope"]...)
	b.mu.Unlock()
	if b.reply != "" {
		io.WriteString(w, b.reply)
		return
	}
	fmt.Fprintf(w, `{"access_token":"token for %s","expires_in":60}`, req.URL.Query().Get("scope"))
}

func (b *bearer) crawler(change ...func(*Config)) *Crawler {
	return b.registry.crawler(append([]func(*Config){func(c *Config) { c.Upstream = b.server.URL }}, change...)...)
}

func TestCrawlWithBearerTokens(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	r.sample("acme/tools")
	b := newBearer(t, r)
	s := open(t)
	crawlOK(t, b.crawler(), s, "acme/app", "acme/tools")
	slices.Sort(b.scopes)
	if !slices.Equal(b.scopes, []string{"repository:acme/app:pull", "repository:acme/tools:pull"}) {
		t.Fatalf("%q", b.scopes)
	}
	if len(snapshot(t, s).Repositories) != 2 {
		t.Fatal("not everything was learned")
	}
}

func TestTokenComesFromAListedRealm(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	b := newBearer(t, r)
	auth := newOther(t, b.token)
	b.realm = auth.named() + "/token"
	crawlOK(t, b.crawler(func(c *Config) { c.Realms = []string{auth.named()} }), open(t), "acme/app")
	if len(auth.requests) != 1 {
		t.Fatalf("%q", auth.requests)
	}
}

func TestForeignRealmGetsNothing(t *testing.T) {
	r := newRegistry(t)
	b := newBearer(t, r)
	evil := newOther(t, b.token)
	b.realm = evil.named() + "/token"
	_, err := b.crawler().Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app"}})
	f, ok := err.(*Failure)
	if !ok || f.Reason != Foreign || !strings.Contains(err.Error(), "wants a token from http://localhost:") {
		t.Fatalf("%v", err)
	}
	if len(evil.requests) > 0 {
		t.Fatalf("it was asked: %q", evil.requests)
	}
}

func TestRedirects(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	storage := newOther(t, func(w http.ResponseWriter, req *http.Request) {
		inner := httptest.NewRequest(req.Method, req.URL.Path, nil)
		r.inner.ServeHTTP(w, inner)
	})
	for _, c := range []struct {
		name   string
		part   string // of the path of what is redirected
		method string
		listed bool // storage
		ok     bool
	}{
		{"a config comes from storage", "/blobs/", http.MethodGet, true, true},
		{"a manifest comes from storage", "/manifests/sha256:", http.MethodGet, true, true},
		{"a config does not come from where nobody said", "/blobs/", http.MethodGet, false, false},
		{"a manifest does not come from where nobody said", "/manifests/sha256:", http.MethodGet, false, false},
		{"a list does not", "/tags/list", http.MethodGet, true, false},
		{"a HEAD does not", "/manifests/", http.MethodHead, true, false},
		{"referrers do not", "/referrers/", http.MethodGet, true, false},
		{"the first question does not", "/v2/", http.MethodGet, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			storage.requests = nil
			r.misbehave(func(w http.ResponseWriter, req *http.Request) bool {
				if req.Method != c.method || !strings.Contains(req.URL.Path, c.part) {
					return false
				}
				http.Redirect(w, req, storage.URL+req.URL.Path, http.StatusTemporaryRedirect)
				return true
			})
			s := open(t)
			res, err := r.crawler(func(cfg *Config) {
				if c.listed {
					cfg.Storage = []string{storage.URL}
				}
			}).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}})
			if f, ok := err.(*Failure); ok && !c.ok && f.Reason == Foreign && len(storage.requests) == 0 {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if c.ok {
				if len(res.Failures()) > 0 || len(storage.requests) == 0 || len(snapshot(t, s).Repositories["acme/app"].Tags) != 4 {
					t.Fatalf("%+v, %d asked", res, len(storage.requests))
				}
			} else if fs := res.Failures(); len(fs) != 1 || !c.listed && !strings.Contains(fs[0].Error(), "list it among the redirects") || fs[0].Reason != Foreign || len(storage.requests) > 0 {
				t.Fatalf("%v, asked %q", fs, storage.requests)
			}
			for _, got := range storage.requests {
				if strings.Contains(got, "Basic") {
					t.Fatalf("a credential left: %q", got)
				}
			}
		})
	}
}

func TestTokenServerThatRedirectsGetsNoFurther(t *testing.T) {
	r := newRegistry(t)
	b := newBearer(t, r)
	evil := newOther(t, b.token)
	auth := newOther(t, func(w http.ResponseWriter, req *http.Request) {
		http.Redirect(w, req, evil.named()+"/token?"+req.URL.RawQuery, http.StatusTemporaryRedirect)
	})
	b.realm = auth.named() + "/token"
	res, err := b.crawler(func(c *Config) { c.Realms = []string{auth.named()} }).Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app"}})
	if err != nil || len(res.Failures()) != 1 || res.Failures()[0].Reason != Foreign {
		t.Fatalf("%v, %+v", err, res)
	}
	if len(evil.requests) > 0 {
		t.Fatalf("it was asked: %q", evil.requests)
	}
}

func TestMessagesHoldNoSecrets(t *testing.T) {
	r := newRegistry(t)
	b := newBearer(t, r)
	b.reply = `{"refresh_token":"leak-me"}`
	res, err := b.crawler().Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app"}})
	if err != nil || len(res.Failures()) != 1 {
		t.Fatalf("%v, %+v", err, res)
	}
	f := res.Failures()[0]
	if f.Reason != Garbage || strings.Contains(f.Error(), "leak-me") || strings.Contains(f.Error(), "s3cret") {
		t.Fatal(f)
	}
	c := r.crawler(func(c *Config) {
		c.Credentials = func() (string, string, error) { return "", "", fmt.Errorf("secret file missing") }
	})
	if _, err := c.Crawl(t.Context(), open(t), Targets{Repositories: []string{"acme/app"}}); err == nil || !strings.Contains(err.Error(), "secret file missing") {
		t.Fatal(err)
	}
}

func TestFence(t *testing.T) {
	var sent http.Header
	pass := roundTripper(func(req *http.Request) (*http.Response, error) {
		sent = req.Header
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	})
	f := &fence{
		next: pass, own: "https://registry.example:443", realms: map[string]bool{"https://auth.example:443": true},
		storage: map[string]bool{"https://storage.example:443": true, "https://auth.registry.example:443": true},
	}
	content := context.WithValue(t.Context(), contentKey{}, true)
	const registry, storage, auth = "https://registry.example/x", "https://storage.example/x", "https://auth.example/token"
	for _, c := range []struct {
		name, method, url, header string
		ctx                       context.Context
		from                      string // of the redirect that led here
		passes, stripped          bool
	}{
		{"own", "GET", registry, "Authorization", t.Context(), "", true, false},
		{"own with port", "POST", "https://REGISTRY.example:443/v2/", "Authorization", t.Context(), "", true, false},
		{"own, redirected", "HEAD", registry, "Authorization", t.Context(), registry, true, false},
		{"listed realm", "GET", auth, "Authorization", t.Context(), "", true, false},
		{"listed realm, redirected by itself", "GET", auth, "Authorization", t.Context(), auth, true, false},
		{"listed realm, redirected by the registry", "GET", auth, "Authorization", t.Context(), registry, false, false},
		{"own, redirected by the realm", "GET", registry, "Authorization", t.Context(), auth, false, false},
		{"without TLS", "GET", "http://registry.example/v2/", "", t.Context(), "", false, false},
		{"other port", "GET", "https://registry.example:8443/", "", t.Context(), "", false, false},
		{"listed realm without TLS", "GET", "http://auth.example/token", "Authorization", t.Context(), "", false, false},
		{"storage", "GET", storage, "", content, registry, true, true},
		{"storage with a credential", "GET", storage, "Authorization", content, registry, true, true},
		{"storage with a cookie", "GET", storage, "Cookie", content, registry, true, true},
		{"storage of a subdomain", "GET", "https://auth.registry.example/", "Authorization", content, registry, true, true},
		{"storage, redirected by itself", "GET", storage, "Authorization", content, storage, true, true},
		{"storage that nobody listed", "GET", "https://metadata.example/x", "", content, registry, false, false},
		{"storage without TLS", "GET", "http://storage.example/x", "", content, registry, false, false},
		{"storage on another port", "GET", "https://storage.example:8443/x", "", content, registry, false, false},
		{"storage by HEAD", "HEAD", storage, "", content, registry, false, false},
		{"storage, not redirected", "GET", storage, "", content, "", false, false},
		{"redirect of a list", "GET", storage, "", t.Context(), registry, false, false},
		{"an address inside", "GET", "http://169.254.169.254/latest/meta-data", "", content, registry, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(c.ctx, c.method, c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.header != "" {
				req.Header.Set(c.header, "x")
			}
			if c.from != "" {
				before, _ := http.NewRequest(http.MethodGet, c.from, nil)
				req.Response = &http.Response{Request: before}
			}
			sent = nil
			if _, err := f.RoundTrip(req); (err == nil) != c.passes {
				t.Fatal(err)
			}
			if c.passes && c.header != "" && (sent.Get(c.header) == "") != c.stripped {
				t.Fatalf("sent %v", sent)
			}
		})
	}
	// A redirect that does not say where it came from is from nowhere good.
	req, _ := http.NewRequest(http.MethodGet, auth, nil)
	req.Response = &http.Response{}
	if _, err := f.RoundTrip(req); err == nil {
		t.Error("passed")
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://A.example":      "https://a.example:443",
		"http://a.example/x?y#z": "http://a.example:80",
		"https://a.example:5000": "https://a.example:5000",
		"http://[::1]:5000/":     "http://::1:5000",
	} {
		u, err := url.Parse(in)
		if err != nil {
			t.Fatal(err)
		}
		if got := origin(u); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}
