package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	maxReferrers     = 4096 // of one manifest
	maxReferrerDepth = 3    // referrers of referrers below a manifest that a tag leads to
	maxReferrerPages = 1000 // of one answer

	// youngFor is how long a manifest that a tag has come to name is asked about in every crawl,
	// in seconds: signatures come after images.
	youngFor = 24 * 60 * 60
	// referrersAtOnce bounds the answers that a killed crawl loses.
	referrersAtOnce = 256
)

// referrersRecord is what the referrers API said of one manifest. Instants are Unix seconds.
type referrersRecord struct {
	First   int64    `json:"first,omitempty"` // when it was first asked about; 0 in a repository's first crawl
	Asked   int64    `json:"asked"`
	Digests []string `json:"digests,omitempty"` // of manifests that are known and name no other subject
}

// due reports whether to ask about a manifest again: in every crawl while it is young, then once
// in every period, each manifest at another time of it.
func (r referrersRecord) due(digest string, now, period int64) bool {
	if r.Asked == 0 || r.First != 0 && now-r.First < youngFor {
		return true
	}
	phase, _ := strconv.ParseUint(digest[len("sha256:"):][:8], 16, 32)
	turn := func(at int64) int64 { return (at + int64(phase)%period) / period }
	return turn(now) > turn(r.Asked)
}

// referrersAPI is what a crawl knows of the registry's referrers API. Whether there is one is
// found out with one request, that the others wait for.
type referrersAPI struct {
	first    sync.Mutex // held during that request
	state    atomic.Int32
	answered atomic.Bool // a request of this crawl
	refused  atomic.Bool // a request of this crawl
}

const (
	apiUnknown int32 = iota
	apiPresent
	apiAbsent
)

// referrers asks what refers to subjects, of those that are due or of all, and learns those
// manifests. What fails keeps what was known, and so does what there is no time for. The error is
// the store's or the context's.
func (t *tags) referrers(subjects []string, all bool) error {
	err := cause(t.ctx, t.askAll(subjects, all))
	if errors.Is(err, errSlow) {
		t.refused = referrerFailures{n: 1, first: "some manifests", err: err}
		return nil
	}
	return err
}

func (t *tags) askAll(subjects []string, all bool) error {
	r := &referring{tags: t, all: all, found: map[string]bool{}}
	for depth := 1; depth <= maxReferrerDepth && len(subjects) > 0; depth++ {
		for _, d := range subjects {
			r.found[d] = false
		}
		g := new(errgroup.Group)
		g.SetLimit(t.cfg.Parallel)
		for _, d := range subjects {
			if t.api.state.Load() == apiAbsent || r.hopeless() || t.ctx.Err() != nil {
				break
			}
			g.Go(func() error { return r.subject(d) })
		}
		if err := g.Wait(); err != nil {
			return err
		}
		if err := t.ctx.Err(); err != nil {
			return err
		}
		subjects = r.next()
	}
	if r.failures.n > 0 {
		t.refused = r.failures
	}
	return r.flush()
}

// subjects are the manifests that clients ask referrers of: those that the repository's tags lead
// to, now or earlier, but for tags that are named after another digest.
func (t *tags) subjects() ([]string, error) {
	roots := map[string]bool{}
	add := func(tag, digest string) {
		if digest != "" && !digestLike(tag) {
			roots[digest] = true
		}
	}
	for tag, digest := range t.resolved {
		add(tag, digest)
	}
	if k := t.known[t.name]; k != nil {
		for tag := range t.unknown {
			add(tag, k.tags[tag].Digest)
		}
		for tag, was := range k.tags {
			if digest := t.resolved[tag]; digest != was.Digest {
				add(tag, was.Digest) // about to be history
			}
		}
		for tag, past := range k.history {
			for _, p := range past {
				add(tag, p.Digest)
			}
		}
	}
	all, err := t.store.below(roots)
	return all, wrapStore(err)
}

// digestLike reports whether a tag is sha256-HEX, with or without a suffix.
func digestLike(tag string) bool {
	const n = len("sha256-") + 64
	return len(tag) >= n && tag[:7] == "sha256-" && ValidDigest("sha256:"+tag[7:n]) && (len(tag) == n || tag[n] == '.')
}

// referring is the asking for one repository.
type referring struct {
	*tags
	all bool // ask also about what is not due

	mu       sync.Mutex
	answers  map[string]referrersRecord // not yet in the store
	found    map[string]bool            // what was asked about, and referrers: true for those of the next round
	ok       int
	failures referrerFailures
}

// referrerFailures are the manifests of which the registry did not say what refers to them.
type referrerFailures struct {
	n     int
	first string // digest
	err   error  // of the first
}

func (r *referring) hopeless() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failures.n >= mostTrouble && r.failures.n > r.ok
}

// next are the referrers that the last round has found.
func (r *referring) next() []string {
	var out []string
	for d, fresh := range r.found {
		if fresh {
			out = append(out, d)
			r.found[d] = false
		}
	}
	slices.Sort(out)
	return out
}

