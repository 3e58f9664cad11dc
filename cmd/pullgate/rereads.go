package main

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/pullgate/pullgate/sync/catalog"
)

// keepShare bounds the time for snapshots of the catalog between crawls.
const keepShare = 20

// reread is the end of a reading of what hints named. The store is open until release.
type reread struct {
	in           *lane
	repositories map[string]bool
	store        *catalog.Store
	result       *catalog.Result // nil when the registry could not be asked at all
	err          error
	began        time.Time
	release      func()
}

// reread begins to read again what hints of a lane name.
func (l *crawlLoop) reread(ctx context.Context, in *lane, hints []catalog.Hint, began time.Time) {
	r := reread{in: in, repositories: map[string]bool{}, began: began, release: func() {}}
	for _, h := range hints {
		r.repositories[h.Repository] = true
	}
	in.n++
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

// followed publishes what was read again. It reports whether the registry answered; what failed is
// left to the next crawl.
func (l *crawlLoop) followed(ctx context.Context, r reread) bool {
	r.in.n--
	l.underway.n--
	for name := range r.repositories {
		delete(l.underway.repositories, name)
	}
	if r.result != nil {
		r.in.ration.end(time.Now(), r.result.Requests)
		l.mu.Lock()
		for _, name := range r.result.Unsettled {
			l.queue(catalog.Hint{Repository: name})
		}
		l.mu.Unlock()
	}
	nudge(l.tags.hinted) // some may have waited for this
	nudge(l.wholes.hinted)
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
