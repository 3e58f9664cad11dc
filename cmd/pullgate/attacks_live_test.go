package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	envoyexample "github.com/pullgate/pullgate/examples/envoy"
)

// An attacked is a running pullgate behind a real Envoy, before a real registry. What arrives at
// the registry is watched, and something can be done just before it arrives.
type attacked struct {
	*proxied
	started time.Time
	signs   ed25519.PrivateKey // tokens
	user    string             // Authorization of the customer

	mu      sync.Mutex
	seen    []string // targets of customers' requests that arrived since the last one was tried
	all     []string // and since the start
	instead func(w http.ResponseWriter, r *http.Request, pass http.Handler)
}

// mirror is a second host of the same registry.
const mirror = "mirror.acme.example"

// TestAttacksOnARunningPullgate tries what needs more than one request, tokens, or a registry that
// does something, through Envoy as it is shipped and with everything on. The numbers are those of
// docs/security.md.
func TestAttacksOnARunningPullgate(t *testing.T) {
	for name, change := range map[string]func(*testing.T, string) string{"envoy": nil, "envoy, everything on": rewriting} {
		t.Run(name, func(t *testing.T) {
			a := attack(t, change)
			a.useTokensElsewhere() // A29
			a.forgeTokens()        // A30
			a.askForWideScopes()   // A31
			a.moveTags()           // A33
			a.challengeCustomers() // A37
			a.cacheAnswers()       // A38
			a.askForTooMuch()      // A40
			a.resetStreams()       // A40
			a.goOnAfterTheEnd()    // A32
			a.guessKeys()          // A28, last: afterwards this address may not try bad keys
			a.onlyGrantedArrived()
			a.onlyStarved()
			a.nothingLeaks(a.token()) // ends pullgate
		})
	}
}

// badKeys is how many bad keys a minute the attackers of these tests may try.
const badKeys = 60

func attack(t *testing.T, change func(*testing.T, string) string) *attacked {
	t.Helper()
	v := newVendor(t)
	v.envoy = change
	v.push("acme/secret", "1.4.0")
	v.write("licenses/vendor.yaml", fmt.Sprintf("kind: Registry\nid: main\nhosts: [%s, %s]\nupstream: %s\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n---\nkind: Product\nid: secret\nrepositories: [acme/secret]\n",
		customersHost, mirror, v.front.URL), 0o644)
	a := &attacked{started: time.Now(), user: basic("acme", v.key)}
	a.signs = v.bearer()
	pass := v.front.pass
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Request-Id") == "" { // not from Envoy: pullgate reads the registry
			pass.ServeHTTP(w, r)
			return
		}
		a.mu.Lock()
		a.seen, a.all = append(a.seen, r.URL.RequestURI()), append(a.all, r.URL.RequestURI())
		instead := a.instead
		a.mu.Unlock()
		if instead != nil {
			instead(w, r, pass)
			return
		}
		pass.ServeHTTP(w, r)
	})
	a.proxied = v.proxy(func(o *envoyexample.Options) {
		o.Registry = strings.TrimPrefix(v.front.URL, "http://")
		o.Hosts = append(o.Hosts, mirror)
	}, "--bad-keys-per-minute", strconv.Itoa(badKeys))
	a.works("at the start")
	return a
}

// answers makes the registry answer something else; nil lets it answer.
func (a *attacked) answers(h func(w http.ResponseWriter, r *http.Request, pass http.Handler)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.instead = h
}

// A tried is a request of an attacker. The zero fields are those of a harmless one.
type tried struct {
	method, host, target string
	authorization        string
	header               []string // lines
	body                 string
}

// A tale is what became of it.
type tale struct {
	status  int // 0: the connection was closed without an answer
	header  http.Header
	body    string
	arrived []string // at the registry, meanwhile
}

// try asks again where the machine was too busy to decide.
func (a *attacked) try(x tried) tale {
	a.Helper()
	got := a.once(x)
	for range 20 {
		if !starved(got.status, got.body) {
			break
		}
		got = a.once(x)
	}
	return got
}

// once writes a request's bytes as they are, over a connection of its own.
func (a *attacked) once(x tried) tale {
	a.Helper()
	if x.method == "" {
		x.method = http.MethodGet
	}
	if x.host == "" {
		x.host = a.addr
	}
	lines := append([]string{x.method + " " + x.target + " HTTP/1.1", "Host: " + x.host, "Connection: close", "Accept: application/vnd.oci.image.manifest.v1+json"}, x.header...)
	if x.authorization != "" {
		lines = append(lines, "Authorization: "+x.authorization)
	}
	if x.body != "" {
		lines = append(lines, "Content-Type: application/x-www-form-urlencoded", fmt.Sprintf("Content-Length: %d", len(x.body)))
	}
	a.mu.Lock()
	a.seen = nil
	a.mu.Unlock()
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: &tls.Config{RootCAs: a.certs.Pool, ServerName: "127.0.0.1"}}).DialContext(a.Context(), "tcp", a.addr)
	a.must(err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	// Envoy may answer before it has read everything, and hang up.
	go func() { _, _ = io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+x.body) }()
	var got tale
	if resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: x.method}); err == nil {
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		a.must(err)
		got = tale{status: resp.StatusCode, header: resp.Header, body: string(body)}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	got.arrived = a.seen
	return got
}

// refused tries what must not arrive, and must get one of these statuses.
func (a *attacked) refused(what string, x tried, statuses ...int) tale {
	a.Helper()
	got := a.try(x)
	ok := false
	for _, s := range statuses {
		ok = ok || got.status == s
	}
	if !ok || len(got.arrived) > 0 {
		a.Errorf("%s: status %d, want %v; %v arrived: %.300s", what, got.status, statuses, got.arrived, got.body)
	}
	return got
}

