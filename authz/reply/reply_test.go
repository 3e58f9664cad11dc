package reply_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/reply"
)

const (
	id     = "0190c1f2-7b7a-7c3e-9d8e-0123456789ab"
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

func manifest() *authz.Request {
	return &authz.Request{Kind: authz.KindManifest, Method: "GET", Host: "registry.example", Repository: "acme/app", Tag: "1.5.0", N: -1}
}

func header(t *testing.T, all []reply.Header, name string) string {
	t.Helper()
	found, n := "", 0
	for _, h := range all {
		if h.Name == name {
			found, n = h.Value, n+1
		}
	}
	if n > 1 {
		t.Errorf("header %s is there %d times", name, n)
	}
	return found
}

// fault reads the body of a refusal, which must be exactly one error.
func fault(t *testing.T, p *reply.Reply) (code, message string) {
	t.Helper()
	var body struct {
		Errors []struct{ Code, Message string }
	}
	d := json.NewDecoder(strings.NewReader(string(p.Body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&body); err != nil || len(body.Errors) != 1 || d.More() {
		t.Fatalf("body %q: %v", p.Body, err)
	}
	return body.Errors[0].Code, body.Errors[0].Message
}

func TestRefusals(t *testing.T) {
	for _, tc := range []struct {
		name    string
		kind    authz.Kind
		outcome authz.Outcome
		status  int
		code    authz.Code
		want    int
		oci     string
		text    string
	}{
		{"malformed", authz.KindMalformed, authz.OutcomeDeny, 400, authz.CodeMalformed, 400, "NAME_INVALID", "plain spelling"},
		{"anonymous", authz.KindManifest, authz.OutcomeDeny, 401, authz.CodeAnonymous, 401, "UNAUTHORIZED", "docker login registry.example"},
		{"unknown key", authz.KindManifest, authz.OutcomeDeny, 401, authz.CodeUnknownKey, 401, "UNAUTHORIZED", "not known"},
		{"expired key", authz.KindManifest, authz.OutcomeDeny, 401, authz.CodeKeyExpired, 401, "UNAUTHORIZED", "has expired"},
		{"without the policy's words", authz.KindManifest, authz.OutcomeDeny, 403, authz.CodeExpired, 403, "DENIED", "do not cover this"},
		{"key scope", authz.KindManifest, authz.OutcomeDeny, 403, authz.CodeKeyScope, 403, "DENIED", "another key"},
		{"vendor code", authz.KindManifest, authz.OutcomeDeny, 403, "vendor.region.wrong", 403, "DENIED", "ask your vendor"},
		{"catalog off", authz.KindCatalog, authz.OutcomeDeny, 403, authz.CodeUnsupported, 403, "UNSUPPORTED", "does not answer"},
		{"verb", authz.KindUnsupported, authz.OutcomeDeny, 405, authz.CodeUnsupported, 405, "UNSUPPORTED", "read-only"},
		{"repository", authz.KindBlob, authz.OutcomeDeny, 404, authz.CodeUnknownRepository, 404, "NAME_UNKNOWN", "no such repository"},
		{"manifest", authz.KindManifest, authz.OutcomeDeny, 404, authz.CodeUnknownReference, 404, "MANIFEST_UNKNOWN", "no such manifest"},
		{"referrers", authz.KindReferrers, authz.OutcomeDeny, 404, authz.CodeUnknownReference, 404, "MANIFEST_UNKNOWN", "no such manifest"},
		{"blob", authz.KindBlob, authz.OutcomeDeny, 404, authz.CodeUnknownReference, 404, "BLOB_UNKNOWN", "no such blob"},
		{"rate", authz.KindPing, authz.OutcomeDeny, 429, authz.CodeRateLimited, 429, "TOOMANYREQUESTS", "wait"},
		{"not ready", authz.KindPing, authz.OutcomeError, 503, authz.CodeNotReady, 503, "UNAVAILABLE", "starting"},
		{"stale", authz.KindPing, authz.OutcomeError, 503, authz.CodeStale, 503, "UNAVAILABLE", "too old"},
		{"overloaded", authz.KindManifest, authz.OutcomeError, 503, authz.CodeOverloaded, 503, "UNAVAILABLE", "too much to do"},
		{"internal", authz.KindPing, authz.OutcomeError, 503, authz.CodeInternalError, 503, "UNAVAILABLE", "could not decide"},
		// What is no proper decision is pullgate's failure.
		{"zero", authz.KindManifest, 0, 0, "", 503, "UNAVAILABLE", "could not decide"},
		{"denied with 200", authz.KindManifest, authz.OutcomeDeny, 200, authz.CodeExpired, 503, "UNAVAILABLE", ""},
		{"denied with 0", authz.KindManifest, authz.OutcomeDeny, 0, authz.CodeExpired, 503, "UNAVAILABLE", ""},
		{"error with 200", authz.KindManifest, authz.OutcomeError, 200, authz.CodeInternalError, 503, "UNAVAILABLE", ""},
		{"outcome of the future", authz.KindManifest, 99, 200, authz.CodeOK, 503, "UNAVAILABLE", ""},
		{"ping cannot be let through", authz.KindPing, authz.OutcomeAllow, 200, authz.CodeOK, 503, "UNAVAILABLE", ""},
		{"malformed cannot be let through", authz.KindMalformed, authz.OutcomeAllow, 200, authz.CodeOK, 503, "UNAVAILABLE", ""},
		{"a manifest cannot be answered", authz.KindManifest, authz.OutcomeAnswer, 200, authz.CodeOK, 503, "UNAVAILABLE", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := manifest()
			r.Kind = tc.kind
			d := &authz.Decision{ID: id, Outcome: tc.outcome, Status: tc.status, Code: tc.code}
			p := reply.For(r, d)
			code, message := fault(t, p)
			if p.Allow || p.Status != tc.want || code != tc.oci || !strings.Contains(message, tc.text) {
				t.Errorf("allow %v, %d %s %q; want %d %s and %q", p.Allow, p.Status, code, message, tc.want, tc.oci, tc.text)
			}
			for name, want := range map[string]string{
				"content-type": "application/json", "docker-distribution-api-version": "registry/2.0", "cache-control": "no-store", "x-pullgate-decision": id,
			} {
				if got := header(t, p.Headers, name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			challenge, retry := header(t, p.Headers, "www-authenticate"), header(t, p.Headers, "retry-after")
			if (challenge == `Basic realm="pullgate"`) != (p.Status == 401) || (challenge == "") == (p.Status == 401) {
				t.Errorf("challenge %q", challenge)
			}
			if (retry != "") != (p.Status == 429 || p.Status == 503) {
				t.Errorf("retry-after %q", retry)
			}
			if got, want := strings.HasSuffix(message, id), p.Status == 403; got != want {
				t.Errorf("message ends with the id: %v, want %v: %s", got, want, message)
			}
			if p.Status == 404 && (strings.Contains(message, "acme") || strings.Contains(message, "1.5.0")) {
				t.Errorf("a 404 names what was asked: %s", message)
			}
			if p.Path != "" || p.UpstreamSet != nil || p.ResponseAdd != nil {
				t.Errorf("a refusal changes the request: %+v", p)
			}
		})
	}
}

func TestNilDecisionIsUnavailable(t *testing.T) {
	for _, p := range []*reply.Reply{reply.For(nil, nil), reply.For(manifest(), nil), reply.For(nil, &authz.Decision{Outcome: authz.OutcomeAllow})} {
		if p.Allow || p.Status != 503 {
			t.Errorf("allow %v status %d", p.Allow, p.Status)
		}
		fault(t, p)
	}
}

func TestUnknownRepositoryIsTheSameForEveryQuestion(t *testing.T) {
	var bodies []string
	for i, kind := range []authz.Kind{authz.KindManifest, authz.KindBlob, authz.KindTags, authz.KindReferrers} {
		r := &authz.Request{Kind: kind, Method: "GET", Repository: fmt.Sprintf("acme/x%d", i), N: -1, Host: "a"}
		d := &authz.Decision{
			ID: id + fmt.Sprint(i), Outcome: authz.OutcomeDeny, Status: 404, Code: authz.CodeUnknownRepository, PolicyCode: authz.CodeNotGranted,
			Verdict: authz.Verdict{Code: authz.CodeNotGranted, Message: "not granted " + r.Repository}, Subject: authz.Subject{Customer: "acme"},
		}
		bodies = append(bodies, string(reply.For(r, d).Body))
	}
	if len(slices.Compact(bodies)) != 1 {
		t.Errorf("bodies differ: %q", bodies)
	}
}

func TestForbiddenCarriesThePolicysWords(t *testing.T) {
	r := manifest()
	d := &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 403, Code: authz.CodeExpired, PolicyCode: authz.CodeExpired}
	d.Verdict = authz.Verdict{Code: authz.CodeExpired, License: "acme-app-2026", Message: `license acme-app-2026 ended on 2026-12-31: "renew" <it> & go on.`}
	p := reply.For(r, d)
	want := `{"errors":[{"code":"DENIED","message":"license acme-app-2026 ended on 2026-12-31: \"renew\" <it> & go on; decision ` + id + `"}]}`
	if string(p.Body) != want {
		t.Errorf("got  %s\nwant %s", p.Body, want)
	}
	// Go refused although the policy would allow: its text does not apply.
	d.Code, d.Verdict = authz.CodeKeyScope, authz.Verdict{Allow: true, Code: authz.CodeOK, Message: "fine"}
	if _, message := fault(t, reply.For(r, d)); strings.Contains(message, "fine") || !strings.Contains(message, "key") {
		t.Errorf("message %q", message)
	}
}

func TestLongNamesAreShortenedAndTheIDNever(t *testing.T) {
	r := manifest()
	r.Repository = strings.Repeat("segment/", 30) + "app"
	r.Tag = strings.Repeat("t", 128)
	d := &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 403, Code: authz.CodeVersionNotGranted}
	d.Verdict = authz.Verdict{Code: d.Code, Message: r.Repository + ":" + r.Tag + " is outside what license acme-app-2026 covers (<2.0.0): ask your vendor"}
	_, message := fault(t, reply.For(r, d))
	if len(message) > 200 || !strings.HasSuffix(message, "is outside what license acme-app-2026 covers (<2.0.0): ask your vendor; decision "+id) || !strings.Contains(message, "...") {
		t.Errorf("%d bytes: %s", len(message), message)
	}
	r = &authz.Request{Kind: authz.KindManifest, Host: strings.Repeat("h", 300)}
	if _, message = fault(t, reply.For(r, &authz.Decision{Outcome: authz.OutcomeDeny, Status: 401, Code: authz.CodeKeyExpired})); len(message) > 200 || !strings.HasSuffix(message, "as the password") {
		t.Errorf("%d bytes: %s", len(message), message)
	}
}

// Whatever a customer, a vendor rule or a broken bundle puts in: a refusal is one error with one
// line of at most 200 printable ASCII bytes, and no header can be broken.
func TestRepliesAreAlwaysOneASCIILine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String()
		r := &authz.Request{
			Kind: authz.Kind(rapid.IntRange(0, 9).Draw(rt, "kind")), Method: "GET", Host: text.Draw(rt, "host"),
			Repository: text.Draw(rt, "repository"), Tag: text.Draw(rt, "tag"), N: rapid.IntRange(-1, 3).Draw(rt, "n"),
		}
		d := &authz.Decision{
			ID: id, Outcome: authz.Outcome(rapid.IntRange(0, 4).Draw(rt, "outcome")),
			Status: rapid.SampledFrom([]int{0, 200, 400, 401, 403, 404, 405, 429, 500, 503, 999}).Draw(rt, "status"),
			Code:   authz.Code(rapid.OneOf(rapid.SampledFrom([]string{"ok", "expired", "unsupported", "unknown_reference"}), text).Draw(rt, "code")),
			Names:  rapid.SliceOf(text).Draw(rt, "names"),
			Verdict: authz.Verdict{
				License: text.Draw(rt, "license"), Message: text.Draw(rt, "message"), Warnings: []authz.Warning{{Code: text.Draw(rt, "warning"), Message: text.Draw(rt, "warning text")}},
				Headers: []authz.Header{{Name: text.Draw(rt, "name"), Value: text.Draw(rt, "value"), To: rapid.SampledFrom([]string{"client", "upstream", ""}).Draw(rt, "to")}},
			},
			Subject: authz.Subject{Customer: text.Draw(rt, "customer")},
		}
		d.Verdict.Code = d.Code
		p := reply.For(r, d)
		for _, all := range [][]reply.Header{p.Headers, p.UpstreamSet, p.ResponseAdd} {
			for _, h := range all {
				if h.Name != strings.ToLower(h.Name) || strings.ContainsFunc(h.Name+h.Value, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
					rt.Fatalf("header %q: %q", h.Name, h.Value)
				}
			}
		}
		if p.Allow != (d.Outcome == authz.OutcomeAllow && r.Kind.Action() == "pull") || p.Status == 0 {
			rt.Fatalf("outcome %d became allow %v, status %d", d.Outcome, p.Allow, p.Status)
		}
		if !p.Allow && p.Status != 200 {
			_, message := fault(t, p)
			if len(message) > 200 || strings.ContainsFunc(message, func(c rune) bool { return c < 0x20 || c > 0x7e }) {
				rt.Fatalf("message %q", message)
			}
		}
		if !p.Allow && !json.Valid(p.Body) {
			rt.Fatalf("body %q", p.Body)
		}
	})
}

