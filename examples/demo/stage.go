package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// The registry's own account. Customers never learn it: Envoy adds it after pullgate has decided.
const (
	registryUser     = "upstream"
	registryPassword = "the-registry-password"
)

// stage is everything that runs.
type stage struct {
	dir      string
	crane    string
	skopeo   string // "" when it is not installed
	pullgate string

	registry *peers.RegistryProcess
	envoy    *peers.EnvoyProcess
	sidecar  *peers.PullgateProcess
	certs    *peers.Certificates
	https    *http.Client // trusts the certificates

	host string // what customers pull from: Envoy
	keys map[string]string
	app  map[string]string // digests of the images by tag
}

func newStage(ctx context.Context, pullgate string) (_ *stage, err error) {
	s := &stage{keys: map[string]string{}, app: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "pullgate-demo-"); err != nil {
		return nil, err
	}
	if s.pullgate, err = filepath.Abs(pullgate); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.pullgate); err != nil {
		return nil, fmt.Errorf("%w; run `make build`, or `make demo`, which does", err)
	}
	if s.crane, err = peers.Path(ctx, "crane"); err != nil {
		return nil, err
	}
	s.skopeo, _ = exec.LookPath("skopeo")
	if s.certs, err = peers.NewCertificates(s.dir, "127.0.0.1", "localhost"); err != nil {
		return nil, err
	}
	s.https = &http.Client{Timeout: time.Minute, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.certs.Pool}}}
	for _, start := range []func(context.Context) error{s.startRegistry, s.pushImages, s.writeLicenses, s.startPullgate, s.startEnvoy, s.awaitReady} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stage) close() error {
	var errs []error
	if s.envoy != nil {
		errs = append(errs, s.envoy.Close())
	}
	if s.sidecar != nil {
		errs = append(errs, s.sidecar.Close())
	}
	if s.registry != nil {
		errs = append(errs, s.registry.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) startRegistry(ctx context.Context) error {
	path, err := peers.Path(ctx, "registry")
	if err != nil {
		return err
	}
	if err := os.Mkdir(s.path("registry"), 0o700); err != nil {
		return err
	}
	s.registry, err = peers.StartRegistry(ctx, path, s.path("registry"), map[string]string{registryUser: registryPassword})
	if err == nil {
		say("registry (distribution) on %s, with authentication", s.registry.Addr)
	}
	return err
}

// startPullgate starts the sidecar with the command a user would type.
func (s *stage) startPullgate(ctx context.Context) error {
	if err := os.WriteFile(s.path("registry-password"), []byte(registryPassword+"\n"), 0o600); err != nil {
		return err
	}
	config := fmt.Sprintf(`licenses: %q
data: %q
grpc_addr: 127.0.0.1:0
admin_addr: 127.0.0.1:0
credentials:
  main:
    username: %s
    password_file: %q
    attach: false        # Envoy's credential_injector adds it
`, s.path("licenses"), s.path("data"), registryUser, s.path("registry-password"))
	if err := os.WriteFile(s.path("pullgate.yaml"), []byte(config), 0o600); err != nil {
		return err
	}
	var err error
	if s.sidecar, err = peers.StartPullgate(ctx, s.pullgate, s.path("pullgate.yaml")); err != nil {
		return err
	}
	say("pullgate serves decisions on %s, admin on %s", s.sidecar.GRPC, s.sidecar.Admin)
	return nil
}

// startEnvoy runs the shipped example configuration with this run's ports and files.
func (s *stage) startEnvoy(ctx context.Context) error {
	path, err := peers.Path(ctx, "envoy")
	if err != nil {
		return err
	}
	if err := envoyexample.WriteCredential(s.path("registry-credential.yaml"), registryUser, registryPassword); err != nil {
		return err
	}
	config, err := envoyexample.Render(envoyexample.Options{
		Hosts: []string{"127.0.0.1"}, Cert: s.certs.Cert, Key: s.certs.Key,
		Pullgate: s.sidecar.GRPC, Registry: s.registry.Addr, Credential: s.path("registry-credential.yaml"),
		AccessLog: s.path("envoy-access.log"),
	})
	if err != nil {
		return err
	}
	if s.envoy, err = peers.StartEnvoy(ctx, path, config); err != nil {
		return err
	}
	if s.host, err = s.envoy.Listener(ctx, envoyexample.ListenerName); err != nil {
		return err
	}
	say("Envoy on https://%s, with examples/envoy/envoy.yaml", s.host)
	return nil
}

func (s *stage) awaitReady(ctx context.Context) error {
	if err := s.sidecar.AwaitReady(ctx); err != nil {
		return err
	}
	say("pullgate has read the registry and is ready")
	return nil
}

// client runs a client as a customer: its own configuration, its own login.
func (s *stage) client(ctx context.Context, who, host string, name string, args ...string) (output string, code int, err error) {
	home := s.path("home-" + who)
	if err := os.MkdirAll(home, 0o700); err != nil {
		return "", 0, err
	}
	auths := map[string]any{}
	if key := s.keys[who]; key != "" {
		auths[host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(key))}
	}
	config, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return "", 0, err
	}
	if err := os.WriteFile(filepath.Join(home, "config.json"), config, 0o600); err != nil {
		return "", 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = []string{"HOME=" + home, "DOCKER_CONFIG=" + home, "REGISTRY_AUTH_FILE=" + filepath.Join(home, "config.json"), "SSL_CERT_FILE=" + s.certs.CA, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + s.dir}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return out.String(), exit.ExitCode(), nil
	}
	return out.String(), 0, err
}

