package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// The registry's own account. Customers never learn it.
const (
	registryUser     = "upstream"
	registryPassword = "the-registry-password"
	bundleToken      = "the-token-of-the-sidecars"
	redisPassword    = "the-redis-password"
	redisSecret      = "the-secret-that-seals-verdicts-in-redis"
)

// stage is everything that runs.
type stage struct {
	dir      string
	pullgate string
	crane    string

	registry  *peers.RegistryProcess
	database  *peers.PostgresProcess
	redis     *peers.RedisProcess
	publisher *peers.PublisherProcess
	gates     [2]*gate
	certs     *peers.Certificates

	keys map[string]string // NAME:KEY by customer
}

// gate is a sidecar and the Envoy before it.
type gate struct {
	sidecar *peers.PullgateProcess
	envoy   *peers.EnvoyProcess
	host    string
	https   *http.Client // keeps its connection
}

func newStage(ctx context.Context, pullgate string) (_ *stage, err error) {
	s := &stage{keys: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.dir, err = os.MkdirTemp("", "pullgate-split-"); err != nil {
		return nil, err
	}
	if s.pullgate, err = filepath.Abs(pullgate); err != nil {
		return nil, err
	}
	if _, err := os.Stat(s.pullgate); err != nil {
		return nil, fmt.Errorf("%w; run `make build`, or `make demo-split`, which does", err)
	}
	if s.certs, err = peers.NewCertificates(s.dir, "127.0.0.1", "localhost"); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{s.startRegistry, s.startDatabase, s.startRedis, s.startPublisher, s.startGates} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *stage) close() error {
	var errs []error
	for _, g := range s.gates {
		if g == nil {
			continue
		}
		if g.envoy != nil {
			errs = append(errs, g.envoy.Close())
		}
		if g.sidecar != nil {
			errs = append(errs, g.sidecar.Close())
		}
	}
	if s.publisher != nil {
		errs = append(errs, s.publisher.Close())
	}
	if s.redis != nil {
		errs = append(errs, s.redis.Close())
	}
	if s.database != nil {
		errs = append(errs, s.database.Close())
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

func (s *stage) write(name, text string) error {
	return os.WriteFile(s.path(name), []byte(text), 0o600)
}

// command runs pullgate to its end.
func (s *stage) command(ctx context.Context, args ...string) (string, error) {
	out, err := exec.CommandContext(ctx, s.pullgate, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("pullgate %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

func (s *stage) startRegistry(ctx context.Context) error {
	path, err := peers.Path(ctx, "registry")
	if err != nil {
		return err
	}
	if s.crane, err = peers.Path(ctx, "crane"); err != nil {
		return err
	}
	if err := os.Mkdir(s.path("registry"), 0o700); err != nil {
		return err
	}
	if s.registry, err = peers.StartRegistry(ctx, path, s.path("registry"), map[string]string{registryUser: registryPassword}); err != nil {
		return err
	}
	auth := base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + registryPassword))
	if err := s.write("config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, s.registry.Addr, auth)); err != nil {
		return err
	}
	if err := s.write("layer.tar.txt", "the app\n"); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "tar", "-C", s.dir, "-cf", s.path("layer.tar"), "layer.tar.txt").CombinedOutput(); err != nil {
		return fmt.Errorf("tar: %w\n%s", err, out)
	}
	push := exec.CommandContext(ctx, s.crane, "append", "-f", s.path("layer.tar"), "-t", s.registry.Addr+"/demo/app:1.4.0")
	push.Env = append(os.Environ(), "DOCKER_CONFIG="+s.dir)
	if out, err := push.CombinedOutput(); err != nil {
		return fmt.Errorf("crane append: %w\n%s", err, out)
	}
	say("registry (distribution) on %s, with authentication and demo/app:1.4.0", s.registry.Addr)
	return nil
}

var secretLine = regexp.MustCompile(`(?m)^pg_\S+$`)

// startDatabase starts PostgreSQL and imports license files of two customers.
func (s *stage) startDatabase(ctx context.Context) error {
	path, err := peers.Path(ctx, "postgres")
	if err != nil {
		return err
	}
	if s.database, err = peers.StartPostgres(ctx, path, ""); err != nil {
		return err
	}
	if err := os.Mkdir(s.path("licenses"), 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("kind: Registry\nid: main\nhosts: [127.0.0.1]\nupstream: http://%s\n---\nkind: Product\nid: app\nrepositories: [demo/app]\n", s.registry.Addr)
	for _, customer := range []string{"acme", "globex"} {
		out, err := s.command(ctx, "key", "new", "--customer", customer, "--id", "ci")
		if err != nil {
			return err
		}
		key := regexp.MustCompile(`(?m)^  - \{id: .*$`).FindString(out)
		s.keys[customer] = customer + ":" + secretLine.FindString(out)
		text += fmt.Sprintf("---\nkind: Customer\nid: %[1]s\nkeys:\n%[2]s\n---\nkind: License\nid: %[1]s-app\ncustomer: %[1]s\ntype: subscription\nstarts: 2020-01-01\nends: 2099-12-31\ngrants: [{product: app, versions: all}]\n", customer, key)
	}
	if err := s.write("licenses/all.yaml", text); err != nil {
		return err
	}
	out, err := s.command(ctx, "licenses", "import", s.path("licenses"), "--to", s.databaseURL())
	if err != nil {
		return err
	}
	say("PostgreSQL on %s: %s", s.database.Addr, strings.TrimSpace(out))
	return nil
}

func (s *stage) databaseURL() string { return s.database.URL("postgres", "postgres") }

func (s *stage) startRedis(ctx context.Context) error {
	path, err := peers.Path(ctx, "redis")
	if err != nil {
		return err
	}
	if s.redis, err = peers.StartRedis(ctx, path, peers.RedisConfig{User: "pullgate", Password: redisPassword}); err != nil {
		return err
	}
	say("Redis on %s", s.redis.Addr)
	if err := s.write("redis-secret", redisSecret+"\n"); err != nil {
		return err
	}
	return s.write("redis-password", redisPassword+"\n")
}

// startPublisher starts the publisher with the commands a user would type.
func (s *stage) startPublisher(ctx context.Context) error {
	if s.publisher == nil {
		if _, err := s.command(ctx, "bundle", "keygen", "--out", s.path("release")); err != nil {
			return err
		}
		err := errors.Join(s.write("registry-password", registryPassword+"\n"), s.write("sidecars", bundleToken+"\n"))
		if err != nil {
			return err
		}
		if err := s.writePublisher("127.0.0.1:0"); err != nil {
			return err
		}
	}
	var err error
	if s.publisher, err = peers.StartPublisher(ctx, s.pullgate, s.path("publish.yaml")); err != nil {
		return err
	}
	say("pullgate publish serves bundles on %s", s.publisher.Bundles)
	// Started again it listens where the sidecars look for it.
	return s.writePublisher(strings.TrimSuffix(strings.TrimPrefix(s.publisher.Bundles, "http://"), "/bundles/"))
}

func (s *stage) writePublisher(addr string) error {
	return s.write("publish.yaml", fmt.Sprintf(`licenses: %q
data: %q
signing_key: %q
admin_addr: 127.0.0.1:0
bundle_addr: %s
max_loss: 100%%              # two customers: each loss is half of them
redis: redis://pullgate@%s
redis_password_file: %q
bundles:
  default: {token_file: %q}
credentials:
  main: {username: %s, password_file: %q}
`, s.databaseURL(), s.path("publisher"), s.path("release.key"), addr, s.redis.Addr, s.path("redis-password"), s.path("sidecars"), registryUser, s.path("registry-password")))
}

// startGates starts two sidecars, each with an Envoy, and waits until they decide.
func (s *stage) startGates(ctx context.Context) error {
	path, err := peers.Path(ctx, "envoy")
	if err != nil {
		return err
	}
	if err := envoyexample.WriteCredential(s.path("registry-credential.yaml"), registryUser, registryPassword); err != nil {
		return err
	}
	for i := range s.gates {
		g := &gate{https: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.certs.Pool}}}}
		s.gates[i] = g
		config := fmt.Sprintf(`bundle_url: [%sdefault]
bundle_key_file: [%q]
bundle_token_file: %q
data: %q
grpc_addr: 127.0.0.1:0
admin_addr: 127.0.0.1:0
redis: redis://pullgate@%s
redis_password_file: %q
redis_secret_file: %q
credentials:
  main: {username: %s, password_file: %q, attach: false}
`, s.publisher.Bundles, s.path("release.pub"), s.path("sidecars"), s.path(fmt.Sprint("sidecar-", i+1)), s.redis.Addr, s.path("redis-password"), s.path("redis-secret"), registryUser, s.path("registry-password"))
		name := fmt.Sprintf("sidecar-%d.yaml", i+1)
		if err := s.write(name, config); err != nil {
			return err
		}
		if g.sidecar, err = peers.StartPullgate(ctx, s.pullgate, s.path(name)); err != nil {
			return err
		}
		rendered, err := envoyexample.Render(envoyexample.Options{
			Hosts: []string{"127.0.0.1"}, Cert: s.certs.Cert, Key: s.certs.Key,
			Pullgate: g.sidecar.GRPC, Registry: s.registry.Addr, Credential: s.path("registry-credential.yaml"),
			AccessLog: s.path(fmt.Sprintf("envoy-%d.log", i+1)),
		})
		if err != nil {
			return err
		}
		if g.envoy, err = peers.StartEnvoy(ctx, path, rendered); err != nil {
			return err
		}
		if g.host, err = g.envoy.Listener(ctx, envoyexample.ListenerName); err != nil {
			return err
		}
		if err := g.sidecar.AwaitReady(ctx); err != nil {
			return err
		}
		say("gate %d: Envoy on https://%s, pullgate serve beside it follows the publisher", i+1, g.host)
	}
	return nil
}

// await asks for the image as a customer until the gate answers with a status, and returns how long
// that took and, when it took too long, what came last.
func (g *gate) await(ctx context.Context, s *stage, who string, status int, within time.Duration) (time.Duration, string) {
	started := time.Now()
	for {
		got, err := g.ask(ctx, s.keys[who])
		took := time.Since(started)
		switch {
		case err == nil && got == status && took <= within:
			return took, ""
		case took > within && err != nil:
			return took, err.Error()
		case took > within:
			return took, fmt.Sprintf("%d after %s", got, took.Round(time.Millisecond))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (g *gate) ask(ctx context.Context, key string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+g.host+"/v2/demo/app/manifests/1.4.0", nil)
	if err != nil {
		return 0, err
	}
	user, password, _ := strings.Cut(key, ":")
	req.SetBasicAuth(user, password)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json")
	resp, err := g.https.Do(req)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}