func TestAllow(t *testing.T) {
	d := &authz.Decision{
		ID: id, Outcome: authz.OutcomeAllow, Status: 200, Code: authz.CodeGrace, Pinned: digest, Subject: authz.Subject{Customer: "acme"},
		Verdict: authz.Verdict{
			Allow: true, Code: authz.CodeGrace, License: "acme-app",
			Warnings: []authz.Warning{{Code: "grace", Message: `ended, "renew" it`}, {Code: "vendor.x.y", Message: "two"}},
			Headers: []authz.Header{
				{Name: "X-Region", Value: "eu", To: "upstream"},
				{Name: "X-Note", Value: "hello", To: "client"},
				{Name: "Authorization", Value: "Basic x", To: "upstream"},
				{Name: "host", Value: "x", To: "upstream"},
				{Name: ":path", Value: "/", To: "upstream"},
				{Name: "cookie", Value: "x", To: "upstream"},
				{Name: "x-envoy-original-path", Value: "/", To: "upstream"},
				{Name: "X-Pullgate-Customer", Value: "x", To: "upstream"},
				{Name: "x_pullgate_customer", Value: "x", To: "upstream"},
				{Name: "cache-control", Value: "public", To: "client"},
				{Name: "x-a", Value: "a\r\nb: c", To: "client"},
				{Name: "x-b", Value: "c", To: "nowhere"},
				{Name: "x-edition", To: "upstream"},
				{Name: "x-none", To: "client"},
			},
		},
	}
	p := reply.For(manifest(), d)
	want := &reply.Reply{
		Allow: true, Status: 200, Path: "/v2/acme/app/manifests/" + digest,
		UpstreamSet:    []reply.Header{{"x-pullgate-decision", id}, {"x-pullgate-customer", "acme"}, {"x-pullgate-license", "acme-app"}, {"x-region", "eu"}},
		UpstreamRemove: []string{"authorization", "proxy-authorization", "x-edition"},
		ResponseAdd: []reply.Header{
			{"cache-control", "private, no-store"}, {"x-pullgate-decision", id}, {"warning", `299 - "ended, \"renew\" it", 299 - "two"`}, {"x-note", "hello"},
		},
		Metadata: reply.Metadata{DecisionID: id, Code: "grace", Customer: "acme", License: "acme-app"},
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Error(diff)
	}
	p.Strip("X-Pullgate-Customer")
	p.Strip("X_Pullgate-Key")
	p.Strip("x-pullgate-key")
	p.Strip("accept")
	p.Strip("X-Region")
	p.Strip("X_Region")
	p.Strip("x_edition")
	p.Strip("x_other")
	p.Authorize("Basic secret")
	if diff := cmp.Diff([]string{"proxy-authorization", "x-edition", "x_pullgate-key", "x-pullgate-key", "x_region", "x_edition"}, p.UpstreamRemove); diff != "" {
		t.Errorf("removed:\n%s", diff)
	}
	if got := header(t, p.UpstreamSet, "authorization"); got != "Basic secret" {
		t.Errorf("authorization %q", got)
	}
}

