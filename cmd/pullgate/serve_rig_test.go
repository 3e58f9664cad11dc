package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/examples/peers"
	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

const (
	registryUser     = "crawler"
	registryPassword = "the-registry-password"
	customersHost    = "registry.acme.example"
)

// A vendor is what `pullgate serve` works with: a real registry with authentication on and two
// images, a front before it that can misbehave, license files, a configuration.
type vendor struct {
	*testing.T
	dir      string
	registry *peers.RegistryProcess
	front    *front
	key      string // of the customer acme
	hash     string
	attach   bool // pullgate puts the registry's credential on requests
	realms   []string
	config   string                                   // more of pullgate.yaml
	program  string                                   // what is started, see with; "" is this process
	envoy    func(t *testing.T, config string) string // changes Envoy's configuration; nil leaves it
}

// newVendor makes one; more is added to the registry's configuration.
func newVendor(t *testing.T, more ...string) *vendor {
	t.Helper()
	v := &vendor{T: t, dir: t.TempDir()}
	v.must(os.MkdirAll(v.path("registry"), 0o700), os.MkdirAll(v.path("licenses"), 0o755))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	v.registry, err = peers.StartRegistry(ctx, peers.Registry(t), v.path("registry"), map[string]string{registryUser: registryPassword}, more...)
	v.must(err)
	t.Cleanup(func() { v.registry.Close() })
	for _, tag := range []string{"1.4.0", "2.0.0"} {
		v.push("acme/app", tag)
	}
	v.front = newFront(t, v.registry.Addr)
	v.key, v.hash = license.NewKey(rand.Reader)
	v.write("registry-password", registryPassword+"\n", 0o600)
	v.write("licenses/vendor.yaml", fmt.Sprintf("kind: Registry\nid: main\nhosts: [%s]\nupstream: %s\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n", customersHost, v.front.URL), 0o644)
	v.write("licenses/acme.yaml", "kind: Customer\nid: acme\nkeys: [{id: ci, hash: \""+v.hash+"\"}]\n", 0o644)
	v.write("licenses/license.yaml", grants(">=1.0.0 <2.0.0"), 0o644)
	return v
}

// grants is a license of acme for a range of versions.
func grants(versions string) string {
	return fmt.Sprintf("kind: License\nid: acme-app\ncustomer: acme\ntype: subscription\nstarts: 2020-01-01\nends: 2099-12-31\ngrants: [{product: app, versions: %q}]\n", versions)
}

func (v *vendor) must(errs ...error) {
	v.Helper()
	if err := errors.Join(errs...); err != nil {
		v.Fatal(err)
	}
}

func (v *vendor) path(name string) string { return filepath.Join(v.dir, name) }

// write puts a file there at once: on a busy machine one that is written in its place may be seen empty,
// which is an edit of its own.
func (v *vendor) write(name, text string, mode os.FileMode) {
	v.Helper()
	part, err := os.CreateTemp(v.dir, ".part-*")
	v.must(err)
	_, err = part.WriteString(text)
	v.must(err, part.Chmod(mode), part.Close(), os.Rename(part.Name(), v.path(name)))
}

// patience is what a test waits at least before it gives up: a machine may be busy.
const patience = time.Minute

func (v *vendor) read(name string) []byte {
	v.Helper()
	data, err := os.ReadFile(v.path(name))
	v.must(err)
	return data
}

// push puts an image of one layer into the registry.
func (v *vendor) push(repository, tag string) {
	v.Helper()
	config := v.blob(repository, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	layer := v.blob(repository, "layer of "+tag)
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":%s,"layers":[%s]}`,
		fmt.Sprintf(config, "application/vnd.oci.image.config.v1+json"), fmt.Sprintf(layer, "application/vnd.oci.image.layer.v1.tar"))
	v.toRegistry(http.MethodPut, "http://"+v.registry.Addr+"/v2/"+repository+"/manifests/"+tag, "application/vnd.oci.image.manifest.v1+json", manifest)
}

