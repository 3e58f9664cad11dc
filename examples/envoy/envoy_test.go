package envoy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// A rig is the shipped configuration in a real Envoy, between a scripted authorization
// service and a registry that writes down what it receives.
type rig struct {
	*testing.T
	ctx    context.Context
	dir    string
	envoy  *peers.EnvoyProcess
	addr   string
	client *http.Client
	authz  *authorizer
	grpc   *grpc.Server

	mu       sync.Mutex
	received []*http.Request
}

func newRig(t *testing.T, change func(*envoy.Options)) *rig {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := &rig{T: t, ctx: ctx, dir: t.TempDir(), authz: &authorizer{}}

	certs, err := peers.NewCertificates(r.dir, "registry.acme.example", "127.0.0.1")
	r.must(err)
	pair, err := tls.LoadX509KeyPair(certs.Cert, certs.Key)
	r.must(err)
	registry := httptest.NewUnstartedServer(http.HandlerFunc(r.registry))
	registry.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	registry.StartTLS()
	t.Cleanup(registry.Close)

	lis, err := net.Listen("tcp", "127.0.0.1:0")
	r.must(err)
	r.grpc = grpc.NewServer()
	authv3.RegisterAuthorizationServer(r.grpc, r.authz)
	go r.grpc.Serve(lis)
	t.Cleanup(r.grpc.Stop)

	credential := filepath.Join(r.dir, "credential.yaml")
	r.must(envoy.WriteCredential(credential, "gate", "secret"))
	v := envoy.Options{
		Listen: "127.0.0.1:0", Hosts: []string{"registry.acme.example"}, Cert: certs.Cert, Key: certs.Key,
		Pullgate: lis.Addr().String(), Registry: registry.Listener.Addr().String(), RegistryCA: certs.CA,
		Credential: credential, AccessLog: filepath.Join(r.dir, "access.log"),
	}
	if change != nil {
		change(&v)
	}
	config, err := envoy.Render(v)
	r.must(err)
	path := peers.Envoy(t)
	r.must(peers.ValidateEnvoy(ctx, path, config))
	r.envoy, err = peers.StartEnvoy(ctx, path, config)
	r.must(err)
	t.Cleanup(func() { r.envoy.Close() })
	r.addr, err = r.envoy.Listener(ctx, envoy.ListenerName)
	r.must(err)
	r.client = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: certs.Pool, ServerName: "registry.acme.example"},
	}}
	return r
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) registry(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	r.received = append(r.received, req)
	r.mu.Unlock()
	if strings.HasSuffix(req.URL.Path, "/challenge") {
		for _, challenge := range map[string][]string{"/v2/challenge": {`Bearer realm="https://harbor.internal/token"`, "Negotiate"}, "/v2/basic/challenge": {`Basic realm="x"`}}[req.URL.Path] {
			w.Header().Add("WWW-Authenticate", challenge)
		}
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if strings.Contains(req.URL.Path, "/proxy/") { // one between Envoy and the registry
		w.Header().Add("Proxy-Authenticate", `Basic realm="proxy"`)
		w.Header().Add("Proxy-Authenticate", "Negotiate")
		if strings.HasSuffix(req.URL.Path, "/both") {
			w.Header().Add("WWW-Authenticate", `Basic realm="x"`)
		}
		if !strings.HasSuffix(req.URL.Path, "/x") {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
	}
	io.WriteString(w, "layer")
}

func (r *rig) upstream() []*http.Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.received)
}

// get sends a request whose target is exactly path.
func (r *rig) get(path string) (*http.Response, string) {
	r.Helper()
	conn, err := tls.Dial("tcp", r.addr, r.client.Transport.(*http.Transport).TLSClientConfig)
	r.must(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: registry.acme.example\r\nAuthorization: Basic Y3VzdG9tZXI6a2V5\r\nConnection: close\r\n\r\n")
	r.must(err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	r.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	r.must(err)
	return resp, string(body)
}

// authorizer answers what the test says and remembers the paths it was asked.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
	answer func(context.Context) *authv3.CheckResponse
	mu     sync.Mutex
	paths  []string
}

func (a *authorizer) Check(ctx context.Context, req *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	a.mu.Lock()
	a.paths = append(a.paths, rawHeader(req, ":path"))
	a.mu.Unlock()
	return a.answer(ctx), nil
}

func rawHeader(req *authv3.CheckRequest, name string) string {
	for _, h := range req.GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
		if h.GetKey() == name {
			return string(h.GetRawValue())
		}
	}
	return "no raw " + name
}

