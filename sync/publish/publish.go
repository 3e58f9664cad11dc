// Package publish is the loop of the compile side: when licenses or a registry have
// changed, or half of a bundle's validity is over, it compiles, signs and hands over.
package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
)

// DefaultValidity is how long a bundle may be used; it is re-issued at half of that.
const DefaultValidity = 72 * time.Hour

// Config says what to publish and to whom. Signer, Ring and Deliver are required.
type Config struct {
	Name     string        // the set of customers it serves; "" is bundle.DefaultName
	Validity time.Duration // 0: DefaultValidity
	Signer   *bundle.Signer
	Ring     *bundle.KeyRing // what the result is verified with before it is delivered
	// Deliver takes each new bundle, read back from its bytes and verified. An error keeps the
	// previous one.
	Deliver func(context.Context, *bundle.Bundle) error
	Clock   func() time.Time // nil: time.Now
	Logger  *slog.Logger
	// Serial is the last serial that was used for Name, or 0.
	Serial int64
}

// Publisher holds the last good sources and makes bundles of them. Its methods are safe
// for concurrent use; builds happen one after the other.
type Publisher struct {
	cfg Config

	mu       sync.Mutex // guards all below; held during a build
	set      *license.Set
	rules    map[string][]byte
	catalogs map[string]*catalog.Catalog // by registry id
	kept     compile.Kept
	serial   int64
	current  *bundle.Bundle
	warnings []compile.Warning // logged last
}

// ErrNoLicenses means that nothing has been compiled because no set of licenses was good yet.
var ErrNoLicenses = errors.New("no good set of license files yet")

// New returns a Publisher with nothing to publish yet.
func New(cfg Config) *Publisher {
	if cfg.Name == "" {
		cfg.Name = bundle.DefaultName
	}
	if cfg.Validity <= 0 {
		cfg.Validity = DefaultValidity
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Publisher{cfg: cfg, serial: cfg.Serial, catalogs: map[string]*catalog.Catalog{}}
}

// SetLicenses takes a new set of licenses and rules and publishes. When that fails the
// previous set stays.
func (p *Publisher) SetLicenses(ctx context.Context, set *license.Set, rules map[string][]byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	oldSet, oldRules := p.set, p.rules
	p.set, p.rules = set, rules
	if err := p.build(ctx, false); err != nil {
		p.set, p.rules = oldSet, oldRules
		return err
	}
	return nil
}

// SetCatalog takes what is known of a registry and publishes, unless there are no licenses yet. What
// c holds must not change any more; a Repository that is the same as before is not compiled again.
func (p *Publisher) SetCatalog(ctx context.Context, registry string, c *catalog.Catalog) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old, had := p.catalogs[registry]
	p.catalogs[registry] = c
	if p.set == nil {
		return nil
	}
	err := p.build(ctx, false)
	switch {
	case err == nil:
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

// Run publishes again at half of the validity, until ctx is done.
func (p *Publisher) Run(ctx context.Context) error {
	for {
		timer := time.NewTimer(p.cfg.Validity / 2)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-timer.C:
		}
		p.mu.Lock()
		err := p.build(ctx, true)
		p.mu.Unlock()
		if err != nil && !errors.Is(err, ErrNoLicenses) {
			p.cfg.Logger.Error("bundle not re-issued; the last one stays in use until its not_after", "error", err)
		}
	}
}

// build compiles, signs, reads back and delivers. A bundle with the content of the current
// one is delivered only when reissue asks for it. It is called with mu held.
func (p *Publisher) build(ctx context.Context, reissue bool) error {
	if p.set == nil {
		return ErrNoLicenses
	}
	var repositories []compile.Repository
	for _, registry := range p.set.Registries {
		c := p.catalogs[registry.ID]
		if c == nil {
			continue
		}
		c = &catalog.Catalog{Registry: registry.ID, Repositories: c.Repositories}
		rs, err := Repositories([]*catalog.Catalog{c}, p.set)
		if err != nil {
			return err
		}
		repositories = append(repositories, rs...)
	}
	now := p.cfg.Clock()
	in := &compile.Input{
		Set: p.set, Catalog: repositories, Kept: &p.kept, Modules: policies.Modules(), Rules: p.rules,
		Name: p.cfg.Name, Serial: max(p.serial+1, now.Unix()),
		IssuedAt: now.Unix(), NotAfter: now.Add(p.cfg.Validity).Unix(),
	}
	b, warnings, err := Build(in, p.cfg.Signer, p.cfg.Ring)
	if err != nil {
		return err
	}
	p.warn(warnings)
	if !reissue && p.current != nil && b.Revision() == p.current.Revision() {
		return nil
	}
	if err := p.cfg.Deliver(ctx, b); err != nil {
		return fmt.Errorf("bundle %s: %w", b.Revision(), err)
	}
	p.serial, p.current = in.Serial, b
	return nil
}

// mostWarnings bounds the warnings of a build that are logged.
const mostWarnings = 20

// warn logs what a build warns of, when it is not what the one before warned of.
func (p *Publisher) warn(warnings []compile.Warning) {
	if slices.Equal(warnings, p.warnings) {
		return
	}
	p.warnings = warnings
	for i, w := range warnings {
		if i == mostWarnings {
			p.cfg.Logger.Warn("licenses: more warnings are not shown; `pullgate check --verbose` prints all", "more", len(warnings)-i)
			return
		}
		p.cfg.Logger.Warn("licenses", "warning", w.String())
	}
}

// Build compiles and signs, and returns what its own reader verified: the only way from
// licenses to something an engine takes.
func Build(in *compile.Input, signer *bundle.Signer, ring *bundle.KeyRing) (*bundle.Bundle, []compile.Warning, error) {
	content, warnings, err := compile.Compile(in)
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	content.Stored = true // it stays on this machine
	var buf bytes.Buffer
	if _, err := bundle.Write(&buf, content, signer); err != nil {
		return nil, nil, fmt.Errorf("write bundle: %w", err)
	}
	b, err := bundle.Read(&buf, ring, bundle.ReadOptions{Name: in.Name})
	if err != nil {
		return nil, nil, fmt.Errorf("read bundle back: %w", err)
	}
	return b, warnings, nil
}
