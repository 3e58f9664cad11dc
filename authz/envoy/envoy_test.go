package envoy_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/envoy"
	"github.com/pullgate/pullgate/examples/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	id     = "0190c1f2-7b7a-7c3e-9d8e-0123456789ab"
	key    = "pg_00khpaqrsmj132rg5rhrs0dg0a6yp5ak0ham6c6ztnh3rvyvbrj0_21fe4785"
	digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// decider answers as it is told and remembers what it was asked.
type decider struct {
	mu     sync.Mutex
	asked  []*authz.Request
	decide func(*authz.Request) *authz.Decision
}

func (d *decider) Decide(_ context.Context, r *authz.Request) *authz.Decision {
	d.mu.Lock()
	d.asked = append(d.asked, r)
	d.mu.Unlock()
	return d.decide(r)
}

func (d *decider) last(t *testing.T) *authz.Request {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.asked) == 0 {
		t.Fatal("nothing was asked")
	}
	return d.asked[len(d.asked)-1]
}

func allow(r *authz.Request) *authz.Decision {
	d := &authz.Decision{
		ID: id, Outcome: authz.OutcomeAllow, Status: 200, Code: authz.CodeOK, Subject: authz.Subject{Customer: "acme"},
		Resource: authz.Resource{Registry: "main"}, Verdict: authz.Verdict{Allow: true, Code: authz.CodeOK, License: "acme-app"},
	}
	if r.Kind == authz.KindMalformed {
		return &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 400, Code: authz.CodeMalformed}
	}
	if r.Tag != "" {
		d.Pinned = digest
	}
	return d
}

type credentials map[string]string

// unavailable is the credential of a registry that has one and cannot get it now.
const unavailable = "unavailable"

func (c credentials) Authorization(_ context.Context, registry, repository string) (string, error) {
	if c[registry] == unavailable {
		return "", errors.New("no credential for " + repository)
	}
	return c[registry], nil
}

// start runs a server on loopback until the test ends and returns a connection to it.
func start(t *testing.T, cfg envoy.Config) (*envoy.Server, *grpc.ClientConn) {
	t.Helper()
	if cfg.Addr == "" {
		cfg.Addr = "127.0.0.1:0"
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	s, err := envoy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	target := s.Addr().String()
	if s.Addr().Network() == "unix" {
		target = "unix:" + target
	}
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("Run does not end")
		}
	})
	return s, conn
}

// message is a request as Envoy would describe it.
type message struct {
	method, path, host string
	headers            [][2]string
}

// encodings are the two ways Envoy encodes headers.
var encodings = map[string]func(message) *authv3.CheckRequest{"joined": joined, "raw": raw}

func joined(m message) *authv3.CheckRequest {
	all := map[string]string{":method": m.method, ":path": m.path, ":authority": m.host, ":scheme": "https"}
	for _, h := range m.headers {
		if was, ok := all[h[0]]; ok {
			h[1] = was + "," + h[1]
		}
		all[h[0]] = h[1]
	}
	for k, v := range all {
		all[k] = strings.ToValidUTF8(v, "!")
	}
	req := attributes(m)
	req.Attributes.Request.Http.Headers = all
	return req
}

func raw(m message) *authv3.CheckRequest {
	req := attributes(m)
	list := &corev3.HeaderMap{}
	for _, h := range append([][2]string{{":authority", m.host}, {":path", m.path}, {":method", m.method}, {":scheme", "https"}}, m.headers...) {
		list.Headers = append(list.Headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	req.Attributes.Request.Http.HeaderMap = list
	return req
}

func attributes(m message) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "192.0.2.7", PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 4711}},
		}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Id: "1", Method: m.method, Path: strings.ToValidUTF8(m.path, "!"), Host: strings.ToValidUTF8(m.host, "!"), Scheme: "https", Protocol: "HTTP/2", Size: -1,
		}},
	}}
}

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("u:"+password))
}

