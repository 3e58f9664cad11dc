package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// crawlLoop reads one registry, at once, every CrawlEvery, and when the license files name
// something new in it.
type crawlLoop struct {
	*crawls
	id, upstream string
	cancel       context.CancelFunc
	done         chan struct{}
	wake         chan struct{} // other targets

	crawler   *catalog.Crawler
	metrics   ownMetrics
	notBefore time.Time // the registry has asked not to be read before

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
		wait := jitter(l.sc.cfg.CrawlEvery)
		if soon {
			wait = min(wait, 30*time.Second)
		}
		wake := l.wake
		if asked := time.Until(l.notBefore); asked > 0 {
			wait, wake = max(wait, asked), nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// jitter is a duration up to a tenth shorter or longer, so that many processes that started
// together do not read a registry together.
func jitter(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1)
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
		cfg := l.sc.cfg.crawlConfig(reg)
		cfg.Registerer = &l.metrics
		cfg.Progress = func(p catalog.Progress) { l.sc.status.progress(l.id, p) }
		if l.crawler, err = catalog.NewCrawler(cfg); err != nil {
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
	l.notBefore = result.NotBefore
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
