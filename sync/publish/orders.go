package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrStandsBy means that another publisher has to be told.
var ErrStandsBy = errors.New("this publisher stands by and publishes nothing: tell the one that leads")

// shortestRevision is how many digits of a revision must be given to name it.
const shortestRevision = 8

// Accept publishes what is held back: of the bundle of a name, or of whichever ("") if its revision
// begins like the given one. Nothing else is published: content that has changed since is held under another revision.
func (p *Publisher) Accept(ctx context.Context, bundle, revision string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	named, err := p.named(bundle, revision)
	if err != nil {
		return err
	}
	if p.waiting {
		return ErrStandsBy
	}
	var found bool
	var waiting []string
	for _, o := range named {
		if o.held == nil {
			continue
		}
		waiting = append(waiting, o.held.Revision)
		if strings.HasPrefix(o.held.Revision, revision) {
			found = true
			o.accepted = o.held.Revision
		}
	}
	if !found {
		if len(waiting) == 0 {
			return fmt.Errorf("revision %s is not held back, and nothing else is", revision)
		}
		return fmt.Errorf("revision %s is not held back; what is: %s", revision, strings.Join(waiting, ", "))
	}
	_, err = p.publish(ctx, false)
	for _, o := range named {
		if o.current != nil && strings.HasPrefix(o.current.Revision(), revision) {
			return err
		}
	}
	if err != nil {
		return err
	}
	waiting = nil
	for _, o := range named {
		o.accepted = ""
		if o.held != nil {
			waiting = append(waiting, o.held.Revision)
		}
	}
	return fmt.Errorf("revision %s is not what the sources say any more; what is held back now: %s", revision, strings.Join(waiting, ", "))
}

// Rollback publishes an older content again, under a new serial, and holds back everything else until
// it is accepted. It looks for the revision in the history of the bundle of a name, or of every one ("");
// when several have it, one must be named.
func (p *Publisher) Rollback(ctx context.Context, bundle, revision string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	named, err := p.named(bundle, revision)
	if err != nil {
		return err
	}
	if p.waiting {
		return ErrStandsBy
	}
	var known, having []string
	var back *outlet
	var to *Issue
	for _, o := range named {
		if o.History == nil {
			continue
		}
		issue, revisions, err := o.History.find(p.cfg.Ring, o.Name, revision)
		if err != nil {
			return fmt.Errorf("bundle %s: %w", o.Name, err)
		}
		if issue == nil {
			known = append(known, revisions...)
			continue
		}
		having, back, to = append(having, o.Name), o, issue
	}
	switch {
	case len(having) > 1:
		return fmt.Errorf("several bundles have revision %s: say which one: %s", revision, strings.Join(having, ", "))
	case back == nil && len(known) == 0:
		return errors.New("no older bundle is kept")
	case back == nil:
		return fmt.Errorf("no bundle that is kept has revision %s; those that are, newest first: %s", revision, strings.Join(known, ", "))
	}
	if err := back.rollBack(ctx, to, p.cfg.Clock()); err != nil || p.set == nil {
		return err
	}
	_, err = p.publish(ctx, false) // so that what the sources say is held back, and told
	return err
}

// named are the bundles that an order is about.
func (p *Publisher) named(bundle, revision string) (named []*outlet, err error) {
	var all []string
	for _, o := range p.outlets {
		all = append(all, o.Name)
		if bundle == "" || bundle == o.Name {
			named = append(named, o)
		}
	}
	if len(named) == 0 {
		return nil, fmt.Errorf("no bundle has the name %q; those of this publisher: %s", bundle, strings.Join(all, ", "))
	}
	return named, enough(revision)
}

func (o *outlet) rollBack(ctx context.Context, to *Issue, now time.Time) error {
	// First of all, so that a crash in between holds back too much and not too little.
	if err := o.History.pin(to.Bundle.Revision()); err != nil {
		return err
	}
	o.pinned = to.Bundle.Revision()
	issue, err := o.issueAgain(to.Bundle, max(o.serial+1, now.Unix()), now)
	if err != nil {
		return err
	}
	o.accepted = ""
	if err := o.deliver(ctx, issue, "rolled_back", now); err != nil {
		return err
	}
	o.publisher.cfg.Logger.Warn("rolled back; newer content is held back until it is accepted", "bundle", o.Name, "revision", o.pinned, "serial", issue.Bundle.Serial())
	return nil
}

// unpin ends a rollback: newer content was accepted.
func (o *outlet) unpin() {
	if o.pinned == "" {
		return
	}
	o.pinned = ""
	if err := o.History.pin(""); err != nil {
		o.publisher.cfg.Logger.Error("the rollback is over, but would begin anew at the next start", "bundle", o.Name, "error", err)
	}
}

func enough(revision string) error {
	if len(revision) < shortestRevision || strings.Trim(revision, "0123456789abcdef") != "" {
		return fmt.Errorf("revision %q: want at least %d hex digits of one", revision, shortestRevision)
	}
	return nil
}
