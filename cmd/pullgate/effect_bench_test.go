package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/pullgate/pullgate/bundle/license"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// leastEdits is how many edits are made at least, whatever -benchtime says.
const leastEdits = 20

// measured are the benchmarks that were: making them ready takes a minute, which -count need not repeat.
var measured sync.Map

// BenchmarkEffect edits one license among many, each customer with a key and three licenses in a file
// of its own, and measures from the edit until everybody who decides answers otherwise: in one
// process, and with a publisher and two sidecars over HTTP. Every pullgate is a process of its own; its
// memory is the most while edits count against what it is at rest before them. -benchtime=100x makes
// a hundred edits.
func BenchmarkEffect(b *testing.B) {
	for _, customers := range []int{1_000, 100_000} {
		for _, way := range []struct {
			name  string
			start func(*world) (deciding []*program)
		}{{"one", (*world).one}, {"split", (*world).split}} {
			name := fmt.Sprintf("customers=%dk/%s", customers/1000, way.name)
			if _, again := measured.LoadOrStore(name, true); !again {
				b.Run(name, func(b *testing.B) { effect(b, customers, way.start) })
			}
		}
	}
}

func effect(b *testing.B, customers int, start func(*world) []*program) {
	w := newCrowded(b, customers)
	began := time.Now()
	deciding := start(w)
	for _, p := range deciding {
		p.await(http.StatusOK)
	}
	ready := time.Since(began)
	for i := range 2 { // the first edit pays for what all others share
		w.edit(i, deciding)
	}
	rest := make([]float64, len(w.programs))
	time.Sleep(5 * time.Second) // memory that is free goes back to the system
	for i, p := range w.programs {
		rest[i] = p.memory("VmRSS")
		p.forgetPeak()
	}
	var took []time.Duration
	b.ResetTimer()
	for b.Loop() {
		took = append(took, w.edit(len(took), deciding))
	}
	b.StopTimer()
	for len(took) < leastEdits {
		took = append(took, w.edit(len(took), deciding))
	}
	slices.Sort(took)
	b.ReportMetric(ready.Seconds(), "ready-s")
	b.ReportMetric(p50(took).Seconds(), "p50-s")
	b.ReportMetric(p95(took).Seconds(), "p95-s")
	for i, p := range w.programs {
		peak := p.memory("VmHWM")
		b.ReportMetric(rest[i], p.name+"-rest-MB")
		b.ReportMetric(peak/rest[i], p.name+"-peak/rest")
	}
}

// A world is a vendor with many customers, and what runs of it.
type world struct {
	*testing.B
	dir, key string
	programs []*program
}

func newCrowded(b *testing.B, customers int) *world {
	secret, hash := license.NewKey(rand.Reader)
	w := &world{B: b, dir: b.TempDir(), key: secret}
	registry := httptest.NewServer(http.HandlerFunc(twoTags))
	b.Cleanup(registry.Close)
	w.write("licenses/vendor.yaml", fmt.Sprintf("kind: Registry\nid: main\nhosts: [%s]\nupstream: %s\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n", customersHost, registry.URL))
	w.write("licenses/acme.yaml", "kind: Customer\nid: acme\nkeys: [{id: ci, hash: \""+hash+"\"}]\n")
	w.write("licenses/license.yaml", grants(">=1.0.0 <2.0.0"))
	for i := range customers - 1 {
		w.write(fmt.Sprintf("licenses/c%03d/c%06d.yaml", i%1000, i), crowd(i))
	}
	return w
}

