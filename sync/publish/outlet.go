package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
)

// outlet is one bundle of a Publisher, whose mu guards it.
type outlet struct {
	Bundle
	publisher *Publisher

	kept     compile.Kept
	serial   int64 // the highest that was used
	current  *bundle.Bundle
	served   bool              // current was delivered, by this process
	warnings []compile.Warning // logged last
	held     *Held             // nil: nothing
	accepted string            // revision that need not be approved of
	pinned   string            // revision that was rolled back to; "" when there was none
}

// restore delivers the last bundle that was published, by an earlier process, unless another has
// published the serial newest since.
func (o *outlet) restore(ctx context.Context, newest int64) error {
	o.serial = newest
	if o.History == nil {
		return nil
	}
	issue, err := o.History.last(o.publisher.cfg.Ring, o.Name)
	if issue == nil || err != nil {
		return err
	}
	o.pinned = o.History.pinned()
	o.serial, o.current = max(newest, issue.Bundle.Serial()), issue.Bundle
	if issue.Bundle.Serial() < newest || issue.Bundle.NotAfter() <= o.publisher.cfg.Clock().Unix() {
		return nil // it is what the next one is compared with
	}
	if err := o.Deliver(ctx, issue); err != nil {
		return err
	}
	o.served = true
	o.publisher.metrics.published(issue.Bundle, "restored")
	return nil
}

// draft compiles and signs the bundle, with a serial that may not be its last.
func (o *outlet) draft(now time.Time) (*Issue, error) {
	p := o.publisher
	set, catalogs := p.set, p.catalogs
	if o.Customers != nil {
		set, catalogs = subset(set, catalogs, o.Customers)
	}
	var repositories []compile.Repository
	for _, registry := range set.Registries {
		c := catalogs[registry.ID]
		if c == nil {
			continue
		}
		rs, err := Repositories([]*catalog.Catalog{{Registry: registry.ID, Repositories: c.Repositories}}, set)
		if err != nil {
			return nil, err
		}
		repositories = append(repositories, rs...)
	}
	in := &compile.Input{
		Set: set, Catalog: repositories, Kept: &o.kept, Modules: policies.Modules(), Rules: p.rules,
		Name: o.Name, Serial: max(o.serial+1, now.Unix()),
		IssuedAt: now.Unix(), NotAfter: now.Add(p.cfg.Validity).Unix(),
	}
	issue, warnings, err := build(in, o.Stored, p.cfg.Signer, p.cfg.Ring)
	if err != nil {
		return nil, err
	}
	o.warn(warnings)
	return issue, nil
}

// publish delivers a draft when it is new and approved of, or anything when it is to be re-issued:
// of what is held back, the bundle before it. A nil draft has no sources yet.
func (o *outlet) publish(ctx context.Context, draft *Issue, reissue bool, now time.Time) error {
	if draft != nil {
		if err := o.approve(ctx, draft.Bundle, now); err != nil {
			var held *Held
			if !errors.As(err, &held) {
				return err
			}
			draft = nil
		}
	}
	result := "published"
	switch {
	case draft != nil && (!o.served || draft.Bundle.Revision() != o.current.Revision()):
	case o.current == nil || !reissue && o.served:
		return nil
	case draft != nil:
		result = "reissued"
	default:
		var err error
		if draft, err = o.issueAgain(o.current, max(o.serial+1, now.Unix()), now); err != nil {
			return err
		}
		result = "reissued"
	}
	return o.deliver(ctx, draft, result, now)
}

