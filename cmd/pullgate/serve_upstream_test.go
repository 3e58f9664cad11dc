package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/pullgate/pullgate/examples/peers"
)

// A tokenServer gives tokens for a real registry to who has its account, like those that registries
// come with.
type tokenServer struct {
	*httptest.Server
	key jwk.Key

	mu     sync.Mutex
	asked  []string         // scopes, of requests with the right account
	agents []string         // of all requests
	answer http.HandlerFunc // instead
	ttl    time.Duration
}

func newTokenServer(t *testing.T) *tokenServer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(nil)
	must(t, err)
	s := &tokenServer{ttl: 5 * time.Minute}
	s.key, err = jwk.Import(private)
	must(t, err, s.key.Set(jwk.KeyIDKey, "k1"))
	s.Server = httptest.NewServer(s)
	s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) // the crawler's library refuses private addresses
	t.Cleanup(s.Close)
	return s
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// configuration is the section of the registry's configuration that believes the server.
func (s *tokenServer) configuration(t *testing.T, jwksFile string) string {
	t.Helper()
	public, err := s.key.PublicKey()
	must(t, err)
	text, err := json.Marshal(map[string]any{"keys": []any{public}})
	must(t, err, os.WriteFile(jwksFile, text, 0o600))
	return fmt.Sprintf("auth:\n  token:\n    realm: %s/token\n    service: the-registry\n    issuer: tokens\n    jwks: %q\n    signingalgorithms: [EdDSA]\n", s.URL, jwksFile)
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = append(s.agents, r.UserAgent())
	if s.answer != nil {
		s.answer(w, r)
		return
	}
	user, password, _ := r.BasicAuth()
	if user != registryUser || password != registryPassword || r.URL.Query().Get("service") != "the-registry" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	var granted []access
	for _, scope := range r.URL.Query()["scope"] {
		if parts := strings.Split(scope, ":"); len(parts) == 3 {
			s.asked = append(s.asked, scope)
			granted = append(granted, access{parts[0], parts[1], strings.Split(parts[2], ",")})
		}
	}
	token, err := jwt.NewBuilder().Issuer("tokens").Audience([]string{"the-registry"}).Subject(user).IssuedAt(time.Now()).
		NotBefore(time.Now().Add(-time.Minute)).Expiration(time.Now().Add(s.ttl)).JwtID("1").Claim("access", granted).Build()
	if err == nil {
		var signed []byte
		if signed, err = jwt.Sign(token, jwt.WithKey(jwa.EdDSA(), s.key)); err == nil {
			_ = json.NewEncoder(w).Encode(map[string]any{"token": string(signed), "expires_in": s.ttl.Seconds()})
			return
		}
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// instead changes what the server answers; nil is tokens.
func (s *tokenServer) instead(h http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = h
}

// pulls is how often a token to pull from a repository was given since the last call.
func (s *tokenServer) pulls(repository string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, scope := range s.asked {
		if scope == "repository:"+repository+":pull" {
			n++
		}
	}
	s.asked = nil
	return n
}

// newTokenVendor is a vendor whose registry takes tokens of a server only. It may be given the credential when listed.
func newTokenVendor(t *testing.T, listed bool) (*vendor, *tokenServer) {
	t.Helper()
	v := newVendor(t) // which fills the registry
	s := newTokenServer(t)
	v.must(v.registry.Close())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var err error
	v.registry, err = peers.StartRegistry(ctx, peers.Registry(t), v.path("registry"), nil, s.configuration(t, v.path("jwks.json")))
	v.must(err)
	t.Cleanup(func() { v.registry.Close() })
	v.front.lead(v.registry.Addr)
	v.attach = true
	if listed {
		v.realms = []string{s.URL}
	}
	return v, s
}

// A registry that wants bearer tokens gets them, fetched by pullgate.
func TestTokensOfTheRegistryArePutOnRequests(t *testing.T) {
	v, tokens := newTokenVendor(t, true)
	p := v.proxy(nil)
	tokens.pulls("")
	p.login(v.key)
	out, exit := p.run(peers.Crane(t), "pull", "--format", "oci", p.addr+"/acme/app:1.4.0", v.path("pulled"))
	if exit != 0 {
		t.Fatalf("crane: exit %d: %s\n%s", exit, out, p.log)
	}
	if n := len(p.arrived()); n < 3 {
		t.Errorf("%d requests arrived at the registry", n)
	}
	if n := tokens.pulls("acme/app"); n != 1 {
		t.Errorf("%d tokens were fetched for them", n)
	}
	all, err := p.registry.Requests(t.Context())
	v.must(err)
	for _, r := range all {
		if strings.Contains(r.Agent, "crane") && r.Status != http.StatusOK {
			t.Errorf("the registry answered %d to %s", r.Status, r.Path)
		}
	}
	if out, exit := p.run(peers.Crane(t), "pull", p.addr+"/acme/app:2.0.0", v.path("refused.tar")); exit == 0 || !strings.Contains(out, "DENIED: ") {
		t.Errorf("crane: exit %d: %s", exit, out)
	}
	a := p.askFrom("203.0.113.9", basic("acme", v.key), http.MethodGet, "/v2/acme/app/manifests/1.4.0") // by name: 127.0.0.1 is the only host
	if a.Status == http.StatusOK {
		t.Errorf("another host is answered: %+v", a)
	}
	if _, metrics := p.get("/metrics"); !strings.Contains(metrics, `pullgate_upstream_tokens_total{registry="main",result="ok"} 1`) {
		t.Error("the token is not counted")
	}
	p.nothingLeaks("Bearer ey")
}

// Without a token nothing goes on: not with nothing, not with the password, not with the customer's key.
func TestWithoutATokenOfTheRegistryNothingGoesOn(t *testing.T) {
	for name, c := range map[string]struct {
		listed bool
		answer http.HandlerFunc
		health string
	}{
		"a realm that nobody has listed": {false, nil, "wants a token from http://localhost:"},
		"the token server refuses":       {true, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "answered 403"},
		"the token server redirects": {true, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.2:1/token", http.StatusTemporaryRedirect)
		}, "no credential follows"},
		"the token server hangs up": {true, hangUp, "EOF"},
		"the token server hangs":    {true, func(_ http.ResponseWriter, r *http.Request) { time.Sleep(300 * time.Millisecond) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			v, tokens := newTokenVendor(t, true)
			s := v.serve() // which can read the registry
			s.awaitReady()
			s.stop()
			if !c.listed {
				v.realms = nil
			}
			tokens.instead(c.answer)
			tokens.mu.Lock()
			tokens.agents = nil
			tokens.mu.Unlock()
			p := v.proxy(nil)
			resp, body := p.do(http.MethodGet, "/v2/acme/app/manifests/1.4.0", basic("acme", v.key), "")
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("X-Pullgate-Decision") == "" || resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "UNAVAILABLE") {
				t.Errorf("%s %v %s", resp.Status, resp.Header, body)
			}
			// What needs nobody's token is answered.
			if resp, _ := p.do(http.MethodGet, "/v2/acme/app/manifests/2.0.0", basic("acme", v.key), ""); resp.StatusCode != http.StatusForbidden {
				t.Errorf("%s", resp.Status)
			}
			if got := p.arrived(); len(got) > 0 {
				t.Errorf("%v arrived at the registry", got)
			}
			if c.health != "" {
				p.await("the reason on /healthz", 5*time.Second, func() bool { _, body := p.get("/healthz"); return strings.Contains(body, c.health) })
			}
			tokens.mu.Lock()
			if !c.listed && len(tokens.agents) > 0 {
				t.Errorf("the token server was asked by %q", tokens.agents)
			}
			tokens.mu.Unlock()
			if !c.listed {
				p.nothingLeaks()
				return
			}
			tokens.instead(nil)
			p.await("a pull", 10*time.Second, func() bool {
				resp, _ := p.do(http.MethodGet, "/v2/acme/app/manifests/1.4.0", basic("acme", v.key), "")
				return resp.StatusCode == http.StatusOK
			})
		})
	}
}

