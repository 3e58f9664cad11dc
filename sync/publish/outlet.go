package publish

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	reaching compile.Kept      // of reached, until there is a set that can be compiled
	serial   int64             // the highest that was used
	current  *bundle.Bundle    // what is published; nil for nothing yet
	base     *bundle.Bundle    // what the first one is compared with, and never issued again
	unread   error             // why it is not known what was published last
	warnings []compile.Warning // logged last
	held     *Held             // nil: nothing
	accepted string            // revision that need not be approved of
	pinned   string            // revision that was rolled back to; "" when there was none
	waits    string            // revision that another publisher held back when it ended; "" for none
	noted    bool              // Hold was told of something held
	unseen   *Newest           // what another publisher has published, where nobody can see it; nil: nothing
	took     []string          // what was revoked although the rest is not published
	waiting  *waiting          // revocations that are not published either; nil: none
}

// restore delivers the last bundle that was published, by an earlier process, or by another publisher if
// that can be seen.
func (o *outlet) restore(ctx context.Context, newest Newest) error {
	o.serial, o.accepted, o.waits = newest.Serial, newest.Revision, newest.Held
	o.noted = newest.Held != ""
	err := o.restoreOwn(ctx, newest)
	if o.current != nil || newest.Revision == "" {
		return err
	}
	return o.restoreSeen(ctx, newest, err)
}

// restoreSeen delivers what another publisher has published last, where it can be seen: it has the same
// content as what History has, or is found in a Place. Else nobody knows what it was, which err may say why;
// an older one is better than nothing to compare with.
func (o *outlet) restoreSeen(ctx context.Context, newest Newest, err error) error {
	now, seen := o.publisher.cfg.Clock(), o.base
	if (seen == nil || seen.Revision() != newest.Revision) && o.Find != nil {
		found, wrong := o.Find(ctx)
		if wrong != nil {
			o.publisher.cfg.Logger.Warn("what is published cannot be read back", "bundle", o.Name, "error", wrong)
		}
		if found != nil && (seen == nil || found.Serial() > seen.Serial()) {
			seen = found
		}
	}
	switch {
	case seen == nil:
		if err == nil {
			o.unseen = &newest
		}
		return err
	case seen.Revision() != newest.Revision || seen.NotAfter() <= now.Unix():
		o.base = seen
		return err
	}
	issue, err := o.issueAgain(seen, max(o.serial+1, now.Unix()), now)
	if err == nil {
		err = o.deliver(ctx, issue, "restored", now)
	}
	if err != nil {
		o.base = seen
	}
	return err
}

// restoreOwn delivers the last bundle that is in History. When another publisher has published since, what
// came after it cannot be read, or it has ended, it is only compared with: it would take back what came
// after.
func (o *outlet) restoreOwn(ctx context.Context, newest Newest) (err error) {
	if o.History == nil {
		return nil
	}
	defer func() { o.unread = err }()
	if o.pinned, err = o.History.pinned(); err != nil {
		return err
	}
	last, err := o.History.newest()
	if err != nil {
		return err
	}
	highest, err := o.History.highest()
	o.serial = max(o.serial, highest, last.Serial)
	if err != nil {
		return err
	}
	issue, err := o.History.last(o.publisher.cfg.Ring, o.Name)
	if issue == nil || err != nil {
		return err
	}
	b := issue.Bundle
	switch {
	case b.Serial() < newest.Serial:
		o.base, o.pinned = b, "" // what another has published since also ends a rollback
		return o.History.pin("")
	case b.Serial() < o.serial && b.Revision() != last.Revision:
		o.base = b
		o.publisher.cfg.Logger.Error("what was published last is lost or damaged: nothing is published before the sources are read, for what is kept is older",
			"bundle", o.Name, "kept", b.Serial(), "last", o.serial)
		return nil
	case b.NotAfter() <= o.publisher.cfg.Clock().Unix():
		o.base = b
		return nil
	}
	if err := o.Deliver(ctx, issue); err != nil {
		return err
	}
	o.current, o.waits = b, "" // it is asked again
	o.publisher.metrics.published(b, "restored")
	return nil
}