// blob uploads a blob and returns its descriptor without the media type.
func (v *vendor) blob(repository, text string) string {
	v.Helper()
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text)))
	start := v.toRegistry(http.MethodPost, "http://"+v.registry.Addr+"/v2/"+repository+"/blobs/uploads/", "", "")
	upload, err := url.Parse(start.Header.Get("Location"))
	v.must(err)
	q := upload.Query()
	q.Set("digest", digest)
	upload.RawQuery = q.Encode()
	v.toRegistry(http.MethodPut, upload.String(), "application/octet-stream", text)
	return fmt.Sprintf(`{"mediaType":"%%s","digest":"%s","size":%d}`, digest, len(text))
}

// toRegistry sends a request with the registry's own account.
func (v *vendor) toRegistry(method, target, mediaType, body string) *http.Response {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, target, strings.NewReader(body))
	v.must(err)
	req.SetBasicAuth(registryUser, registryPassword)
	if mediaType != "" {
		req.Header.Set("Content-Type", mediaType)
	}
	resp, err := http.DefaultClient.Do(req)
	v.must(err, resp.Body.Close())
	if resp.StatusCode/100 != 2 {
		v.Fatalf("%s %s: %s", method, target, resp.Status)
	}
	return resp
}

// setPassword changes the password in the registry, as its administrator does.
func (v *vendor) setPassword(password string) {
	v.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	v.must(err)
	v.write("registry/htpasswd", registryUser+":"+string(hash)+"\n", 0o600)
}

// configure writes pullgate.yaml.
func (v *vendor) configure() {
	v.Helper()
	v.write("pullgate.yaml", fmt.Sprintf("licenses: %q\ndata: %q\ninstance: gate-1\nlog_level: debug\ncredentials:\n  main: {username: %s, password_file: %q, attach: %v, realms: [%s]}\n",
		v.path("licenses"), v.path("data"), registryUser, v.path("registry-password"), v.attach, strings.Join(v.realms, ", "))+v.config, 0o600)
}

// A front passes requests on to the registry, until it is told to do something else.
type front struct {
	*httptest.Server
	pass    http.Handler
	instead atomic.Pointer[http.HandlerFunc]
}

func newFront(t *testing.T, registry string) *front {
	f := &front{pass: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

// lead makes it pass requests on to another registry. No request may be under way.
func (f *front) lead(registry string) {
	f.pass = httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: registry})
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h := f.instead.Load(); h != nil {
		(*h)(w, r)
		return
	}
	f.pass.ServeHTTP(w, r)
}

// misbehave answers instead of the registry; nil lets the registry answer.
func (f *front) misbehave(h http.HandlerFunc) {
	if h == nil {
		f.instead.Store(nil)
		return
	}
	f.instead.Store(&h)
}

// hangUp closes connections without an answer.
func hangUp(w http.ResponseWriter, _ *http.Request) {
	if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
		conn.Close()
	}
}

// A started is a running pullgate that goes on until it is told to stop.
type started struct {
	*vendor
	log, out *lines
	admin    string
	cancel   context.CancelFunc
	done     chan int
	leaks    goleak.Option
	client   *http.Client
	conn     *grpc.ClientConn // nil of what has no gRPC port
	beside   bool             // another one, which is stopped later, looks for what is still running
	leave    func()           // before it is looked for what is still running; nil is nothing
}

// with is the same vendor, who starts a program in a process of its own.
func (v *vendor) with(program string) *vendor {
	other := *v
	other.program = program
	return &other
}

// run runs a command, which the end of ctx stops as SIGTERM does.
func (v *vendor) run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if v.program == "" {
		return run(ctx, args, strings.NewReader(""), stdout, stderr)
	}
	cmd := exec.CommandContext(ctx, v.program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(stderr, err)
	}
	return cmd.ProcessState.ExitCode()
}

// start starts a command, with an admin port of its own. The test's end stops it if the test has not.
func (v *vendor) start(args ...string) *started {
	v.Helper()
	s := &started{vendor: v, log: newLines(), out: newLines(), done: make(chan int, 1), leaks: goleak.IgnoreCurrent()}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() { s.done <- v.run(ctx, args, s.out, s.log) }()
	s.client = &http.Client{Timeout: patience, Transport: &http.Transport{}}
	s.admin = s.printed("admin")
	v.Cleanup(func() { s.stop() })
	return s
}

