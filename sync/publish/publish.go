// Package publish is the loop of the compile side: when licenses or a registry have
// changed, or half of a bundle's validity is over, it compiles, signs and hands over.
//
// One Publisher makes one or more bundles of the same sources: that of all customers, and smaller
// ones of chosen customers. Between compiling and handing over stands whoever may say no (Approve);
// what they hold back is told, and goes out when it is accepted.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// DefaultValidity is how long a bundle may be used; it is re-issued at half of that.
const DefaultValidity = 72 * time.Hour

// Config says what to publish and to whom. Bundles, Signer and Ring are required.
type Config struct {
	Bundles    []Bundle
	Validity   time.Duration // 0: DefaultValidity
	Signer     *bundle.Signer
	Ring       *bundle.KeyRing  // what the result is verified with before it is delivered
	Clock      func() time.Time // nil: time.Now
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// StandBy keeps sources and publishes nothing until Begin.
	StandBy bool
}

// Bundle is one of the bundles of a Publisher. Deliver is required.
type Bundle struct {
	Name      string   // "" is bundle.DefaultName
	Customers []string // whom it serves; nil: all
	// Deliver takes each new bundle, read back from its bytes and verified. An error keeps the
	// previous one, and the sources of it.
	Deliver func(context.Context, *Issue) error
	// Approve says why a bundle must not take the place of the previous one until somebody accepts it,
	// or nil. It is asked when the content differs, and with a nil previous when that is not to be had; nil
	// approves of everything.
	Approve func(ctx context.Context, set *license.Set, previous, candidate *bundle.Bundle) error
	// NextSerial hands out the serial of the next bundle, at least the given one; an error keeps it
	// from being published. nil: the given one is taken.
	NextSerial func(ctx context.Context, atLeast int64) (int64, error)
	// Announce is told of a bundle before it is delivered; an error keeps it from being published. nil:
	// nobody is told.
	Announce func(context.Context, *bundle.Bundle) error
	// Hold notes which revision is held back, "" for none, for whoever publishes in place of this
	// Publisher; nil: nobody does.
	Hold func(ctx context.Context, revision string) error
	// History keeps what was published, for the next start and for Rollback; nil: nothing is kept.
	History *History
	// Find reads what is published where other publishers put it, too, the newest if that is in several
	// places, nil when there is none; nil: there is no such place.
	Find func(context.Context) (*bundle.Bundle, error)
	// Local is for a bundle that does not leave the process: it is no file.
	Local bool
}

// Issue is a bundle that was made: verified, and as bytes, which must not be changed (nil for a Local
// one).
type Issue struct {
	Bundle *bundle.Bundle
	File   []byte
	// Edited is when the edit was made that it is published for at once (SetEdit); zero where nobody
	// knows, and for one that is published for another reason, or later.
	Edited time.Time

	content *bundle.Content // what it was made of; nil where nobody knows
}

// Held is a bundle that is not published until its revision is accepted.
type Held struct {
	Name, Revision string
	Since          time.Time
	Reason         string
}

func (h *Held) Error() string {
	return fmt.Sprintf("bundle %s: revision %s is held back: %s", h.Name, h.Revision, h.Reason)
}

// Publisher holds the last good sources and makes bundles of them. Its methods are safe
// for concurrent use; builds happen one after the other.
type Publisher struct {
	cfg     Config
	metrics *metrics

	mu       sync.Mutex // guards all below; held during a build
	waiting  bool       // for Begin
	failed   bool       // a bundle was published and another was not: it is tried again
	set      *license.Set
	rules    map[string][]byte
	edited   time.Time                   // of SetEdit, while it is under way
	catalogs map[string]*catalog.Catalog // by registry id
	outlets  []*outlet
	again    chan struct{} // a bundle was published: Run counts anew
	refused  *refusal      // the last set that was refused or has to wait, until one is published; nil: none

	heldMu  sync.Mutex // guards the next three; never held for long
	held    []Held
	revoked []Revoked
	absent  map[string][]string // by bundle: customers that do not exist, while others do
}

// ErrNoLicenses means that nothing has been compiled because no set of licenses was good yet.
var ErrNoLicenses = errors.New("no good set of license files yet")