// twoTags is a registry with one repository.
func twoTags(rw http.ResponseWriter, r *http.Request) {
	manifest := func(tag string) []byte {
		return fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","annotations":{"tag":%q},"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%064x","size":2},"layers":[]}`, tag, 1)
	}
	path, _ := strings.CutPrefix(r.URL.Path, "/v2/")
	reference, isManifest := strings.CutPrefix(path, "acme/app/manifests/")
	switch {
	case path == "":
	case path == "acme/app/tags/list":
		fmt.Fprint(rw, `{"name":"acme/app","tags":["1.4.0","2.0.0"]}`)
	case isManifest:
		for _, tag := range []string{"1.4.0", "2.0.0"} {
			text := manifest(tag)
			if digest := fmt.Sprintf("sha256:%x", sha256.Sum256(text)); reference == tag || reference == digest {
				rw.Header().Set("Docker-Content-Digest", digest)
				rw.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
				rw.Header().Set("Content-Length", strconv.Itoa(len(text)))
				_, _ = rw.Write(text)
				return
			}
		}
		http.NotFound(rw, r)
	default:
		http.NotFound(rw, r)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) {
	w.Helper()
	file := w.path(name)
	err := os.WriteFile(file, []byte(text), 0o600)
	if os.IsNotExist(err) {
		if err = os.MkdirAll(filepath.Dir(file), 0o700); err == nil {
			err = os.WriteFile(file, []byte(text), 0o600)
		}
	}
	if err != nil {
		w.Fatal(err)
	}
}

// edit changes a license and returns how long it took to count everywhere.
func (w *world) edit(i int, deciding []*program) time.Duration {
	w.Helper()
	versions, want := ">=2.0.0", http.StatusForbidden
	if i%2 == 1 {
		versions, want = ">=1.0.0 <2.0.0", http.StatusOK
	}
	saved := time.Now()
	w.write("licenses/license.yaml", grants(versions))
	for _, p := range deciding {
		p.await(want)
	}
	return time.Since(saved)
}

func (w *world) one() []*program {
	w.write("one.yaml", fmt.Sprintf("licenses: %q\ndata: %q\n", w.path("licenses"), w.path("data")))
	return []*program{w.serve("one")}
}

func (w *world) split() (deciding []*program) {
	w.run("keygen", nil, "bundle", "keygen", "--out", w.path("release"))
	if err := w.programs[0].cmd.Wait(); err != nil {
		w.Fatal(err, w.programs[0].log)
	}
	w.programs = nil
	w.write("publisher.yaml", fmt.Sprintf("licenses: %q\ndata: %q\nsigning_key: %q\nadmin_addr: 127.0.0.1:0\nbundle_addr: 127.0.0.1:0\n", w.path("licenses"), w.path("publisher"), w.path("release.key")))
	at := w.run("publisher", []string{"bundles"}, "publish", "--config", w.path("publisher.yaml"))
	for _, name := range []string{"sidecar-1", "sidecar-2"} {
		w.write(name+".yaml", fmt.Sprintf("bundle_url: %sdefault\nbundle_key_file: %q\ndata: %q\n", at["bundles"], w.path("release.pub"), w.path(name)))
		deciding = append(deciding, w.serve(name))
	}
	return deciding
}

// A program is a pullgate that runs as a process of its own.
type program struct {
	*world
	name  string
	cmd   *exec.Cmd
	log   *lines
	check authv3.AuthorizationClient
}

// serve starts `pullgate serve`.
func (w *world) serve(name string) *program {
	at := w.run(name, []string{"grpc"}, "serve", "--config", w.path(name+".yaml"), "--grpc-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")
	conn, err := grpc.NewClient(at["grpc"], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { conn.Close() })
	p := w.programs[len(w.programs)-1]
	p.check = authv3.NewAuthorizationClient(conn)
	return p
}

// run starts a command and waits for the lines that begin with these words, of which it returns the rest.
func (w *world) run(name string, words []string, args ...string) map[string]string {
	w.Helper()
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	p := &program{world: w, name: name, log: newLines()}
	out := newLines()
	p.cmd = exec.Command(self)
	p.cmd.Args = append([]string{"pullgate"}, args...) // see TestMain
	p.cmd.Stdout, p.cmd.Stderr = out, p.log
	if err := p.cmd.Start(); err != nil {
		w.Fatal(err)
	}
	w.programs = append(w.programs, p)
	w.Cleanup(func() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
		_ = p.cmd.Wait()
	})
	at := map[string]string{}
	for limit := time.Now().Add(time.Minute); len(at) < len(words); time.Sleep(10 * time.Millisecond) {
		for _, word := range words {
			if m := regexp.MustCompile(`(?m)^` + word + ` (\S+)$`).FindStringSubmatch(out.String()); m != nil {
				at[word] = m[1]
			}
		}
		if time.Now().After(limit) {
			w.Fatalf("%s has not printed %v: %s", name, words, p.log)
		}
	}
	return at
}

// await asks until a pull of 1.4.0 by acme is answered so.
func (p *program) await(status int) {
	p.Helper()
	for limit := time.Now().Add(5 * time.Minute); p.pull() != status; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(limit) {
			p.Fatalf("%s does not answer %d:\n%s", p.name, status, p.log)
		}
	}
}

// pull is the status that Envoy is told; 0 when nobody answers.
func (p *program) pull() int {
	const path = "/v2/acme/app/manifests/1.4.0"
	resp, err := p.check.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			Method: http.MethodGet, Path: path, Host: customersHost, Protocol: "HTTP/1.1", Scheme: "https",
			Headers: map[string]string{":authority": customersHost, ":method": http.MethodGet, ":path": path, ":scheme": "https", "authorization": basic("acme", p.key)},
		}},
	}})
	switch {
	case err != nil:
		return 0
	case resp.GetOkResponse() != nil:
		return http.StatusOK
	}
	return int(resp.GetDeniedResponse().GetStatus().GetCode())
}

// memory is a figure of Linux's about the process, in MB.
func (p *program) memory(name string) float64 {
	p.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.Skip("memory is measured on Linux only:", err)
	}
	for line := range bytes.Lines(text) {
		if fields := strings.Fields(string(line)); len(fields) > 1 && fields[0] == name+":" {
			kb, _ := strconv.ParseFloat(fields[1], 64)
			return kb / 1024
		}
	}
	p.Fatalf("no %s", name)
	return 0
}

// forgetPeak lets VmHWM begin anew.
func (p *program) forgetPeak() {
	p.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.cmd.Process.Pid), []byte("5"), 0); err != nil {
		p.Fatal(err)
	}
}
