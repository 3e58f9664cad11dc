package catalog

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Config is how a registry is crawled.
type Config struct {
	// Registry is the id of the registry's document, for metrics. Default "".
	Registry string
	// Upstream is where the registry answers: https://HOST[:PORT], or http:// on loopback
	// addresses and with Insecure. Required.
	Upstream string
	// Insecure allows http:// to any host. Credentials then cross the network unprotected.
	Insecure bool
	// Credentials gives the user name and password whenever the registry wants them, so that a
	// rotated one counts at once. nil crawls as nobody.
	Credentials func() (username, password string, err error)
	// Realms are the origins (https://HOST[:PORT]) of token servers that may be given the
	// credentials beside the registry's own origin.
	Realms []string
	// Storage are the origins that downloads of content may be redirected to, which are given no
	// credential. Other redirects, and those of anything else, are not followed.
	Storage []string
	// Match says whether a repository matches a pattern. Required when patterns are crawled.
	Match func(pattern, repository string) bool
	// Parallel bounds the requests under way. Default 8.
	Parallel int
	// MaxTags bounds the tags of a repository; above it the repository fails. Default 100,000.
	MaxTags int
	// AcceptRemovals takes answers that are suddenly much smaller.
	AcceptRemovals bool
	// ReferrersEvery is how often the registry is asked again what refers to a manifest that it was
	// asked about before; the requests are spread over that time. New manifests are asked about in
	// every crawl for a day. Default 1 hour.
	ReferrersEvery time.Duration
	// Timeout bounds one request, to the last byte of its answer. Default 30 seconds.
	Timeout time.Duration
	// MaxTime bounds the reading of one repository; what was learned by then is not fetched again by
	// the next crawl. Default 1 hour.
	MaxTime time.Duration
	// RetryWait is the pause before the second try of a request that failed. Default 500 ms.
	RetryWait time.Duration
	// Transport reaches the registry. Default: like http.DefaultTransport.
	Transport http.RoundTripper
	// Clock is the current time. Default time.Now.
	Clock func() time.Time
	// Progress is called after every step, never concurrently; it must be fast. May be nil.
	Progress func(Progress)
	// Registerer takes the metrics. May be nil.
	Registerer prometheus.Registerer
}

// Targets are what to crawl: what the license files name.
type Targets struct {
	Repositories []string // literal names
	Patterns     []string // expanded through the registry's own list of repositories
}

// Progress counts what a crawl has done.
type Progress struct {
	Repositories, Total int // done, and to do in all
	Tags                int // asked
	Manifests           int // fetched
	Requests            int // answered
}

// Outcome is what became of one repository in a crawl.
type Outcome string

const (
	Taken  Outcome = "taken"  // what it answered is now known
	Absent Outcome = "absent" // the registry has none of this name
	Kept   Outcome = "kept"   // it failed: what was known before is kept
)

// Result is what a crawl did.
type Result struct {
	Repositories []RepositoryResult // by name
	Warnings     []string           // of the whole crawl, one line each
	Manifests    int                // fetched
	Requests     int                // sent to the registry and its token server, answered or not
	Unsettled    []string           // repositories, by name, of which a Reread would have had to ask for more than tags
	Catalog      *Catalog           // everything that is known after it
	NotBefore    time.Time          // the registry asks not to be read again before; zero without
}

// RepositoryResult is what a crawl did with one repository.
type RepositoryResult struct {
	Name     string
	Outcome  Outcome
	Tags     int      // that are known now
	Failure  *Failure // with Kept: why; with Taken: why some tags stay as they were, nil without such
	Warnings []string // tags that were left as they were or left out, one line each
}

// Failures returns the failures of all repositories, by name, also of those that were taken but
// for some tags.
func (r *Result) Failures() []*Failure {
	var out []*Failure
	for _, rr := range r.Repositories {
		if rr.Failure != nil {
			out = append(out, rr.Failure)
		}
	}
	return out
}

// Crawler crawls one registry. Crawl may be called again and again, not concurrently; Reread may be
// called at any time.
type Crawler struct {
	cfg      Config
	upstream *url.URL
	fence    *fence
	auth     authn.Authenticator
	metrics  *metrics
}

