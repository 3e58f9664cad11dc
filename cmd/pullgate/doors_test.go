package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/envoy"
	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"
)

// grpcDoor asks over ext_authz on loopback, as Envoy does.
type grpcDoor struct {
	*authztest.Service
	client authv3.AuthorizationClient
	raw    bool // encode_raw_headers
}

func newGRPCDoor(t *testing.T, raw bool) *grpcDoor {
	t.Helper()
	d := &grpcDoor{Service: authztest.NewService(), raw: raw}
	addr := serveGate(t, d.Service, classify.ClientAddress{})
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	d.client = authv3.NewAuthorizationClient(conn)
	return d
}

// serveGate serves a script's Gate over ext_authz until the test ends.
func serveGate(t *testing.T, s *authztest.Service, from classify.ClientAddress) string {
	t.Helper()
	server, err := envoy.New(envoy.Config{Addr: "127.0.0.1:0", Decider: s.Gate, Classifier: &classify.Classifier{ClientAddress: from}})
	if err != nil {
		t.Fatal(err)
	}
	server.SetServing(true)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return server.Addr().String()
}

func (d *grpcDoor) Name() string { return fmt.Sprintf("grpc (raw headers %v)", d.raw) }

func (d *grpcDoor) Carries(*authztest.Exchange) bool { return true }

func (d *grpcDoor) Ask(ctx context.Context, x *authztest.Exchange) (*authztest.Answer, error) {
	req := &authv3.AttributeContext_HttpRequest{Method: x.Method, Path: x.Target, Host: x.Host, Protocol: "HTTP/1.1", Scheme: "https"}
	all := append([]authztest.Header{{Name: ":authority", Value: x.Host}, {Name: ":method", Value: x.Method}, {Name: ":path", Value: x.Target}, {Name: ":scheme", Value: "https"}}, x.Header...)
	if d.raw {
		req.HeaderMap = &corev3.HeaderMap{}
		for _, h := range all {
			req.HeaderMap.Headers = append(req.HeaderMap.Headers, &corev3.HeaderValue{Key: strings.ToLower(h.Name), RawValue: []byte(h.Value)})
		}
	} else {
		req.Headers = map[string]string{}
		for _, h := range all {
			name := strings.ToLower(h.Name)
			if old, ok := req.Headers[name]; ok {
				h.Value = old + "," + h.Value // as Envoy joins them
			}
			req.Headers[name] = strings.ToValidUTF8(h.Value, "!")
		}
	}
	// Fields of type string are UTF-8; Envoy replaces what is not before it asks.
	req.Path, req.Method = strings.ToValidUTF8(x.Target, "!"), strings.ToValidUTF8(x.Method, "!")
	port := &corev3.SocketAddress_PortValue{PortValue: 40000}
	check := &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: req},
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: x.Address.String(), PortSpecifier: port},
		}}},
	}}
	if x.Identity.JWTIssuer != "" {
		payload, err := structpb.NewStruct(map[string]any{"payload": map[string]any{"iss": x.Identity.JWTIssuer, "sub": x.Identity.JWTSubject}})
		if err != nil {
			return nil, err
		}
		check.Attributes.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"envoy.filters.http.jwt_authn": payload}}
	}
	resp, err := d.client.Check(ctx, check)
	if err != nil {
		return nil, err
	}
	return d.answer(resp)
}

func (d *grpcDoor) answer(resp *authv3.CheckResponse) (*authztest.Answer, error) {
	a := &authztest.Answer{Header: http.Header{}}
	var headers []*corev3.HeaderValueOption
	switch r := resp.HttpResponse.(type) {
	case *authv3.CheckResponse_OkResponse:
		if resp.GetStatus() == nil || resp.Status.Code != 0 {
			return nil, fmt.Errorf("OK response with status %v", resp.GetStatus())
		}
		a.Status, headers = http.StatusOK, r.OkResponse.ResponseHeadersToAdd
		for _, h := range r.OkResponse.Headers {
			if h.Header.Key == ":path" {
				a.Pinned = path.Base(headerValue(h.Header))
			}
		}
	case *authv3.CheckResponse_DeniedResponse:
		if resp.GetStatus().GetCode() == 0 {
			return nil, fmt.Errorf("denied response with status 0 would let the request through")
		}
		a.Status, headers = int(r.DeniedResponse.Status.GetCode()), r.DeniedResponse.Headers
		a.Body = []byte(r.DeniedResponse.Body)
	default:
		return nil, fmt.Errorf("neither OK nor denied: %v", resp)
	}
	for _, h := range headers {
		a.Header.Add(h.Header.Key, headerValue(h.Header))
	}
	id := resp.GetDynamicMetadata().GetFields()["decision_id"].GetStringValue()
	if a.Record = d.Find(id); a.Record == nil {
		return nil, fmt.Errorf("no record of decision %q", id)
	}
	return a, nil
}

func headerValue(h *corev3.HeaderValue) string {
	if len(h.RawValue) > 0 {
		return string(h.RawValue)
	}
	return h.Value
}

// envoyDoor asks through a real Envoy with the shipped configuration, before an upstream
// that records what it receives.
type envoyDoor struct {
	*authztest.Service
	name     string
	addr     string
	tls      *tls.Config
	upstream atomic.Pointer[http.Request]
	changed  bool // Envoy changes what the client sent before it asks
}

