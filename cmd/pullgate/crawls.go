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

// crawls keeps what is known of the registries that the license files name.
type crawls struct {
	sc   *sidecar
	wake chan struct{}

	crawlers map[string]*ownCrawler // by registry id; used by Run only

	mu      sync.Mutex // guards all below
	set     *license.Set
	pending *source.Snapshot // good, but a registry of it has never been read
	known   map[string]bool  // registries with a catalog
}

func newCrawls(sc *sidecar) *crawls {
	return &crawls{sc: sc, wake: make(chan struct{}, 1), known: map[string]bool{}, crawlers: map[string]*ownCrawler{}}
}

// publish takes a good set of license files. On the first start it waits for the registries
// to be read: a bundle that knows no repository would answer 404 to every customer. Until
// then every request is answered with 503.
func (c *crawls) publish(ctx context.Context, snap *source.Snapshot) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range snap.Set.Registries {
		if err := c.readLast(ctx, snap.Set.Registries[i].ID); err != nil {
			return err
		}
	}
	moreToCrawl := c.set == nil || !slices.Equal(targetNames(c.set), targetNames(snap.Set))
	c.set = snap.Set
	if moreToCrawl {
		c.crawlSoon()
	}
	if c.sc.publisher.Set() == nil && !c.complete(snap.Set) {
		c.pending = snap
		return nil
	}
	c.pending = nil
	return c.sc.publisher.SetLicenses(ctx, snap.Set, snap.Rules)
}

// readLast takes the last crawl from disk, once per registry.
func (c *crawls) readLast(ctx context.Context, registry string) error {
	if c.known[registry] {
		return nil
	}
	last, err := catalog.Last(catalogDir(c.sc.cfg.Data), registry)
	var damaged *catalog.CorruptError
	switch {
	case errors.Is(err, catalog.ErrNoCatalog):
		return nil
	case errors.As(err, &damaged):
		c.sc.log.Error("the kept catalog is damaged and is read from the registry again", "registry", registry, "error", err)
		return nil
	case err != nil:
		return err
	case len(last.Repositories) == 0:
		return nil // an interrupted first crawl
	}
	c.known[registry] = true
	return c.sc.publisher.SetCatalog(ctx, registry, last)
}

func (c *crawls) complete(set *license.Set) bool {
	for i := range set.Registries {
		if !c.known[set.Registries[i].ID] {
			return false
		}
	}
	return true
}

func (c *crawls) crawlSoon() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// Run crawls when the license files name something new, and every CrawlEvery.
func (c *crawls) Run(ctx context.Context) error {
	tick := time.NewTicker(c.sc.cfg.CrawlEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-c.wake:
		case <-tick.C:
		}
		c.mu.Lock()
		set := c.set
		c.mu.Unlock()
		if set == nil {
			continue
		}
		failed := false
		for i := range set.Registries {
			err := c.crawl(ctx, set, &set.Registries[i])
			if ctx.Err() != nil {
				return nil
			}
			c.sc.status.crawled(set.Registries[i].ID, err)
			if err != nil {
				failed = true
				c.sc.log.Error("registry not read", "registry", set.Registries[i].ID, "error", err)
			}
		}
		if failed {
			c.retrySoon(ctx)
		}
	}
}

// retrySoon crawls again before the next regular time while a registry could not be read.
func (c *crawls) retrySoon(ctx context.Context) {
	time.AfterFunc(min(c.sc.cfg.CrawlEvery, 30*time.Second), func() {
		if ctx.Err() == nil {
			c.crawlSoon()
		}
	})
}

// crawl reads one registry and publishes what it learned. The store is open only meanwhile,
// so that questions on the same directory work beside a running server.
func (c *crawls) crawl(ctx context.Context, set *license.Set, reg *license.Registry) error {
	crawler, err := c.crawler(reg)
	if err != nil {
		return err
	}
	store, err := openStore(catalogDir(c.sc.cfg.Data), reg.ID, c.sc.log)
	if err != nil {
		return err
	}
	defer store.Close()
	started := time.Now()
	result, crawlErr := crawler.Crawl(ctx, store, targets(set, reg.ID))
	if crawlErr == nil {
		c.sc.logCrawl(reg.ID, result, time.Since(started))
		crawlErr = failuresOf(result)
	}
	snapshot, err := store.Snapshot()
	if err != nil {
		return errors.Join(crawlErr, err)
	}
	if len(snapshot.Repositories) == 0 {
		if crawlErr == nil && result != nil && len(result.Repositories) > 0 {
			crawlErr = fmt.Errorf("registry %s has none of the repositories that the license files name", reg.Upstream)
		}
		return crawlErr // never an empty catalog that locks everyone out
	}
	if err := c.take(ctx, reg.ID, snapshot); err != nil {
		return errors.Join(crawlErr, err)
	}
	return crawlErr
}

// ownCrawler is a crawler with its metrics, until its registry moves.
type ownCrawler struct {
	*catalog.Crawler
	prometheus.Registerer
	upstream string
	metrics  []prometheus.Collector
}

// Register remembers the metric, so that a successor can have its name.
func (o *ownCrawler) Register(c prometheus.Collector) error {
	o.metrics = append(o.metrics, c)
	return o.Registerer.Register(c)
}

// crawler returns the crawler of a registry; an edit of its upstream makes a new one.
func (c *crawls) crawler(reg *license.Registry) (*catalog.Crawler, error) {
	old := c.crawlers[reg.ID]
	if old != nil && old.upstream == reg.Upstream {
		return old.Crawler, nil
	}
	if old != nil {
		for _, m := range old.metrics {
			c.sc.registry.Unregister(m)
		}
	}
	own := &ownCrawler{Registerer: c.sc.registry, upstream: reg.Upstream}
	var err error
	if own.Crawler, err = c.sc.cfg.crawler(reg, own, nil, false); err != nil {
		return nil, err
	}
	c.crawlers[reg.ID] = own
	return own.Crawler, nil
}

// take publishes a catalog, and the licenses that have waited for it.
func (c *crawls) take(ctx context.Context, registry string, snapshot *catalog.Catalog) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.sc.publisher.SetCatalog(ctx, registry, snapshot); err != nil {
		return err
	}
	c.known[registry] = true
	if c.pending == nil || !c.complete(c.pending.Set) {
		return nil
	}
	waiting := c.pending
	c.pending = nil
	return c.sc.publisher.SetLicenses(ctx, waiting.Set, waiting.Rules)
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

// failuresOf joins the failures of single repositories.
func failuresOf(r *catalog.Result) error {
	var errs []error
	for _, f := range r.Failures() {
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

// targetNames lists everything to crawl, to see whether an edit has added something.
func targetNames(set *license.Set) []string {
	var all []string
	for i := range set.Registries {
		reg := &set.Registries[i]
		t := targets(set, reg.ID)
		all = append(all, reg.ID+" "+reg.Upstream)
		all = append(all, t.Repositories...)
		all = append(all, t.Patterns...)
	}
	return all
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
