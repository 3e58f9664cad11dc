package catalog

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
)

// Hint says that something may have changed in a repository. It is a reason to ask the registry,
// never an answer.
type Hint struct {
	Repository string
	Tag        string // that may name something else; "" when it is not known which
	Digest     string // of a manifest that was pushed without a tag, "" otherwise
}

// mostHints bounds the tags and digests of one repository that are asked for one by one; more do not
// settle it.
const mostHints = 64

// IsWhole reports whether a hint names no tag and no manifest, so that all of the repository has to be asked about.
func (h Hint) IsWhole() bool { return !validTag(h.Tag) && !ValidDigest(h.Digest) }

// Reread asks the registry about what hints name: about tags one by one, or, where a hint names none
// or the repository was never read, about all of a repository. What tags alone cannot settle is left as it was, and
// the repository is in Result.Unsettled, for a hint at the whole of it. It takes as little on trust as Crawl, and may
// run beside one, whose older answers then do not count. Result.Catalog has the repositories that
// were asked about, and nothing else; Result.Requests is what it has cost the registry. Errors are Crawl's.
func (c *Crawler) Reread(ctx context.Context, store *Store, hints []Hint) (*Result, error) {
	asked := map[string]*again{}
	for _, h := range hints {
		if !validRepository(h.Repository) {
			continue
		}
		a := asked[h.Repository]
		if a == nil {
			a = &again{tags: map[string]bool{}, digests: map[string]bool{}}
			asked[h.Repository] = a
		}
		a.add(h)
	}
	names := slices.Sorted(maps.Keys(asked))
	if len(names) == 0 {
		return &Result{Catalog: &Catalog{Registry: store.registry, Repositories: map[string]*Repository{}}}, nil
	}
	cr := c.newCrawl(ctx, store)
	cr.reread = true
	if err := cr.begin(names...); err != nil {
		return nil, err
	}
	has, err := store.hasReferrersAPI()
	if err != nil {
		return nil, err
	}
	cr.api.state.Store(map[bool]int32{true: apiPresent, false: apiAbsent}[has])
	g := cr.group()
	for _, name := range names {
		g.Go(func() error { return cr.again(name, asked[name]) })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	slices.SortFunc(cr.result.Repositories, func(a, b RepositoryResult) int { return cmp.Compare(a.Name, b.Name) })
	slices.Sort(cr.result.Unsettled)
	cr.result.NotBefore = cr.pace.notBefore()
	cr.result.Requests = int(cr.asked.Load())
	cr.result.Catalog, err = store.Snapshot(names...)
	return &cr.result, err
}

// again is what to ask about a repository.
type again struct {
	whole         bool
	tags, digests map[string]bool
}

func (a *again) add(h Hint) {
	switch {
	case h.IsWhole():
		a.whole = true
	case validTag(h.Tag):
		a.tags[h.Tag] = true
	default:
		a.digests[h.Digest] = true
	}
}

// again reads a repository again, or some of its tags. The error is the store's or the context's.
func (cr *crawl) again(name string, a *again) error {
	k := cr.known[name]
	if a.whole || k == nil || k.state.Succeeded == 0 {
		return cr.whole(name)
	}
	if len(a.tags)+len(a.digests) > mostHints {
		cr.unsettled(name)
		return nil
	}
	l := &listing{name: name, tags: slices.Sorted(maps.Keys(a.tags))}
	var err error
	if l.ask, err = cr.client("repository:" + name + ":pull"); err != nil {
		l.fail = cr.failure(name, err)
		return cr.kept(l)
	}
	ctx, cancel := cr.bounded()
	defer cancel()
	t := &tags{crawl: cr, listing: l, ctx: ctx, resolved: map[string]string{}, unknown: map[string]bool{}}
	err = t.resolve()
	if err == nil {
		for tag := range a.tags {
			if k.tags[tag].Digest != "" && t.resolved[tag] == "" && !t.unknown[tag] {
				cr.unsettled(name) // only together with the others can a removal be believed
				break
			}
		}
		err = t.pushed(a.digests)
	}
	if err = cause(ctx, err); errors.Is(err, errSlow) {
		l.fail = cr.failure(name, err)
		return cr.kept(l)
	}
	if err != nil {
		return err
	}
	return t.take(true)
}

// unsettled notes that tags alone do not say what has become of a repository.
func (cr *crawl) unsettled(name string) {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.result.Unsettled = append(cr.result.Unsettled, name)
}

func (cr *crawl) whole(name string) error {
	l := cr.list(name)
	if err := cr.ctx.Err(); err != nil {
		return err
	}
	cr.refuseNothing([]*listing{l})
	return cr.repository(l)
}

// pushed asks what refers to what the tags lead to, and to the known subjects of manifests that
// were pushed without a tag.
func (t *tags) pushed(digests map[string]bool) error {
	subjects, err := t.pushedSubjects(digests)
	if err != nil {
		return err
	}
	return t.referrers(subjects, true)
}

func (t *tags) pushedSubjects(digests map[string]bool) ([]string, error) {
	roots := map[string]bool{}
	for tag, digest := range t.resolved {
		roots[digest] = roots[digest] || !digestLike(tag)
	}
	maps.DeleteFunc(roots, func(_ string, wanted bool) bool { return !wanted })
	subjects, err := t.store.below(roots)
	if err != nil || len(digests) == 0 {
		return subjects, wrapStore(err)
	}
	known, err := t.graph()
	if err != nil {
		return nil, err
	}
	for _, d := range slices.Sorted(maps.Keys(digests)) {
		w := &walk{tags: t, seen: map[string]int{}}
		err := w.manifest(d, 1, true)
		if _, unusable := errors.AsType[*skipped](err); unusable || status(err) == http.StatusNotFound {
			continue
		}
		if isStore(err) || t.ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			t.refused = referrerFailures{n: 1, first: d, err: err}
			continue
		}
		rec, err := t.store.load(d)
		if err != nil {
			return nil, storeError{err}
		}
		if rec != nil && known[rec.Subject] {
			subjects = append(subjects, rec.Subject)
		}
	}
	slices.Sort(subjects)
	return slices.Compact(subjects), nil
}

// graph is every manifest of the repository that may have referrers.
func (t *tags) graph() (map[string]bool, error) {
	k := t.known[t.name]
	all := &tags{crawl: t.crawl, listing: t.listing, ctx: t.ctx, resolved: t.resolved, unknown: map[string]bool{}}
	for tag := range k.tags {
		all.unknown[tag] = all.resolved[tag] == ""
	}
	subjects, err := all.subjects()
	out := map[string]bool{}
	for _, d := range subjects {
		out[d] = true
	}
	for _, rec := range k.referrers {
		for _, d := range rec.Digests {
			out[d] = true
		}
	}
	return out, err
}
