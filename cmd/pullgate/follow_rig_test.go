package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/spf13/pflag"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// issuedAt is when the bundles of these tests are issued; a minute later the tests begin.
const issuedAt int64 = 1_780_000_000

// A world is what is published: two signing keys, and content in which the customer acme may pull
// 1.4.0, or, once that is revoked, may not.
type followWorld struct {
	keys           [2]*ecdsa.PrivateKey
	key            string // of acme
	allows, denies *compile.Input
}

var theFollowWorld = sync.OnceValue(func() *followWorld {
	w := &followWorld{}
	check := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	for i := range w.keys {
		var err error
		w.keys[i], err = bundle.GenerateKey()
		check(err)
	}
	secret, hash := license.NewKey(rand.Reader)
	w.key = secret
	for versions, into := range map[string]**compile.Input{">=1.0.0": &w.allows, ">=2.0.0": &w.denies} {
		set, err := license.Parse(map[string][]byte{"all.yaml": fmt.Appendf(nil,
			"kind: Registry\nid: main\nhosts: [%s]\nupstream: https://harbor.internal\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n---\nkind: Customer\nid: acme\nkeys: [{id: ci, hash: %q}]\n---\n%s",
			customersHost, hash, grants(versions))})
		check(err)
		repositories, err := readScriptCatalog([]byte("kind: Catalog\nrepositories:\n  acme/app:\n    tags: {1.4.0: A, 2.0.0: B}\n"), set)
		check(err)
		*into = &compile.Input{Set: set, Catalog: repositories, Modules: policies.Modules(), Name: bundle.DefaultName}
	}
	return w
})

// bundle makes the file of a bundle; key nil leaves it unsigned.
func (w *followWorld) bundle(t *testing.T, in *compile.Input, serial int64, key *ecdsa.PrivateKey, change ...func(*compile.Input)) []byte {
	t.Helper()
	made := *in
	made.Serial, made.IssuedAt, made.NotAfter = serial, issuedAt, issuedAt+72*3600
	for _, f := range change {
		f(&made)
	}
	content, _, err := compile.Compile(&made)
	must(t, err)
	var signer *bundle.Signer
	if key != nil {
		signer, err = bundle.NewSigner(key)
		must(t, err)
	}
	var out bytes.Buffer
	_, err = bundle.Write(&out, content, signer)
	must(t, err)
	return out.Bytes()
}

func (w *followWorld) allowing(t *testing.T, serial int64, change ...func(*compile.Input)) []byte {
	t.Helper()
	return w.bundle(t, w.allows, serial, w.keys[0], change...)
}

func (w *followWorld) denying(t *testing.T, serial int64, change ...func(*compile.Input)) []byte {
	t.Helper()
	return w.bundle(t, w.denies, serial, w.keys[0], change...)
}

func issuedAfter(d time.Duration) func(*compile.Input) {
	return func(in *compile.Input) {
		in.IssuedAt += int64(d / time.Second)
		in.NotAfter += int64(d / time.Second)
	}
}

// resigned signs what is in a bundle again, with another header and scope: what no publisher of ours
// would do.
func (w *followWorld) resigned(t *testing.T, data []byte, header, scope string) []byte {
	t.Helper()
	return retar(t, data, func(name string, body []byte) []byte {
		if name != bundle.SignaturesPath {
			return body
		}
		var sig struct {
			Signatures []string `json:"signatures"`
		}
		must(t, json.Unmarshal(body, &sig))
		b64 := base64.RawURLEncoding
		claims, err := b64.DecodeString(strings.Split(sig.Signatures[0], ".")[1])
		must(t, err)
		claims = bytes.Replace(claims, []byte(`"scope":"default"`), []byte(`"scope":"`+scope+`"`), 1)
		if header == "" {
			id, err := bundle.KeyID(&w.keys[0].PublicKey)
			must(t, err)
			header = `{"alg":"ES256","kid":"` + id + `"}`
		}
		text := b64.EncodeToString([]byte(header)) + "." + b64.EncodeToString(claims)
		sum := sha256.Sum256([]byte(text))
		order := w.keys[0].Params().N
		r, s, err := ecdsa.Sign(rand.Reader, w.keys[0], sum[:])
		must(t, err)
		if s.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
			s.Sub(order, s)
		}
		raw := make([]byte, 64)
		r.FillBytes(raw[:32])
		s.FillBytes(raw[32:])
		return fmt.Appendf(nil, `{"signatures":["%s.%s"]}`, text, b64.EncodeToString(raw))
	})
}

