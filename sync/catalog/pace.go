package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"
)

const (
	// maxPause is the longest that a crawl waits because the registry asks it to (Retry-After). When
	// it asks for more the crawl ends, and the next one begins no earlier.
	maxPause = 2 * time.Minute
	// maxTold is how often one request is tried again because the registry said when.
	maxTold = 5
)

// errBusy: the registry asks to be left alone for longer than a crawl waits.
var errBusy = errors.New("the registry asks to be left alone")

// pace holds all requests of a crawl back while the registry asks for it (429, 503). nil never does.
type pace struct {
	mu    sync.Mutex
	until time.Time
	ended bool // until is too far away
}

// wait returns when the next request may go. Errors: the context's, errBusy.
func (p *pace) wait(ctx context.Context) error {
	if p == nil {
		return nil
	}
	for {
		p.mu.Lock()
		left, ended := time.Until(p.until), p.ended
		p.mu.Unlock()
		switch {
		case ended:
			return p.left()
		case left <= 0:
			return nil
		}
		if err := sleep(ctx, left); err != nil {
			return err
		}
	}
}

// busy notes what an error says about the next requests: all wait when the registry has too many
// of them, or has said when to come back (told). The error is errBusy when that is too long.
func (p *pace) busy(err error, after time.Duration, told bool) error {
	if p == nil || !told && status(err) != http.StatusTooManyRequests {
		return nil
	}
	p.mu.Lock()
	if until := time.Now().Add(after); until.After(p.until) {
		p.until = until
	}
	p.ended = p.ended || after > maxPause
	ended := p.ended
	p.mu.Unlock()
	if ended {
		return p.left()
	}
	return nil
}

func (p *pace) left() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return &busyError{until: p.until}
}

// notBefore is when the next crawl may begin; zero when the registry has not said.
func (p *pace) notBefore() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		return time.Time{}
	}
	return p.until
}

// busyError is errBusy with the instant until which.
type busyError struct{ until time.Time }

func (e *busyError) Error() string {
	return fmt.Sprintf("%v until %s", errBusy, e.until.UTC().Format(time.RFC3339))
}

func (e *busyError) Unwrap() error { return errBusy }

// retryAfter reads Retry-After (RFC 9110 section 10.2.3): seconds or a date; 0 without one that can
// be read, at most a day.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	var after time.Duration
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		after = time.Duration(min(max(seconds, 0), 24*60*60)) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	}
	return min(max(after, 0), 24*time.Hour)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
