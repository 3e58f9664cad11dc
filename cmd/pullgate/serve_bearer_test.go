package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/pullgate/pullgate/authz/token"
	"github.com/pullgate/pullgate/examples/peers"
)

// bearer writes a key for tokens and turns them on.
func (v *vendor) bearer() ed25519.PrivateKey {
	v.Helper()
	if code, _, errs := once(v.T, "token", "keygen", "--out", v.path("tokens")); code != exitYes {
		v.Fatal(errs)
	}
	pem, err := os.ReadFile(v.path("tokens.key"))
	v.must(err)
	key, err := token.ParseKey(pem)
	v.must(err)
	v.config += fmt.Sprintf("bearer: {enabled: true, keys: [%q]}\n", v.path("tokens.key"))
	return key
}

// A grant is the answer of a token request.
type grant struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int    `json:"expires_in"`
	IssuedAt    string `json:"issued_at"`
	Refresh     string `json:"refresh_token"`
}

func (v *vendor) grant(body string) (g grant) {
	v.Helper()
	if err := json.Unmarshal([]byte(body), &g); err != nil || g.Token == "" || g.Token != g.AccessToken || g.Refresh != "" || g.ExpiresIn < 60 {
		v.Fatalf("%v: %s", err, body)
	}
	if _, err := time.Parse(time.RFC3339, g.IssuedAt); err != nil {
		v.Error(err)
	}
	return g
}

// login gets a token over ext_authz with Basic.
func (s *served) loginFor(key, query string) string {
	s.Helper()
	a := s.ask(key, http.MethodGet, "/pullgate/token"+query)
	if a.Status != http.StatusOK || a.Header.Get("content-type") != "application/json" || a.Header.Get("cache-control") != "no-store" {
		s.Fatalf("%+v", a)
	}
	return s.grant(a.Body).Token
}

func (s *served) askWith(bearer, method, path string) answer {
	s.Helper()
	return s.askFrom("203.0.113.9", "Bearer "+bearer, method, path)
}

