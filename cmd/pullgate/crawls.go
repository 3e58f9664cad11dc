package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/source"
)

// crawls reads the registries that the license files name, each on its own, and publishes
// license files and catalogs. A license edit never waits for a registry and never fails because
// of one.
type crawls struct {
	side *compileSide
	wake chan struct{} // an edit was published

	mu        sync.Mutex // guards all below; never held during a crawl
	set       *license.Set
	pending   *source.Snapshot // good, but not published yet
	whyNot    string           // why pending was refused; "" while it waits for a registry
	overtaken bool             // a later set was refused; what that takes back is in pending
	known     map[string]bool  // registries whose catalog the publisher has
	kept      map[string]bool  // those of which it has what was kept (recall)

	loopsMu sync.Mutex            // for those beside Run, which alone changes loops
	loops   map[string]*crawlLoop // by registry id
}

// slowCrawl is how long the reading of a registry may take before health says so.
const slowCrawl = 30 * time.Second

func newCrawls(side *compileSide) *crawls {
	side.status.slowCrawl = min(slowCrawl, 2*side.cfg.CrawlEvery)
	return &crawls{side: side, wake: make(chan struct{}, 1), known: map[string]bool{}, kept: map[string]bool{}, loops: map[string]*crawlLoop{}}
}

// publish takes a good set of license files. On the first start it waits for the registries
// to be read: a bundle that knows no repository would answer 404 to every customer. Until
// then every request is answered with 503. Later a set is published at once, without the
// registries that have never been read: an edit may revoke something. What a set revokes that waits is
// published before it by a publisher, of what an earlier one published.
func (c *crawls) publish(ctx context.Context, snap *source.Snapshot) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.set = snap.Set
	c.pending, c.whyNot, c.overtaken = snap, "", false
	nudge(c.wake)
	if c.side.cfg.publish != nil && c.side.publisher.Set() == nil && !c.complete(snap.Set) {
		c.recall(ctx, snap.Set)
		if err := c.side.publisher.SetRefused(ctx, snap.Set, true); err != nil {
			c.side.log.Error("what the license files take back is not published yet", "directory", c.side.cfg.Licenses, "error", err)
		}
	}
	return c.publishPending(ctx)
}

// publishPending publishes what waits, if it may. What is refused goes on waiting: the next
// catalog may make it good. It is called with mu held.
func (c *crawls) publishPending(ctx context.Context) error {
	if c.pending == nil || c.side.publisher.Set() == nil && !c.complete(c.pending.Set) {
		return nil
	}
	set := c.side.publisher.SetEdit
	if c.overtaken {
		set = c.side.publisher.SetPending
	}
	if err := set(ctx, c.pending.Set, c.pending.Rules, c.pending.Saved); err != nil {
		c.whyNot = err.Error()
		return err
	}
	c.pending, c.whyNot = nil, ""
	return nil
}

// takeBack publishes what a set that is refused takes back, with keys also keys that are gone. What waits
// must not give it again when it is published.
func (c *crawls) takeBack(ctx context.Context, stated *license.Set, keys bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil && c.pending.Set != stated { // else it is what waits that was refused
		c.overtaken = true
		pending := *c.pending
		pending.Set = pending.Set.Revoked(stated, keys)
		c.pending = &pending
	}
	if c.side.publisher.Set() == nil {
		c.recall(ctx, stated)
	}
	return c.side.publisher.SetRefused(ctx, stated, keys)
}

// recall gives the publisher what was kept of the registries in which a set revokes digests. Before there is
// a good set nobody reads them, and what only a revoked digest reaches is to be revoked with it. It is called
// with mu held.
func (c *crawls) recall(ctx context.Context, stated *license.Set) {
	for i := range stated.Registries {
		r := &stated.Registries[i]
		if len(r.RevokedDigests) == 0 || c.known[r.ID] || c.kept[r.ID] {
			continue
		}
		last, err := catalog.Last(catalogDir(c.side.cfg.Data), r.ID)
		if errors.Is(err, catalog.ErrNoCatalog) {
			continue
		}
		if err == nil {
			err = c.side.publisher.SetCatalog(ctx, r.ID, last)
			c.kept[r.ID] = err == nil
		}
		if err != nil {
			c.side.log.Error("what only revoked digests reach is not known: the kept catalog is not used", "registry", r.ID, "error", err)
		}
	}
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
	if err := c.side.publisher.SetCatalog(ctx, registry, snapshot); err != nil {
		return err
	}
	c.known[registry] = true
	was := c.whyNot
	if err := c.publishPending(ctx); err != nil {
		if was == "" {
			if !c.overtaken { // else health tells of the later set
				c.side.status.licensesLoaded(err)
			}
			c.side.log.Error("license files refused", "directory", c.side.cfg.Licenses, "error", fewLines(err))
		}
		return nil // the registry was read all the same
	}
	if was != "" && c.whyNot == "" {
		c.side.status.licensesMended(was)
		c.side.log.Info("license files in use, with the registry read again", "directory", c.side.cfg.Licenses, "registry", registry)
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
	defer func() {
		for id := range c.loops {
			c.stopLoop(id)
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
		for _, id := range slices.Sorted(maps.Keys(c.side.cfg.Webhooks)) {
			if set.Registry(id) == nil {
				c.side.log.Warn("a webhook of no registry: no Registry document of the license files has this id", "webhook", id)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(c.side.cfg.Credentials)) {
			if set.Registry(id) == nil {
				c.side.log.Warn("a credential of no registry: no Registry document of the license files has this id", "credentials", id)
			}
		}
		for id, l := range c.loops {
			if reg := set.Registry(id); reg == nil || reg.Upstream != l.upstream {
				c.stopLoop(id)
			}
		}
		for i := range set.Registries {
			reg, t := &set.Registries[i], targets(set, set.Registries[i].ID)
			if l := c.loops[reg.ID]; l != nil {
				l.aim(t)
				continue
			}
			l := c.startLoop(ctx, reg, t)
			c.loopsMu.Lock()
			c.loops[reg.ID] = l
			c.loopsMu.Unlock()
		}
	}
}

func (c *crawls) stopLoop(id string) {
	l := c.loops[id]
	c.loopsMu.Lock()
	delete(c.loops, id)
	c.loopsMu.Unlock()
	l.stop()
}
