package reply_test

import (
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/reply"
)

const tokenPath = "/pullgate/token"

func TestChallenges(t *testing.T) {
	const base = `Bearer realm="https://registry.example/pullgate/token",service="registry.example"`
	none, key, invalid := authz.CredentialNone, authz.CredentialKey, authz.CredentialInvalid
	token, other, forged := authz.CredentialToken, authz.CredentialInvalidToken, authz.CredentialForgedToken
	for _, c := range []struct {
		name       string
		kind       authz.Kind
		credential authz.CredentialKind
		code       authz.Code
		want, text string
	}{
		{"a login", authz.KindPing, none, authz.CodeAnonymous, base, "authentication required"},
		{"a manifest", authz.KindManifest, none, authz.CodeAnonymous, base + `,scope="repository:acme/app:pull"`, "docker login registry.example"},
		{"a blob", authz.KindBlob, key, authz.CodeUnknownKey, base + `,scope="repository:acme/app:pull"`, "this key is not known"},
		{"a list", authz.KindTags, invalid, authz.CodeUnknownKey, base + `,scope="repository:acme/app:pull"`, "this key is not known"},
		{"the catalog", authz.KindCatalog, none, authz.CodeAnonymous, base + `,scope="registry:catalog:*"`, "authentication required"},
		{"an expired key", authz.KindManifest, key, authz.CodeKeyExpired, base + `,scope="repository:acme/app:pull"`, "this key has expired"},
		{"a token that is good no longer", authz.KindManifest, token, authz.CodeUnknownKey, base + `,scope="repository:acme/app:pull",error="invalid_token"`, "this token is not good here or no longer"},
		{"a token of a key that has expired", authz.KindManifest, token, authz.CodeKeyExpired, base + `,scope="repository:acme/app:pull",error="invalid_token"`, "this key has expired"},
		{"a token of anybody", authz.KindManifest, token, authz.CodeAnonymous, base + `,scope="repository:acme/app:pull"`, "authentication required"},
		{"a token of another place", authz.KindPing, other, authz.CodeUnknownKey, base + `,error="invalid_token"`, "this token is not good here or no longer"},
		{"a forged token", authz.KindPing, forged, authz.CodeUnknownKey, base + `,error="invalid_token"`, "this token is not good here or no longer"},
		{"at the login", authz.KindToken, key, authz.CodeUnknownKey, `Basic realm="pullgate"`, "this key is not known"},
		{"a token at the login", authz.KindToken, token, authz.CodeUnknownKey, `Basic realm="pullgate"`, "this token"},
	} {
		r := manifest()
		r.Kind, r.TokenPath, r.Credential.Kind = c.kind, tokenPath, c.credential
		switch c.kind {
		case authz.KindPing, authz.KindCatalog, authz.KindToken:
			r.Repository = ""
		}
		p := reply.For(r, &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 401, Code: c.code})
		code, message := fault(t, p)
		if got := header(t, p.Headers, "www-authenticate"); got != c.want || p.Status != 401 || code != "UNAUTHORIZED" || !strings.Contains(message, c.text) {
			t.Errorf("%s: %d %s %q\n%s\n%s", c.name, p.Status, code, message, got, c.want)
		}
		// Where there are no tokens nobody is told to get one.
		r.TokenPath = ""
		if got := header(t, reply.For(r, &authz.Decision{Outcome: authz.OutcomeDeny, Status: 401, Code: c.code}).Headers, "www-authenticate"); got != `Basic realm="pullgate"` {
			t.Errorf("%s, without tokens: %s", c.name, got)
		}
	}
	// Nothing ends a quoted string early.
	r := manifest()
	r.TokenPath, r.Host = tokenPath, "h\",scope=\"x\\\r\n\xff"
	p := reply.For(r, &authz.Decision{Outcome: authz.OutcomeDeny, Status: 401, Code: authz.CodeAnonymous})
	if got := header(t, p.Headers, "www-authenticate"); strings.Count(got, `"`) != 6 || strings.ContainsAny(got, "\\\r\n") || strings.IndexByte(got, 0xff) >= 0 {
		t.Errorf("%q", got)
	}
}

func TestTokenRequestsAreRefusedInTheirOwnWords(t *testing.T) {
	for path, text := range map[string]string{
		tokenPath: "the request for a token is not understood", tokenPath + "?service=a&service=b": "the request for a token is not understood",
		tokenPath + "/": "plain spelling", "/v2/a//b": "plain spelling",
	} {
		r := &authz.Request{Kind: authz.KindMalformed, Method: "GET", Path: path, TokenPath: tokenPath}
		if _, message := fault(t, reply.For(r, &authz.Decision{Outcome: authz.OutcomeDeny, Status: 400, Code: authz.CodeMalformed})); !strings.Contains(message, text) {
			t.Errorf("%s: %s", path, message)
		}
	}
	for path, want := range map[string]string{tokenPath: "GET, HEAD, POST", "/v2/": "GET, HEAD"} {
		r := &authz.Request{Kind: authz.KindUnsupported, Method: "PUT", Path: path, TokenPath: tokenPath}
		p := reply.For(r, &authz.Decision{Outcome: authz.OutcomeDeny, Status: 405, Code: authz.CodeUnsupported})
		if got := header(t, p.Headers, "allow"); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
}

func TestTokenIsTheAnswerOfItsDecisionOnly(t *testing.T) {
	r := &authz.Request{Kind: authz.KindToken, Method: "GET", Host: "registry.example", TokenPath: tokenPath}
	yes := &authz.Decision{ID: id, Outcome: authz.OutcomeAnswer, Status: 200, Code: authz.CodeOK}
	p := reply.Token(r, yes, []byte(`{"token":"x"}`))
	if p.Allow || p.Status != 200 || string(p.Body) != `{"token":"x"}` || header(t, p.Headers, "cache-control") != "no-store" ||
		header(t, p.Headers, "content-type") != "application/json" || header(t, p.Headers, "x-pullgate-decision") != id || p.Metadata.DecisionID != id {
		t.Errorf("%+v", p)
	}
	for name, p := range map[string]*reply.Reply{
		"no token":         reply.Token(r, yes, nil),
		"nobody made one":  reply.For(r, yes),
		"denied":           reply.Token(r, &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 401, Code: authz.CodeUnknownKey}, []byte("x")),
		"no decision":      reply.Token(r, &authz.Decision{}, []byte("x")),
		"another question": reply.Token(manifest(), yes, []byte("x")),
	} {
		if p.Allow || p.Status == 200 || string(p.Body) == "x" {
			t.Errorf("%s: %+v", name, p)
		}
	}
}
