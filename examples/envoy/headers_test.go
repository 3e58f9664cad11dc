package envoy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
)

// send asks for a manifest with these header lines beside those that every request has.
func (r *rig) send(lines ...string) *http.Response {
	r.Helper()
	conn, err := tls.Dial("tcp", r.addr, r.client.Transport.(*http.Transport).TLSClientConfig)
	r.must(err)
	defer conn.Close()
	head := append([]string{"GET /v2/acme/app/manifests/1.4.0 HTTP/1.1", "Host: registry.acme.example", "Connection: close"}, lines...)
	_, err = io.WriteString(conn, strings.Join(head, "\r\n")+"\r\n\r\n")
	r.must(err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	r.must(err)
	defer resp.Body.Close()
	return resp
}

// Rigs connect from loopback, which Envoy calls internal unless it is told otherwise; so does a
// request that says it has come further.
func TestNobodyIsInternal(t *testing.T) {
	const id = "11111111-2222-4333-8444-555555555555"
	planted := []string{
		"x-request-id: " + id, "x-envoy-internal: true", "x-envoy-upstream-alt-stat-name: planted", "x-envoy-retry-on: 5xx",
		"x-envoy-retry-grpc-on: internal", "x-envoy-max-retries: 50", "x-envoy-upstream-rq-timeout-ms: 1",
		"x-envoy-upstream-rq-per-try-timeout-ms: 1", "x-envoy-upstream-rq-timeout-alt-response: 1", "x-envoy-expected-rq-timeout-ms: 1",
		"x-envoy-force-trace: true", "x-envoy-decorator-operation: planted", "x-envoy-original-path: /planted", "x-envoy-original-host: planted",
		"x-envoy-hedge-on-per-try-timeout: true", "x-envoy-ip-tags: planted", "x-envoy-attempt-count: 7", "x-envoy-is-timeout-retry: true",
		"x-envoy-external-address: 10.0.0.1", "x-envoy-downstream-service-cluster: planted", "x-envoy-downstream-service-node: planted",
		"x-envoy-retriable-status-codes: 200", "x-envoy-retriable-header-names: date",
	}
	for name, more := range map[string]string{"from loopback": "accept: */*", "from a private network by its word": "x-forwarded-for: 10.0.0.1"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.authz.answer = allow
			resp := r.send(append(planted, more)...)
			got := r.upstream()
			if resp.StatusCode != http.StatusOK || len(got) != 1 {
				t.Fatalf("answer %s, the registry got %d requests", resp.Status, len(got))
			}
			for name, values := range got[0].Header {
				if strings.HasPrefix(name, "X-Envoy-") {
					t.Errorf("the registry got %s: %q", name, values)
				}
			}
			if v := got[0].Header["X-Request-Id"]; len(v) != 1 || v[0] == id {
				t.Errorf("the registry got the request ids %q, want one that is not the client's", v)
			}
			stats, err := r.envoy.Get(r.ctx, "/stats")
			r.must(err)
			if strings.Contains(string(stats), "planted") {
				t.Error("a client named a stat")
			}
		})
	}
}

// Headers by which some registry or proxy finds another path, verb, host or caller than the
// ones that were judged, and secrets meant for somebody else.
func TestHeadersThatWereNotJudgedStayBehind(t *testing.T) {
	names := []string{
		"x-original-url", "x-rewrite-url", "x-original-uri", "x-original-method", "x-forwarded-uri", "x-forwarded-method", "x-forwarded-prefix",
		"x-http-method", "x-http-method-override", "x-method-override", "x-host", "x-original-host", "x-forwarded-host", "x-forwarded-server", "x-forwarded-port",
		"forwarded", "proxy-authorization", "proxy", "cookie", "x-forwarded-client-cert", "x-forwarded-user", "x-remote-user", "remote-user",
	}
	r := newRig(t, nil)
	r.authz.answer = allow
	lines := []string{"accept: application/vnd.oci.image.index.v1+json", "user-agent: docker/28", "range: bytes=1-"}
	for _, name := range names {
		lines = append(lines, name+": planted")
	}
	resp := r.send(lines...)
	got := r.upstream()
	if resp.StatusCode != http.StatusOK || len(got) != 1 {
		t.Fatalf("answer %s, the registry got %d requests", resp.Status, len(got))
	}
	for _, name := range names {
		if v := got[0].Header.Values(name); v != nil {
			t.Errorf("the registry got %s: %q", name, v)
		}
	}
	for _, name := range []string{"accept", "user-agent", "range"} {
		if got[0].Header.Get(name) == "" {
			t.Errorf("the registry got no %s", name)
		}
	}
}

// What Envoy and pullgate add does not make a request with many headers one with too many.
func TestManyHeadersPass(t *testing.T) {
	r := newRig(t, nil)
	r.authz.answer = func(ctx context.Context) *authv3.CheckResponse {
		resp := allow(ctx)
		ok := resp.GetOkResponse()
		for _, name := range []string{"x-pullgate-decision", "x-pullgate-customer", "x-pullgate-license", "x-one", "x-two", "x-three"} {
			ok.Headers = append(ok.Headers, set(name, "x"))
		}
		return resp
	}
	var lines []string
	for i := range 90 {
		lines = append(lines, fmt.Sprintf("x-filler-%d: x", i))
	}
	if resp := r.send(lines...); resp.StatusCode != http.StatusOK {
		t.Errorf("90 headers: %s", resp.Status)
	}
	for i := range 500 {
		lines = append(lines, fmt.Sprintf("x-more-%d: x", i))
	}
	if resp := r.send(lines...); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("590 headers: %s", resp.Status)
	}
}
