package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// The registries' own account. Customers never learn it.
const (
	registryUser     = "upstream"
	registryPassword = "the-registry-password"
)

// A registry is one that the clients are tried against.
type registry struct {
	name  string // in the table
	peer  string // in tools/peers
	start func(ctx context.Context, path, dir string, users map[string]string) (addr string, close func() error, err error)
}

var registries = []registry{
	{name: "distribution 3", peer: "registry", start: startDistribution},
	{name: "distribution 2.8", peer: "registry-2.8", start: startDistribution},
	{name: "olareg", peer: "olareg", start: startOlareg},
}

func startDistribution(ctx context.Context, path, dir string, users map[string]string) (string, func() error, error) {
	r, err := peers.StartRegistry(ctx, path, dir, users)
	if err != nil {
		return "", nil, err
	}
	return r.Addr, r.Close, nil
}

func startOlareg(ctx context.Context, path, dir string, users map[string]string) (string, func() error, error) {
	r, err := peers.StartOlareg(ctx, path, dir, users)
	if err != nil {
		return "", nil, err
	}
	return r.Addr, r.Close, nil
}

// A stage is one registry with pullgate and Envoy before it.
type stage struct {
	registry registry
	tokens   bool // pullgate asks customers for bearer tokens, and gives them
	dir      string
	vendor   *vendor
	certs    *peers.Certificates
	upstream *upstream
	envoy    *peers.EnvoyProcess
	front    string // host:port of Envoy
	closers  []func() error
}

func newStage(ctx context.Context, m *matrix, r registry, tokens bool, v *vendor, dir string) (_ *stage, err error) {
	s := &stage{registry: r, tokens: tokens, dir: dir, vendor: v}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s: %w", r.name, err), s.close())
		}
	}()
	if err := os.MkdirAll(s.path("registry"), 0o700); err != nil {
		return nil, err
	}
	if s.certs, err = peers.NewCertificates(dir, "127.0.0.1"); err != nil {
		return nil, err
	}
	addr, err := s.startRegistry(ctx, m.find)
	if err != nil {
		return nil, err
	}
	p := pusher{addr, registryUser, registryPassword}
	if err := fill(ctx, p, m.content); err != nil {
		return nil, err
	}
	if m.signer != nil {
		if err := m.signer.sign(ctx, p, m.content); err != nil {
			return nil, err
		}
	}
	if err := v.write(s.path("licenses"), addr); err != nil {
		return nil, err
	}
	gate, err := s.startPullgate(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.startEnvoy(ctx, m.find, gate.GRPC); err != nil {
		return nil, err
	}
	return s, gate.AwaitReady(ctx)
}

// close ends everything, last started first: pullgate has then written all its records.
func (s *stage) close() error {
	var errs []error
	for len(s.closers) > 0 {
		last := len(s.closers) - 1
		errs = append(errs, s.closers[last]())
		s.closers = s.closers[:last]
	}
	return errors.Join(errs...)
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) startRegistry(ctx context.Context, find finder) (addr string, err error) {
	path, err := find(ctx, s.registry.peer)
	if err != nil {
		return "", err
	}
	addr, end, err := s.registry.start(ctx, path, s.path("registry"), map[string]string{registryUser: registryPassword})
	if err != nil {
		return "", err
	}
	s.upstream = newUpstream(addr, registryUser, registryPassword)
	s.closers = append(s.closers, end, func() error { s.upstream.Close(); return nil })
	return addr, nil
}

// fill pushes all content.
func fill(ctx context.Context, p pusher, c *content) error {
	for _, o := range c.objects() {
		push := p.push
		for version, sbom := range c.sbom {
			if o == sbom {
				push = func(ctx context.Context, o *object) error { return p.referrer(ctx, o, c.app[version].root) }
			}
		}
		if err := push(ctx, o); err != nil {
			return fmt.Errorf("push %s: %w", o.name, err)
		}
	}
	return nil
}

func (s *stage) startPullgate(ctx context.Context) (*peers.PullgateProcess, error) {
	if err := os.WriteFile(s.path("registry-password"), []byte(registryPassword+"\n"), 0o600); err != nil {
		return nil, err
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
	if s.tokens {
		if out, err := exec.CommandContext(ctx, s.vendor.pullgate, "token", "keygen", "--out", s.path("tokens")).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("pullgate token keygen: %w\n%s", err, out)
		}
		config += fmt.Sprintf("bearer:\n  enabled: true\n  keys: [%q]\n", s.path("tokens.key"))
	}
	if err := os.WriteFile(s.path("pullgate.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	g, err := peers.StartPullgate(ctx, s.vendor.pullgate, s.path("pullgate.yaml"))
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, g.Close)
	return g, nil
}

// startEnvoy runs the shipped example configuration.
func (s *stage) startEnvoy(ctx context.Context, find finder, grpc string) error {
	path, err := find(ctx, "envoy")
	if err != nil {
		return err
	}
	credential := s.path("registry-credential.yaml")
	if err := envoyexample.WriteCredential(credential, registryUser, registryPassword); err != nil {
		return err
	}
	config, err := envoyexample.Render(envoyexample.Options{
		Hosts: []string{"127.0.0.1"}, Cert: s.certs.Cert, Key: s.certs.Key, Pullgate: grpc,
		Registry: s.upstream.addr(), Credential: credential, AccessLog: s.path("envoy-access.log"),
	})
	if err != nil {
		return err
	}
	// A machine that runs tests starves now and then, and a refusal then reads like an outage.
	if config, err = replaceOnce(config, "timeout: 0.2s\n              # KEEP: no answer, no pull.", "timeout: 10s\n              # KEEP: no answer, no pull."); err != nil {
		return err
	}
	if s.envoy, err = peers.StartEnvoy(ctx, path, config); err != nil {
		return err
	}
	s.closers = append(s.closers, s.envoy.Close)
	s.front, err = s.envoy.Listener(ctx, envoyexample.ListenerName)
	return err
}

func replaceOnce(text []byte, old, with string) ([]byte, error) {
	if n := bytes.Count(text, []byte(old)); n != 1 {
		return nil, fmt.Errorf("envoy.yaml has %q %d times, want once", old, n)
	}
	return bytes.Replace(text, []byte(old), []byte(with), 1), nil
}

// A record is what is read of a decision; the names are API (docs/records.md).
type record struct {
	ID      string `json:"id"`
	Request struct {
		Address string `json:"address"`
	} `json:"request"`
	Subject struct {
		Via string `json:"via"`
	} `json:"subject"`
	Action  string `json:"action"`
	Verdict string `json:"verdict"`
	Code    string `json:"code"`
	Detail  string `json:"detail"` // of pullgate's own failures
}

// records are all decisions by the customer's address. The stage must be closed.
func (s *stage) records(ctx context.Context) (map[string][]record, error) {
	out, err := exec.CommandContext(ctx, s.vendor.pullgate, "decisions", "list", "--limit", "0", "-o", "json", "--data", s.path("data")).Output()
	if err != nil {
		return nil, fmt.Errorf("pullgate decisions list: %w", err)
	}
	all := map[string][]record{}
	for line := range strings.Lines(string(out)) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, fmt.Errorf("decision record %q: %w", line, err)
		}
		all[r.Request.Address] = append(all[r.Request.Address], r)
	}
	return all, nil
}