// approve asks whoever may say no to a content that differs. What they say no to is held, and told.
func (o *outlet) approve(ctx context.Context, candidate *bundle.Bundle, now time.Time) error {
	p := o.publisher
	revision := candidate.Revision()
	if o.current == nil || revision == o.current.Revision() || revision == o.accepted {
		o.release()
		return nil
	}
	var reason error
	switch {
	case o.held != nil && o.held.Revision == revision:
		return o.held // it was asked about
	case o.pinned != "":
		reason = fmt.Errorf("revision %s was rolled back to", o.pinned)
	case o.Approve != nil:
		reason = o.Approve(ctx, p.set, o.current, candidate)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if reason == nil {
		o.release()
		return nil
	}
	o.held = &Held{Name: o.Name, Revision: revision, Since: now, Reason: reason.Error()}
	p.hold(o.Name, o.held)
	p.metrics.count(o.Name, "held")
	p.cfg.Logger.Warn("bundle held back; the previous one stays published. To publish it all the same: pullgate publish --accept REVISION",
		"bundle", o.Name, "revision", revision, "reason", o.held.Reason)
	return o.held
}

// release forgets what was held: something else takes its place.
func (o *outlet) release() {
	o.held = nil
	o.publisher.hold(o.Name, nil)
}

// issueAgain signs the content of a bundle under another serial, valid from now on.
func (o *outlet) issueAgain(b *bundle.Bundle, serial int64, now time.Time) (*Issue, error) {
	cfg := &o.publisher.cfg
	content := &bundle.Content{
		Name: o.Name, Serial: serial, IssuedAt: now.Unix(), NotAfter: now.Add(cfg.Validity).Unix(),
		PolicyDigest: b.PolicyDigest(), Files: map[string][]byte{}, Stored: o.Stored,
	}
	for _, path := range b.Paths() {
		if path != bundle.ManifestPath && path != bundle.SignaturesPath {
			content.Files[path] = b.File(path)
		}
	}
	return sign(content, cfg.Signer, cfg.Ring)
}

// deliver gives a bundle its serial, keeps it and hands it over.
func (o *outlet) deliver(ctx context.Context, issue *Issue, result string, now time.Time) error {
	p := o.publisher
	if o.NextSerial != nil {
		serial, err := o.NextSerial(ctx, issue.Bundle.Serial())
		if err != nil {
			return fmt.Errorf("bundle %s: serial: %w", o.Name, err)
		}
		if serial != issue.Bundle.Serial() {
			if issue, err = o.issueAgain(issue.Bundle, serial, now); err != nil {
				return err
			}
		}
	}
	b := issue.Bundle
	if o.Announce != nil {
		if err := o.Announce(ctx, b); err != nil {
			return fmt.Errorf("bundle %s: %w", o.Name, err)
		}
	}
	if err := o.Deliver(ctx, issue); err != nil {
		return fmt.Errorf("bundle %s: %w", b.Revision(), err)
	}
	if o.History != nil {
		// Serials follow the clock: what is not kept is missed at most by Rollback.
		if err := o.History.add(issue); err != nil {
			p.cfg.Logger.Error("bundle published, but not kept for the next start", "bundle", o.Name, "revision", b.Revision(), "error", err)
		}
	}
	o.serial, o.current, o.served, o.accepted = b.Serial(), b, true, ""
	p.metrics.published(b, result)
	select {
	case p.again <- struct{}{}:
	default:
	}
	return nil
}

// mostWarnings bounds the warnings of a build that are logged.
const mostWarnings = 20

// warn logs what a build warns of, when it is not what the one before warned of.
func (o *outlet) warn(warnings []compile.Warning) {
	log := o.publisher.cfg.Logger
	if slices.Equal(warnings, o.warnings) || o.Customers != nil { // the bundle of all tells the same
		return
	}
	o.warnings = warnings
	for i, w := range warnings {
		if i == mostWarnings {
			log.Warn("licenses: more warnings are not shown; `pullgate check --verbose` prints all", "more", len(warnings)-i)
			return
		}
		log.Warn("licenses", "warning", w.String())
	}
}

// Build compiles and signs, and returns what its own reader verified: the only way from
// licenses to something an engine takes.
func Build(in *compile.Input, signer *bundle.Signer, ring *bundle.KeyRing) (*bundle.Bundle, []compile.Warning, error) {
	issue, warnings, err := build(in, true, signer, ring) // it stays on this machine
	if err != nil {
		return nil, nil, err
	}
	return issue.Bundle, warnings, nil
}

func build(in *compile.Input, stored bool, signer *bundle.Signer, ring *bundle.KeyRing) (*Issue, []compile.Warning, error) {
	content, warnings, err := compile.Compile(in)
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	content.Stored = stored
	issue, err := sign(content, signer, ring)
	return issue, warnings, err
}

// sign writes a bundle, and takes it only if the reader does.
func sign(content *bundle.Content, signer *bundle.Signer, ring *bundle.KeyRing) (*Issue, error) {
	var buf bytes.Buffer
	if _, err := bundle.Write(&buf, content, signer); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	file := buf.Bytes()
	b, err := bundle.Read(bytes.NewReader(file), ring, bundle.ReadOptions{Name: content.Name})
	if err != nil {
		return nil, fmt.Errorf("read bundle back: %w", err)
	}
	return &Issue{Bundle: b, File: file}, nil
}
