package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// crawlLoop reads one registry, at once, every CrawlEvery, and when the license files name
// something new in it; and parts of it whenever it is hinted at, also during a crawl.
type crawlLoop struct {
	*crawls
	id, upstream string
	cancel       context.CancelFunc
	done         chan struct{}
	wake         chan struct{} // other targets
	tags, wholes *lane         // hints at tags, and at whole repositories

	crawler *catalog.Crawler
	metrics ownMetrics
	store   sharedStore

	mu         sync.Mutex // guards the next two, and hints
	targets    catalog.Targets
	everything bool // there were too many hints: all is to be read

	// The rest belongs to run.
	last      *catalog.Catalog // published last; nil before
	notBefore time.Time        // the registry has asked not to be read before
	during    map[string]bool  // repositories that were read again during the crawl under way
	kept      time.Time        // when a snapshot was last kept after hints
	keeping   time.Duration    // how long that took
	underway  rereadings
}

func (c *crawls) startLoop(ctx context.Context, reg *license.Registry, t catalog.Targets) *crawlLoop {
	ctx, cancel := context.WithCancel(ctx)
	l := &crawlLoop{
		crawls: c, id: reg.ID, upstream: reg.Upstream, targets: t, cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1), tags: newLane("tags", mostRereads, false), wholes: newLane("whole repositories", 1, true),
		metrics:  ownMetrics{Registerer: c.side.registry},
		underway: rereadings{repositories: map[string]bool{}, done: make(chan reread, mostRereads+1)},
	}
	l.store.open = func() (*catalog.Store, error) {
		return openStore(catalogDir(c.side.cfg.Data), l.id, c.side.log)
	}
	go l.run(ctx, *reg)
	return l
}

// stop ends the loop and a crawl under way, and waits for it.
func (l *crawlLoop) stop() {
	l.cancel()
	<-l.done
	if l.crawler != nil {
		l.crawler.Close()
	}
	l.metrics.unregister()
	l.side.status.forget(l.id)
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
	timer, due := time.NewTimer(0), time.Now()
	defer timer.Stop()
	crawlIn := func(d time.Duration) {
		due = time.Now().Add(d)
		timer.Reset(d)
	}
	var under chan crawled  // the crawl under way; nil when there is none
	var hasty, byHints bool // the next crawl, and the one under way, are because of hints
	crawl := func(because bool) {
		timer.Stop()
		hasty, byHints = false, because
		if byHints {
			l.wholes.ration.begin(time.Now())
		}
		under = l.start(ctx, &reg)
	}
	for {
		wake := l.wake
		if under != nil || time.Until(l.notBefore) > 0 {
			wake = nil
		}
		select {
		case <-ctx.Done():
			if under != nil {
				(<-under).release()
			}
			for range l.underway.n {
				(<-l.underway.done).release()
			}
			return
		case <-timer.C:
			if wait := time.Until(l.notBefore); wait > 0 { // a reread was told so
				crawlIn(wait)
				continue
			}
			crawl(hasty)
		case <-wake:
			crawl(false)
		case c := <-under:
			under = nil
			if ctx.Err() == nil {
				crawlIn(l.finish(ctx, c))
			}
			if byHints && c.result != nil {
				l.wholes.ration.end(time.Now(), c.result.Requests)
			}
			nudge(l.wholes.hinted) // there may have been too many during it
			c.release()
		case <-l.waiting(l.tags):
			l.schedule(l.tags)
		case <-l.waiting(l.wholes):
			l.schedule(l.wholes)
		case <-l.tags.following:
			l.follow(ctx, l.tags)
		case <-l.wholes.following:
			if under == nil && l.wholes.ration.left(time.Now()) == 0 && l.takeEverything() {
				l.wholes.following = nil
				crawl(true)
				continue
			}
			l.follow(ctx, l.wholes)
		case r := <-l.underway.done:
			if ctx.Err() == nil && !l.followed(ctx, r) && under == nil {
				if soon := l.sooner(); soon < time.Until(due) { // never later: rereads may fail for ever
					hasty = true
					crawlIn(soon)
				}
			}
			r.release()
		}
	}
}

// sooner is how long after a failed reread all is read, as that is more than hints may cause often.
func (l *crawlLoop) sooner() time.Duration {
	return max(soonAfter, l.wholes.ration.left(time.Now()))
}

// soonAfter is how long after something failed a registry is read again.
const soonAfter = 30 * time.Second

// crawled is the end of a crawl. The store is open until release.
type crawled struct {
	store   *catalog.Store // nil when it could not be opened
	result  *catalog.Result
	err     error
	took    time.Duration
	release func()
}