// retar makes a bundle's file again of its members.
func retar(t *testing.T, data []byte, change func(name string, body []byte) []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(data))
	must(t, err)
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	to := tar.NewWriter(packed)
	for from := tar.NewReader(gz); ; {
		h, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		body, err := io.ReadAll(from)
		must(t, err)
		body = change(h.Name, body)
		h.Size = int64(len(body))
		must(t, to.WriteHeader(h))
		_, err = to.Write(body)
		must(t, err)
	}
	must(t, to.Close(), packed.Close())
	return out.Bytes()
}

// A bundleSource is a publisher whose answers the test writes. What it is told while it holds a
// request back is the answer to that.
type bundleSource struct {
	*httptest.Server
	mu      sync.Mutex
	answer  http.HandlerFunc
	tag     string
	changed chan struct{}
	asked   int
}

func newBundleSource(t *testing.T) *bundleSource {
	s := &bundleSource{changed: make(chan struct{}), answer: http.NotFound}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Cleanup(s.CloseClientConnections)
	return s
}

func (s *bundleSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked++
	answer, tag, changed := s.answer, s.tag, s.changed
	s.mu.Unlock()
	if tag != "" && r.Header.Get("If-None-Match") == tag && strings.Contains(r.Header.Get("Prefer"), "wait=") {
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
		s.mu.Lock()
		answer = s.answer
		s.mu.Unlock()
	}
	answer(w, r)
}

func (s *bundleSource) say(tag string, answer http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer, s.tag = answer, tag
	close(s.changed)
	s.changed = make(chan struct{})
}

// has makes it serve a bundle, and hold back who has it.
func (s *bundleSource) has(file []byte) {
	sum := sha256.Sum256(file)
	tag := `"` + hex.EncodeToString(sum[:]) + `"`
	s.say(tag, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.openpolicyagent.bundles")
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write(file)
	})
}

// confirms makes it answer who has the bundle with 304 at once.
func (s *bundleSource) confirms() {
	s.say("", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) })
}