// NewCrawler checks the configuration. It makes no request.
func NewCrawler(cfg Config) (*Crawler, error) {
	u, err := parseOrigin(cfg.Upstream)
	if err != nil {
		return nil, fmt.Errorf("upstream %q: %w", cfg.Upstream, err)
	}
	if u.Scheme == "http" && !cfg.Insecure && !loopback(u.Hostname()) {
		return nil, fmt.Errorf("upstream %q: http is for loopback addresses only; use https, or say that it may be insecure", cfg.Upstream)
	}
	cfg.Parallel = cmp.Or(max(cfg.Parallel, 0), 8)
	cfg.MaxTags = cmp.Or(max(cfg.MaxTags, 0), 100_000)
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.ReferrersEvery = cmp.Or(cfg.ReferrersEvery, time.Hour)
	cfg.MaxTime = cmp.Or(cfg.MaxTime, time.Hour)
	cfg.RetryWait = cmp.Or(cfg.RetryWait, 500*time.Millisecond)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = cfg.Parallel
		t.MaxResponseHeaderBytes = 64 << 10
		cfg.Transport = t
	}
	c := &Crawler{cfg: cfg, upstream: u, auth: authn.Anonymous}
	if cfg.Credentials != nil {
		c.auth = credentials(cfg.Credentials)
	}
	c.fence = &fence{next: cfg.Transport, own: origin(u)}
	if c.fence.realms, err = origins("realm", cfg.Realms); err != nil {
		return nil, err
	}
	if c.fence.storage, err = origins("redirect", cfg.Storage); err != nil {
		return nil, err
	}
	c.metrics, err = newMetrics(cfg.Registerer, cfg.Registry)
	return c, err
}

// Close closes connections to the registry that nobody uses. Crawls must have ended.
func (c *Crawler) Close() {
	(&http.Client{Transport: c.cfg.Transport}).CloseIdleConnections()
}

func origins(what string, list []string) (map[string]bool, error) {
	out := map[string]bool{}
	for _, text := range list {
		u, err := parseOrigin(text)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", what, text, err)
		}
		out[origin(u)] = true
	}
	return out, nil
}

// CheckOrigin says what is wrong with an origin: https://HOST[:PORT], or http:// on loopback
// addresses and when it may be insecure; nil when it is one.
func CheckOrigin(text string, insecure bool) error {
	u, err := parseOrigin(text)
	if err == nil && u.Scheme == "http" && !insecure && !loopback(u.Hostname()) {
		err = errors.New("http is for loopback addresses only; use https")
	}
	return err
}

// parseOrigin reads scheme, host and port, and nothing else.
func parseOrigin(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, errors.New("not a URL")
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, errors.New("write https://HOST or https://HOST:PORT")
	case u.User != nil:
		return nil, errors.New("credentials do not belong into the URL; put them under credentials in the configuration")
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("a registry answers at the root of its host; leave out what follows the host")
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/"}, nil
}

// crawl is one run.
type crawl struct {
	*Crawler
	ctx    context.Context
	store  *Store
	login  *login
	slots  chan struct{}
	reread bool // of what hints name, with nobody watching
	now    int64
	known  map[string]*knownRepository
	api    referrersAPI
	pace   pace
	asked  atomic.Int64 // requests

	mu       sync.Mutex
	progress Progress
	silence  int // requests without an answer since the last one that had one
	result   Result
	fetches  map[string]*fetch // manifests and configs under way, by digest
}

// Crawl asks the registry for everything that targets name and that the store does not know, and
// keeps it there. Repositories fail one by one: a failed one keeps its last good state and is in
// the result with a Failure. When the registry as a whole cannot be asked, the error is a
// *Failure and nothing changed. The other errors are the context's and the store's.
//
// What was learned before an error or a kill is kept and not fetched again.
func (c *Crawler) Crawl(ctx context.Context, store *Store, targets Targets) (*Result, error) {
	defer store.crawling()()
	cr := c.newCrawl(ctx, store)
	if err := cr.begin(); err != nil {
		return nil, err
	}
	c.metrics.known(cr.known)
	names, err := cr.names(targets)
	if err != nil {
		return nil, err
	}
	hadReferrers, err := store.hasReferrersAPI()
	if err != nil {
		return nil, err
	}
	if hadReferrers {
		cr.api.state.Store(apiPresent)
	}
	if err = cr.repositories(names); err == nil {
		err = store.finish(cr.now, cr.api.present(hadReferrers))
	}
	cr.result.NotBefore = cr.pace.notBefore()
	cr.result.Requests = int(cr.asked.Load())
	slices.SortFunc(cr.result.Repositories, func(a, b RepositoryResult) int { return cmp.Compare(a.Name, b.Name) })
	if err != nil {
		return nil, err
	}
	if cr.result.Catalog, err = store.Snapshot(); err != nil {
		return nil, err
	}
	if err := store.keep(cr.result.Catalog); err != nil {
		cr.warn("questions and a restart go on with what the crawl before has learned: %v", err)
	}
	c.metrics.crawled(&cr.result, cr.now)
	return &cr.result, nil
}