func ask(t *testing.T, conn *grpc.ClientConn, req *authv3.CheckRequest) *authv3.CheckResponse {
	t.Helper()
	out, err := authv3.NewAuthorizationClient(conn).Check(t.Context(), req)
	if err != nil {
		t.Fatalf("a gRPC error, which failure_mode_allow lets through: %v", err)
	}
	if (out.GetStatus().GetCode() == 0) != (out.GetOkResponse() != nil) || out.GetErrorResponse() != nil {
		t.Fatalf("status %d with %T", out.GetStatus().GetCode(), out.GetHttpResponse())
	}
	if denied := out.GetDeniedResponse(); denied != nil && (denied.GetStatus().GetCode() == 0 || out.GetStatus() == nil) {
		t.Fatalf("denied without a status: %v", out)
	}
	return out
}

// values reads options by name; each must say both that it overwrites.
func values(t *testing.T, all []*corev3.HeaderValueOption) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, h := range all {
		//lint:ignore SA1019 Envoy still reads it
		if h.GetAppend() == nil || h.GetAppend().GetValue() || h.GetAppendAction() != corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD {
			t.Errorf("%s does not overwrite", h.GetHeader().GetKey())
		}
		if _, twice := out[h.GetHeader().GetKey()]; twice {
			t.Errorf("%s is sent twice", h.GetHeader().GetKey())
		}
		out[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
	}
	return out
}

func TestAllowedRequestReachesTheRegistryPinnedAndWithoutTheKey(t *testing.T) {
	for name, encode := range encodings {
		t.Run(name, func(t *testing.T) {
			gate := &decider{decide: allow}
			_, conn := start(t, envoy.Config{Decider: gate, Credentials: credentials{"main": "Basic upstream"}})
			out := ask(t, conn, encode(message{"GET", "/v2/acme/app/manifests/1.5.0", "Registry.Example", [][2]string{
				{"authorization", basic(key)},
				{"proxy-authorization", basic(key)},
				{"x-pullgate-customer", "globex"},
				{"x-pullgate-admin", "1"},
				{"x_pullgate_customer", "globex"},
				{"accept", "*/*"},
			}}))
			r := gate.last(t)
			if r.Kind != authz.KindManifest || r.Repository != "acme/app" || r.Tag != "1.5.0" || r.Host != "registry.example" || r.Via != "ext_authz" ||
				r.Credential.Kind != authz.CredentialKey || r.Address != netip.MustParseAddr("192.0.2.7") || !r.Identity.IsZero() {
				t.Errorf("classified as %+v", r)
			}
			ok := out.GetOkResponse()
			if ok == nil {
				t.Fatalf("not allowed: %v", out)
			}
			want := map[string]string{
				":path": "/v2/acme/app/manifests/" + digest, "authorization": "Basic upstream",
				"x-pullgate-decision": id, "x-pullgate-customer": "acme", "x-pullgate-license": "acme-app",
			}
			if diff := cmp.Diff(want, values(t, ok.GetHeaders())); diff != "" {
				t.Errorf("upstream headers:\n%s", diff)
			}
			removed := ok.GetHeadersToRemove()
			slices.Sort(removed)
			if diff := cmp.Diff([]string{"proxy-authorization", "x-pullgate-admin", "x_pullgate_customer"}, removed); diff != "" {
				t.Errorf("removed:\n%s", diff)
			}
			if diff := cmp.Diff(map[string]string{"cache-control": "private, no-store", "x-pullgate-decision": id}, values(t, ok.GetResponseHeadersToAdd())); diff != "" {
				t.Errorf("response headers:\n%s", diff)
			}
			if diff := cmp.Diff(map[string]any{"decision_id": id, "code": "ok", "customer": "acme", "license": "acme-app"}, out.GetDynamicMetadata().AsMap()); diff != "" {
				t.Errorf("metadata:\n%s", diff)
			}
			if strings.Contains(out.GetDynamicMetadata().String(), "upstream") {
				t.Error("the credential is in the metadata")
			}
		})
	}
}