// set uses value: of an answer Envoy reads only that, and takes a raw_value for an empty header.
func set(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header:       &corev3.HeaderValue{Key: name, Value: value},
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

func metadata(id string) *structpb.Struct {
	m, err := structpb.NewStruct(map[string]any{"decision_id": id, "code": "ok", "customer": "acme", "license": "acme-app-2026"})
	if err != nil {
		panic(err)
	}
	return m
}

func allow(context.Context) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers:              []*corev3.HeaderValueOption{set(":path", "/v2/acme/app/manifests/sha256:00")},
			HeadersToRemove:      []string{"authorization"},
			ResponseHeadersToAdd: []*corev3.HeaderValueOption{set("x-pullgate-decision", "D1")},
		}},
		DynamicMetadata: metadata("D1"),
	}
}

func deny(code typev3.StatusCode, body string, headers ...*corev3.HeaderValueOption) func(context.Context) *authv3.CheckResponse {
	return func(context.Context) *authv3.CheckResponse {
		return &authv3.CheckResponse{
			Status: &status.Status{Code: int32(codes.PermissionDenied)},
			HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
				Status: &typev3.HttpStatus{Code: code}, Headers: headers, Body: body,
			}},
			DynamicMetadata: metadata("D2"),
		}
	}
}

func TestAllowedRequestReachesTheRegistryPinnedAndWithItsOwnCredential(t *testing.T) {
	r := newRig(t, nil)
	r.authz.answer = allow
	resp, body := r.get("/v2/acme/app/manifests/1.4.0")
	if resp.StatusCode != http.StatusOK || body != "layer" || resp.Header.Get("x-pullgate-decision") != "D1" {
		t.Errorf("answer %s %q %v", resp.Status, body, resp.Header)
	}
	got := r.upstream()
	if len(got) != 1 {
		t.Fatalf("the registry got %d requests", len(got))
	}
	if got[0].RequestURI != "/v2/acme/app/manifests/sha256:00" {
		t.Errorf("the registry was asked for %s", got[0].RequestURI)
	}
	if user, password, _ := got[0].BasicAuth(); user != "gate" || password != "secret" || len(got[0].Header["Authorization"]) != 1 {
		t.Errorf("the registry got the credential %q", got[0].Header["Authorization"])
	}
	if strings.Contains(got[0].Host, "acme") {
		t.Errorf("the registry got the customers' host name %s", got[0].Host)
	}
}

func TestRotatedCredentialCountsWithoutARestart(t *testing.T) {
	file := ""
	r := newRig(t, func(v *envoy.Options) { file = v.Credential })
	r.authz.answer = allow
	r.must(envoy.WriteCredential(file, "gate", "rotated"))
	for {
		r.get("/v2/acme/app/manifests/1.4.0")
		got := r.upstream()
		if _, password, _ := got[len(got)-1].BasicAuth(); password == "rotated" {
			return
		}
		if r.ctx.Err() != nil {
			t.Fatal("still the old credential")
		}
	}
}

func TestWithoutInjectorPullgateSetsTheCredential(t *testing.T) {
	r := newRig(t, func(v *envoy.Options) { v.Credential = "" })
	r.authz.answer = func(ctx context.Context) *authv3.CheckResponse {
		resp := allow(ctx)
		ok := resp.GetOkResponse()
		ok.HeadersToRemove = nil
		ok.Headers = append(ok.Headers, set("authorization", "Bearer registry-token"))
		return resp
	}
	resp, body := r.get("/v2/acme/app/manifests/1.4.0")
	if got := r.upstream(); len(got) != 1 || !slices.Equal(got[0].Header["Authorization"], []string{"Bearer registry-token"}) {
		t.Errorf("the registry got %v, the client %s %q", got, resp.Status, body)
	}
}