// New returns a Publisher with nothing to publish yet.
func New(cfg Config) *Publisher {
	if cfg.Validity <= 0 {
		cfg.Validity = DefaultValidity
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	p := &Publisher{cfg: cfg, waiting: cfg.StandBy, metrics: newMetrics(cfg.Registerer), catalogs: map[string]*catalog.Catalog{}, absent: map[string][]string{}, again: make(chan struct{}, 1)}
	for _, b := range cfg.Bundles {
		if b.Name == "" {
			b.Name = bundle.DefaultName
		}
		p.outlets = append(p.outlets, &outlet{Bundle: b, publisher: p})
		p.metrics.know(b.Name)
	}
	return p
}

// Newest is what was last published under a name, by whichever publisher.
type Newest struct {
	Serial   int64
	Revision string
	Held     string // revision that they held back since; "" for none
}

// Restore publishes what History has of each bundle, if it may still be used, as it was: who follows
// need not wait for the sources. One with a serial lower than that of newest, by name, is only compared
// with: another publisher has published since. What that was is published again, under a new serial, if it
// is found (Find) or has the same content; when nobody can see it, the next is held back. What cannot be read is an error; the rest is restored
// all the same, and of that bundle everything is held back until it is accepted.
func (p *Publisher) Restore(ctx context.Context, newest map[string]Newest) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, o := range p.outlets {
		if err := o.restore(ctx, newest[o.Name]); err != nil {
			errs = append(errs, fmt.Errorf("bundle %s: %w", o.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Begin publishes the sources that came while it stood by, if there are any. What it cannot deliver of a set
// that is only to revoke (SetRefused) is tried again, which is no error.
func (p *Publisher) Begin(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	if p.set == nil && p.refused == nil {
		return nil
	}
	delivered, err := p.publish(ctx, false)
	switch {
	case err == nil || delivered:
	case p.set == nil:
		p.later()
		p.cfg.Logger.Error("what the sources take back is not published yet", "error", err)
		return nil
	default:
		p.set, p.rules = nil, nil // never good; the next edit may be
	}
	return err
}

// SetLicenses takes a new set of licenses and rules and publishes. When nothing can be published of
// them the previous set stays; when one bundle was and another failed, they stay and it is tried again.
// What is held back is no failure.
func (p *Publisher) SetLicenses(ctx context.Context, set *license.Set, rules map[string][]byte) error {
	return p.SetEdit(ctx, set, rules, time.Time{})
}

// SetEdit is SetLicenses of an edit of what there was, which was made at an instant; zero where nobody
// knows.
func (p *Publisher) SetEdit(ctx context.Context, set *license.Set, rules map[string][]byte, edited time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(ctx, set, rules, edited, nil)
}

// SetPending is SetEdit of a set that had to wait, and that a refused one has come after (SetRefused): what
// that takes back is in it (license.Set.Revoked), and goes on being told.
func (p *Publisher) SetPending(ctx context.Context, set *license.Set, rules map[string][]byte, edited time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(ctx, set, rules, edited, p.refused)
}

func (p *Publisher) take(ctx context.Context, set *license.Set, rules map[string][]byte, edited time.Time, refused *refusal) error {
	p.edited = edited
	defer func() { p.edited = time.Time{} }()
	oldSet, oldRules, oldRefused := p.set, p.rules, p.refused
	p.set, p.rules, p.refused = set, rules, refused
	delivered, err := p.publish(ctx, false)
	if err != nil && !delivered {
		p.set, p.rules, p.refused = oldSet, oldRules, oldRefused
	}
	return err
}

// SetCatalog takes what is known of a registry and publishes, unless there are no licenses yet; of
// a set that was refused (SetRefused) what it takes back. Where there is only that, c is kept also when that
// cannot be delivered: it is tried again, which is no error. What
// c holds must not change any more; a Repository that is the same as before is not compiled again.
func (p *Publisher) SetCatalog(ctx context.Context, registry string, c *catalog.Catalog) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, had := p.catalogs[registry]
	p.catalogs[registry] = c
	if p.set == nil && p.refused == nil {
		return nil
	}
	delivered, err := p.publish(ctx, false)
	switch {
	case err == nil || delivered:
	case p.set == nil:
		p.later()
		p.cfg.Logger.Error("what the sources take back is not published yet", "registry", registry, "error", err)
		return nil
	case had:
		p.catalogs[registry] = old
	default:
		delete(p.catalogs, registry)
	}
	return err
}

// Set returns the set of licenses in use, or nil.
func (p *Publisher) Set() *license.Set {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.set
}

// atOnce is how many bundles of a name may be issued within a second.
const atOnce = 4

// Pause is how long whoever brings edits is to wait until the next, a second at most. Serials are those
// of the clock: a publisher that issues more than one a second for long runs away from it, and after it
// has lost its history, could not come back before the clock has caught up. What is edited meanwhile is
// one edit.
func (p *Publisher) Pause() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, pause := p.cfg.Clock(), time.Duration(0)
	for _, o := range p.outlets {
		if o.current != nil {
			pause = max(pause, time.Unix(o.serial-atOnce+1, 0).Sub(now))
		}
	}
	return min(pause, time.Second)
}

// Held returns what is held back. It does not wait for a build.
func (p *Publisher) Held() []Held {
	p.heldMu.Lock()
	defer p.heldMu.Unlock()
	return slices.Clone(p.held)
}

// Absent returns the chosen customers of bundles that do not exist, by the bundle's name. It does not
// wait for a build.
func (p *Publisher) Absent() map[string][]string {
	p.heldMu.Lock()
	defer p.heldMu.Unlock()
	return maps.Clone(p.absent)
}

// missing notes customers of a bundle that do not exist, and warns of them once.
func (p *Publisher) missing(name string, customers []string) {
	p.heldMu.Lock()
	same := slices.Equal(p.absent[name], customers)
	p.absent[name] = customers
	if len(customers) == 0 {
		delete(p.absent, name)
	}
	p.heldMu.Unlock()
	if !same && len(customers) > 0 {
		p.cfg.Logger.Warn("customers of a bundle do not exist: it is published without them", "bundle", name, "customers", strings.Join(customers, ","))
	}
}

// hold notes what is held back of a bundle; nil for nothing.
func (p *Publisher) hold(name string, held *Held) {
	p.heldMu.Lock()
	defer p.heldMu.Unlock()
	p.held = slices.DeleteFunc(p.held, func(h Held) bool { return h.Name == name })
	if held != nil {
		p.held = append(p.held, *held)
	}
	p.metrics.hold(name, held != nil)
}

// Run publishes again at half of the validity, until ctx is done.
func (p *Publisher) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(p.due())
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-p.again:
			timer.Stop()
			continue
		case <-timer.C:
		}
		p.mu.Lock()
		_, err := p.publish(ctx, !p.failed)
		p.mu.Unlock()
		if err != nil && !errors.Is(err, ErrNoLicenses) {
			p.cfg.Logger.Error("bundle not re-issued; the last one stays in use until its not_after", "error", err)
		}
	}
}