// The registry's own 401, with its challenge, never reaches a customer; pullgate's does.
func TestOnlyPullgateAsksCustomersToLogIn(t *testing.T) {
	for _, attach := range []bool{true, false} {
		t.Run(fmt.Sprintf("credential set by pullgate %v", attach), func(t *testing.T) {
			v := newVendor(t)
			v.attach = attach
			p := v.proxy(nil)
			key := basic("acme", v.key)
			if resp, _ := p.do(http.MethodGet, "/v2/acme/app/manifests/1.4.0", key, ""); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s", resp.Status)
			}
			v.setPassword("something else") // which nobody told pullgate or Envoy
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				resp, body := p.do(method, "/v2/acme/app/manifests/1.4.0", key, "")
				id := resp.Header.Get("X-Pullgate-Decision")
				if resp.StatusCode != http.StatusBadGateway || resp.Header.Values("WWW-Authenticate") != nil || id == "" || method == http.MethodGet && !strings.Contains(body, id) {
					t.Errorf("%s: %s %v %s", method, resp.Status, resp.Header, body)
				}
			}
			p.login(v.key)
			if out, exit := p.run(peers.Crane(t), "pull", p.addr+"/acme/app:1.4.0", v.path("refused.tar")); exit == 0 || !strings.Contains(out, "tell your vendor") {
				t.Errorf("crane: exit %d: %s", exit, out)
			}
			for authorization, text := range map[string]string{"": "authentication required", basic("acme", "nonsense"): "this key is not known"} {
				resp, body := p.do(http.MethodGet, "/v2/acme/app/manifests/1.4.0", authorization, "")
				if resp.StatusCode != http.StatusUnauthorized || fmt.Sprint(resp.Header.Values("WWW-Authenticate")) != `[Basic realm="pullgate"]` || !strings.Contains(body, text) {
					t.Errorf("%s %v %s", resp.Status, resp.Header, body)
				}
			}
		})
	}
}
