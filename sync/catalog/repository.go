package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
)

const (
	mostTrouble = 10 // tags that fail, more than succeed: the rest of the repository is not tried
	manyTags    = 10 // a repository with more of them that halves is "suddenly much smaller"
)

// listing is a repository whose tags were asked for.
type listing struct {
	name   string
	ask    *client
	tags   []string
	absent bool
	fail   *Failure
	notes  []string
}

// repositories crawls all: first every list of tags, because only together they show whether the
// registry lost everything at once, then tags and manifests, repository by repository.
func (cr *crawl) repositories(names []string) error {
	cr.step(func(p *Progress) { p.Total = len(names) })
	lists := make([]*listing, len(names))
	g := cr.group()
	for i, name := range names {
		g.Go(func() error {
			lists[i] = cr.list(name)
			return cr.ctx.Err()
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	cr.refuseNothing(lists)
	g = cr.group()
	for _, l := range lists {
		g.Go(func() error { return cr.repository(l) })
	}
	return g.Wait()
}

// list asks for the tags of a repository.
func (cr *crawl) list(name string) *listing {
	l := &listing{name: name}
	var err error
	if l.ask, err = cr.client("repository:" + name + ":pull"); err != nil {
		l.fail = cr.failure(name, err)
		return l
	}
	ctx, cancel := cr.bounded()
	defer cancel()
	tags, err := l.ask.list(ctx, "/v2/"+name+"/tags/list", "tags", cr.cfg.MaxTags)
	was := 0
	if k := cr.known[name]; k != nil {
		was = k.present()
	}
	ae, answered := errors.AsType[*answerError](err)
	switch {
	case answered && ae.Status == http.StatusNotFound && (ae.Code != "" || was == 0):
		l.absent = true // a registry's own 404; a page's 404 does not make a known repository absent
	case err != nil:
		l.fail = cr.failure(name, cause(ctx, err))
	}
	for _, t := range tags {
		if validTag(t) {
			l.tags = append(l.tags, t)
		} else {
			l.notes = append(l.notes, fmt.Sprintf("tag %q left out: not a tag by the OCI grammar", clean(t, 128)))
		}
	}
	if l.fail == nil && !l.absent {
		l.fail = cr.shrunk(name, was, len(l.tags))
	}
	return l
}

// shrunk is the failure of an answer that is suddenly much smaller; nil for any other.
func (cr *crawl) shrunk(name string, was, is int) *Failure {
	if cr.cfg.AcceptRemovals || was <= manyTags || is*2 >= was {
		return nil
	}
	return cr.loss(name, fmt.Errorf("%d tags instead of %d", is, was))
}

func (cr *crawl) loss(name string, err error) *Failure {
	return &Failure{Reason: Shrunk, Registry: cr.cfg.Upstream, Repository: name, Err: err}
}

// refuseNothing fails every repository that would lose its tags when, of all that were known,
// none would have any left: a registry that lost its storage, or another one behind the same name.
func (cr *crawl) refuseNothing(lists []*listing) {
	if cr.cfg.AcceptRemovals {
		return
	}
	var losing []*listing
	for _, l := range lists {
		had := cr.known[l.name] != nil && cr.known[l.name].present() > 0
		switch {
		case l.fail != nil && had, len(l.tags) > 0:
			return
		case had:
			losing = append(losing, l)
		}
	}
	for _, l := range losing {
		l.fail = cr.loss(l.name, errors.New("no tags at all any more, in no repository"))
	}
}

// repository resolves the tags of one repository, fetches what is missing below them, and takes
// the answers. The error is the store's or the context's.
func (cr *crawl) repository(l *listing) error {
	defer cr.step(func(p *Progress) { p.Repositories++ })
	if l.fail != nil {
		return cr.kept(l)
	}
	ctx, cancel := cr.bounded()
	defer cancel()
	t := &tags{crawl: cr, listing: l, ctx: ctx, resolved: map[string]string{}, unknown: map[string]bool{}}
	switch err := cause(ctx, t.resolve()); {
	case errors.Is(err, errSlow):
		l.fail = cr.failure(l.name, err)
		return cr.kept(l)
	case err != nil:
		return err
	}
	was := 0
	if k := cr.known[l.name]; k != nil {
		was = k.present()
	}
	is := len(t.resolved) + len(t.unknown)
	switch {
	case t.hopeless() || t.failed*2 > len(l.tags):
		l.fail = cr.failure(l.name, t.trouble)
	case len(l.tags) > 0 && is == 0 && was > 0 && !cr.cfg.AcceptRemovals:
		l.fail = cr.loss(l.name, errors.New("it lists tags and has none of them"))
	case !l.absent:
		l.fail = cr.shrunk(l.name, was, is)
	}
	if l.fail != nil {
		return cr.kept(l)
	}
	if unheard := cr.reread && cr.known[l.name] == nil && len(l.tags) == 0; unheard || l.absent && was == 0 {
		cr.done(RepositoryResult{Name: l.name, Outcome: Absent})
		return nil
	}
	subjects, err := t.subjects()
	if err != nil {
		return err
	}
	if err := t.referrers(subjects, false); err != nil {
		return err
	}
	return t.take(false)
}

// take takes the answers about a repository, or part of it.
func (t *tags) take(part bool) error {
	now := t.cfg.Clock().Unix()
	err := t.store.take(taking{name: t.name, tags: t.resolved, unknown: t.unknown, part: part, reread: t.reread, now: now})
	if err != nil {
		return err
	}
	slices.Sort(t.notes)
	r := RepositoryResult{Name: t.name, Outcome: Taken, Tags: len(t.resolved), Warnings: t.notes}
	if t.absent {
		r.Outcome = Absent
	}
	if t.failed > 0 || t.refused.n > 0 {
		r.Failure = t.partly()
		t.metrics.failed(r.Failure.Reason)
	}
	t.done(r)
	return nil
}

// errSlow: the time for a repository is over.
var errSlow = errors.New("not read in time")

// bounded is the crawl's context with the time that a repository has.
func (cr *crawl) bounded() (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(cr.ctx, cr.cfg.MaxTime, fmt.Errorf("%w: more than %s", errSlow, cr.cfg.MaxTime))
}

// cause is errSlow when that is why err came to be, else err.
func cause(ctx context.Context, err error) error {
	if slow := context.Cause(ctx); err != nil && errors.Is(slow, errSlow) {
		return slow
	}
	return err
}

func (cr *crawl) kept(l *listing) error {
	tags := 0
	if k := cr.known[l.name]; k != nil {
		tags = k.present()
		l.fail.Known = k.state.Succeeded != 0
	}
	cr.metrics.failed(l.fail.Reason)
	cr.done(RepositoryResult{Name: l.name, Outcome: Kept, Tags: tags, Failure: l.fail, Warnings: l.notes})
	if cr.reread && cr.known[l.name] == nil {
		return nil // a hint puts no name into the store
	}
	return cr.store.missed(l.name, line(l.fail.Err), cr.now)
}

func (cr *crawl) done(r RepositoryResult) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.result.Repositories = append(cr.result.Repositories, r)
}

// tags resolves a repository's tags.
type tags struct {
	*crawl
	*listing
	ctx context.Context // ends with the time for the repository

	mu       sync.Mutex
	resolved map[string]string // tag → digest, everything below it known
	unknown  map[string]bool   // tags that keep what they had
	failed   int               // tags for which the registry itself failed
	trouble  error             // the first of these
	first    string            // its tag
	refused  referrerFailures
}

func (t *tags) resolve() error {
	g := new(errgroup.Group)
	g.SetLimit(t.cfg.Parallel)
	for _, tag := range t.tags {
		if t.hopeless() || t.ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			digest, err := t.tag(tag)
			t.step(func(p *Progress) { p.Tags++ })
			return t.note(tag, digest, err)
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return t.ctx.Err()
}

// hopeless reports whether so much failed that the repository is kept as it was anyway.
func (t *tags) hopeless() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed >= mostTrouble && t.failed > len(t.resolved)
}

// partly is the failure of a repository that was taken but for some tags, or some referrers.
func (t *tags) partly() *Failure {
	what, n, trouble := "tag "+t.first, t.failed, t.trouble
	if n == 0 {
		what, n, trouble = "what refers to "+t.refused.first, t.refused.n, t.refused.err
	}
	f := t.failure(t.name, trouble)
	if k := t.known[t.name]; k != nil {
		f.Known = k.state.Succeeded != 0
	}
	others := " stays as it was"
	if n > 1 {
		others = fmt.Sprintf(" and %d more stay as they were", n-1)
	}
	f.Err = fmt.Errorf("%s%s: %s", what, others, line(trouble))
	return f
}

// note sorts one tag's outcome. The error is the store's.
func (t *tags) note(tag, digest string, err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch skip, isSkip := errors.AsType[*skipped](err); {
	case err == nil && digest != "":
		t.resolved[tag] = digest
	case err == nil: // gone since the list was made
	case isSkip:
		t.notes = append(t.notes, fmt.Sprintf("tag %s left out: %s", tag, skip))
	case t.ctx.Err() != nil:
	case isStore(err):
		return err
	default:
		t.unknown[tag] = true
		t.notes = append(t.notes, fmt.Sprintf("tag %s stays as it was: %s", tag, line(err)))
		t.failed++
		if t.trouble == nil {
			t.trouble, t.first = err, tag
		}
	}
	return nil
}

// skipped says why a tag's content is none that can be delivered by a rule.
type skipped struct{ why string }

func (s *skipped) Error() string { return s.why }

// storeError marks an error of the store among those of requests.
type storeError struct{ error }

func (e storeError) Unwrap() error { return e.error }

func isStore(err error) bool {
	_, ok := errors.AsType[storeError](err)
	return ok
}