// A served is a running `pullgate serve`.
type served struct {
	*started
	check  authv3.AuthorizationClient
	health healthv1.HealthClient
}

// serve starts `pullgate serve` on free ports.
func (v *vendor) serve(args ...string) *served {
	v.Helper()
	v.configure()
	return v.serveAs(v.path("pullgate.yaml"), args...)
}

// serveAs is serve with a configuration of its own.
func (v *vendor) serveAs(config string, args ...string) *served {
	v.Helper()
	s := &served{started: v.start(append([]string{"serve", "--config", config, "--grpc-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0"}, args...)...)}
	var err error
	s.conn, err = grpc.NewClient(s.printed("grpc"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	v.must(err)
	s.check, s.health = authv3.NewAuthorizationClient(s.conn), healthv1.NewHealthClient(s.conn)
	return s
}

// printed waits for the line that begins with a word and returns the rest of it.
func (s *started) printed(word string) string {
	s.Helper()
	re := regexp.MustCompile(`(?m)^` + word + ` (\S+)$`)
	deadline := time.After(patience)
	for {
		more := s.out.more()
		if m := re.FindStringSubmatch(s.out.String()); m != nil {
			return m[1]
		}
		select {
		case <-more:
		case code := <-s.done:
			s.done <- code
			s.Fatalf("pullgate ended with %d:\n%s", code, s.log)
		case <-deadline:
			s.Fatalf("pullgate has not printed %s:\n%s", word, s.log)
		}
	}
}

// stop ends pullgate as SIGTERM does, which must take less than its deadlines and leave nothing
// running.
func (s *started) stop() {
	s.Helper()
	if s.cancel == nil {
		return
	}
	started := time.Now()
	s.cancel()
	s.cancel = nil
	select {
	case code := <-s.done:
		if code != exitYes {
			s.Errorf("exit code %d after a shutdown:\n%s", code, s.log)
		}
	case <-time.After(drainTimeout + adminTimeout + patience/2):
		s.Fatalf("pullgate does not end:\n%s", s.log)
	}
	s.Logf("shutdown took %s", time.Since(started).Round(time.Millisecond))
	if s.conn != nil {
		s.conn.Close()
	}
	s.client.CloseIdleConnections()
	if s.leave != nil {
		s.leave()
	}
	s.front.CloseClientConnections()
	http.DefaultClient.CloseIdleConnections() // of the front
	if !s.beside {
		nothingRuns(s.T, s.leaks)
	}
}

// nothingRuns waits until the goroutines have ended that did not run before.
func nothingRuns(t *testing.T, before goleak.Option) {
	t.Helper()
	for end := time.Now().Add(patience / 2); goleak.Find(before) != nil && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	goleak.VerifyNone(t, before)
}

// await asks every few milliseconds until ok, and returns how long that took. What it waits for
// happens in other processes and in the file system, which no clock of a test controls: limit is for a
// machine that has nothing else to do, and no other gives up before patience.
func (s *started) await(what string, limit time.Duration, ok func() bool) time.Duration {
	s.Helper()
	started := time.Now()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Since(started) > max(limit, patience) {
			s.Fatalf("not within %s: %s\n%s", max(limit, patience), what, s.log)
		}
		<-tick.C
	}
	return time.Since(started)
}

func (s *served) awaitReady() {
	s.Helper()
	s.await("ready", 20*time.Second, func() bool { code, _ := s.get("/readyz"); return code == http.StatusOK })
	s.await("gRPC health SERVING", 5*time.Second, func() bool { return s.healthy() == healthv1.HealthCheckResponse_SERVING })
}

func (s *served) healthy() healthv1.HealthCheckResponse_ServingStatus {
	s.Helper()
	resp, err := s.health.Check(s.Context(), &healthv1.HealthCheckRequest{})
	s.must(err)
	return resp.Status
}

// get asks the admin port.
func (s *started) get(path string) (int, string) {
	s.Helper()
	resp, err := s.client.Get("http://" + s.admin + path)
	s.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.must(err)
	return resp.StatusCode, string(body)
}

// An answer is what Envoy would do.
type answer struct {
	Status  int
	Code    string // of the metadata
	ID      string
	Body    string
	Header  http.Header // to the customer
	Forward http.Header // changed on the way to the registry
	Removed []string    // headers that the registry does not get
}

// ask sends one request as Envoy does, with a key as the password of a Basic login.
func (s *served) ask(key, method, path string) answer {
	s.Helper()
	authorization := ""
	if key != "" {
		authorization = basic("acme", key)
	}
	return s.askFrom("203.0.113.9", authorization, method, path)
}

// askFrom sends one request as Envoy does, from an address; "" is no Authorization.
func (s *served) askFrom(address, authorization, method, path string) answer {
	s.Helper()
	headers := map[string]string{":authority": customersHost, ":method": method, ":path": path, ":scheme": "https"}
	if authorization != "" {
		headers["authorization"] = authorization
	}
	resp, err := s.check.Check(s.Context(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: method, Path: path, Host: customersHost, Protocol: "HTTP/1.1", Scheme: "https", Headers: headers,
		}},
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: address, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: 40000}},
		}}},
	}})
	s.must(err)
	a := answer{Header: http.Header{}, Forward: http.Header{}}
	a.Code = resp.GetDynamicMetadata().GetFields()["code"].GetStringValue()
	a.ID = resp.GetDynamicMetadata().GetFields()["decision_id"].GetStringValue()
	if ok := resp.GetOkResponse(); ok != nil {
		a.Status, a.Removed = http.StatusOK, ok.HeadersToRemove
		for _, h := range ok.Headers {
			a.Forward.Add(h.Header.Key, headerValue(h.Header))
		}
		return a
	}
	denied := resp.GetDeniedResponse()
	a.Status, a.Body = int(denied.GetStatus().GetCode()), denied.GetBody()
	for _, h := range denied.GetHeaders() {
		a.Header.Add(h.Header.Key, headerValue(h.Header))
	}
	return a
}

