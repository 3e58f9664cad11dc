package envoy_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	grpccredentials "google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/envoy"
)

// bytesCodec sends bytes as they are and decodes CheckResponses.
type bytesCodec struct{}

func (bytesCodec) Name() string { return "proto" }
func (bytesCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(v.([]byte))}, nil
}

func (bytesCodec) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// Old Envoys sent header bytes that are no UTF-8 in string fields (CVE-2023-27488), and a client of the port may send
// anything: the answer is a refusal, never a gRPC error, and never an allow.
func TestUndecodableMessagesAreRefused(t *testing.T) {
	whole, err := proto.Marshal(raw(message{"GET", "/v2/a/manifests/1", "h", nil}))
	if err != nil {
		t.Fatal(err)
	}
	nested := func(content []byte, fields ...protowire.Number) []byte {
		for _, n := range fields {
			content = protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), content)
		}
		return content
	}
	entry := append(nested([]byte("x-a"), 1), nested([]byte("\xff"), 2)...)
	for name, data := range map[string][]byte{
		"header value that is no UTF-8": nested(entry, 3, 2, 4, 1), // headers of http of request of attributes
		"path that is no UTF-8":         nested([]byte("/v2/\xff"), 4, 2, 4, 1),
		"cut off":                       whole[:len(whole)-3],
		"garbage":                       []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		"text":                          []byte("GET /v2/ HTTP/1.1"),
	} {
		t.Run(name, func(t *testing.T) {
			for _, decide := range []func(*authz.Request) *authz.Decision{allow, func(*authz.Request) *authz.Decision {
				return &authz.Decision{Outcome: authz.OutcomeAllow, Status: 200, Code: authz.CodeOK} // a Gate gone mad
			}} {
				gate := &decider{decide: decide}
				_, conn := start(t, envoy.Config{Decider: gate, Credentials: credentials{"": "Basic secret", "main": "Basic secret"}})
				out := new(authv3.CheckResponse)
				if err := conn.Invoke(t.Context(), authv3.Authorization_Check_FullMethodName, data, out, grpc.ForceCodecV2(bytesCodec{})); err != nil {
					t.Fatalf("a gRPC error: %v", err)
				}
				if out.GetStatus().GetCode() == 0 || out.GetDeniedResponse().GetStatus().GetCode() < 400 {
					t.Errorf("let through: %v", out)
				}
				if r := gate.last(t); r.Kind != authz.KindMalformed || r.Via != "ext_authz" {
					t.Errorf("asked %+v", r)
				}
			}
		})
	}
}

func TestHealthServesOnlyWhenTold(t *testing.T) {
	s, conn := start(t, envoy.Config{Decider: &decider{decide: allow}})
	client := healthv1.NewHealthClient(conn)
	expect := func(want healthv1.HealthCheckResponse_ServingStatus) {
		t.Helper()
		for _, service := range []string{"", "envoy.service.auth.v3.Authorization"} {
			out, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: service})
			if err != nil || out.GetStatus() != want {
				t.Errorf("%q: %v, %v", service, out, err)
			}
		}
	}
	expect(healthv1.HealthCheckResponse_NOT_SERVING)
	s.SetServing(true)
	expect(healthv1.HealthCheckResponse_SERVING)
	s.SetServing(false)
	expect(healthv1.HealthCheckResponse_NOT_SERVING)
	if _, err := client.Check(t.Context(), &healthv1.HealthCheckRequest{Service: "other"}); status.Code(err) != codes.NotFound {
		t.Errorf("other service: %v", err)
	}
}

func TestOpenAddressesAreRefusedWithoutTLS(t *testing.T) {
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:9191", "10.0.0.1:0"} {
		s, err := envoy.New(envoy.Config{Addr: addr, Decider: &decider{}})
		if err == nil || s != nil || !strings.Contains(err.Error(), "unix:PATH") || !strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{"", "nonsense", "127.0.0.1", "127.0.0.1:http:x", "unix:", "unix:/nonexistent/dir/sock"} {
		if s, err := envoy.New(envoy.Config{Addr: addr, Decider: &decider{}}); err == nil || s != nil {
			t.Errorf("%q was taken", addr)
		}
	}
	if _, err := envoy.New(envoy.Config{Addr: "127.0.0.1:0"}); err == nil {
		t.Error("a server without a decider was made")
	}
}

func TestPortInUseSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := envoy.New(envoy.Config{Addr: l.Addr().String(), Decider: &decider{}}); err == nil || !strings.Contains(err.Error(), "choose another") {
		t.Errorf("error %v", err)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "authz.sock")
	// A socket left behind by a process that died.
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()

	_, conn := start(t, envoy.Config{Addr: "unix:" + path, Decider: &decider{decide: allow}})
	if ask(t, conn, raw(message{"GET", "/v2/a/manifests/1", "h", nil})).GetOkResponse() == nil {
		t.Error("not allowed")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := envoy.New(envoy.Config{Addr: "unix:" + path, Decider: &decider{}}); err == nil {
		t.Error("a second server took a socket in use")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := envoy.New(envoy.Config{Addr: "unix:" + file, Decider: &decider{}}); err == nil {
		t.Error("a file was replaced by a socket")
	}
}

func TestRequestUnderWayIsAnsweredAtShutdown(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s, err := envoy.New(envoy.Config{Addr: "127.0.0.1:0", Decider: &decider{decide: func(r *authz.Request) *authz.Decision {
		close(entered)
		<-leave
		return allow(r)
	}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	conn := dial(t, s)
	answered := make(chan *authv3.CheckResponse, 1)
	go func() {
		out, _ := authv3.NewAuthorizationClient(conn).Check(context.Background(), raw(message{"GET", "/v2/a/manifests/1", "h", nil}))
		answered <- out
	}()
	<-entered
	cancel()
	close(leave)
	if out := <-answered; out.GetOkResponse() == nil {
		t.Errorf("got %v", out)
	}
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func TestShutdownEndsAtItsDeadline(t *testing.T) {
	s, err := envoy.New(envoy.Config{Addr: "127.0.0.1:0", Decider: &decider{decide: allow}, Drain: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	watch, err := healthv1.NewHealthClient(dial(t, s)).Watch(t.Context(), &healthv1.HealthCheckRequest{}) // never ends by itself
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

func dial(t *testing.T, s *envoy.Server) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(s.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"}, NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// issue returns a certificate with a SAN, as PEM.
func (a authority) issue(t *testing.T, san string) (cert, private []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	if u, err := url.Parse(san); err == nil && u.Scheme != "" {
		template.URIs = []*url.URL{u}
	} else {
		template.DNSNames = []string{san}
	}
	key := newKey(t)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}

func TestMutualTLSAdmitsOnlyListedSANs(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ours, theirs := newAuthority(t), newAuthority(t)
	cert, private := ours.issue(t, "pullgate.internal")
	config := &envoy.TLS{
		CertFile: file("cert.pem", cert), KeyFile: file("key.pem", private),
		ClientCAFile: file("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.cert.Raw})),
		ClientSANs:   []string{"spiffe://acme/envoy", "envoy.internal"},
	}
	s, _ := start(t, envoy.Config{Addr: "0.0.0.0:0", TLS: config, Decider: &decider{decide: allow}})
	_, port, _ := net.SplitHostPort(s.Addr().String())
	roots := x509.NewCertPool()
	roots.AddCert(ours.cert)
	for _, tc := range []struct {
		name, san string
		by        authority
		none, ok  bool
	}{
		{name: "listed URI", san: "spiffe://acme/envoy", by: ours, ok: true},
		{name: "listed DNS name", san: "envoy.internal", by: ours, ok: true},
		{name: "another SAN", san: "spiffe://acme/envoy2", by: ours},
		{name: "another CA", san: "spiffe://acme/envoy", by: theirs},
		{name: "no certificate", none: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := &tls.Config{RootCAs: roots, ServerName: "pullgate.internal"}
			if !tc.none {
				cert, private := tc.by.issue(t, tc.san)
				pair, err := tls.X509KeyPair(cert, private)
				if err != nil {
					t.Fatal(err)
				}
				client.Certificates = []tls.Certificate{pair}
			}
			conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(grpccredentials.NewTLS(client)))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			_, err = authv3.NewAuthorizationClient(conn).Check(t.Context(), raw(message{"GET", "/v2/a/manifests/1", "h", nil}))
			if (err == nil) != tc.ok {
				t.Errorf("error %v, want admitted %v", err, tc.ok)
			}
		})
	}

	t.Run("incomplete", func(t *testing.T) {
		for name, change := range map[string]func(*envoy.TLS){
			"no SANs":       func(c *envoy.TLS) { c.ClientSANs = nil },
			"empty SAN":     func(c *envoy.TLS) { c.ClientSANs = []string{""} },
			"no CA":         func(c *envoy.TLS) { c.ClientCAFile = "" },
			"absent CA":     func(c *envoy.TLS) { c.ClientCAFile = filepath.Join(dir, "absent") },
			"CA without":    func(c *envoy.TLS) { c.ClientCAFile = config.KeyFile },
			"no key":        func(c *envoy.TLS) { c.KeyFile = "" },
			"key for all":   func(c *envoy.TLS) { c.KeyFile = file("open.pem", private); _ = os.Chmod(c.KeyFile, 0o644) },
			"wrong key":     func(c *envoy.TLS) { _, other := ours.issue(t, "x"); c.KeyFile = file("other.pem", other) },
			"no server pem": func(c *envoy.TLS) { c.CertFile = filepath.Join(dir, "absent") },
		} {
			broken := *config
			change(&broken)
			if s, err := envoy.New(envoy.Config{Addr: "0.0.0.0:0", TLS: &broken, Decider: &decider{}}); err == nil || s != nil {
				t.Errorf("%s: taken", name)
			}
		}
	})
}
