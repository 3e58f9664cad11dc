package upstream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	maxTokens     = 4096     // kept for one registry
	maxToken      = 8 << 10  // bytes of one: it goes into a header
	maxAnswer     = 64 << 10 // bytes of a token server's answer
	askTimeout    = 10 * time.Second
	shortLifetime = time.Minute // of a token that does not say, and the least (distribution's token authentication specification)
	longLifetime  = time.Hour
	tokenMargin   = 10 * time.Second // before its end a token is not used
	retryAfter    = 2 * time.Second  // after a failure
	fetchesAtOnce = 8                // of one process
)

// token is what is known of the token for one repository. All fields are guarded by registry.mu.
type token struct {
	bearer *bearer // of which realm
	with   secret  // for which credential

	value             secret
	goodUntil, better time.Time // not used from goodUntil on; from better on a newer one is fetched while it is used
	used              time.Time
	err               error // of the last attempt
	notBefore         time.Time
	fetching          chan struct{} // closed when the attempt under way has ended; nil for none
}

// token returns the Authorization value for a repository. Only the first request for it waits,
// and those after a pause that is longer than a token is good; the others get the one that is there, and
// the next one is fetched in time.
func (r *registry) token(ctx context.Context, b *bearer, repository string, with secret) (secret, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock()
	t := r.tokens[repository]
	if t == nil || t.bearer != b || t.with != with { // a rotated credential counts at once
		if r.makeRoom(now); len(r.tokens) >= maxTokens {
			return secret{}, errors.New("too many tokens are being fetched")
		}
		t = &token{bearer: b, with: with}
		r.tokens[repository] = t
	}
	t.used = now
	good := now.Before(t.goodUntil)
	if t.fetching == nil && !now.Before(t.notBefore) && (!good || !now.Before(t.better)) {
		r.fetch(t, repository)
	}
	if good {
		return t.value, nil
	}
	if done := t.fetching; done != nil {
		r.mu.Unlock()
		err := r.await(ctx, done)
		r.mu.Lock()
		if err != nil {
			return secret{}, errors.New("no token yet")
		}
	}
	if r.clock().Before(t.goodUntil) {
		return t.value, nil
	}
	return secret{}, cmp.Or(t.err, errOver)
}

var errOver = errors.New("the token was over at once")

// makeRoom forgets a token when there are too many: one that is no longer good, else the one that was
// not used for longest. It is called with mu held.
func (r *registry) makeRoom(now time.Time) {
	if len(r.tokens) < maxTokens {
		return
	}
	oldest, at := "", time.Time{}
	for name, t := range r.tokens {
		if t.fetching != nil {
			continue
		}
		if !now.Before(t.goodUntil) {
			delete(r.tokens, name)
			continue
		}
		if oldest == "" || t.used.Before(at) {
			oldest, at = name, t.used
		}
	}
	if len(r.tokens) >= maxTokens {
		delete(r.tokens, oldest)
	}
}

// fetch gets a token in the background. It is called with mu held.
func (r *registry) fetch(t *token, repository string) {
	done := make(chan struct{})
	begun := r.begin(func() {
		defer close(done)
		started := r.clock()
		value, lifetime, err := r.exchange(t.bearer, repository, t.with)
		r.mu.Lock()
		defer r.mu.Unlock()
		t.fetching = nil
		r.complainOf(t, repository, err)
		if err != nil {
			t.notBefore = r.clock().Add(retryAfter)
			if r.login.bearer == t.bearer && r.asking == nil { // it may have changed its mind
				r.askAt = r.clock()
			}
			return
		}
		t.value = secret{"Bearer " + value}
		t.goodUntil = started.Add(lifetime - tokenMargin)
		t.better = started.Add(lifetime / 2)
	})
	if begun {
		t.fetching = done
	} else {
		t.err = context.Cause(r.ctx)
	}
}

// exchange asks the token server for a token to pull from one repository.
func (r *registry) exchange(b *bearer, repository string, with secret) (value string, lifetime time.Duration, err error) {
	result := "failed"
	defer func() { r.fetches.WithLabelValues(r.id, result).Inc() }()
	ctx, cancel := context.WithTimeout(r.ctx, askTimeout)
	defer cancel()
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-ctx.Done():
		return "", 0, errors.New("too many tokens are being fetched")
	}
	u := *b.realm
	q := u.Query()
	if b.service != "" {
		q.Set("service", b.service)
	}
	q.Set("scope", "repository:"+repository+":pull")
	u.RawQuery = q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return "", 0, err
	}
	req.Header.Set("User-Agent", "pullgate")
	req.Header.Set("Authorization", with.reveal())
	resp, err := r.client.Do(req)
	if err != nil {
		if where, ok := errors.AsType[*url.Error](err); ok {
			err = where.Err // the same for all repositories
		}
		return "", 0, fmt.Errorf("token server %s: %w", origin(b.realm), err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return "", 0, fmt.Errorf("token server %s redirects: no credential follows; list the realm that is meant", origin(b.realm))
	case resp.StatusCode != http.StatusOK:
		if resp.StatusCode < 500 {
			result = "refused"
		}
		return "", 0, fmt.Errorf("token server %s answered %d %s", origin(b.realm), resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return "", 0, fmt.Errorf("token server %s: %w", origin(b.realm), err)
	}
	var answer struct {
		Token       string  `json:"token"`
		AccessToken string  `json:"access_token"`
		ExpiresIn   float64 `json:"expires_in"`
	}
	if len(body) > maxAnswer || json.Unmarshal(body, &answer) != nil {
		return "", 0, fmt.Errorf("token server %s answers something else than tokens", origin(b.realm))
	}
	if value = answer.Token; value == "" {
		value = answer.AccessToken
	}
	if !isBearer(value) {
		return "", 0, fmt.Errorf("token server %s answered without a token that can be sent", origin(b.realm))
	}
	lifetime = time.Duration(min(max(answer.ExpiresIn, shortLifetime.Seconds()), longLifetime.Seconds()) * float64(time.Second))
	result = "ok"
	return value, lifetime, nil
}

// isBearer reports whether a token can be sent in a header (RFC 6750, 2.1).
func isBearer(s string) bool {
	for i := range len(s) {
		if s[i] <= 0x20 || s[i] >= 0x7f {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}