func TestTokensStandForTheKeyThatTheyWereGivenFor(t *testing.T) {
	v := newVendor(t)
	private := v.bearer()
	s := v.serve()
	s.awaitReady()

	first := s.ask("", http.MethodGet, "/v2/acme/app/manifests/1.4.0")
	if got := first.Header.Get("www-authenticate"); first.Status != http.StatusUnauthorized ||
		got != `Bearer realm="https://`+customersHost+`/pullgate/token",service="`+customersHost+`",scope="repository:acme/app:pull"` {
		t.Fatalf("%d %s", first.Status, got)
	}
	tok := s.loginFor(v.key, "?service="+customersHost+"&scope=repository:acme/app:pull,push&scope=registry:catalog:*&account=x&client_id=docker&offline_token=true")

	// What another implementation reads in it.
	parsed, err := jwt.Parse([]byte(tok), jwt.WithKey(jwa.EdDSA(), private.Public()), jwt.WithAudience(customersHost), jwt.WithIssuer("pullgate"), jwt.WithSubject("acme"))
	v.must(err)
	var access []any
	v.must(parsed.Get("access", &access))
	if text, _ := json.Marshal(access); string(text) != `[{"actions":["pull"],"name":"acme/app","type":"repository"}]` {
		t.Errorf("access %s", text)
	}
	id, _ := parsed.JwtID()
	if expires, _ := parsed.Expiration(); time.Until(expires) > 300*time.Second || time.Until(expires) < 290*time.Second {
		t.Errorf("expires %s", expires)
	}
	s.await("the record", 5*time.Second, func() bool { return len(s.decisions("since=1h")) >= 2 })
	if !slices.ContainsFunc(s.decisions("since=1h"), func(d map[string]any) bool { return d["id"] == id && d["action"] == "ping" && d["verdict"] == "allow" }) {
		t.Errorf("no record %s of giving the token", id)
	}

	for _, c := range []struct {
		path   string
		status int
		code   string
	}{
		{"/v2/", 200, "ok"},
		{"/v2/acme/app/manifests/1.4.0", 200, "ok"},
		{"/v2/acme/app/manifests/2.0.0", 403, "version_not_granted"},
		{"/v2/acme/app/tags/list", 200, "ok"},
		{"/v2/other/thing/tags/list", 404, "unknown_repository"}, // not asked for in the token, not refused for that
	} {
		a, key := s.askWith(tok, http.MethodGet, c.path), s.ask(v.key, http.MethodGet, c.path)
		if a.Status != c.status || a.Code != c.code || key.Status != a.Status || key.Code != a.Code {
			t.Errorf("%s: %d %s with the token, %d %s with the key", c.path, a.Status, a.Code, key.Status, key.Code)
		}
	}
	allowed := s.askWith(tok, http.MethodGet, "/v2/acme/app/manifests/1.4.0")
	if !slices.Contains(allowed.Removed, "authorization") {
		t.Errorf("the token goes to the registry: %+v", allowed)
	}
	s.await("its record", 5*time.Second, func() bool { return s.decisions("limit=1")[0]["id"] == allowed.ID })
	if subject := s.decisions("limit=1")[0]["subject"]; fmt.Sprint(subject) != "map[customer:acme key:ci via:token]" {
		t.Errorf("recorded as %v", subject)
	}

	// Without a key there is a token too, good for nothing that is not public.
	anybody := s.loginFor("", "?scope=repository:acme/app:pull")
	if a := s.askWith(anybody, http.MethodGet, "/v2/acme/app/manifests/1.4.0"); a.Status != 401 || a.Code != "anonymous" || strings.Contains(a.Header.Get("www-authenticate"), "error") {
		t.Errorf("%+v", a)
	}

	// Who is refused a token, and how they are told.
	typo := v.key[:len(v.key)-1] + "x"
	for name, c := range map[string]struct {
		authorization, method, path string
		status                      int
		code, challenge, text       string
	}{
		"a typing error":       {basic("acme", typo), "GET", "/pullgate/token", 401, "unknown_key", `Basic realm="pullgate"`, "this key is not known"},
		"a token":              {"Bearer " + tok, "GET", "/pullgate/token", 401, "unknown_key", `Basic realm="pullgate"`, "this token"},
		"too many scopes":      {basic("acme", v.key), "GET", "/pullgate/token?" + strings.Repeat("scope=repository:a:pull&", 17), 400, "malformed", "", "the request for a token is not understood"},
		"another verb":         {basic("acme", v.key), "DELETE", "/pullgate/token", 405, "unsupported", "", "read-only"},
		"a post without body":  {"", "POST", "/pullgate/token", 400, "malformed", "", "token"},
		"another spelling":     {basic("acme", v.key), "GET", "/pullgate/token/", 400, "malformed", "", "plain spelling"},
		"the key in the query": {"", "GET", "/pullgate/token?password=" + v.key, 400, "malformed", "", "token"},
	} {
		a := s.askFrom("203.0.113.9", c.authorization, c.method, c.path)
		if a.Status != c.status || a.Code != c.code || a.Header.Get("www-authenticate") != c.challenge || !strings.Contains(a.Body, c.text) {
			t.Errorf("%s: %+v", name, a)
		}
	}

	// The token elsewhere.
	if a := s.ask(tok, http.MethodGet, "/v2/"); a.Status != 401 || a.Code != "unknown_key" {
		t.Errorf("as the password of Basic: %+v", a)
	}
	parts := strings.Split(tok, ".")
	for name, forged := range map[string]string{
		"no algorithm": base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + parts[1] + ".",
		"unsigned":     parts[0] + "." + parts[1] + ".", "changed": parts[0] + "." + parts[1] + "." + changedLetter(parts[2]), "1 MB": tok + strings.Repeat("A", 1<<20), "nothing": "",
	} {
		a := s.askWith(forged, http.MethodGet, "/v2/acme/app/manifests/1.4.0")
		if a.Status != 401 || a.Code != "unknown_key" || !strings.HasSuffix(a.Header.Get("www-authenticate"), `,error="invalid_token"`) {
			t.Errorf("%s: %+v", name, a)
		}
	}

	// In a path it is cut out.
	if a := s.ask(v.key, http.MethodGet, "/v2/acme/app/manifests/1.4.0?access_token="+tok); a.Status != 400 {
		t.Errorf("%+v", a)
	}
	s.ask(v.key, http.MethodGet, "/v2/acme/app/tags/list?last="+url.QueryEscape(strings.ReplaceAll(tok, "J", "%4a")))
	s.nothingLeaks(tok, parts[1], parts[2], anybody)
}

