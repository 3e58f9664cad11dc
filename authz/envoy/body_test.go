package envoy_test

import (
	"crypto/sha256"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/envoy"
	"github.com/pullgate/pullgate/authz/reply"
)

// noTokens reads none.
type noTokens struct{}

func (noTokens) Read(string) (authz.Credential, bool) { return authz.Credential{}, false }

// Envoy sends a body as bytes or as text, on the routes where it is told to.
func TestBodyOfATokenRequestIsRead(t *testing.T) {
	d := &decider{decide: func(r *authz.Request) *authz.Decision {
		return &authz.Decision{ID: "D1", Outcome: authz.OutcomeAnswer, Status: 200, Code: authz.CodeOK}
	}}
	_, conn := start(t, envoy.Config{
		Decider: d, Classifier: &classify.Classifier{TokenPath: "/pullgate/token", Tokens: noTokens{}},
		Reply: func(r *authz.Request, d *authz.Decision) *reply.Reply {
			return reply.Token(r, d, []byte(`{"token":"t"}`))
		},
	})
	form := []byte("grant_type=password&password=" + key)
	m := message{"POST", "/pullgate/token", "registry.example", [][2]string{{"content-type", "application/x-www-form-urlencoded"}}}
	for name, encode := range encodings {
		for how, put := range map[string]func(*authv3.AttributeContext_HttpRequest){
			"bytes": func(h *authv3.AttributeContext_HttpRequest) { h.RawBody = form },
			"text":  func(h *authv3.AttributeContext_HttpRequest) { h.Body = string(form) },
		} {
			req := encode(m)
			put(req.Attributes.Request.Http)
			out := ask(t, conn, req)
			r := d.last(t)
			if r.Kind != authz.KindToken || r.Credential.Hash != sha256.Sum256([]byte(key)) {
				t.Errorf("%s, body as %s: %+v", name, how, r)
			}
			if denied := out.GetDeniedResponse(); denied.GetStatus().GetCode() != 200 || denied.GetBody() != `{"token":"t"}` {
				t.Errorf("%s, body as %s: answered %v", name, how, out)
			}
		}
		ask(t, conn, encode(m))
		if r := d.last(t); r.Kind != authz.KindMalformed {
			t.Errorf("%s, without the body: %+v", name, r)
		}
	}
}