// allowed tries what must arrive and be answered with 200.
func (a *attacked) allowed(what string, x tried) tale {
	a.Helper()
	got := a.try(x)
	if got.status != http.StatusOK || len(got.arrived) != 1 {
		a.Fatalf("%s: status %d, %v arrived: %.300s", what, got.status, got.arrived, got.body)
	}
	return got
}

// works shows that whatever was tried has broken nothing.
func (a *attacked) works(when string) {
	a.Helper()
	a.allowed("a pull "+when, tried{target: "/v2/acme/app/manifests/1.4.0", authorization: a.user})
	a.refused("a version that is not granted, "+when, tried{target: "/v2/acme/app/manifests/2.0.0", authorization: a.user}, http.StatusForbidden)
}

// onlyGrantedArrived: of all that was tried, nothing arrived but requests for what is granted.
func (a *attacked) onlyGrantedArrived() {
	a.Helper()
	manifest := a.allowed("1.4.0", tried{target: manifest140, authorization: a.user}).arrived[0]
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, target := range a.all {
		if target != manifest && target != "/v2/acme/app/blobs/"+digestOfText("layer of 1.4.0") {
			a.Errorf("%s arrived", target)
		}
	}
	a.Logf("%d requests arrived, all of them granted", len(a.all))
}

// token is one that the customer gets here.
func (a *attacked) token() string { return a.tokenAt("", "scope=repository:acme/app:pull") }

func (a *attacked) tokenAt(host, query string) string {
	a.Helper()
	got := a.refused("a token", tried{host: host, target: "/pullgate/token?" + query, authorization: a.user}, http.StatusOK)
	return a.grant(got.body).Token
}

// moveTags: while a request for 1.4.0 is on its way to the registry, the tag comes to name 2.0.0
// there. What was judged is delivered.
func (a *attacked) moveTags() {
	a.Helper()
	const base = "/v2/acme/app/manifests/"
	before := a.allowed("1.4.0", tried{target: base + "1.4.0", authorization: a.user})
	two := httptest.NewRecorder()
	req := httptest.NewRequest(http.MethodGet, base+"2.0.0", nil)
	req.SetBasicAuth(registryUser, registryPassword)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	a.front.pass.ServeHTTP(two, req)
	if two.Code != http.StatusOK || two.Body.String() == before.body {
		a.Fatalf("2.0.0 of the registry: %d", two.Code)
	}
	move := func(manifest string) int {
		req := httptest.NewRequest(http.MethodPut, base+"1.4.0", strings.NewReader(manifest))
		req.SetBasicAuth(registryUser, registryPassword)
		req.Header.Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		moved := httptest.NewRecorder()
		a.front.pass.ServeHTTP(moved, req)
		return moved.Code
	}
	a.answers(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if code := move(two.Body.String()); code != http.StatusCreated {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		pass.ServeHTTP(w, r)
	})
	for range 2 { // the second time it has moved already
		got := a.allowed("a tag that moves", tried{target: base + "1.4.0", authorization: a.user})
		if digest := got.header.Get("Docker-Content-Digest"); got.body != before.body || digest != before.header.Get("Docker-Content-Digest") || got.arrived[0] != base+digest {
			a.Errorf("a tag that moves: %v arrived, %s was delivered", got.arrived, digest)
		}
	}
	a.answers(nil)
	if code := move(before.body); code != http.StatusCreated {
		a.Fatalf("moving the tag back: %d", code)
	}
}

// challengeCustomers: whatever challenge the registry sends, no customer sees it.
func (a *attacked) challengeCustomers() {
	a.Helper()
	const evil = "evil.example"
	for _, c := range []struct {
		status, want int
		challenges   []string
	}{
		{401, 502, []string{`Bearer realm="https://evil.example/token",service="evil.example"`}},
		{401, 502, []string{`Basic realm="evil.example"`, `Bearer realm="https://evil.example/token"`}},
		{401, 502, nil},
		{403, 403, []string{`Bearer realm="https://evil.example/token"`}},
		{200, 200, []string{`Bearer realm="https://evil.example/token"`}},
	} {
		a.answers(func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.Header()["Www-Authenticate"] = c.challenges
			w.WriteHeader(c.status)
		})
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			got := a.try(tried{method: method, target: "/v2/acme/app/manifests/1.4.0", authorization: a.user})
			if got.status != c.want || len(got.arrived) != 1 || got.header.Values("WWW-Authenticate") != nil || strings.Contains(fmt.Sprint(got.header)+got.body, evil) {
				a.Errorf("%s, the registry answers %d %q: %d %v %s", method, c.status, c.challenges, got.status, got.header, got.body)
			}
		}
	}
	a.answers(nil)
	a.works("after the registry's challenges")
}

// cacheAnswers: a registry's answers must not stay in a cache that others ask.
func (a *attacked) cacheAnswers() {
	a.Helper()
	a.answers(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		w.Header()["Cache-Control"] = []string{"public", "max-age=31536000"}
		pass.ServeHTTP(w, r)
	})
	defer a.answers(nil)
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		for _, target := range []string{"/v2/acme/app/manifests/1.4.0", "/v2/acme/app/blobs/" + digestOfText("layer of 1.4.0")} {
			got := a.allowed(method, tried{method: method, target: target, authorization: a.user})
			if cache := fmt.Sprint(got.header.Values("Cache-Control")); cache != "[private, no-store]" {
				a.Errorf("%s %s: Cache-Control %s", method, target, cache)
			}
			got = a.refused("the same without a key", tried{method: method, target: target}, http.StatusUnauthorized)
			if cache := fmt.Sprint(got.header.Values("Cache-Control")); cache != "[no-store]" {
				a.Errorf("%s %s without a key: Cache-Control %s", method, target, cache)
			}
		}
	}
}