// draft compiles and signs the bundle, with a serial that may not be its last.
func (o *outlet) draft(now time.Time) (*Issue, error) {
	p := o.publisher
	set, catalogs := p.set, p.catalogs
	if o.Customers != nil {
		missing := Missing(set, o.Customers)
		if p.missing(o.Name, missing); len(missing) == len(o.Customers) {
			return nil, &Held{Name: o.Name, Since: now, Reason: "none of its customers exists: " + strings.Join(missing, ", ")}
		}
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
	issue, warnings, err := build(in, o.Local, p.cfg.Signer, p.cfg.Ring)
	if err != nil {
		return nil, err
	}
	o.warn(warnings)
	o.reaching = compile.Kept{}
	return issue, nil
}

// publish delivers a draft when it is new and approved of, or anything when it is to be re-issued:
// of what is held back, the bundle before it. A nil draft has no sources yet. It reports whether
// anything was delivered.
func (o *outlet) publish(ctx context.Context, draft *Issue, reissue bool, now time.Time) (bool, error) {
	if o.current != nil && o.current.KeyID() != o.publisher.cfg.Signer.KeyID() {
		reissue = true // sidecars wait for the first bundle of a new key to forget the old one
	}
	var unpublished *bundle.Bundle
	if draft != nil {
		if err := o.approve(ctx, draft.Bundle, now); err != nil {
			var held *Held
			if !errors.As(err, &held) {
				return false, err
			}
			draft, unpublished = nil, draft.Bundle
		}
	}
	var failed error
	if draft == nil {
		did, err := o.revoke(ctx, unpublished, now)
		if did {
			return true, err
		}
		failed = err // what is published must not end for that
	}
	result := "published"
	switch {
	case draft != nil && (o.current == nil || draft.Bundle.Revision() != o.current.Revision()):
	case !reissue || o.current == nil:
		return false, failed
	case draft != nil:
		result = "reissued"
	default:
		var err error
		if draft, err = o.issueAgain(o.current, max(o.serial+1, now.Unix()), now); err != nil {
			return false, err
		}
		result = "reissued"
	}
	before, _ := o.refusedYet()
	if err := o.deliver(ctx, draft, result, now); err != nil {
		return false, errors.Join(failed, err)
	}
	if left, ok := o.refusedYet(); ok && len(before) > 0 {
		if took := without(before, left); len(took) > 0 {
			o.tookBack(took, now)
		}
	}
	return true, failed
}

// approve asks whoever may say no to a content that differs. What they say no to is held, and told.
func (o *outlet) approve(ctx context.Context, candidate *bundle.Bundle, now time.Time) error {
	p := o.publisher
	revision, previous := candidate.Revision(), cmp.Or(o.current, o.base)
	var reason error
	switch {
	case o.current != nil && revision == o.current.Revision(): // the source is as what is published
		if revision == o.pinned {
			o.unpin()
		}
		o.release(ctx)
		return nil
	case revision == o.accepted, previous == nil && o.unread == nil && o.waits == "" && o.unseen == nil:
		return nil
	case o.held != nil && o.held.Revision == revision:
		return o.held // it was asked about
	case o.waits != "":
		reason = fmt.Errorf("the publisher that led before held something back (revision %s)", o.waits)
	case o.pinned != "":
		reason = fmt.Errorf("revision %s was rolled back to", o.pinned)
	case previous == nil && o.unread == nil:
		if o.Approve == nil || o.Approve(ctx, p.set, nil, candidate) == nil {
			return nil
		}
		reason = fmt.Errorf("another publisher has published since (revision %s, serial %d), and nobody knows what this one takes away from that: it is neither kept here nor found in a place that both write to. "+
			"Compare it with what sidecars have, and accept it, or start the publisher that has it", o.unseen.Revision, o.unseen.Serial)
	case previous == nil:
		reason = fmt.Errorf("what was published last cannot be read, so that nobody knows what this one takes away: %w", o.unread)
	case o.Approve != nil && revision != previous.Revision():
		reason = o.Approve(ctx, p.set, previous, candidate)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if reason == nil {
		return nil
	}
	return o.hold(ctx, &Held{Name: o.Name, Revision: revision, Since: now, Reason: reason.Error()})
}

// hold holds something back, and tells.
func (o *outlet) hold(ctx context.Context, h *Held) error {
	p := o.publisher
	if o.held != nil && o.held.Revision == h.Revision && o.held.Reason == h.Reason {
		return o.held
	}
	o.note(ctx, h.Revision) // before anybody is told, who may end this publisher
	o.held = h
	p.hold(o.Name, h)
	p.metrics.count(o.Name, "held")
	text := "bundle held back; the previous one stays published"
	if h.Revision != "" {
		text += ". To publish it all the same: pullgate publish --data DIR --accept " + h.Revision
	}
	p.cfg.Logger.Warn(text, "bundle", o.Name, "revision", h.Revision, "reason", h.Reason)
	return h
}

// release forgets what was held: something else takes its place.
func (o *outlet) release(ctx context.Context) {
	if o.noted {
		o.note(ctx, "")
	}
	o.held, o.waits, o.unseen = nil, "", nil
	o.publisher.hold(o.Name, nil)
	o.wait(nil)
	if o.publisher.refused == nil {
		o.took = nil
		o.publisher.say(o.Name, false, nil)
	}
}

// note notes what is held back, "" for nothing, where another publisher finds it.
func (o *outlet) note(ctx context.Context, revision string) {
	if o.Hold == nil {
		return
	}
	if err := o.Hold(ctx, revision); err != nil {
		o.publisher.cfg.Logger.Error("what is held back is not noted: who is elected next does not know of it", "bundle", o.Name, "revision", revision, "error", err)
		return
	}
	o.noted = revision != ""
}

// renumbered is an Issue that was just made under another serial. It is made of the same content, large
// parts of which are compressed already.
func (o *outlet) renumbered(issue *Issue, serial int64, now time.Time) (*Issue, error) {
	if issue.content == nil {
		return o.issueAgain(issue.Bundle, serial, now)
	}
	cfg, c := &o.publisher.cfg, *issue.content
	c.Serial, c.IssuedAt, c.NotAfter = serial, now.Unix(), now.Add(cfg.Validity).Unix()
	return sign(&c, o.Local, cfg.Signer, cfg.Ring)
}

// issueAgain signs the content of a bundle under another serial, valid from now on.
func (o *outlet) issueAgain(b *bundle.Bundle, serial int64, now time.Time) (*Issue, error) {
	cfg := &o.publisher.cfg
	return sign(o.content(b, serial, now), o.Local, cfg.Signer, cfg.Ring)
}

// content is that of a bundle under another serial, valid from now on.
func (o *outlet) content(b *bundle.Bundle, serial int64, now time.Time) *bundle.Content {
	content := &bundle.Content{
		Name: o.Name, Serial: serial, IssuedAt: now.Unix(), NotAfter: now.Add(o.publisher.cfg.Validity).Unix(),
		PolicyDigest: b.PolicyDigest(), Files: map[string][]byte{}, Objects: map[string]*bundle.Object{},
	}
	for _, path := range b.Paths() {
		switch object := b.Object(path); {
		case path == bundle.ManifestPath || path == bundle.SignaturesPath:
		case object != nil:
			content.Objects[path] = object
		default:
			content.Files[path] = b.File(path)
		}
	}
	return content
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
			if issue, err = o.renumbered(issue, serial, now); err != nil {
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
	if result == "published" {
		issue.Edited = p.edited
	}
	if o.History != nil {
		if err := o.History.begin(b); err != nil {
			p.cfg.Logger.Error("bundle published, but its serial is not kept: should it itself not be kept, an older one may take its place at the next start", "bundle", o.Name, "serial", b.Serial(), "error", err)
		}
	}
	if err := o.Deliver(ctx, issue); err != nil {
		return fmt.Errorf("bundle %s: %w", b.Revision(), err)
	}
	if o.History != nil {
		// What is not kept is missed at the next start, and by Rollback.
		if err := o.History.add(issue); err != nil {
			p.cfg.Logger.Error("bundle published, but not kept for the next start", "bundle", o.Name, "revision", b.Revision(), "error", err)
		}
	}
	if result == "published" {
		o.unpin() // nobody else has published it
	}
	o.serial, o.current, o.base, o.unread, o.accepted = b.Serial(), b, nil, nil, ""
	if result == "published" || result == "rolled_back" {
		o.release(ctx)
	}
	p.metrics.published(b, result)
	p.wake()
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

// Build compiles and signs, and returns what was verified: the only way from licenses to something
// an engine takes.
func Build(in *compile.Input, signer *bundle.Signer, ring *bundle.KeyRing) (*bundle.Bundle, []compile.Warning, error) {
	issue, warnings, err := build(in, true, signer, ring) // it stays on this machine
	if err != nil {
		return nil, nil, err
	}
	return issue.Bundle, warnings, nil
}

func build(in *compile.Input, local bool, signer *bundle.Signer, ring *bundle.KeyRing) (*Issue, []compile.Warning, error) {
	content, warnings, err := compile.Compile(in)
	if err != nil {
		return nil, nil, fmt.Errorf("compile: %w", err)
	}
	issue, err := sign(content, local, signer, ring)
	return issue, warnings, err
}

// sign writes a bundle, and takes it only if the reader does. A local one has no file.
func sign(content *bundle.Content, local bool, signer *bundle.Signer, ring *bundle.KeyRing) (*Issue, error) {
	options := bundle.ReadOptions{Name: content.Name, Like: content.Objects}
	if local {
		b, err := bundle.Seal(content, signer, ring, options)
		if err != nil {
			return nil, fmt.Errorf("seal bundle: %w", err)
		}
		return &Issue{Bundle: b, content: content}, nil
	}
	var buf bytes.Buffer
	if _, err := bundle.Write(&buf, content, signer); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	file := buf.Bytes()
	b, err := bundle.Read(bytes.NewReader(file), ring, options)
	if err != nil {
		return nil, fmt.Errorf("read bundle back: %w", err)
	}
	return &Issue{Bundle: b, File: file, content: content}, nil
}