// The end of a license counts for tokens that were given before, on the same connection; so does
// the end of a key.
func TestTokensEndWithTheirKeyAndGrantNothing(t *testing.T) {
	v := newVendor(t)
	v.bearer()
	s := v.serve()
	s.awaitReady()
	tok := s.loginFor(v.key, "?scope=repository:acme/app:pull")
	pull := func() answer { return s.askWith(tok, http.MethodGet, "/v2/acme/app/manifests/1.4.0") }
	if a := pull(); a.Status != 200 {
		t.Fatalf("%+v", a)
	}
	within := func(what string, ok func(answer) bool) {
		t.Helper()
		took := s.await(what, 5*time.Second, func() bool { return ok(pull()) })
		t.Logf("%s after %s", what, took.Round(time.Millisecond))
	}
	v.write("licenses/license.yaml", strings.Replace(grants(">=1.0.0 <2.0.0"), "type:", "status: {revoked: {at: 2026-01-01, reason: test}}\ntype:", 1), 0o644)
	within("the license is revoked", func(a answer) bool { return a.Status == 403 && a.Code == "revoked" })
	if a := s.ask(v.key, http.MethodGet, "/pullgate/token"); a.Status != 200 {
		t.Errorf("a login with the key of a revoked license: %+v", a)
	}
	v.write("licenses/license.yaml", grants(">=1.0.0 <2.0.0"), 0o644)
	within("the license is back", func(a answer) bool { return a.Status == 200 })
	v.write("licenses/acme.yaml", "kind: Customer\nid: acme\n", 0o644)
	within("the key is gone", func(a answer) bool {
		return a.Status == 401 && a.Code == "unknown_key" && strings.Contains(a.Header.Get("www-authenticate"), `error="invalid_token"`)
	})
	// The same id with another key is another key.
	v.write("licenses/acme.yaml", "kind: Customer\nid: acme\nkeys: [{id: ci, hash: \"sha256:"+strings.Repeat("0", 64)+"\"}]\n", 0o644)
	for range 20 {
		if a := pull(); a.Status != 401 {
			t.Fatalf("%+v", a)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// changedLetter is a text whose first letter is another one.
func changedLetter(text string) string {
	if text[0] == 'A' {
		return "B" + text[1:]
	}
	return "A" + text[1:]
}

// Real clients, through Envoy: log in, pull, read why not.
func TestClientsLogInForTokens(t *testing.T) {
	v := newVendor(t)
	v.bearer()
	p := v.proxy(nil)
	app := p.addr + "/acme/app"
	crane, skopeo := peers.Crane(t), peers.Skopeo(t)
	via := func() string {
		for _, d := range p.decisions("since=1h&limit=1000") {
			if s := d["subject"].(map[string]any); d["action"] == "pull" {
				return fmt.Sprint(s["via"])
			}
		}
		return ""
	}

	p.login(v.key)
	for _, c := range []struct {
		name string
		args []string
		exit bool
		text string
	}{
		{"crane pulls", []string{crane, "pull", "--format", "oci", app + ":1.4.0", v.path("by-crane")}, true, ""},
		{"crane is refused", []string{crane, "pull", app + ":2.0.0", v.path("refused.tar")}, false, "DENIED: "},
		{"crane lists", []string{crane, "ls", app}, true, "1.4.0"},
		{"skopeo pulls", []string{skopeo, "copy", "docker://" + app + ":1.4.0", "oci:" + v.path("by-skopeo")}, true, ""},
		{"skopeo is refused", []string{skopeo, "inspect", "docker://" + app + ":2.0.0"}, false, "denied: "},
	} {
		out, exit := p.run(c.args[0], c.args[1:]...)
		t.Logf("%s: exit %d: %s", c.name, exit, strings.TrimSpace(out))
		if (exit == 0) != c.exit || !strings.Contains(out, c.text) {
			t.Errorf("%s: exit %d: %s", c.name, exit, out)
		}
	}
	p.await("a pull with a token in the records", 5*time.Second, func() bool { return via() == "token" })

	// A wrong key is told at the login.
	typo := v.key[:len(v.key)-1] + "x"
	out, exit := p.run(skopeo, "login", "--authfile", v.path("elsewhere.json"), "-u", "acme", "-p", typo, p.addr)
	if exit == 0 || !strings.Contains(out, "invalid username/password") { // it does not say why; a pull does
		t.Errorf("skopeo login with a typing error: exit %d: %s", exit, out)
	}
	p.login(typo)
	for _, client := range [][]string{{skopeo, "inspect", "docker://" + app + ":1.4.0"}, {crane, "digest", app + ":1.4.0"}} {
		if out, exit = p.run(client[0], client[1:]...); exit == 0 || !strings.Contains(out, "this key is not known") {
			t.Errorf("%s with a typing error: exit %d: %s", filepath.Base(client[0]), exit, out)
		}
	}
	if out, exit = p.run(skopeo, "login", "--authfile", v.path("elsewhere.json"), "-u", "acme", "-p", v.key, p.addr); exit != 0 {
		t.Errorf("skopeo login: exit %d: %s", exit, out)
	}
	p.login("")
	if out, exit = p.run(crane, "pull", app+":1.4.0", v.path("refused.tar")); exit == 0 || !strings.Contains(out, "authentication required") {
		t.Errorf("crane without a key: exit %d: %s", exit, out)
	}

	// As docker and containerd ask: a form, which Envoy shows pullgate on this route.
	form := url.Values{"grant_type": {"password"}, "username": {"acme"}, "password": {v.key}, "service": {p.addr}, "client_id": {"containerd-client"}, "scope": {"repository:acme/app:pull repository:acme/lib:pull"}, "access_type": {"offline"}}
	resp, body := p.do(http.MethodPost, "/pullgate/token", "", form.Encode())
	if resp.StatusCode != 200 {
		t.Fatalf("%s %s", resp.Status, body)
	}
	tok := p.grant(body).Token
	if resp, _ := p.do(http.MethodGet, "/v2/", "Bearer "+tok, ""); resp.StatusCode != 200 {
		t.Errorf("with the token: %s", resp.Status)
	}
	form.Set("password", typo)
	if resp, body := p.do(http.MethodPost, "/pullgate/token", "", form.Encode()); resp.StatusCode != 401 || !strings.Contains(body, "this key is not known") {
		t.Errorf("%s %s", resp.Status, body)
	}
	form.Set("padding", strings.Repeat("x", 9000))
	if resp, _ := p.do(http.MethodPost, "/pullgate/token", "", form.Encode()); resp.StatusCode != http.StatusRequestEntityTooLarge && resp.StatusCode != 400 {
		t.Errorf("a form of 9 KB: %s", resp.Status)
	}
	// The body is shown on no other route.
	if resp, _ := p.do(http.MethodPost, "/v2/acme/app/blobs/uploads/", "Bearer "+tok, "x=y"); resp.StatusCode != 405 {
		t.Errorf("%s", resp.Status)
	}

	// The same route on the admin port.
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.admin+"/pullgate/token", nil)
	v.must(err)
	req.Host = p.addr
	req.SetBasicAuth("acme", v.key)
	again, err := p.served.client.Do(req)
	v.must(err)
	defer again.Body.Close()
	var g grant
	if err := json.NewDecoder(again.Body).Decode(&g); err != nil || again.StatusCode != 200 {
		t.Fatalf("%s %v", again.Status, err)
	}
	if resp, _ := p.do(http.MethodGet, "/v2/", "Bearer "+g.Token, ""); resp.StatusCode != 200 {
		t.Errorf("with the token of the admin port: %s", resp.Status)
	}
	for _, path := range p.arrived() {
		if strings.Contains(path, "pullgate") || strings.Contains(path, "2.0.0") {
			t.Errorf("%s arrived at the registry", path)
		}
	}
	p.nothingLeaks(tok, g.Token)
}
