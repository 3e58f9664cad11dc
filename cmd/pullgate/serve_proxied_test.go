package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// A proxied is a running pullgate behind a real Envoy with the shipped configuration.
type proxied struct {
	*served
	addr   string // host:port for customers
	certs  *peers.Certificates
	client *http.Client
}

// proxy starts Envoy before a pullgate that is not yet running. change may be nil.
func (v *vendor) proxy(change func(*envoyexample.Options), args ...string) *proxied {
	v.Helper()
	v.onLoopback()
	return v.serve(args...).behindEnvoy(change)
}

// onLoopback makes the address at which Envoy listens the registry's for customers.
func (v *vendor) onLoopback() {
	v.Helper()
	vendorFile, err := os.ReadFile(v.path("licenses/vendor.yaml"))
	v.must(err)
	v.write("licenses/vendor.yaml", strings.Replace(string(vendorFile), customersHost, "127.0.0.1", 1), 0o644)
}

// behindEnvoy starts Envoy before a running pullgate. change may be nil.
func (s *served) behindEnvoy(change func(*envoyexample.Options)) *proxied {
	v, p := s.vendor, &proxied{served: s}
	v.Helper()
	p.awaitReady()
	certs, err := peers.NewCertificates(v.dir, "127.0.0.1")
	v.must(err)
	p.certs = certs
	options := envoyexample.Options{
		Hosts: []string{"127.0.0.1"}, Cert: certs.Cert, Key: certs.Key,
		Pullgate: p.conn.Target(), Registry: v.registry.Addr, AccessLog: v.path("access.log"),
	}
	if !v.attach {
		options.Credential = v.path("credential.yaml")
		v.must(envoyexample.WriteCredential(options.Credential, registryUser, registryPassword))
	}
	if change != nil {
		change(&options)
	}
	config, err := envoyexample.Render(options)
	v.must(err)
	// On a busy machine Envoy would give up after the 200 ms that the example allows.
	config = []byte(replaceOnce(v.T, string(config), "                timeout: 0.2s\n", "                timeout: 9s\n"))
	if v.envoy != nil {
		config = []byte(v.envoy(v.T, string(config)))
	}
	ctx, cancel := context.WithTimeout(v.Context(), patience)
	defer cancel()
	envoy, err := peers.StartEnvoy(ctx, peers.Envoy(v), config)
	v.must(err)
	v.Cleanup(func() { envoy.Close() })
	p.addr, err = envoy.Listener(ctx, envoyexample.ListenerName)
	v.must(err)
	p.client = &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certs.Pool}}}
	p.leave = func() { p.client.CloseIdleConnections(); envoy.Close() }
	return p
}

// do sends a request through Envoy.
func (p *proxied) do(method, path, authorization, body string) (*http.Response, string) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), method, "https://"+p.addr+path, strings.NewReader(body))
	p.must(err)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	req.Header.Set("User-Agent", "a client of this test") // arrived sees it
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := p.client.Do(req)
	p.must(err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	p.must(err)
	return resp, string(text)
}

// login gives clients of this test a key, as `docker login` keeps it.
func (p *proxied) login(key string) {
	p.Helper()
	auths := map[string]any{}
	if key != "" {
		auths[p.addr] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("acme:" + key))}
	}
	text, err := json.Marshal(map[string]any{"auths": auths})
	p.must(err)
	p.write("config.json", string(text), 0o600)
}

// run runs a client and returns what it printed and its exit code.
func (p *proxied) run(path string, args ...string) (string, int) {
	p.Helper()
	ctx, cancel := context.WithTimeout(p.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"HOME=" + p.dir, "DOCKER_CONFIG=" + p.dir, "REGISTRY_AUTH_FILE=" + p.path("config.json"), "SSL_CERT_FILE=" + p.certs.CA, "TMPDIR=" + p.dir, "PATH=" + os.Getenv("PATH")}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return out.String(), exit.ExitCode()
	}
	p.must(err)
	return out.String(), 0
}