func (s *bundleSource) down() {
	s.say("", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
}

// A wallClock is a machine's clock, which a test sets, and its uptime.
type wallClock struct {
	mu    sync.Mutex
	start time.Time
	ahead time.Duration // of the clock
	slept time.Duration // that the test lets pass
}

func newWallClock() *wallClock { return &wallClock{start: time.Now()} }

func (c *wallClock) read() (time.Time, time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	up := time.Since(c.start) + c.slept
	return time.Unix(issuedAt+60, 0).Add(up + c.ahead), up + time.Hour
}

func (c *wallClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slept += d
}

func (c *wallClock) set(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead += d
}

// A followed is a sidecar that follows a bundleSource.
type followed struct {
	*testing.T
	world  *followWorld
	pub    *bundleSource
	clock  *wallClock
	data   string
	disk   string   // a file system below data, see small
	more   []string // flags
	config string
	log    *lines
	admin  string
	stop   func()
	check  authv3.AuthorizationClient
	ready  healthv1.HealthClient
}

// newFollowed makes one that is not started yet.
func newFollowed(t *testing.T) *followed {
	return &followed{T: t, world: theFollowWorld(), pub: newBundleSource(t), clock: newWallClock(), data: filepath.Join(t.TempDir(), "data"), stop: func() {}}
}

// keyFile writes the public keys, by place.
func (f *followed) keyFile(which ...int) string {
	f.Helper()
	var pem []byte
	for _, i := range which {
		text, err := bundle.MarshalPublic(&f.world.keys[i].PublicKey)
		must(f.T, err)
		pem = append(pem, text...)
	}
	file, err := os.CreateTemp("", "keys-*.pub") // in no directory of the test: a name of it may hold a comma
	must(f.T, err)
	f.Cleanup(func() { _ = os.Remove(file.Name()) })
	_, err = file.Write(pem)
	must(f.T, err, file.Close())
	return file.Name()
}

// start starts it, or starts it again.
func (f *followed) start() {
	f.Helper()
	f.stop()
	var s settings
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addServeFlags(flags, &s)
	must(f.T, flags.Parse(append([]string{
		"--bundle-url", f.pub.URL + "/bundles/default", "--bundle-key-file", f.keyFile(0), "--data", f.data, "--bundle-poll", "1s",
		"--grpc-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0",
	}, f.more...)))
	_, err := loadSettings(flags, &s, f.config)
	must(f.T, err)
	f.log = newLines()
	out := newLines()
	p, err := newProcess(&s, f.log)
	must(f.T, err)
	p.time = f.clock.read
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- serveProcess(ctx, p, out) }()
	addrs := regexp.MustCompile(`^grpc (\S+)\nadmin (\S+)\n`)
	var at []string
	f.await("ports", func() bool { at = addrs.FindStringSubmatch(out.String()); return at != nil })
	f.admin = at[2]
	conn, err := grpc.NewClient(at[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	must(f.T, err)
	f.check, f.ready = authv3.NewAuthorizationClient(conn), healthv1.NewHealthClient(conn)
	f.stop = sync.OnceFunc(func() {
		cancel()
		_ = conn.Close()
		if err := <-done; err != nil {
			f.Errorf("it ends with %v", err)
		}
	})
	f.Cleanup(f.stop)
}

// await asks until ok: what it waits for happens in other goroutines, and in the network.
func (f *followed) await(what string, ok func() bool) {
	f.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			f.Fatalf("never: %s\n%s", what, f.log)
		}
	}
}

// get asks the admin port.
func (f *followed) get(path string) string {
	f.Helper()
	resp, err := http.Get("http://" + f.admin + path)
	must(f.T, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(f.T, err)
	return string(body)
}

// metric is the value of a metric with its labels, as /metrics has it.
func (f *followed) metric(name string) string {
	f.Helper()
	if m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(f.get("/metrics")); m != nil {
		return m[1]
	}
	return ""
}

// verdict is what Envoy is told about a pull of 1.4.0 by acme: status and code, and whether health
// says SERVING.
func (f *followed) verdict() string {
	f.Helper()
	resp, err := f.check.Check(f.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: http.MethodGet, Path: "/v2/acme/app/manifests/1.4.0", Host: customersHost, Protocol: "HTTP/1.1", Scheme: "https",
			Headers: map[string]string{
				":authority": customersHost, ":method": http.MethodGet, ":path": "/v2/acme/app/manifests/1.4.0", ":scheme": "https",
				"authorization": basic("acme", f.world.key),
			},
		}},
	}})
	must(f.T, err)
	status := 200
	if denied := resp.GetDeniedResponse(); denied != nil {
		status = int(denied.GetStatus().GetCode())
	}
	return fmt.Sprintf("%d %s", status, resp.GetDynamicMetadata().GetFields()["code"].GetStringValue())
}

// serving is what gRPC health says.
func (f *followed) serving() bool {
	f.Helper()
	resp, err := f.ready.Check(f.Context(), &healthv1.HealthCheckRequest{})
	must(f.T, err)
	return resp.Status == healthv1.HealthCheckResponse_SERVING
}
