package envoy

import (
	"context"
	"encoding/base64"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/proto"

	"github.com/pullgate/pullgate/authz"
)

// allowing allows, always with the same Decision.
type allowing struct{ d *authz.Decision }

func (a allowing) Decide(context.Context, *authz.Request) *authz.Decision { return a.d }

// From the bytes of a request to those of its reply, but for what the decision takes: with the 7 of one from the
// cache (TestAllocationsOfADecision in authz/engine) the 12 of the budget are kept.
func TestAllocationsAroundADecision(t *testing.T) {
	key := "pg_" + "0123456789abcdefghjkmnpqrstvwxyz0123456789abcdefghjk" + "_00000000"
	headers := []*corev3.HeaderValue{}
	for _, h := range [][2]string{
		{":authority", "registry.example"},
		{":path", "/v2/acme/app/manifests/1.4.0"},
		{":method", "GET"},
		{":scheme", "https"},
		{"authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+key))},
		{"user-agent", "crane"},
		{"accept", "application/vnd.oci.image.index.v1+json"},
		{"x-request-id", "1"},
	} {
		headers = append(headers, &corev3.HeaderValue{Key: h[0], RawValue: []byte(h[1])})
	}
	data, err := proto.Marshal(&authv3.CheckRequest{Attributes: &authv3.AttributeContext{Request: &authv3.AttributeContext_Request{
		Http: &authv3.AttributeContext_HttpRequest{Method: "GET", Path: "/v2/acme/app/manifests/1.4.0", Host: "registry.example", HeaderMap: &corev3.HeaderMap{Headers: headers}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	d := &authz.Decision{
		ID: "0192f0c0-0000-7000-8000-000000000000", Outcome: authz.OutcomeAllow, Status: 200, Code: authz.CodeOK,
		Subject: authz.Subject{Customer: "bakery", Key: "ci", Via: "key"}, Verdict: authz.Verdict{Allow: true, License: "bakery-app"},
		Resource: authz.Resource{Registry: "main", Repository: "acme/app"}, Pinned: "sha256:0000000000000000000000000000000000000000000000000000000000000000",
	}
	s, err := New(Config{Addr: "127.0.0.1:0", Decider: allowing{d}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	defer s.grpc.Stop()
	text, buffer, ctx := string(data), make([]byte, 0, usualReply), context.Background()
	n := testing.AllocsPerRun(200, func() {
		p := s.check(ctx, text)
		if !p.Allow {
			t.Fatalf("%+v", p)
		}
		encode(buffer, p)
	})
	t.Logf("around a decision: %v allocations", n)
	if n > 5 {
		t.Errorf("%v allocations, want at most 5", n)
	}
}
