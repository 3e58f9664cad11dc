package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle/license"
	versions "github.com/pullgate/pullgate/policies/version"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/source"
)

// crawls reads the registries that the license files name, each on its own, and publishes
// license files and catalogs. A license edit never waits for a registry and never fails because
// of one.
type crawls struct {
	sc   *sidecar
	wake chan struct{} // an edit was published

	mu      sync.Mutex // guards all below; never held during a crawl
	set     *license.Set
	pending *source.Snapshot // good, but not published yet
	refused string           // why pending was refused; "" while it waits for a registry
	known   map[string]bool  // registries whose catalog the publisher has
}

// slowCrawl is how long the reading of a registry may take before health says so.
const slowCrawl = 30 * time.Second

func newCrawls(sc *sidecar) *crawls {
	sc.status.slowCrawl = min(slowCrawl, 2*sc.cfg.CrawlEvery)
	return &crawls{sc: sc, wake: make(chan struct{}, 1), known: map[string]bool{}}
}

// publish takes a good set of license files. On the first start it waits for the registries
// to be read: a bundle that knows no repository would answer 404 to every customer. Until
// then every request is answered with 503. Later a set is published at once, without the
// registries that have never been read: an edit may revoke something.
func (c *crawls) publish(ctx context.Context, snap *source.Snapshot) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = snap.Set
	c.pending, c.refused = snap, ""
	nudge(c.wake)
	return c.publishPending(ctx)
}

// publishPending publishes what waits, if it may. What is refused goes on waiting: the next
// catalog may make it good. It is called with mu held.
func (c *crawls) publishPending(ctx context.Context) error {
	if c.pending == nil || c.sc.publisher.Set() == nil && !c.complete(c.pending.Set) {
		return nil
	}
	err := c.sc.publisher.SetLicenses(ctx, c.pending.Set, c.pending.Rules)
	if err != nil {
		c.refused = err.Error()
		return err
	}
	c.pending, c.refused = nil, ""
	return nil
}

func (c *crawls) complete(set *license.Set) bool {
	for i := range set.Registries {
		if !c.known[set.Registries[i].ID] {
			return false
		}
	}
	return true
}

func (c *crawls) isKnown(registry string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[registry]
}

// take publishes a catalog, and the license files that have waited for it.
func (c *crawls) take(ctx context.Context, registry string, snapshot *catalog.Catalog) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.sc.publisher.SetCatalog(ctx, registry, snapshot); err != nil {
		return err
	}
	c.known[registry] = true
	was := c.refused
	if err := c.publishPending(ctx); err != nil {
		if was == "" {
			c.sc.status.licensesLoaded(err)
			c.sc.log.Error("license files refused", "directory", c.sc.cfg.Licenses, "error", err)
		}
		return nil // the registry was read all the same
	}
	if was != "" && c.refused == "" {
		c.sc.status.licensesMended(was)
		c.sc.log.Info("license files in use, with the registry read again", "directory", c.sc.cfg.Licenses, "registry", registry)
	}
	return nil
}

// nudge wakes whoever reads the channel, now or when it next does.
func nudge(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

// Run keeps one crawl loop for every registry of the license files, until ctx is done.
func (c *crawls) Run(ctx context.Context) error {
	loops := map[string]*crawlLoop{} // by registry id
	defer func() {
		for _, l := range loops {
			l.stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		}
		c.mu.Lock()
		set := c.set
		c.mu.Unlock()
		for id, l := range loops {
			if reg := set.Registry(id); reg == nil || reg.Upstream != l.upstream {
				l.stop()
				delete(loops, id)
			}
		}
		for i := range set.Registries {
			reg, t := &set.Registries[i], targets(set, set.Registries[i].ID)
			if l := loops[reg.ID]; l == nil {
				loops[reg.ID] = c.startLoop(ctx, reg, t)
			} else {
				l.aim(t)
			}
		}
	}
}

// crawlLoop reads one registry, at once, every CrawlEvery, and when the license files name
// something new in it.
type crawlLoop struct {
	*crawls
	id, upstream string
	cancel       context.CancelFunc
	done         chan struct{}
	wake         chan struct{} // other targets

	crawler *catalog.Crawler
	metrics ownMetrics

	mu      sync.Mutex
	targets catalog.Targets
}

func (c *crawls) startLoop(ctx context.Context, reg *license.Registry, t catalog.Targets) *crawlLoop {
	ctx, cancel := context.WithCancel(ctx)
	l := &crawlLoop{
		crawls: c, id: reg.ID, upstream: reg.Upstream, targets: t, cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1), metrics: ownMetrics{Registerer: c.sc.registry},
	}
	go l.run(ctx, *reg)
	return l
}