// arrived are the paths that clients asked the registry for, through Envoy.
func (p *proxied) arrived() (paths []string) {
	p.Helper()
	all, err := p.registry.Requests(p.Context())
	p.must(err)
	for _, r := range all {
		if r.Agent != "pullgate" && !strings.Contains(r.Agent, "Go-http-client") {
			paths = append(paths, r.Path)
		}
	}
	return paths
}

func TestBadKeysAreLimitedThroughEnvoy(t *testing.T) {
	v := newVendor(t)
	p := v.proxy(nil, "--bad-keys-per-minute", "3")
	typo := basic("acme", v.key[:len(v.key)-1]+"x")
	for range 3 {
		if resp, body := p.do(http.MethodGet, "/v2/", typo, ""); resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("WWW-Authenticate") == "" {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	for _, path := range []string{"/v2/", "/v2/acme/app/manifests/1.4.0", "/v2/nobody/knows/tags/list"} {
		resp, body := p.do(http.MethodGet, path, typo, "")
		if resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "60" || resp.Header.Get("WWW-Authenticate") != "" ||
			!strings.HasPrefix(body, `{"errors":[{"code":"TOOMANYREQUESTS","message":"`) || resp.Header.Get("X-Pullgate-Decision") == "" {
			t.Errorf("%s: %s %v %s", path, resp.Status, resp.Header, body)
		}
	}
	if got := p.arrived(); len(got) > 0 {
		t.Errorf("%v arrived at the registry", got)
	}
	// From the same address: a customer, and who has no key yet.
	for range 10 {
		if resp, body := p.do(http.MethodGet, "/v2/", "", ""); resp.StatusCode != http.StatusUnauthorized {
			t.Errorf("without a key: %s %s", resp.Status, body)
		}
	}
	p.login(v.key)
	if out, exit := p.run(peers.Crane(t), "pull", "--format", "oci", p.addr+"/acme/app:1.4.0", v.path("pulled")); exit != 0 {
		t.Errorf("crane: exit %d: %s", exit, out)
	}
	p.await("the records", 5*time.Second, func() bool { return len(p.decisions("code=rate_limited")) == 3 })
	if _, metrics := p.get("/metrics"); !strings.Contains(metrics, `pullgate_bad_keys_total{counter="own",result="limited"} 3`) || !strings.Contains(metrics, `pullgate_decisions_total{cached="none",code="rate_limited",verdict="deny"} 3`) {
		t.Errorf("metrics:\n%s", metrics)
	}
	p.nothingLeaks()
}

// What one address does, another one does not notice.
func TestBadKeysAreLimitedByAddress(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	typo := basic("acme", v.key[:len(v.key)-1]+"x")
	ask := func(address, authorization string) int {
		return s.askFrom(address, authorization, http.MethodGet, "/v2/acme/app/manifests/1.4.0").Status
	}
	for n := range 30 {
		want := http.StatusUnauthorized
		if n >= 20 { // the default
			want = http.StatusTooManyRequests
		}
		if got := ask("2001:db8::1", typo); got != want {
			t.Fatalf("bad key %d: %d, want %d", n+1, got, want)
		}
	}
	for _, c := range []struct {
		what, address, authorization string
		want                         int
	}{
		{"another host of the network", "2001:db8::2", typo, http.StatusTooManyRequests},
		{"another scheme", "2001:db8::1", "Bearer x", http.StatusTooManyRequests},
		{"another network", "2001:db8:0:1::1", typo, http.StatusUnauthorized},
		{"IPv4", "192.0.2.1", typo, http.StatusUnauthorized},
		{"a customer there", "2001:db8::1", basic("acme", v.key), http.StatusOK},
		{"nobody there", "2001:db8::1", "", http.StatusUnauthorized},
		{"an empty password there", "2001:db8::1", "Basic Og==", http.StatusUnauthorized},
		{"two credentials there", "2001:db8::1", typo + "," + typo, http.StatusBadRequest},
	} {
		if got := ask(c.address, c.authorization); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
}