// addressHeader carries the client's address, since every test connects from loopback.
const addressHeader = "x-script-address"

func newEnvoyDoor(t *testing.T) *envoyDoor {
	t.Helper()
	return startEnvoyDoor(t, &envoyDoor{name: "envoy"}, func(config string) string { return config })
}

// startEnvoyDoor starts Envoy with the shipped configuration as change leaves it.
func startEnvoyDoor(t *testing.T, d *envoyDoor, change func(string) string) *envoyDoor {
	t.Helper()
	d.Service = authztest.NewService()
	grpcAddr := serveGate(t, d.Service, classify.ClientAddress{Header: addressHeader})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.upstream.Store(r)
		w.Header().Set("Cache-Control", "max-age=31536000")
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(up.Close)
	certs, err := peers.NewCertificates(t.TempDir(), "registry.acme.example")
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoyexample.Render(envoyexample.Options{
		Hosts: []string{"registry.acme.example", "pull.acme.example"}, Cert: certs.Cert, Key: certs.Key,
		Pullgate: grpcAddr, Registry: strings.TrimPrefix(up.URL, "http://"), AccessLog: "/dev/null",
	})
	if err != nil {
		t.Fatal(err)
	}
	// What is asked here is the verdict. On a busy machine Envoy would give up after the 200 ms
	// that the example allows, and answer 503 by itself.
	config = []byte(change(replaceOnce(t, string(config), "                timeout: 0.2s\n", "                timeout: 9s\n")))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	process, err := peers.StartEnvoy(ctx, peers.Envoy(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { process.Close() })
	if d.addr, err = process.Listener(ctx, envoyexample.ListenerName); err != nil {
		t.Fatal(err)
	}
	d.tls = &tls.Config{RootCAs: certs.Pool, ServerName: "registry.acme.example", NextProtos: []string{"http/1.1"}}
	return d
}

// replaceOnce changes the example's configuration where it says old, once.
func replaceOnce(t *testing.T, config, old, with string) string {
	t.Helper()
	if strings.Count(config, old) != 1 {
		t.Fatalf("the example does not say %q once", old)
	}
	return strings.Replace(config, old, with, 1)
}

func (d *envoyDoor) Name() string { return d.name }

// Carries: a JWT needs Envoy's jwt_authn before ext_authz, which the example does not have,
// and a space ends the target of a request (RFC 9112, 3).
func (d *envoyDoor) Carries(x *authztest.Exchange) bool {
	return x.Identity.IsZero() && !strings.Contains(x.Target, " ")
}

// Ask writes the request's bytes itself: an HTTP client would repair what must be refused.
func (d *envoyDoor) Ask(ctx context.Context, x *authztest.Exchange) (*authztest.Answer, error) {
	d.upstream.Store(nil)
	conn, err := (&tls.Dialer{NetDialer: &net.Dialer{Timeout: patience}, Config: d.tls}).DialContext(ctx, "tcp", d.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s: %s\r\nConnection: close\r\n", x.Method, x.Target, x.Host, addressHeader, unmapped(x.Address))
	for _, h := range x.Header {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	switch x.Method {
	case http.MethodPost, http.MethodPut, http.MethodPatch:
		b.WriteString("Content-Length: 0\r\n")
	}
	b.WriteString("\r\n")
	if _, err := conn.Write(b.Bytes()); err != nil {
		return nil, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: x.Method})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	a := &authztest.Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}
	arrived := d.upstream.Load()
	id := resp.Header.Get("x-pullgate-decision")
	if id == "" {
		if arrived != nil {
			return nil, fmt.Errorf("%s arrived at the registry without a decision", arrived.URL)
		}
		a.Refused = true
		return a, nil
	}
	if a.Record = d.Find(id); a.Record == nil {
		return nil, fmt.Errorf("no record of decision %q", id)
	}
	allowed := a.Record.Verdict == "allow" && a.Record.Action == "pull"
	switch {
	case allowed && arrived == nil:
		return nil, fmt.Errorf("allowed, and nothing arrived at the registry")
	case !allowed && arrived != nil:
		return nil, fmt.Errorf("%s %s, and %s arrived at the registry", a.Record.Verdict, a.Record.Code, arrived.URL)
	case allowed:
		if key := arrived.Header.Get("Authorization"); key != "" {
			return nil, fmt.Errorf("the registry was shown a credential nobody configured")
		}
		if cache := resp.Header.Values("Cache-Control"); !slices.Equal(cache, []string{"private, no-store"}) {
			return nil, fmt.Errorf("the registry's answer may be kept for others: Cache-Control %q", cache)
		}
		// The registry receives the bytes that were judged, but for the tag's digest.
		judged := a.Record.Request.Path
		if judged != x.Target && !d.changed {
			return nil, fmt.Errorf("asked for %q, and %q was judged", x.Target, judged)
		}
		if got := arrived.RequestURI; got != judged {
			tag, digest := path.Base(judged), path.Base(got)
			if strings.TrimSuffix(judged, tag) != strings.TrimSuffix(got, digest) || !strings.HasPrefix(digest, "sha256:") {
				return nil, fmt.Errorf("%q was judged, and %q arrived at the registry", judged, got)
			}
			a.Pinned = digest
		}
	}
	return a, nil
}

func unmapped(a netip.Addr) string { return a.Unmap().String() }
