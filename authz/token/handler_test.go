package token_test

import (
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/token"
)

// decider gives who has the key a token, and remembers what it was asked.
type decider struct{ asked *authz.Request }

const customersKey = "pg_0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk_934a7edc"

func (d *decider) Decide(_ context.Context, r *authz.Request) *authz.Decision {
	d.asked = r
	_, yes := asked()
	switch {
	case r.Kind == authz.KindToken && r.Credential.Hash == sha256.Sum256([]byte(customersKey)):
		return yes
	case r.Kind == authz.KindToken:
		return &authz.Decision{ID: "D2", Outcome: authz.OutcomeDeny, Status: 401, Code: authz.CodeUnknownKey}
	case r.Kind == authz.KindUnsupported:
		return &authz.Decision{ID: "D3", Outcome: authz.OutcomeDeny, Status: 405, Code: authz.CodeUnsupported}
	case r.Kind == authz.KindMalformed:
		return &authz.Decision{ID: "D4", Outcome: authz.OutcomeDeny, Status: 400, Code: authz.CodeMalformed}
	}
	return &authz.Decision{ID: "D5", Outcome: authz.OutcomeAllow, Status: 200, Code: authz.CodeOK}
}

func TestHandlerAnswersWhatExtAuthzWould(t *testing.T) {
	i := newIssuer(t, newKey(t))
	d := &decider{}
	server := httptest.NewServer(&token.Handler{
		Decider: d, Issuer: i,
		Classifier: &classify.Classifier{TokenPath: "/pullgate/token", Tokens: i, ClientAddress: classify.ClientAddress{Header: "x-forwarded-for"}},
	})
	defer server.Close()
	for _, c := range []struct {
		name, method, path, form string
		basic                    string
		status                   int
	}{
		{"Basic", "GET", "/pullgate/token?scope=repository:acme/app:pull", "", customersKey, 200},
		{"HEAD", "HEAD", "/pullgate/token", "", customersKey, 200},
		{"a form", "POST", "/pullgate/token", "grant_type=password&scope=repository:acme/app:pull&password=" + customersKey, "", 200},
		{"another key", "GET", "/pullgate/token", "", "nonsense", 401},
		{"another verb", "PUT", "/pullgate/token", "", customersKey, 405},
		{"a large form", "POST", "/pullgate/token", "grant_type=password&password=" + customersKey + "&x=" + strings.Repeat("x", 9000), "", 400},
		{"another path", "GET", "/v2/acme/app/manifests/1.0", "", customersKey, 404},
		{"an escaped path", "GET", "/pullgate/%74oken", "", customersKey, 400},
	} {
		d.asked = nil
		req, err := http.NewRequestWithContext(t.Context(), c.method, server.URL+c.path, strings.NewReader(c.form))
		must(t, err)
		req.Host = "Registry.example"
		req.Header.Set("X-Forwarded-For", "203.0.113.9")
		if c.basic != "" {
			req.SetBasicAuth("u", c.basic)
		}
		if c.form != "" {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		must(t, err)
		if resp.StatusCode != c.status || strings.Contains(string(body), `"token":`) != (c.status == 200 && c.method != "HEAD") {
			t.Errorf("%s: %s %s", c.name, resp.Status, body)
		}
		if c.status == 200 && (resp.Header.Get("Cache-Control") != "no-store" || resp.ContentLength < 100) {
			t.Errorf("%s: %v", c.name, resp.Header)
		}
		if d.asked != nil && (d.asked.Host != "registry.example" || d.asked.Via != "http" || d.asked.Address.String() != "203.0.113.9") {
			t.Errorf("%s: asked %+v", c.name, d.asked)
		}
		if (d.asked == nil) != (c.status == 404) {
			t.Errorf("%s: asked %+v", c.name, d.asked)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
