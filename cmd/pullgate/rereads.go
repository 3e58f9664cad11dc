package main

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	versions "github.com/pullgate/pullgate/policies/version"
	"github.com/pullgate/pullgate/sync/catalog"
)

const (
	// gather is how long after a hint others are waited for: a push is several.
	gather = 50 * time.Millisecond
	// rereadBurst and rereadEvery bound how often hints are followed: so many times at once, then
	// once in so long. Those that come in between wait.
	rereadBurst = 4
	rereadEvery = time.Second
	// mostRereads bounds the rereads under way: a repository that takes long delays few others.
	mostRereads = 4
	// mostHints bounds the hints that wait; beyond it the whole registry is read.
	mostHints = 10_000
	// keepShare bounds the time for snapshots of the catalog between crawls.
	keepShare = 20
)

// hint passes on hints at repositories of a registry, and returns how many of them are at
// repositories that are crawled.
func (c *crawls) hint(registry string, hints []catalog.Hint) int {
	c.loopsMu.Lock()
	l := c.loops[registry]
	c.loopsMu.Unlock()
	if l == nil {
		return 0
	}
	return l.hint(hints)
}

func (l *crawlLoop) hint(hints []catalog.Hint) (taken int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range hints {
		if !isTarget(l.targets, h.Repository) {
			continue
		}
		taken++
		if l.hints == nil {
			l.hints = map[catalog.Hint]bool{}
		}
		l.hints[h] = true
		if len(l.hints) > mostHints {
			clear(l.hints)
			nudge(l.wake)
		}
	}
	if taken > 0 {
		nudge(l.hinted)
	}
	return taken
}

// isTarget reports whether a repository is among the targets of a crawl.
func isTarget(t catalog.Targets, repository string) bool {
	_, literal := slices.BinarySearch(t.Repositories, repository)
	return literal || slices.ContainsFunc(t.Patterns, func(p string) bool { return versions.MatchRepository(p, repository) })
}

// reread is the end of a reading of what hints named. The store is open until release.
type reread struct {
	repositories map[string]bool
	store        *catalog.Store
	result       *catalog.Result // nil when the registry could not be asked at all
	err          error
	began        time.Time
	release      func()
}

// follow begins to read again what hints name, but for repositories that are being read again;
// their hints wait for the end of that.
func (l *crawlLoop) follow(ctx context.Context) {
	if l.underway.n == mostRereads {
		return
	}
	hints := l.takeHints()
	if len(hints) == 0 {
		return
	}
	r := reread{repositories: map[string]bool{}, began: time.Now(), release: func() {}}
	for _, h := range hints {
		r.repositories[h.Repository] = true
	}
	l.rereads.spend(r.began)
	l.underway.n++
	maps.Copy(l.underway.repositories, r.repositories)
	if r.store, r.release, r.err = l.store.acquire(); r.err != nil {
		l.underway.done <- r
		return
	}
	go func() {
		r.result, r.err = l.crawler.Reread(ctx, r.store, hints)
		l.underway.done <- r
	}()
}

// takeHints returns the hints that may be followed now.
func (l *crawlLoop) takeHints() (hints []catalog.Hint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h := range l.hints {
		if !l.underway.repositories[h.Repository] {
			hints = append(hints, h)
			delete(l.hints, h)
		}
	}
	return hints
}

// followed publishes what was read again. It reports whether the registry answered; what failed is
// left to the next crawl.
func (l *crawlLoop) followed(ctx context.Context, r reread) bool {
	l.underway.n--
	for name := range r.repositories {
		delete(l.underway.repositories, name)
	}
	nudge(l.hinted) // some may have waited for this
	if r.err == nil {
		if r.result.NotBefore.After(l.notBefore) { // a crawl may have been told a later one
			l.notBefore = r.result.NotBefore
		}
		r.err = failuresOf(r.result)
	}
	if r.err != nil {
		l.side.log.Error("repositories not read again after a notification; the next crawl finds what has changed", "registry", l.id, "error", r.err)
	}
	if r.result == nil {
		return false
	}
	return l.publishReread(ctx, r.store, r.result, r.began) == nil && r.err == nil
}

// rereadings are the rereads under way. They belong to the loop.
type rereadings struct {
	n            int
	repositories map[string]bool
	done         chan reread
}

// publishReread publishes the repositories that have changed.
func (l *crawlLoop) publishReread(ctx context.Context, store *catalog.Store, result *catalog.Result, began time.Time) error {
	if l.last == nil {
		return nil
	}
	all := &catalog.Catalog{Registry: l.last.Registry, Repositories: maps.Clone(l.last.Repositories)}
	var changed []string
	for name, repo := range result.Catalog.Repositories {
		if l.during != nil {
			l.during[name] = true
		}
		if !same(repo, all.Repositories[name]) {
			all.Repositories[name] = repo
			changed = append(changed, name)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	slices.Sort(changed)
	if err := l.takeCatalog(ctx, all); err != nil {
		l.side.log.Error("what was read again is not in use; the last good catalog stays", "registry", l.id, "repositories", changed, "error", err)
		return err
	}
	l.side.log.Info("repositories read again after a notification", "registry", l.id, "repositories", changed, "took", time.Since(began).Round(time.Millisecond))
	if time.Since(l.kept) < keepShare*l.keeping {
		return nil // questions without this process know it after the next crawl
	}
	began = time.Now()
	if err := store.Keep(all); err != nil {
		l.side.log.Warn("questions and a restart go on with what was known before", "registry", l.id, "error", err)
	}
	l.kept, l.keeping = time.Now(), time.Since(began)
	return nil
}

// same reports whether two readings of a repository learned the same.
func same(a, b *catalog.Repository) bool {
	if a == nil || b == nil {
		return a == b
	}
	c := *a
	c.Read = b.Read
	return reflect.DeepEqual(&c, b)
}

// ration lets something happen rereadBurst times at once, and then once in rereadEvery. It is the
// instant at which all would be saved up again; the zero value has all.
type ration struct{ full time.Time }

// left is how long to wait for the next.
func (r *ration) left(now time.Time) time.Duration {
	return max(0, r.full.Add(-(rereadBurst-1)*rereadEvery).Sub(now))
}

func (r *ration) spend(now time.Time) {
	if r.full.Before(now) {
		r.full = now
	}
	r.full = r.full.Add(rereadEvery)
}
