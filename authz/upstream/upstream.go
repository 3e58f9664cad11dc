// Package upstream holds the credentials for the registries behind the gate. A credential is
// attached to an allowed request after everything that is cached or recorded, and nothing here
// prints one.
//
// A registry that takes Basic gets the user name and password. One that asks for bearer tokens gets a
// token for the repository, which is fetched from the realm that it names, if that is of its own
// origin or listed, and kept for as long as it is good. A request that there is no token for has no
// credential and must not go on.
package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Credential says where the credential of one registry comes from. Exactly one of
// PasswordFile and PasswordEnv is set.
type Credential struct {
	// Username may not hold a colon (RFC 7617, 2).
	Username string
	// PasswordFile holds the password; one line end behind it is no part of it. The file may not
	// be readable by others. A change counts from the next request on.
	PasswordFile string
	// PasswordEnv names an environment variable, read once at start.
	PasswordEnv string
	// Realms are origins (https://HOST[:PORT]) of token servers, beside the registry's own, that may be
	// given the credential.
	Realms []string
	// Insecure allows http:// off loopback for the registry and its realms.
	Insecure bool
}

// Config is the input of New. Only Credentials is required.
type Config struct {
	Credentials map[string]Credential // by registry id
	Getenv      func(string) string   // os.Getenv
	Clock       func() time.Time      // time.Now
	Logger      *slog.Logger          // slog.Default; told once of each problem
	Transport   http.RoundTripper     // reaches registries and token servers; like http.DefaultTransport
	// Patience is how long a request waits for its first token: less than the proxy's. 150 ms.
	Patience   time.Duration
	Registerer prometheus.Registerer // nil registers nothing
}

// Credentials are ready to attach. They are safe for concurrent use.
type Credentials struct {
	registries map[string]*registry
	client     *http.Client
	clock      func() time.Time
	logger     *slog.Logger
	patience   time.Duration
	slots      chan struct{}
	fetches    *prometheus.CounterVec
	refused    *prometheus.CounterVec

	ctx     context.Context // of what runs in the background
	cancel  context.CancelFunc
	closing sync.Mutex // nothing begins to run while or after it is closed
	running sync.WaitGroup
}

// New reads every credential once, so that a missing or unprotected secret is an error at start.
// It returns every problem at once; each names the registry and never a secret.
func New(cfg Config) (*Credentials, error) {
	if cfg.Getenv == nil {
		cfg.Getenv = os.Getenv
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Transport == nil {
		cfg.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if cfg.Patience == 0 {
		cfg.Patience = 150 * time.Millisecond
	}
	c := &Credentials{
		registries: make(map[string]*registry, len(cfg.Credentials)),
		client: &http.Client{Transport: cfg.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // no credential follows one
		}},
		clock: cfg.Clock, logger: cfg.Logger, patience: cfg.Patience, slots: make(chan struct{}, fetchesAtOnce),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_upstream_tokens_total",
			Help: "Bearer tokens asked for, for requests that go on to a registry, by result (ok, refused by the token server, failed).",
		}, []string{"registry", "result"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_upstream_without_credential_total",
			Help: "Allowed requests that were answered with 503 because the registry's credential could not be had.",
		}, []string{"registry"}),
	}
	var problems []error
	for id, from := range cfg.Credentials {
		b, err := newBasic(id, from, &cfg)
		if err != nil {
			problems = append(problems, fmt.Errorf("credentials of registry %s: %w", id, err))
			continue
		}
		r := &registry{Credentials: c, id: id, basic: b, realms: map[string]bool{}, insecure: from.Insecure}
		for _, realm := range from.Realms {
			u, err := url.Parse(realm)
			if err != nil || u.Host == "" {
				problems = append(problems, fmt.Errorf("credentials of registry %s: realm %q: want https://HOST or https://HOST:PORT", id, realm))
				continue
			}
			r.realms[origin(u)] = true
		}
		c.registries[id] = r
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(c.fetches, c.refused)
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c, nil
}

// Aim says where the registries are, by id; those that have a credential are asked how they want to
// be logged in to. Until then, and for those that are not named, it is Basic. It does not wait.
func (c *Credentials) Aim(upstreams map[string]string) {
	if c == nil {
		return
	}
	for id, upstream := range upstreams {
		if r := c.registries[id]; r != nil {
			r.aim(upstream)
		}
	}
}

// begin runs f in the background, and reports whether it does: not once Close was called.
func (c *Credentials) begin(f func()) bool {
	c.closing.Lock()
	defer c.closing.Unlock()
	if c.ctx.Err() != nil {
		return false
	}
	c.running.Go(f)
	return true
}

// Close ends what runs in the background and waits for it. Requests may still come.
func (c *Credentials) Close() {
	if c == nil {
		return
	}
	c.closing.Lock()
	c.cancel()
	c.closing.Unlock()
	c.running.Wait()
	c.client.CloseIdleConnections()
}

// Authorization returns the value of the Authorization header for a request to a repository, as of
// now, or "" when the registry has no credential: the header is then removed. The value is a secret: it
// belongs into the message to the proxy and nowhere else. An error means that the registry has a
// credential that cannot be had now; the request must not go on without it. A nil Credentials has none.
func (c *Credentials) Authorization(ctx context.Context, registry, repository string) (string, error) {
	if c == nil {
		return "", nil
	}
	r, ok := c.registries[registry]
	if !ok {
		return "", nil
	}
	value := r.basic.authorization()
	how, err := r.how(ctx)
	if err == nil {
		err = how.err
	}
	if err == nil && how.bearer != nil {
		value, err = r.token(ctx, how.bearer, repository, value)
	}
	if err != nil {
		c.refused.WithLabelValues(registry).Inc()
		return "", fmt.Errorf("credential for registry %s: %w", registry, err)
	}
	return value.reveal(), nil
}
