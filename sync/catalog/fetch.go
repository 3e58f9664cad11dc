package catalog

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
)

const acceptManifests = typeOCIIndex + ", " + typeOCIManifest + ", " + typeDockerList + ", " + typeDockerManifest

// tag finds what a tag names now and learns everything below it; "" when the tag is gone.
func (t *tags) tag(tag string) (string, error) {
	path := "/v2/" + t.name + "/manifests/" + tag
	digest := ""
	was := t.was(tag)
	a, err := t.ask.do(t.ctx, request{kind: "head", method: http.MethodHead, target: path, accept: acceptManifests, max: 0, known: was})
	switch {
	case err == nil && a.same:
		digest = was
	case status(err) == http.StatusNotFound:
		return "", nil
	case status(err) == http.StatusMethodNotAllowed, status(err) == http.StatusNotImplemented:
	case err != nil:
		return "", err
	default:
		mediaType, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
		if strings.Contains(mediaType, "manifest.v1+") && mediaType != typeOCIManifest {
			return "", &skipped{why: "Docker schema 1; push it again with a client of this decade"}
		}
		if digest = a.header.Get("Docker-Content-Digest"); digest != "" && !ValidDigest(digest) {
			return "", &skipped{why: fmt.Sprintf("its digest is %q; only sha256 is supported", clean(digest, 140))}
		}
	}
	if digest == "" { // no HEAD, or one without a digest: the content tells
		if digest, err = t.manifestByTag(path, was); err != nil || digest == "" {
			return "", err
		}
	}
	w := &walk{tags: t, seen: map[string]int{}}
	return digest, w.manifest(digest, 1, false)
}

// was is what a tag named in the last crawl; "" for nothing.
func (t *tags) was(tag string) string {
	if k := t.known[t.name]; k != nil {
		return k.tags[tag].Digest
	}
	return ""
}

// manifestByTag fetches a tag's manifest unless it is what the tag was, learns it and returns its
// digest; "" when it is gone.
func (t *tags) manifestByTag(path, was string) (string, error) {
	a, err := t.ask.do(t.ctx, request{kind: "manifest", method: http.MethodGet, target: path, accept: acceptManifests, max: maxManifest, known: was})
	if status(err) == http.StatusNotFound {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if a.same {
		return was, nil
	}
	digest := digestOf(a.body)
	rec, err := parseManifest(a.body)
	if err != nil {
		return "", err
	}
	if err := t.store.learn(digest, rec); err != nil {
		return "", storeError{err}
	}
	return digest, nil
}

// walk learns the graph below one tag.
type walk struct {
	*tags
	seen map[string]int // by digest, the depth at which it was walked
}

// manifest learns a manifest and what is below it, four manifests deep. Under a parent that has a
// date of its own, image configs are not asked for theirs. A tagged manifest that cannot be used
// is *skipped; a child that is missing or cannot be used is left unknown.
func (w *walk) manifest(digest string, depth int, dated bool) error {
	if at, ok := w.seen[digest]; ok && at <= depth {
		return nil
	}
	if len(w.seen) >= maxTree {
		return &skipped{why: fmt.Sprintf("more than %d manifests below it", maxTree)}
	}
	w.seen[digest] = depth
	rec, err := w.record(digest)
	if err != nil {
		_, unusable := errors.AsType[*skipped](err)
		if depth > 1 && (unusable || status(err) == http.StatusNotFound) {
			return nil // listed, but not in this registry, or nothing to us
		}
		return err
	}
	if rec.Skip != "" {
		if depth == 1 {
			return &skipped{why: rec.Skip}
		}
		return nil
	}
	if rec.datedByConfig() && !dated {
		if err := w.config(rec.Config); err != nil {
			return err
		}
	}
	if depth == maxDepth {
		return nil
	}
	_, annotated := rec.annotated()
	for _, c := range rec.Children {
		if !c.isManifest() {
			continue
		}
		if err := w.manifest(c.Digest, depth+1, dated || annotated); err != nil {
			return err
		}
	}
	return nil
}

// fetch is one download under way, so that tags that share a digest share it too.
type fetch struct {
	done chan struct{}
	err  error
}

// record returns what is known of a digest, fetching it if nothing is.
func (w *walk) record(digest string) (*record, error) {
	for {
		rec, err := w.store.load(digest)
		if err != nil {
			return nil, storeError{err}
		}
		if rec != nil {
			return rec, nil
		}
		if err := w.once(digest, w.download); err != nil {
			return nil, err
		}
	}
}

// once runs f for a digest, or waits for the run that is under way in the same repository. Two
// repositories may lack different things, so they do not share.
func (w *walk) once(digest string, f func(digest string) error) error {
	key := w.name + "@" + digest
	w.crawl.mu.Lock()
	other := w.fetches[key]
	if other == nil {
		other = &fetch{done: make(chan struct{})}
		w.fetches[key] = other
		w.crawl.mu.Unlock()
		other.err = f(digest)
		w.crawl.mu.Lock()
		delete(w.fetches, key)
		w.crawl.mu.Unlock()
		close(other.done)
		return other.err
	}
	w.crawl.mu.Unlock()
	select {
	case <-other.done:
		return other.err
	case <-w.ctx.Done():
		return w.ctx.Err()
	}
}

func (w *walk) download(digest string) error {
	if rec, err := w.store.load(digest); err != nil || rec != nil {
		return wrapStore(err) // learned while this one waited for its turn
	}
	a, err := w.ask.do(w.ctx, request{
		kind: "manifest", method: http.MethodGet, target: "/v2/" + w.name + "/manifests/" + digest,
		accept: acceptManifests, max: maxManifest, content: true,
	})
	if errors.Is(err, errTooMany) {
		return &skipped{why: fmt.Sprintf("manifest %s has more than %d bytes", digest, maxManifest)}
	}
	if err != nil {
		return err
	}
	if got := digestOf(a.body); got != digest {
		return fmt.Errorf("%w: asked for manifest %s, got content of %s", errGarbage, digest, got)
	}
	rec, err := parseManifest(a.body)
	if err != nil {
		return err
	}
	if err := w.store.learn(digest, rec); err != nil {
		return storeError{err}
	}
	w.step(func(p *Progress) { p.Manifests++ })
	w.crawl.mu.Lock()
	w.result.Manifests++
	w.crawl.mu.Unlock()
	return nil
}

// config learns the date of an image config. One that is missing or unreadable has none.
func (w *walk) config(digest string) error {
	if _, known, err := w.store.configDate(digest); err != nil || known {
		return wrapStore(err)
	}
	return w.once(digest, func(digest string) error {
		if _, known, err := w.store.configDate(digest); err != nil || known {
			return wrapStore(err)
		}
		a, err := w.ask.do(w.ctx, request{
			kind: "config", method: http.MethodGet, target: "/v2/" + w.name + "/blobs/" + digest,
			max: maxManifest, content: true,
		})
		var at int64
		switch {
		case status(err) == http.StatusNotFound, errors.Is(err, errTooMany):
		case err != nil:
			return err
		case digestOf(a.body) == digest:
			at = parseConfig(a.body)
		}
		return wrapStore(w.store.learnConfig(digest, at))
	})
}

func wrapStore(err error) error {
	if err == nil {
		return nil
	}
	return storeError{err}
}