func TestRefusalIsPullgatesOwnAndNeverReachesTheRegistry(t *testing.T) {
	r := newRig(t, nil)
	r.authz.answer = deny(typev3.StatusCode_Unauthorized, `{"errors":[]}`, set("www-authenticate", `Basic realm="pullgate"`), set("content-type", "application/json"))
	resp, body := r.get("/v2/")
	if resp.StatusCode != http.StatusUnauthorized || body != `{"errors":[]}` || resp.Header.Get("content-type") != "application/json" {
		t.Errorf("answer %s %q %v", resp.Status, body, resp.Header)
	}
	// Removed from what the registry says, not from what pullgate says.
	if got := resp.Header["Www-Authenticate"]; !slices.Equal(got, []string{`Basic realm="pullgate"`}) {
		t.Errorf("challenge %q", got)
	}
	if n := len(r.upstream()); n != 0 {
		t.Errorf("the registry got %d requests", n)
	}
}

func TestListIsAnsweredByPullgate(t *testing.T) {
	r := newRig(t, nil)
	list := `{"name":"acme/app","tags":["` + strings.Repeat("1.4.0 ", 100_000) + `"]}`
	r.authz.answer = deny(typev3.StatusCode_OK, list)
	if resp, body := r.get("/v2/acme/app/tags/list"); resp.StatusCode != http.StatusOK || body != list {
		t.Errorf("answer %s, %d bytes", resp.Status, len(body))
	}
	if n := len(r.upstream()); n != 0 {
		t.Errorf("the registry got %d requests", n)
	}
}

func TestRegistrysChallengeNeverReachesACustomer(t *testing.T) {
	r := newRig(t, nil)
	r.authz.answer = func(ctx context.Context) *authv3.CheckResponse {
		resp := allow(ctx)
		resp.GetOkResponse().Headers = nil
		return resp
	}
	// Neither the challenge nor the 401 or 407: the customer's key is good, and there is nowhere else to log in.
	for _, path := range []string{"/v2/challenge", "/v2/basic/challenge", "/v2/no/challenge", "/v2/proxy/login", "/v2/proxy/both"} {
		resp, body := r.get(path)
		want := `{"errors":[{"code":"UNAVAILABLE","message":"the registry did not take this gateway's credential: tell your vendor; decision D1"}]}`
		if resp.StatusCode != http.StatusBadGateway || resp.Header.Values("www-authenticate") != nil || resp.Header.Values("proxy-authenticate") != nil || body != want || resp.Header.Get("content-type") != "application/json" ||
			!slices.Equal(resp.Header["X-Pullgate-Decision"], []string{"D1"}) || resp.Header.Get("cache-control") != "no-store" {
			t.Errorf("%s: answer %s %v %s", path, resp.Status, resp.Header, body)
		}
	}
	// Other answers of the registry are its own.
	if resp, body := r.get("/v2/acme/app/blobs/x"); resp.StatusCode != http.StatusOK || body != "layer" {
		t.Errorf("answer %s %q", resp.Status, body)
	}
	if resp, body := r.get("/v2/proxy/app/blobs/x"); resp.StatusCode != http.StatusOK || body != "layer" || resp.Header.Values("proxy-authenticate") != nil {
		t.Errorf("answer %s %q %v", resp.Status, body, resp.Header)
	}
	if n := len(r.upstream()); n != 7 {
		t.Errorf("the registry got %d requests", n)
	}
}

func TestOutageIs503AndNothingGetsThrough(t *testing.T) {
	for name, fail := range map[string]func(*rig){
		"pullgate is away": func(r *rig) { r.grpc.Stop() },
		"pullgate is slow": func(r *rig) {
			late := make(chan struct{}) // an answer at the deadline may still be in time
			r.Cleanup(func() { close(late) })
			r.authz.answer = func(ctx context.Context) *authv3.CheckResponse { <-late; return allow(ctx) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.authz.answer = allow
			fail(r)
			if resp, _ := r.get("/v2/acme/app/manifests/1.4.0"); resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("answer %s", resp.Status)
			}
			if n := len(r.upstream()); n != 0 {
				t.Errorf("the registry got %d requests", n)
			}
		})
	}
}

func TestPathsArriveAsTheBytesTheClientSent(t *testing.T) {
	r := newRig(t, nil)
	r.authz.answer = deny(typev3.StatusCode_BadRequest, "")
	paths := []string{
		"/v2//acme/app/tags/list", "/v2/acme/../other/manifests/1", "/v2/acme%2Fapp/manifests/1", "/v2/acme%2fapp/manifests/1",
		"/v2/acme/app/manifests/%31", `/v2/acme\app/manifests/1`, "/v2/acme/app/manifests/1;x", "/v2/acme/app/tags/list?n=1&last=a%2Fb", "/v2/./x",
	}
	for _, p := range paths {
		r.get(p)
	}
	if !slices.Equal(r.authz.paths, paths) {
		t.Errorf("pullgate was asked for\n%s\nwant\n%s", strings.Join(r.authz.paths, "\n"), strings.Join(paths, "\n"))
	}
}