// subject asks what refers to one manifest, if it is due.
func (r *referring) subject(subject string) error {
	var was referrersRecord
	period, first := max(int64(r.cfg.ReferrersEvery.Seconds()), 1), int64(0)
	if k := r.known[r.name]; k != nil {
		was = k.referrers[subject]
		if k.state.Succeeded != 0 {
			first = r.now
		}
	}
	if !r.all && !was.due(subject, r.now, period) {
		r.know(was.Digests)
		return nil
	}
	digests, answered, err := r.askReferrers(subject)
	if err == nil && answered {
		digests, err = r.usable(subject, digests)
	}
	switch {
	case isStore(err), r.ctx.Err() != nil:
		return err
	case err != nil:
		r.mu.Lock()
		if r.failures.n++; r.failures.err == nil {
			r.failures.first, r.failures.err = subject, err
		}
		r.mu.Unlock()
		r.know(was.Digests)
		return nil
	case !answered:
		r.know(was.Digests)
		return nil
	}
	if was.Asked != 0 {
		first = was.First
	}
	return r.answer(subject, referrersRecord{First: first, Asked: r.now, Digests: digests})
}

// know takes the referrers of a manifest that were known before.
func (r *referring) know(digests []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.note(digests)
}

func (r *referring) note(digests []string) {
	for _, d := range digests {
		if _, seen := r.found[d]; !seen {
			r.found[d] = true
		}
	}
}

func (r *referring) answer(subject string, rec referrersRecord) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ok++
	r.note(rec.Digests)
	if r.answers == nil {
		r.answers = map[string]referrersRecord{}
	}
	r.answers[subject] = rec
	if len(r.answers) < referrersAtOnce {
		return nil
	}
	return r.flush()
}

// flush writes the answers. It is called with mu held, or alone.
func (r *referring) flush() error {
	if len(r.answers) == 0 {
		return nil
	}
	answers := r.answers
	r.answers = nil
	return wrapStore(r.store.learnReferrers(r.name, answers, r.reread))
}

// present reports whether the registry has the API, after a crawl before which it was so.
func (a *referrersAPI) present(before bool) bool {
	return a.answered.Load() || before && !a.refused.Load()
}

// askReferrers asks the registry. It has no answer (false) when it does not know the request.
func (t *tags) askReferrers(subject string) (digests []string, answered bool, err error) {
	api := &t.api
	if api.state.Load() == apiUnknown {
		api.first.Lock()
		if api.state.Load() == apiUnknown {
			defer api.first.Unlock()
		} else {
			api.first.Unlock()
		}
	}
	if api.state.Load() == apiAbsent {
		return nil, false, nil
	}
	digests, err = t.ask.referrers(t.ctx, t.name, subject)
	switch s := status(err); {
	case err == nil:
		api.state.Store(apiPresent)
		api.answered.Store(true)
		return digests, true, nil
	case s >= 400 && s < 500 && s != http.StatusUnauthorized && s != http.StatusForbidden && s != http.StatusTooManyRequests, s == http.StatusNotImplemented:
		// One that has the API says 200 also for what nothing refers to (OCI end-12).
		api.refused.Store(true)
		api.state.CompareAndSwap(apiUnknown, apiAbsent)
		return nil, false, nil
	}
	return nil, false, err
}

// usable learns the manifests of a list of referrers, and what they list. What counts is their own
// content: the registry's word on media type, size or annotations is not kept. Left out are those
// that it lacks, that are no manifests, or that refer to something else.
func (r *referring) usable(subject string, digests []string) ([]string, error) {
	var out []string
	for _, d := range digests {
		if d == subject {
			continue
		}
		w := &walk{tags: r.tags, seen: map[string]int{}}
		err := w.manifest(d, 1, true)
		if _, unusable := errors.AsType[*skipped](err); unusable || status(err) == http.StatusNotFound {
			continue
		}
		if err != nil {
			return nil, err
		}
		rec, err := r.store.load(d)
		if err != nil {
			return nil, storeError{err}
		}
		if rec != nil && (rec.Subject == "" || rec.Subject == subject) {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// referrers reads the digests of what refers to a manifest (OCI end-12), to the last page.
func (c *client) referrers(ctx context.Context, repository, digest string) ([]string, error) {
	target := "/v2/" + repository + "/referrers/" + digest
	var out []string
	asked := map[string]bool{}
	for {
		if asked[target] || len(asked) > maxReferrerPages {
			return nil, fmt.Errorf("%w: a list of referrers whose pages never end", errGarbage)
		}
		asked[target] = true
		a, err := c.do(ctx, request{kind: "referrers", method: http.MethodGet, target: target, accept: typeOCIIndex, max: maxManifest})
		if err != nil {
			return nil, err
		}
		var page struct {
			Manifests *[]descriptor `json:"manifests"`
		}
		if json.Unmarshal(a.body, &page) != nil || page.Manifests == nil {
			return nil, fmt.Errorf("%w: a list of referrers that is no index", errGarbage)
		}
		for _, d := range *page.Manifests {
			if ValidDigest(d.Digest) {
				out = append(out, d.Digest)
			}
		}
		if len(out) > maxReferrers {
			return nil, fmt.Errorf("%w: more than %d referrers", errTooMany, maxReferrers)
		}
		if target, err = c.next(a.header, target); err != nil || target == "" {
			return out, err
		}
	}
}
