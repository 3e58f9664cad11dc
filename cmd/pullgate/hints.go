package main

import (
	"context"
	"slices"
	"time"

	versions "github.com/pullgate/pullgate/policies/version"
	"github.com/pullgate/pullgate/sync/catalog"
)

const (
	// gather is how long after a hint others are waited for: a push is several.
	gather = 50 * time.Millisecond
	// mostRereads bounds the rereads of tags under way: a repository that takes long delays few others.
	mostRereads = 4
	// mostHints bounds the hints that wait; beyond it the whole registry is read.
	mostHints = 10_000
	// longWait is how long hints wait before it is worth a line in the log.
	longWait = 2 * time.Second
)

// lane is a queue of hints with a ration of its own, so that a whole repository, which may cost thousands of
// requests, delays no push.
type lane struct {
	name      string
	most      int                   // rereads under way at once
	single    bool                  // one repository at a time, for the others wait until it is read
	hints     map[catalog.Hint]bool // that wait; guarded by crawlLoop.mu
	hinted    chan struct{}         // some wait
	following <-chan time.Time      // when to follow them; nil without any
	ration    ration
	n         int       // rereads under way
	told      time.Time // when the log last said that some wait
}

func newLane(name string, most int, single bool) *lane {
	return &lane{name: name, most: most, single: single, hints: map[catalog.Hint]bool{}, hinted: make(chan struct{}, 1)}
}

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
		if isTarget(l.targets, h.Repository) {
			taken++
			l.queue(h)
		}
	}
	return taken
}

// queue lets a hint wait in its lane. It is called with mu held.
func (l *crawlLoop) queue(h catalog.Hint) {
	to := l.tags
	if h.IsWhole() {
		to, h = l.wholes, catalog.Hint{Repository: h.Repository}
	}
	to.hints[h] = true
	if len(l.tags.hints)+len(l.wholes.hints) > mostHints {
		clear(l.tags.hints)
		clear(l.wholes.hints)
		l.everything = true
		to = l.wholes
	}
	nudge(to.hinted)
}

// isTarget reports whether a repository is among the targets of a crawl.
func isTarget(t catalog.Targets, repository string) bool {
	_, literal := slices.BinarySearch(t.Repositories, repository)
	return literal || slices.ContainsFunc(t.Patterns, func(p string) bool { return versions.MatchRepository(p, repository) })
}

// takeHints returns the hints of a lane that may be followed now.
func (l *crawlLoop) takeHints(from *lane) (hints []catalog.Hint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h := range from.hints {
		if l.underway.repositories[h.Repository] {
			continue
		}
		hints = append(hints, h)
		delete(from.hints, h)
		if from.single {
			break
		}
	}
	return hints
}

// takeEverything reports whether there were too many hints to wait, and forgets it.
func (l *crawlLoop) takeEverything() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.everything
	l.everything = false
	return was
}

// waiting is signalled when there are hints to follow in a lane, unless they are to be followed already, the first
// crawl finds everything, or the registry has asked to be left alone.
func (l *crawlLoop) waiting(in *lane) <-chan struct{} {
	if in.following != nil || l.crawler == nil || !l.isKnown(l.id) || time.Until(l.notBefore) > 0 {
		return nil
	}
	return in.hinted
}

// schedule says when the hints of a lane are followed, if there are any.
func (l *crawlLoop) schedule(in *lane) {
	l.mu.Lock()
	none := len(in.hints) == 0 && (in != l.wholes || !l.everything)
	l.mu.Unlock()
	if none {
		return
	}
	now := time.Now()
	wait := in.ration.left(now)
	if wait > longWait && now.Sub(in.told) > time.Minute {
		in.told = now
		l.side.log.Warn("notifications wait: following the last ones took the registry many requests", "registry", l.id, "about", in.name, "wait", wait.Round(time.Second))
	}
	in.following = time.After(max(gather, wait))
}

// follow begins to read again what the hints of a lane name, but for repositories that are being read again;
// their hints wait for the end of that.
func (l *crawlLoop) follow(ctx context.Context, in *lane) {
	in.following = nil
	if in.n == in.most {
		return
	}
	now := time.Now()
	if in.ration.left(now) > 0 { // one that has ended meanwhile was worth more
		l.schedule(in)
		return
	}
	if hints := l.takeHints(in); len(hints) > 0 {
		in.ration.begin(now)
		l.reread(ctx, in, hints, now)
	}
}
