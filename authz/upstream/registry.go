package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// A registry is asked how it wants to be logged in to when it is first heard of, then, while there are
// requests, every reaskAfter; and reaskSoon after a failure.
const (
	reaskAfter = 5 * time.Minute
	reaskSoon  = 5 * time.Second
)

// registry knows how one registry is logged in to.
type registry struct {
	*Credentials
	id       string
	basic    *basic
	realms   map[string]bool // origins
	insecure bool

	mu       sync.Mutex
	upstream *url.URL // nil until it is told
	login    login
	asking   chan struct{}     // while it is being asked; closed after the first attempt
	askAt    time.Time         // when to ask again
	tokens   map[string]*token // by repository
	problem  complained        // about the login; those about tokens are theirs
}

// login is how a registry wants to be logged in to. The zero login is not known: Basic, as far
// as anybody can tell.
type login struct {
	known  bool
	open   bool    // it asked for none: Basic, unless it is known to want tokens
	bearer *bearer // nil: Basic
	err    error   // it cannot be done: wants what may not be given
}

// aim says where the registry is.
func (r *registry) aim(upstream string) {
	u, err := url.Parse(upstream)
	if err != nil || u.Host == "" {
		return
	}
	u = &url.URL{Scheme: u.Scheme, Host: u.Host, Path: "/v2/"}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.upstream != nil && *r.upstream == *u {
		return
	}
	r.upstream, r.login, r.tokens, r.asking = u, login{}, map[string]*token{}, nil
	r.problem = ""
	r.ask()
}

// ask asks in the background until there is an answer, unless it is being asked. It is called with
// mu held.
func (r *registry) ask() {
	if r.asking != nil {
		return
	}
	once, upstream := make(chan struct{}), r.upstream
	begun := r.begin(func() {
		again := r.askOnce(upstream)
		close(once)
		for again {
			timer := time.NewTimer(reaskSoon)
			select {
			case <-r.ctx.Done():
			case <-timer.C:
			}
			timer.Stop()
			again = r.ctx.Err() == nil && r.askOnce(upstream)
		}
	})
	if begun {
		r.asking = once
	}
}

// askOnce reports whether to ask again.
func (r *registry) askOnce(upstream *url.URL) bool {
	found, err := r.challenged(upstream)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.upstream != upstream {
		return false // it has moved
	}
	if err != nil { // what was known stays
		r.complain(fmt.Errorf("the registry does not say how to log in: %w", err))
		return true
	}
	r.asking, r.askAt = nil, r.clock().Add(reaskAfter)
	r.complain(found.err)
	switch {
	case found.open && r.login.bearer != nil:
		return false
	case r.login.bearer != nil && found.bearer != nil && *r.login.bearer.realm == *found.bearer.realm && r.login.bearer.service == found.bearer.service:
		found.bearer = r.login.bearer // and its tokens stay good
	}
	r.login = found
	return false
}

// challenged asks GET /v2/ without a credential.
func (r *registry) challenged(upstream *url.URL) (login, error) {
	ctx, cancel := context.WithTimeout(r.ctx, askTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, upstream.String(), nil)
	if err != nil {
		return login{}, err
	}
	req.Header.Set("User-Agent", "pullgate")
	resp, err := r.client.Do(req)
	if err != nil {
		return login{}, err
	}
	_ = resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return login{known: true, open: true}, nil
	case http.StatusUnauthorized:
	default:
		return login{}, fmt.Errorf("%s answered %s", upstream, resp.Status)
	}
	var wanted *challenge
	for _, c := range challenges(resp.Header) {
		if c.scheme == "basic" {
			return login{known: true}, nil
		}
		if c.scheme == "bearer" && wanted == nil {
			wanted = &c
		}
	}
	if wanted == nil {
		return login{known: true, err: errors.New("the registry takes neither Basic nor bearer tokens")}, nil
	}
	found, err := r.realmOf(*wanted, upstream)
	return login{known: true, bearer: found, err: err}, nil
}

// how returns how to log in now. Only before the first answer it waits.
func (r *registry) how(ctx context.Context) (login, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.upstream == nil {
		return login{}, nil
	}
	if first := r.asking; first != nil && !r.login.known {
		r.mu.Unlock()
		err := r.await(ctx, first)
		r.mu.Lock()
		if err != nil {
			return login{}, errors.New("the registry has not yet said how to log in")
		}
	}
	if r.asking == nil && !r.clock().Before(r.askAt) {
		r.ask()
	}
	return r.login, nil
}

var errSlow = errors.New("not in time")

// await waits for a channel to be closed, no longer than a request may take.
func (r *registry) await(ctx context.Context, done <-chan struct{}) error {
	timer := time.NewTimer(r.patience)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	case <-timer.C:
	}
	return errSlow
}