// record is what the demo reads of a decision; the names are API (docs/records.md).
type record struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	Verdict    string    `json:"verdict"`
	Code       string    `json:"code"`
	Status     int       `json:"status"`
	License    string    `json:"license"`
	Repository string    `json:"repository"`
}

// records asks pullgate what it has decided about a repository since an instant, oldest
// first. Records are written in the order of decisions, a moment later: it makes a request of
// its own and waits for that one's record.
func (s *stage) records(ctx context.Context, since time.Time, repository string) ([]record, error) {
	mark, err := s.https.Get("https://" + s.host + "/v2/")
	if err != nil {
		return nil, err
	}
	_ = mark.Body.Close()
	id := mark.Header.Get("x-pullgate-decision")
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		url := fmt.Sprintf("http://%s/v1/decisions?limit=1000&since=%s", s.sidecar.Admin, since.UTC().Format(time.RFC3339Nano))
		resp, err := http.Get(url)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			return nil, err
		}
		var page struct {
			Decisions []record `json:"decisions"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", url, err, body)
		}
		if len(page.Decisions) > 0 && page.Decisions[0].ID == id {
			slices.Reverse(page.Decisions)
			return slices.DeleteFunc(page.Decisions, func(r record) bool { return r.Repository != repository }), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no record of decision %q: %w", id, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// explain prints what to try while everything keeps running.
func (s *stage) explain() {
	fmt.Printf(`
Everything keeps running until you press Ctrl-C. Try, in another terminal:

  export SSL_CERT_FILE=%[1]s
  # pull as the customer acme: in range, and out of range
  DOCKER_CONFIG=%[2]s %[3]s digest %[4]s/demo/app:1.4.0
  DOCKER_CONFIG=%[2]s %[3]s digest %[4]s/demo/app:2.0.0
  # change what acme may have, save, and pull again
  $EDITOR %[5]s
  # who asked for what, and why was it refused
  %[6]s decisions tail --data %[7]s
  %[6]s decide --licenses %[8]s --data %[7]s --as acme --at 2099-01-01T00:00:00Z GET https://%[4]s/v2/demo/app/manifests/1.4.0
  curl http://%[9]s/healthz
`, s.certs.CA, s.path("home-acme"), s.crane, s.host, s.path("licenses/acme.yaml"), s.pullgate, s.path("data"), s.path("licenses"), s.sidecar.Admin)
}

func lastLine(text string) string {
	sc := bufio.NewScanner(strings.NewReader(text))
	last := ""
	for sc.Scan() {
		if l := strings.TrimSpace(sc.Text()); l != "" {
			last = l
		}
	}
	return last
}