func TestOtherHostsAreStillPullgatesDecision(t *testing.T) {
	r := newRig(t, nil)
	r.authz.answer = deny(typev3.StatusCode_NotFound, "pullgate")
	req, err := http.NewRequestWithContext(r.ctx, http.MethodGet, "https://"+r.addr+"/v2/", nil)
	r.must(err)
	req.Host = "elsewhere.example"
	resp, err := r.client.Do(req)
	r.must(err)
	defer resp.Body.Close()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusNotFound || string(body) != "pullgate" {
		t.Errorf("answer %s %q", resp.Status, body)
	}
}

func TestAccessLogNamesTheDecision(t *testing.T) {
	log := ""
	r := newRig(t, func(v *envoy.Options) { log = v.AccessLog })
	r.authz.answer = deny(typev3.StatusCode_Forbidden, "no")
	r.get("/v2/acme/app/manifests/2.0.0")
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	var data []byte
	for !bytes.HasSuffix(data, []byte("\n")) {
		select {
		case <-tick.C:
			data, _ = os.ReadFile(log)
		case <-r.ctx.Done():
			t.Fatal("no access log")
		}
	}
	var line map[string]any
	r.must(json.Unmarshal(data, &line))
	for k, want := range map[string]any{"decision": "D2", "code": "ok", "customer": "acme", "license": "acme-app-2026", "status": 403.0, "path": "/v2/acme/app/manifests/2.0.0", "client": "127.0.0.1"} {
		if line[k] != want {
			t.Errorf("%s is %v, want %v", k, line[k], want)
		}
	}
}

func TestEveryVariantIsValid(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	certs, err := peers.NewCertificates(dir, "registry.acme.example")
	if err != nil {
		t.Fatal(err)
	}
	credential := filepath.Join(dir, "a {b}, c.yaml")
	if err := envoy.WriteCredential(credential, "gate", "secret"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*envoy.Options){
		"Unix socket, plain registry, credential by pullgate": func(o *envoy.Options) { o.Pullgate = "unix:/run/pullgate/authz.sock" },
		"registry by name with TLS":                           func(o *envoy.Options) { o.RegistryCA = certs.CA },
		"registry by address with TLS":                        func(o *envoy.Options) { o.Registry, o.RegistryCA = "127.0.0.1:5000", certs.CA },
		"credential injector, odd file name":                  func(o *envoy.Options) { o.Credential = credential },
		"several hosts":                                       func(o *envoy.Options) { o.Hosts = []string{"a.example", "127.0.0.1", "[::1]"} },
	} {
		t.Run(name, func(t *testing.T) {
			o := envoy.Options{Hosts: []string{"h"}, Cert: certs.Cert, Key: certs.Key, Pullgate: "127.0.0.1:9191", Registry: "localhost:5000"}
			change(&o)
			config, err := envoy.Render(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := peers.ValidateEnvoy(ctx, peers.Envoy(t), config); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRenderNamesWhatIsWrong(t *testing.T) {
	good := envoy.Options{Listen: "127.0.0.1:0", Hosts: []string{"h"}, Cert: "c", Key: "k", Pullgate: "unix:/run/p", Registry: "registry:5000"}
	config, err := envoy.Render(good)
	if err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"harbor.internal", "acme", "credential_injector", "UpstreamTlsContext", "9191", "9901"} {
		if strings.Contains(string(config), gone) && gone != "harbor.internal" {
			t.Errorf("still has %s", gone)
		}
	}
	for name, bad := range map[string]func(*envoy.Options){
		"Hosts":    func(v *envoy.Options) { v.Hosts = nil },
		"Listen":   func(v *envoy.Options) { v.Listen = "8443" },
		"Pullgate": func(v *envoy.Options) { v.Pullgate = "" },
		"Registry": func(v *envoy.Options) { v.Registry = "registry:http" },
	} {
		v := good
		bad(&v)
		if _, err := envoy.Render(v); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}