// start begins a crawl.
func (l *crawlLoop) start(ctx context.Context, reg *license.Registry) chan crawled {
	l.during = map[string]bool{}
	l.takeEverything() // it will be read
	l.side.status.crawling(l.id, l.isKnown(l.id))
	l.mu.Lock()
	t := l.targets
	l.mu.Unlock()
	done := make(chan crawled, 1)
	if err := l.prepare(reg); err != nil {
		done <- crawled{err: err, release: func() {}}
		return done
	}
	store, release, err := l.store.acquire()
	if err != nil {
		done <- crawled{err: err, release: release}
		return done
	}
	go func() {
		started := time.Now()
		result, err := l.crawler.Crawl(ctx, store, t)
		done <- crawled{store, result, err, time.Since(started), release}
	}()
	return done
}

func (l *crawlLoop) prepare(reg *license.Registry) (err error) {
	if l.crawler != nil {
		return nil
	}
	cfg := l.side.cfg.crawlConfig(reg)
	cfg.Registerer = &l.metrics
	cfg.Progress = func(p catalog.Progress) { l.side.status.progress(l.id, p) }
	if l.crawler, err = catalog.NewCrawler(cfg); err != nil {
		l.metrics.unregister()
	}
	return err
}

// finish publishes what a crawl has learned, and says when to begin the next.
func (l *crawlLoop) finish(ctx context.Context, c crawled) time.Duration {
	soon, err := l.publishCrawl(ctx, c)
	known := l.isKnown(l.id)
	l.side.status.crawled(l.id, known, err)
	if err != nil {
		l.side.log.Error("registry not read; "+unread(known), "registry", l.id, "error", err)
	}
	wait := jitter(l.side.cfg.CrawlEvery)
	if soon {
		wait = min(wait, soonAfter)
	}
	return max(wait, time.Until(l.notBefore))
}

// publishCrawl says whether to try again before the next regular time.
func (l *crawlLoop) publishCrawl(ctx context.Context, c crawled) (soon bool, err error) {
	if c.err != nil {
		return true, c.err
	}
	result := c.result
	l.notBefore = result.NotBefore
	l.side.logCrawl(l.id, result, c.took)
	if len(l.during) > 0 { // they may be newer than the crawl's snapshot
		fresh, err := c.store.Snapshot(slices.Collect(maps.Keys(l.during))...)
		if err != nil {
			return true, err
		}
		maps.Copy(result.Catalog.Repositories, fresh.Repositories)
	}
	if len(result.Catalog.Repositories) > 0 { // never an empty catalog that locks everyone out
		if !l.unchanged(result.Catalog) {
			err = l.takeCatalog(ctx, result.Catalog)
		}
		if err != nil {
			return true, err
		}
	} else if len(result.Failures()) == 0 && len(result.Repositories) > 0 {
		return true, fmt.Errorf("registry %s has none of the repositories that the license files name", l.upstream)
	}
	return slices.ContainsFunc(result.Repositories, func(r catalog.RepositoryResult) bool { return r.Outcome == catalog.Kept }), failuresOf(result)
}

// unchanged reports whether a catalog is the one in use. Repositories of it that are the same as in
// use are replaced by those, so that they need not be compiled again.
func (l *crawlLoop) unchanged(c *catalog.Catalog) bool {
	if l.last == nil {
		return false
	}
	all := len(c.Repositories) == len(l.last.Repositories)
	for name, repo := range c.Repositories {
		if was := l.last.Repositories[name]; same(repo, was) {
			c.Repositories[name] = was
		} else {
			all = false
		}
	}
	return all
}

// takeCatalog publishes a catalog and remembers it.
func (l *crawlLoop) takeCatalog(ctx context.Context, c *catalog.Catalog) error {
	err := l.take(ctx, l.id, c)
	if err == nil {
		l.last = c
	}
	l.side.pace(ctx)
	return err
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
	last, err := catalog.Last(catalogDir(l.side.cfg.Data), l.id)
	if errors.Is(err, catalog.ErrNoCatalog) {
		return
	}
	if err == nil {
		err = l.takeCatalog(ctx, last)
	}
	if err != nil {
		l.side.log.Error("the kept catalog is not used; the registry is read again", "registry", l.id, "error", err)
	}
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

func (side *compileSide) logCrawl(registry string, r *catalog.Result, took time.Duration) {
	for _, w := range r.Warnings {
		side.log.Warn("registry", "registry", registry, "warning", w)
	}
	tags := 0
	for _, rr := range r.Repositories {
		tags += rr.Tags
		for _, w := range rr.Warnings {
			side.log.Warn("registry", "registry", registry, "repository", rr.Name, "warning", w)
		}
	}
	side.log.Info("registry read", "registry", registry, "repositories", len(r.Repositories), "tags", tags, "manifests_fetched", r.Manifests, "took", took.Round(time.Millisecond))
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