func TestAllowOfPublicAndOfDigest(t *testing.T) {
	r := &authz.Request{Kind: authz.KindBlob, Method: "GET", Repository: "acme/app", Digest: digest, N: -1}
	p := reply.For(r, &authz.Decision{ID: id, Outcome: authz.OutcomeAllow, Status: 200, Code: authz.CodePublic})
	if !p.Allow || p.Path != "" {
		t.Errorf("allow %v path %q", p.Allow, p.Path)
	}
	if diff := cmp.Diff([]string{"authorization", "proxy-authorization", "x-pullgate-customer", "x-pullgate-license"}, p.UpstreamRemove); diff != "" {
		t.Errorf("identity of nobody must be removed:\n%s", diff)
	}
	if p.Authorize(""); !slices.Contains(p.UpstreamRemove, "authorization") {
		t.Error("without a credential authorization must stay removed")
	}
	denied := reply.For(r, nil)
	denied.Authorize("Basic secret")
	denied.Strip("x-pullgate-a")
	if denied.UpstreamSet != nil || denied.UpstreamRemove != nil {
		t.Error("a refusal got a credential")
	}
}

func TestWarningWithoutTextHasOne(t *testing.T) {
	for _, code := range []string{authz.WarnExpiringSoon, authz.WarnGrace, authz.WarnKeptVersion, authz.WarnEnforcement, "vendor.a.b"} {
		d := &authz.Decision{Outcome: authz.OutcomeAllow, Verdict: authz.Verdict{License: "acme-app", Ends: 1798761600, Warnings: []authz.Warning{{Code: code}}}}
		w := header(t, reply.For(manifest(), d).ResponseAdd, "warning")
		if !strings.HasPrefix(w, `299 - "`) || len(w) < 30 {
			t.Errorf("%s: %s", code, w)
		}
		if code == authz.WarnExpiringSoon && !strings.Contains(w, "acme-app ends on 2027-01-01") {
			t.Errorf("%s: %s", code, w)
		}
	}
}