// pull asks for a tag of acme/app as acme.
func (s *served) pull(tag string) answer {
	s.Helper()
	return s.ask(s.key, http.MethodGet, "/v2/acme/app/manifests/"+tag)
}

// gauge is the value of a metric without labels.
func (s *started) gauge(name string) string {
	s.Helper()
	_, text := s.get("/metrics")
	if m := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindStringSubmatch(text); m != nil {
		return m[1]
	}
	return ""
}

// decisions asks /v1/decisions.
func (s *served) decisions(query string) []map[string]any {
	s.Helper()
	code, body := s.get("/v1/decisions?" + query)
	var page struct{ Decisions []map[string]any }
	if err := json.Unmarshal([]byte(body), &page); err != nil || code != http.StatusOK {
		s.Fatalf("/v1/decisions?%s: %d %s", query, code, body)
	}
	return page.Decisions
}

// lines is a buffer that tells when something was written.
type lines struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	written chan struct{}
}

func newLines() *lines { return &lines{written: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.written)
	l.written = make(chan struct{})
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// more is closed when something is written after this call.
func (l *lines) more() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

// once runs a command that ends by itself, in this process.
func once(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, strings.NewReader(""), &out, &errs)
	return code, out.String(), errs.String()
}

// reservedAddr is an address where nothing listens, and nobody else can, until listen is called.
func reservedAddr(t *testing.T) (addr string, listen func() net.Listener) {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	must(t, err)
	file := os.NewFile(uintptr(fd), "reserved")
	t.Cleanup(func() { file.Close() })
	must(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	at, err := syscall.Getsockname(fd)
	must(t, err)
	return fmt.Sprintf("127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port), func() net.Listener {
		must(t, syscall.Listen(fd, syscall.SOMAXCONN))
		l, err := net.FileListener(file)
		must(t, err, file.Close()) // l has another one of its own
		return l
	}
}