// stop ends the loop and a crawl under way, and waits for it.
func (l *crawlLoop) stop() {
	l.cancel()
	<-l.done
	l.metrics.unregister()
	l.sc.status.forget(l.id)
}

// aim crawls again if there is something else to crawl.
func (l *crawlLoop) aim(t catalog.Targets) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !slices.Equal(l.targets.Repositories, t.Repositories) || !slices.Equal(l.targets.Patterns, t.Patterns) {
		l.targets = t
		nudge(l.wake)
	}
}

func (l *crawlLoop) run(ctx context.Context, reg license.Registry) {
	defer close(l.done)
	l.readLast(ctx)
	for ctx.Err() == nil {
		l.sc.status.crawling(l.id, l.isKnown(l.id))
		soon, err := l.crawl(ctx, &reg)
		if ctx.Err() != nil {
			return
		}
		known := l.isKnown(l.id)
		l.sc.status.crawled(l.id, known, err)
		if err != nil {
			l.sc.log.Error("registry not read; "+unread(known), "registry", l.id, "error", err)
		}
		wait := l.sc.cfg.CrawlEvery
		if soon {
			wait = min(wait, 30*time.Second)
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// unread says what a crawl that failed means for requests.
func unread(known bool) string {
	if known {
		return "the last good catalog stays in use"
	}
	return "nothing is known of this registry yet, and no request for it is let through until it is read"
}

// readLast takes the last crawl from disk. Without it the registry is not known yet.
func (l *crawlLoop) readLast(ctx context.Context) {
	if l.isKnown(l.id) {
		return
	}
	last, err := catalog.Last(catalogDir(l.sc.cfg.Data), l.id)
	if errors.Is(err, catalog.ErrNoCatalog) {
		return
	}
	if err == nil {
		err = l.take(ctx, l.id, last)
	}
	if err != nil {
		l.sc.log.Error("the kept catalog is not used; the registry is read again", "registry", l.id, "error", err)
	}
}

// crawl reads the registry once and publishes what it learned. It says whether to try again
// before the next regular time.
func (l *crawlLoop) crawl(ctx context.Context, reg *license.Registry) (soon bool, err error) {
	if l.crawler == nil {
		progress := func(p catalog.Progress) { l.sc.status.answered(l.id, p.Requests) }
		if l.crawler, err = l.sc.cfg.crawler(reg, &l.metrics, progress, false); err != nil {
			l.metrics.unregister()
			return true, err
		}
	}
	store, err := openStore(catalogDir(l.sc.cfg.Data), reg.ID, l.sc.log)
	if err != nil {
		return true, err
	}
	defer store.Close()
	l.mu.Lock()
	t := l.targets
	l.mu.Unlock()
	started := time.Now()
	result, err := l.crawler.Crawl(ctx, store, t)
	if err != nil {
		return true, err
	}
	l.sc.logCrawl(reg.ID, result, time.Since(started))
	if len(result.Catalog.Repositories) > 0 { // never an empty catalog that locks everyone out
		if err := l.take(ctx, reg.ID, result.Catalog); err != nil {
			return true, err
		}
	} else if len(result.Failures()) == 0 && len(result.Repositories) > 0 {
		return true, fmt.Errorf("registry %s has none of the repositories that the license files name", reg.Upstream)
	}
	return slices.ContainsFunc(result.Repositories, func(r catalog.RepositoryResult) bool { return r.Outcome == catalog.Kept }), failuresOf(result)
}

// ownMetrics are the metrics of one crawler, until its loop ends.
type ownMetrics struct {
	prometheus.Registerer
	all []prometheus.Collector
}

// Register remembers the metric, so that a successor can have its name.
func (o *ownMetrics) Register(c prometheus.Collector) error {
	o.all = append(o.all, c)
	return o.Registerer.Register(c)
}

func (o *ownMetrics) unregister() {
	for _, m := range o.all {
		o.Unregister(m)
	}
	o.all = nil
}

func (sc *sidecar) logCrawl(registry string, r *catalog.Result, took time.Duration) {
	for _, w := range r.Warnings {
		sc.log.Warn("registry", "registry", registry, "warning", w)
	}
	tags := 0
	for _, rr := range r.Repositories {
		tags += rr.Tags
		for _, w := range rr.Warnings {
			sc.log.Warn("registry", "registry", registry, "repository", rr.Name, "warning", w)
		}
	}
	sc.log.Info("registry read", "registry", registry, "repositories", len(r.Repositories), "tags", tags, "manifests_fetched", r.Manifests, "took", took.Round(time.Millisecond))
}

// mostFailures bounds the repositories that health and the log name.
const mostFailures = 5

// failuresOf joins the failures of single repositories, the first few by name.
func failuresOf(r *catalog.Result) error {
	var errs []error
	all := r.Failures()
	for i, f := range all {
		if i == mostFailures {
			errs = append(errs, fmt.Errorf("and %d more repositories", len(all)-i))
			break
		}
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}

// openStore opens a store; a damaged one is moved aside and made again.
func openStore(dir, registry string, log *slog.Logger) (*catalog.Store, error) {
	store, err := catalog.Open(dir, registry)
	var damaged *catalog.CorruptError
	if errors.As(err, &damaged) {
		log.Error("the kept catalog is damaged; it was moved aside and is read from the registry again", "registry", registry, "error", err)
		store, err = catalog.Open(dir, registry)
	}
	return store, err
}

// targets are what the license files name in a registry.
func targets(set *license.Set, registry string) catalog.Targets {
	seen := map[string]bool{}
	var t catalog.Targets
	add := func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		if strings.Contains(name, "*") {
			t.Patterns = append(t.Patterns, name)
			return
		}
		t.Repositories = append(t.Repositories, name)
	}
	for i := range set.Products {
		p := &set.Products[i]
		if p.Registry != registry {
			continue
		}
		for _, r := range p.Repositories {
			add(r.Name)
		}
	}
	for i := range set.Licenses {
		for j := range set.Licenses[i].Grants {
			if g := &set.Licenses[i].Grants[j]; g.Repository != "" && !g.Empty() {
				add(g.Repository)
			}
		}
	}
	for i := range set.Public {
		for _, name := range set.Public[i].Repositories {
			add(name)
		}
	}
	slices.Sort(t.Repositories)
	slices.Sort(t.Patterns)
	return t
}

// crawler makes a crawler for a registry with the configured credentials.
func (s *settings) crawler(reg *license.Registry, metrics prometheus.Registerer, progress func(catalog.Progress), acceptRemovals bool) (*catalog.Crawler, error) {
	cfg := catalog.Config{Registry: reg.ID, Upstream: reg.Upstream, Match: versions.MatchRepository, Registerer: metrics, Progress: progress, AcceptRemovals: acceptRemovals}
	if c, ok := s.Credentials[reg.ID]; ok {
		cfg.Insecure = c.Insecure
		cfg.Realms = c.Realms
		cfg.Credentials = func() (string, string, error) {
			if c.PasswordEnv != "" {
				return c.Username, os.Getenv(c.PasswordEnv), nil
			}
			password, err := readSecretFile(c.PasswordFile)
			return c.Username, password, err
		}
	}
	return catalog.NewCrawler(cfg)
}