func (c *Crawler) newCrawl(ctx context.Context, store *Store) *crawl {
	return &crawl{
		Crawler: c, ctx: ctx, store: store, slots: make(chan struct{}, c.cfg.Parallel),
		now: c.cfg.Clock().Unix(), fetches: map[string]*fetch{},
	}
}

// begin reads what is known of the named repositories, or of all, and logs in.
func (cr *crawl) begin(names ...string) (err error) {
	if cr.known, err = cr.store.repositories(names...); err != nil {
		return err
	}
	cr.login, err = cr.connect(cr.ctx)
	if f, ok := errors.AsType[*Failure](err); ok {
		for _, k := range cr.known {
			f.Known = f.Known || k.state.Succeeded != 0
		}
	}
	return err
}

// connect asks who may talk to the registry, with the same patience as other requests.
func (cr *crawl) connect(ctx context.Context) (*login, error) {
	c := cr.Crawler
	wait := c.cfg.RetryWait
	for try := 1; ; try++ {
		asking, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
		cr.asked.Add(1)
		l, err := connect(asking, c.upstream, c.auth, c.fence)
		cancel()
		switch {
		case err == nil:
			return l, nil
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case try == maxTries || !temporary(err):
			f := c.failure("", err)
			c.metrics.failed(f.Reason)
			return nil, f
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
		wait *= 2
	}
}

// client makes a client whose requests carry the rights of a scope.
func (cr *crawl) client(scope string) (*client, error) {
	if err := cr.givenUp(); err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(cr.ctx, cr.cfg.Timeout)
	defer cancel()
	cr.asked.Add(1) // for a token, if it wants them
	rt, err := cr.login.transport(asking, scope)
	if err != nil {
		if status(err) == 0 && !errors.Is(err, errForeign) && !errors.Is(err, errCredentials) {
			cr.unanswered()
		}
		return nil, err
	}
	return &client{
		http: &http.Client{Transport: rt, Timeout: cr.cfg.Timeout}, base: cr.upstream,
		slots: cr.slots, wait: cr.cfg.RetryWait, pace: &cr.pace, count: cr.fetched,
		answered: cr.answered, unanswered: cr.unanswered, givenUp: cr.givenUp,
	}, nil
}

// names are the repositories to crawl: the literal ones, those of the registry's list that match
// a pattern, and those that were known and match one, so that a list that leaves one out (or is
// refused) does not make it stale.
func (cr *crawl) names(targets Targets) ([]string, error) {
	set := map[string]bool{}
	for _, n := range targets.Repositories {
		set[n] = true
	}
	if len(targets.Patterns) > 0 {
		listed, err := cr.catalog()
		if cr.ctx.Err() != nil {
			return nil, cr.ctx.Err()
		}
		if err != nil {
			for _, p := range targets.Patterns {
				cr.warn("pattern %q cannot be expanded: the registry's list of repositories (/v2/_catalog) %s; name the repositories one by one, or give the account the right to list", p, line(err))
			}
		}
		for _, n := range append(listed, slices.Collect(maps.Keys(cr.known))...) {
			if slices.ContainsFunc(targets.Patterns, func(p string) bool { return cr.cfg.Match(p, n) }) {
				set[n] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set)), nil
}

const maxRepositories = 100_000

func (cr *crawl) catalog() ([]string, error) {
	cl, err := cr.client("registry:catalog:*")
	if err != nil {
		return nil, err
	}
	names, err := cl.list(cr.ctx, "/v2/_catalog", "repositories", maxRepositories)
	return slices.DeleteFunc(names, func(n string) bool { return !validRepository(n) }), err
}

func (cr *crawl) warn(format string, args ...any) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.result.Warnings = append(cr.result.Warnings, fmt.Sprintf(format, args...))
}

// step changes the progress and reports it.
func (cr *crawl) step(f func(p *Progress)) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	f(&cr.progress)
	if cr.cfg.Progress != nil && !cr.reread {
		cr.cfg.Progress(cr.progress)
	}
}

// group runs work in parallel. The requests themselves are bounded by the slots.
func (cr *crawl) group() *errgroup.Group {
	g := new(errgroup.Group)
	g.SetLimit(cr.cfg.Parallel)
	return g
}

func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