func TestWithoutCredentialTheKeyIsRemoved(t *testing.T) {
	for name, given := range map[string]envoy.Credentials{"nil": nil, "other registry": credentials{"other": "Basic x"}} {
		t.Run(name, func(t *testing.T) {
			_, conn := start(t, envoy.Config{Decider: &decider{decide: allow}, Credentials: given})
			ok := ask(t, conn, raw(message{"GET", "/v2/a/blobs/" + digest, "h", nil})).GetOkResponse()
			if !slices.Contains(ok.GetHeadersToRemove(), "authorization") {
				t.Errorf("removed: %v", ok.GetHeadersToRemove())
			}
			if set := values(t, ok.GetHeaders()); set["authorization"] != "" || set[":path"] != "" {
				t.Errorf("set: %v", set)
			}
		})
	}
}

// An allowed request that cannot be given what the registry asks for does not go on without.
func TestCredentialThatCannotBeHadIsUnavailable(t *testing.T) {
	_, conn := start(t, envoy.Config{Decider: &decider{decide: allow}, Credentials: credentials{"main": unavailable}})
	for name, encode := range encodings {
		out := ask(t, conn, encode(message{"GET", "/v2/acme/app/manifests/1.5.0", "registry.example", nil}))
		denied := out.GetDeniedResponse()
		headers := values(t, denied.GetHeaders())
		if denied.GetStatus().GetCode() != 503 || headers["x-pullgate-decision"] != id || headers["retry-after"] == "" || out.GetDynamicMetadata().GetFields()["decision_id"].GetStringValue() != id {
			t.Errorf("%s: %v", name, out)
		}
	}
}

func TestRefusalAndAnswerAreDeniedReplies(t *testing.T) {
	for _, tc := range []struct {
		name   string
		path   string
		d      *authz.Decision
		status int
		grpc   codes.Code
		body   string
	}{
		{"denied", "/v2/a/manifests/1", &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 403, Code: authz.CodeExpired}, 403, codes.PermissionDenied, `"DENIED"`},
		{"anonymous", "/v2/", &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 401, Code: authz.CodeAnonymous}, 401, codes.Unauthenticated, `"UNAUTHORIZED"`},
		{"verb", "/v2/", &authz.Decision{ID: id, Outcome: authz.OutcomeDeny, Status: 405, Code: authz.CodeUnsupported}, 405, codes.PermissionDenied, `"UNSUPPORTED"`},
		{"ping", "/v2/", &authz.Decision{ID: id, Outcome: authz.OutcomeAnswer, Status: 200, Code: authz.CodeOK}, 200, codes.PermissionDenied, `{}`},
		{"tags", "/v2/a/tags/list?n=1", &authz.Decision{ID: id, Outcome: authz.OutcomeAnswer, Status: 200, Code: authz.CodeOK, Names: []string{"1", "2"}}, 200, codes.PermissionDenied, `{"name":"a","tags":["1"]}`},
		{"not ready", "/v2/", &authz.Decision{ID: id, Outcome: authz.OutcomeError, Status: 503, Code: authz.CodeNotReady}, 503, codes.Unavailable, `"UNAVAILABLE"`},
		{"zero decision", "/v2/a/manifests/1", &authz.Decision{}, 503, codes.Unavailable, `"UNAVAILABLE"`},
		{"no decision", "/v2/a/manifests/1", nil, 503, codes.Unavailable, `"UNAVAILABLE"`},
		{"status Envoy does not know", "/v2/a/manifests/1", &authz.Decision{Outcome: authz.OutcomeDeny, Status: 299}, 503, codes.Unavailable, `"UNAVAILABLE"`},
		{"text that is no UTF-8", "/v2/a/manifests/1", &authz.Decision{ID: "\xff", Outcome: authz.OutcomeDeny, Status: 403, Code: "\xff", Subject: authz.Subject{Customer: "\xff"}}, 403, codes.PermissionDenied, `"DENIED"`},
	} {
		for encoding, encode := range encodings {
			t.Run(tc.name+"/"+encoding, func(t *testing.T) {
				_, conn := start(t, envoy.Config{Decider: &decider{decide: func(*authz.Request) *authz.Decision { return tc.d }}, Credentials: credentials{"": "Basic x"}})
				out := ask(t, conn, encode(message{"GET", tc.path, "h", nil}))
				denied := out.GetDeniedResponse()
				if int(denied.GetStatus().GetCode()) != tc.status || codes.Code(out.GetStatus().GetCode()) != tc.grpc || !strings.Contains(denied.GetBody(), tc.body) {
					t.Errorf("HTTP %d, gRPC %d, %s", denied.GetStatus().GetCode(), out.GetStatus().GetCode(), denied.GetBody())
				}
				h := values(t, denied.GetHeaders())
				if h["content-type"] != "application/json" || h["docker-distribution-api-version"] != "registry/2.0" || h["authorization"] != "" {
					t.Errorf("headers: %v", h)
				}
			})
		}
	}
}

