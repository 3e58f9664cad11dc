package catalog

import (
	"errors"
	"fmt"
)

// mostSilence bounds a crawl of a registry that has stopped answering: after so many requests in
// a row without an answer the rest is not tried.
func (cr *crawl) mostSilence() int { return max(24, maxTries*cr.cfg.Parallel) }

// errSilent: the registry has stopped answering in the middle of a crawl.
var errSilent = errors.New("the registry answers no more")

// fetched counts a request.
func (cr *crawl) fetched(kind string) {
	cr.asked.Add(1)
	cr.metrics.fetched(kind)
}

func (cr *crawl) answered() {
	cr.mu.Lock()
	cr.silence = 0
	cr.mu.Unlock()
	cr.step(func(p *Progress) { p.Requests++ })
}

func (cr *crawl) unanswered() {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	cr.silence++
}

func (cr *crawl) givenUp() error {
	cr.mu.Lock()
	defer cr.mu.Unlock()
	if cr.silence < cr.mostSilence() {
		return nil
	}
	return fmt.Errorf("%w: %d requests in a row had no answer, the rest is not tried", errSilent, cr.silence)
}