// retryAfter is how long after a bundle could not be re-issued it is tried again.
const retryAfter = time.Minute

// due is how long it is until the first bundle has to be re-issued.
func (p *Publisher) due() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	half := p.cfg.Validity / 2
	wait := half
	if p.failed {
		wait = 0
	}
	for _, o := range p.outlets {
		if o.current != nil {
			wait = min(wait, time.Unix(o.current.IssuedAt(), 0).Add(half).Sub(p.cfg.Clock()))
		}
	}
	return max(wait, min(retryAfter, half))
}

// publish compiles every bundle, and delivers those that are new, or also the others when they are
// to be re-issued. It is called with mu held. A set that one bundle cannot be made of is no set. It
// reports whether anything was delivered.
func (p *Publisher) publish(ctx context.Context, reissue bool) (delivered bool, err error) {
	if p.waiting {
		return false, nil
	}
	if p.set == nil && p.refused == nil && !reissue {
		return false, ErrNoLicenses
	}
	now := p.cfg.Clock()
	drafts := make([]*Issue, len(p.outlets))
	for i, o := range p.outlets {
		if p.set == nil {
			continue // what History had is issued again
		}
		var nobody *Held
		if drafts[i], err = o.draft(now); errors.As(err, &nobody) {
			_ = o.hold(ctx, nobody)
		} else if err != nil {
			p.metrics.count(o.Name, "refused")
			return false, &draftError{err}
		}
	}
	var errs []error
	for i, o := range p.outlets {
		did, err := o.publish(ctx, drafts[i], reissue, now)
		if err != nil {
			p.metrics.count(o.Name, "refused")
			errs = append(errs, err)
		}
		delivered = delivered || did
	}
	p.failed = len(errs) > 0 && (delivered || p.failed)
	if p.failed {
		p.wake()
	}
	return delivered, errors.Join(errs...)
}

// draftError is why a set is no set: of one bundle it cannot be compiled.
type draftError struct{ error }

func (e *draftError) Unwrap() error { return e.error }

// wake lets Run count anew.
func (p *Publisher) wake() {
	select {
	case p.again <- struct{}{}:
	default:
	}
}