func TestPanicIsUnavailable(t *testing.T) {
	var log strings.Builder
	_, conn := start(t, envoy.Config{
		Decider: &decider{decide: func(r *authz.Request) *authz.Decision { panic("secret " + key) }},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	})
	for range 2 { // and the server lives on
		if out := ask(t, conn, raw(message{"GET", "/v2/a/manifests/1", "h", nil})); out.GetDeniedResponse().GetStatus().GetCode() != 503 {
			t.Errorf("got %v", out)
		}
	}
	if !strings.Contains(log.String(), "panic") || strings.Contains(log.String(), key) {
		t.Errorf("log: %s", log.String())
	}
}

func TestBothEncodingsClassifyAlike(t *testing.T) {
	for _, tc := range []struct {
		name string
		m    message
		want authz.Kind
	}{
		{"plain", message{"GET", "/v2/a/manifests/1", "h", [][2]string{{"authorization", basic(key)}}}, authz.KindManifest},
		{"query", message{"HEAD", "/v2/a/tags/list?n=1&last=1.0", "h", nil}, authz.KindTags},
		{"encoded", message{"GET", "/v2/a%2Fb/manifests/1", "h", nil}, authz.KindMalformed},
		{"two Authorization", message{"GET", "/v2/", "h", [][2]string{{"authorization", basic(key)}, {"authorization", basic(key)}}}, authz.KindMalformed},
		{"joined Authorization", message{"GET", "/v2/", "h", [][2]string{{"authorization", basic(key) + "," + basic(key)}}}, authz.KindMalformed},
		{"joined Host", message{"GET", "/v2/", "h,g", nil}, authz.KindMalformed},
		{"two Host", message{"GET", "/v2/", "h", [][2]string{{":authority", "other"}}}, authz.KindMalformed},
		{"host beside authority", message{"GET", "/v2/", "h", [][2]string{{"host", "h"}}}, authz.KindMalformed},
		{"path that is no UTF-8", message{"GET", "/v2/a/manifests/\xff", "h", nil}, authz.KindMalformed},
		{"query that is no UTF-8", message{"GET", "/v2/a/referrers/" + digest + "?artifactType=a/b\xff", "h", nil}, authz.KindMalformed},
		{"key that is no UTF-8", message{"GET", "/v2/", "h", [][2]string{{"authorization", "Basic \xff"}}}, authz.KindPing},
		{"another header that is no UTF-8", message{"GET", "/v2/", "h", [][2]string{{"x-a", "\xff\xfe"}}}, authz.KindPing},
		{"push", message{"PUT", "/v2/a/manifests/1", "h", nil}, authz.KindUnsupported},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []*authz.Request
			for _, encode := range encodings {
				gate := &decider{decide: allow}
				_, conn := start(t, envoy.Config{Decider: gate})
				ask(t, conn, encode(tc.m))
				r := gate.last(t)
				if r.Kind != tc.want {
					t.Errorf("got %s, want %s", r.Kind, tc.want)
				}
				got = append(got, r)
			}
			if got[0].Credential != got[1].Credential || got[0].Kind != got[1].Kind || got[0].Repository != got[1].Repository || got[0].Last != got[1].Last || got[0].N != got[1].N {
				t.Errorf("%+v\n%+v", got[0], got[1])
			}
		})
	}
}

func TestEmptyMessageIsRefused(t *testing.T) {
	gate := &decider{decide: func(r *authz.Request) *authz.Decision {
		return &authz.Decision{Outcome: authz.OutcomeDeny, Status: 405, Code: authz.CodeUnsupported}
	}}
	_, conn := start(t, envoy.Config{Decider: gate})
	for _, req := range []*authv3.CheckRequest{{}, {Attributes: &authv3.AttributeContext{}}, {Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{}}}} {
		ask(t, conn, req)
		if r := gate.last(t); r.Kind != authz.KindUnsupported {
			t.Errorf("kind %s", r.Kind)
		}
	}
}

func TestIdentityComesFromWhatEnvoyVerified(t *testing.T) {
	claims := func(iss, sub string) map[string]any { return map[string]any{"iss": iss, "sub": sub, "aud": []any{"x"}} }
	for _, tc := range []struct {
		name      string
		metadata  map[string]map[string]any
		principal string
		want      authz.Identity
	}{
		{"nothing", nil, "", authz.Identity{}},
		{"certificate", nil, "spiffe://acme/ci", authz.Identity{SAN: "spiffe://acme/ci"}},
		{"payload", map[string]map[string]any{"envoy.filters.http.jwt_authn": {"payload": claims("https://idp", "ci")}}, "", authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}},
		{"direct", map[string]map[string]any{"envoy.filters.http.jwt_authn": claims("https://idp", "ci")}, "", authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}},
		{"payload and header", map[string]map[string]any{"envoy.filters.http.jwt_authn": {"payload": claims("https://idp", "ci"), "header": map[string]any{"alg": "ES256"}}}, "", authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}},
		{"two subjects", map[string]map[string]any{"envoy.filters.http.jwt_authn": {"a": claims("https://idp", "ci"), "b": claims("https://idp", "other")}}, "", authz.Identity{}},
		{"the same twice", map[string]map[string]any{"envoy.filters.http.jwt_authn": {"a": claims("https://idp", "ci"), "b": claims("https://idp", "ci")}}, "", authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}},
		{"no subject", map[string]map[string]any{"envoy.filters.http.jwt_authn": {"a": map[string]any{"iss": "https://idp"}}}, "", authz.Identity{}},
		{"wrong types", map[string]map[string]any{"envoy.filters.http.jwt_authn": {"iss": 1, "sub": true, "a": "b"}}, "", authz.Identity{}},
		{"another filter", map[string]map[string]any{"envoy.filters.http.other": claims("https://idp", "ci")}, "", authz.Identity{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			gate := &decider{decide: allow}
			_, conn := start(t, envoy.Config{Decider: gate})
			// Headers that claim to be somebody change nothing.
			req := raw(message{"GET", "/v2/", "h", [][2]string{{"x-pullgate-customer", "acme"}, {"x-forwarded-client-cert", "URI=spiffe://acme/ci"}, {"x-forwarded-for", "10.0.0.1"}}})
			req.Attributes.Source.Principal = tc.principal
			req.Attributes.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{}}
			for filter, fields := range tc.metadata {
				s, err := structpb.NewStruct(fields)
				if err != nil {
					t.Fatal(err)
				}
				req.Attributes.MetadataContext.FilterMetadata[filter] = s
			}
			ask(t, conn, req)
			if r := gate.last(t); r.Identity != tc.want || r.Address != netip.MustParseAddr("192.0.2.7") {
				t.Errorf("got %+v from %v, want %+v", r.Identity, r.Address, tc.want)
			}
		})
	}
}

func TestClientAddressFromConfiguredHeader(t *testing.T) {
	for _, encode := range encodings {
		gate := &decider{decide: allow}
		_, conn := start(t, envoy.Config{Decider: gate, Classifier: &classify.Classifier{ClientAddress: classify.ClientAddress{Header: "x-forwarded-for", TrustedHops: 1}}})
		ask(t, conn, encode(message{"GET", "/v2/", "h", [][2]string{{"x-forwarded-for", "6.6.6.6"}, {"x-forwarded-for", "203.0.113.5, 10.0.0.1"}}}))
		if r := gate.last(t); r.Address != netip.MustParseAddr("203.0.113.5") {
			t.Errorf("address %v", r.Address)
		}
	}
}
