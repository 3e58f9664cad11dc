package publish

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
)

// Revoked is what was taken back of a bundle although what else its sources say is not published: they
// are held back, refused, or wait for a registry.
type Revoked struct {
	Name  string
	What  []string // "license acme-app of acme", sorted
	Since time.Time
	// Waits is why it is not published yet; "" when it is.
	Waits string
}

// SetRefused takes a set of licenses that is not to be published, because something is wrong with it or
// beside it, or not yet, because it waits for a registry (SetEdit then takes all of it), for what it takes
// back in so many words: that is published all the same, as an edit of what is published. With keys the keys
// that its customers do not have any more are taken back, too. What cannot be delivered is tried again.
func (p *Publisher) SetRefused(ctx context.Context, stated *license.Set, keys bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = &refusal{stated, keys}
	old := p.set
	if p.set != nil {
		p.set = p.set.Revoked(stated, keys)
	}
	delivered, err := p.publish(ctx, false)
	if bad := (*draftError)(nil); errors.As(err, &bad) {
		p.set = old
		return err
	}
	if err != nil && !delivered {
		p.later()
	}
	return err
}

// later has Run try again what could not be delivered: nobody says it again.
func (p *Publisher) later() {
	p.failed = true
	p.wake()
}

// refusal is a set that is not to be published, or not yet, for what it takes back: that is in the Publisher's set, too,
// where there is one. With keys also the keys that are not in it.
type refusal struct {
	set  *license.Set
	keys bool
}

// refusedYet names what a set that is refused takes back and the published bundle still has; not ok when that
// cannot be told.
func (o *outlet) refusedYet() (what []string, ok bool) {
	r := o.publisher.refused
	if r == nil || o.current == nil {
		return nil, true
	}
	t, err := o.notYet(r.set, r.keys, nil)
	if err != nil {
		o.publisher.cfg.Logger.Error("what is taken back of sources that are not published cannot be told", "bundle", o.Name, "error", err)
		return nil, false
	}
	return t.what, true
}

// without are those of some texts that are not among others.
func without(what, others []string) []string {
	return slices.DeleteFunc(what, func(w string) bool { return slices.Contains(others, w) })
}

// Revoked returns what was taken back although the rest is not published, or waits for it. It does not
// wait for a build.
func (p *Publisher) Revoked() []Revoked {
	p.heldMu.Lock()
	defer p.heldMu.Unlock()
	return slices.Clone(p.revoked)
}

// say notes what is told of the revocations of a bundle, in place of what was of the same kind; nothing
// when nil.
func (p *Publisher) say(name string, waits bool, r *Revoked) {
	p.heldMu.Lock()
	defer p.heldMu.Unlock()
	p.revoked = slices.DeleteFunc(p.revoked, func(o Revoked) bool { return o.Name == name && (o.Waits != "") == waits })
	n := 0
	if r != nil {
		p.revoked, n = append(p.revoked, *r), len(r.What)
	}
	if waits {
		p.metrics.waiting.WithLabelValues(name).Set(float64(n))
	}
}

// takenBack is what a bundle does not have of what a set takes back.
type takenBack struct {
	customers map[string]*bundle.CustomerRevocation
	keys      []bundle.Member // of pullgate/keys/data.json, without values
	digests   []index.Revocation
	what      []string
}

func (t *takenBack) empty() bool { return len(t.what) == 0 }

const (
	customersPath = "pullgate/customers/data.json"
	keysPath      = "pullgate/keys/data.json"
)

// notYet is what a set takes back that the published bundle still has. What only revoked digests reach is
// as known, an index of the same repositories, says, or nil.
func (o *outlet) notYet(set *license.Set, keys bool, known *index.Index) (*takenBack, error) {
	t := &takenBack{customers: map[string]*bundle.CustomerRevocation{}}
	say := func(what bundle.Tombstone) { t.what = append(t.what, what.Target()) }
	if err := t.ofCustomers(o.current, set, o.publisher.cfg.Clock().Unix(), say); err != nil {
		return nil, err
	}
	if keys {
		if err := t.ofKeys(o.current, set, say); err != nil {
			return nil, err
		}
	}
	if err := t.ofDigests(o.current, known, set, say); err != nil {
		return nil, err
	}
	slices.Sort(t.what)
	return t, nil
}

func (t *takenBack) ofCustomers(b *bundle.Bundle, set *license.Set, now int64, say func(bundle.Tombstone)) error {
	wanted := map[string]*bundle.CustomerRevocation{}
	want := func(id string) *bundle.CustomerRevocation {
		if wanted[id] == nil {
			wanted[id] = &bundle.CustomerRevocation{Licenses: map[string]bundle.LicenseRevocation{}}
		}
		return wanted[id]
	}
	for i := range set.Customers {
		if c := &set.Customers[i]; c.Banned {
			want(c.ID).Banned = true
		}
	}
	for i := range set.Licenses {
		if l := &set.Licenses[i]; l.Revoked != nil {
			want(l.Customer).Licenses[l.ID] = bundle.LicenseRevocation{At: l.Revoked.At, PublicReason: l.Revoked.PublicReason}
		}
	}
	published := b.Object(customersPath)
	for id, w := range wanted {
		text := published.Get(id)
		if text == nil {
			continue
		}
		var doc struct {
			Banned   bool
			Licenses map[string]struct {
				Revoked   json.RawMessage
				Suspended [2]any
			}
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			return fmt.Errorf("customer %s: %w", id, err)
		}
		if w.Banned = w.Banned && !doc.Banned; w.Banned {
			say(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: id})
		}
		maps.DeleteFunc(w.Licenses, func(l string, r bundle.LicenseRevocation) bool {
			was, ok := doc.Licenses[l]
			var at int64
			// What is suspended until it is revoked would be given back until then: that comes with the whole edit.
			given := r.At > now && was.Suspended != [2]any{"never", "never"}
			return !ok || given || json.Unmarshal(was.Revoked, &at) == nil && at <= r.At // else "never"
		})
		for l := range w.Licenses {
			say(bundle.Tombstone{Kind: bundle.TombstoneLicense, Customer: id, License: l})
		}
		if w.Banned || len(w.Licenses) > 0 {
			t.customers[id] = w
		}
	}
	return nil
}

func (t *takenBack) ofKeys(b *bundle.Bundle, set *license.Set, say func(bundle.Tombstone)) error {
	has := map[string]bool{}
	for i := range set.Customers {
		for _, k := range set.Customers[i].Keys {
			has[strings.TrimPrefix(k.Hash, "sha256:")] = true
		}
	}
	for hash, value := range b.Object(keysPath).Members() {
		if has[hash] {
			continue
		}
		var doc struct{ Customer, Key string }
		if err := json.Unmarshal(value, &doc); err != nil {
			return fmt.Errorf("key %s: %w", hash, err)
		}
		if set.Customer(doc.Customer) == nil {
			continue // who is gone altogether may be a mistake
		}
		t.keys = append(t.keys, bundle.Member{Name: hash})
		say(bundle.Tombstone{Kind: bundle.TombstoneKey, Customer: doc.Customer, Key: doc.Key})
	}
	return nil
}

func (t *takenBack) ofDigests(b *bundle.Bundle, known *index.Index, set *license.Set, say func(bundle.Tombstone)) error {
	if !slices.ContainsFunc(set.Registries, func(r license.Registry) bool { return len(r.RevokedDigests) > 0 }) {
		return nil
	}
	x, err := index.Open(b.File(bundle.IndexPath))
	if err != nil {
		return err
	}
	for i := range set.Registries {
		r := &set.Registries[i]
		of, fresh := map[string][]index.Revocation{}, map[string]bool{} // by repository; in which one is not revoked yet
		for _, d := range r.RevokedDigests {
			repo, _ := x.Repository(r.ID, d.Repository)
			var digest index.Digest
			if _, err := hex.Decode(digest[:], []byte(strings.TrimPrefix(d.Digest, "sha256:"))); err != nil {
				return err
			}
			of[d.Repository] = append(of[d.Repository], index.Revocation{Registry: r.ID, Repository: d.Repository, Digest: digest, At: d.At})
			node, ok := repo.Node(digest)
			if ok && slices.ContainsFunc(x.Set(node.Set), func(c index.Candidate) bool { return c.RevokedAt > d.At }) {
				fresh[d.Repository] = true
				say(bundle.Tombstone{Kind: bundle.TombstoneDigest, Registry: r.ID, Repository: d.Repository, Digest: d.Digest})
			}
		}
		for name, revoked := range of {
			if !fresh[name] { // they were revoked when it was not known what they reach
				was, _ := x.Repository(r.ID, name)
				var is index.Repo
				if known != nil {
					is, _ = known.Repository(r.ID, name)
				}
				if !was.Behind(is) {
					continue
				}
				t.what = append(t.what, fmt.Sprintf("what only revoked digests reach of %s in registry %s", name, r.ID))
			}
			t.digests = append(t.digests, revoked...)
		}
	}
	return nil
}

// revoke publishes what the sources take back in so many words, of what is published otherwise: what else
// they say is held back, or refused; the draft is the bundle that is not published, or nil. It reports
// whether anything was delivered.
func (o *outlet) revoke(ctx context.Context, draft *bundle.Bundle, now time.Time) (bool, error) {
	p := o.publisher
	set, keys := p.set, true
	if r := p.refused; set == nil && r != nil {
		set, keys = r.set, r.keys
	}
	if set == nil || o.current == nil || o.pinned != "" { // a rollback holds back revocations, too
		return false, nil
	}
	known, err := o.reached(draft, set)
	if err != nil { // the digests themselves do not wait for that
		p.cfg.Logger.Error("what only revoked digests reach is not known", "bundle", o.Name, "error", err)
	}
	t, err := o.notYet(set, keys, known)
	switch {
	case err != nil:
		return false, fmt.Errorf("bundle %s: what is revoked: %w", o.Name, err)
	case t.empty():
		o.wait(nil)
		return false, nil
	case o.waiting != nil && o.waiting.of == o.current && slices.Equal(o.waiting.What, t.what):
		return false, nil // it was asked about
	}
	content := o.content(o.current, max(o.serial+1, now.Unix()), now)
	if err := t.apply(content, o.current, known); err != nil {
		return false, fmt.Errorf("bundle %s: what is revoked: %w", o.Name, err)
	}
	issue, err := sign(content, o.Local, p.cfg.Signer, p.cfg.Ring)
	if err != nil {
		return false, err
	}
	if o.Approve != nil {
		reason := o.Approve(ctx, set, o.current, issue.Bundle)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if reason != nil {
			o.wait(&waiting{Revoked{Name: o.Name, What: t.what, Since: now, Waits: reason.Error()}, o.current})
			return false, nil
		}
	}
	if err := o.deliver(ctx, issue, "revoked", now); err != nil {
		return false, err
	}
	o.wait(nil)
	o.tookBack(t.what, now)
	return true, nil
}

// apply changes the content of a published bundle.
func (t *takenBack) apply(content *bundle.Content, published *bundle.Bundle, known *index.Index) (err error) {
	var customers []bundle.Member
	for id, r := range t.customers {
		text, err := r.Apply(published.Object(customersPath).Get(id))
		if err != nil {
			return fmt.Errorf("customer %s: %w", id, err)
		}
		customers = append(customers, bundle.Member{Name: id, Value: text})
	}
	for path, changes := range map[string][]bundle.Member{customersPath: customers, keysPath: t.keys} {
		if len(changes) == 0 {
			continue
		}
		if content.Objects[path], err = published.Object(path).Edit(changes); err != nil {
			return err
		}
	}
	if len(t.digests) == 0 {
		return nil
	}
	x, err := index.Open(published.File(bundle.IndexPath))
	if err != nil {
		return err
	}
	content.Files[bundle.IndexPath], err = x.Revoke(t.digests, known)
	return err
}

// waiting are revocations that wait, of which bundle that is published.
type waiting struct {
	Revoked
	of *bundle.Bundle
}

// wait notes which revocations wait, and tells.
func (o *outlet) wait(w *waiting) {
	p := o.publisher
	if w == nil {
		if o.waiting != nil {
			o.waiting = nil
			p.say(o.Name, true, nil)
		}
		return
	}
	if o.waiting != nil {
		w.Since = o.waiting.Since
	}
	o.waiting = w
	p.say(o.Name, true, &w.Revoked)
	p.cfg.Logger.Warn("revocations wait with the bundle that is held back: by themselves, too, they take something from too many", "bundle", o.Name, "what", few(w.What), "reason", w.Waits)
}

// tookBack notes what was taken back although the rest is not published.
func (o *outlet) tookBack(what []string, now time.Time) {
	o.took = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(o.took), what...))))
	o.publisher.say(o.Name, false, &Revoked{Name: o.Name, What: o.took, Since: now})
	o.publisher.cfg.Logger.Warn("revocations published; what else the sources say is held back, refused, or waits for a registry", "bundle", o.Name, "what", few(what), "serial", o.serial)
}

// mostNamed bounds the revocations that a line names.
const mostNamed = 20

// few are the first of some texts, and how many more there are.
func few(what []string) string {
	if n := len(what) - mostNamed; n > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(what[:mostNamed], ", "), n)
	}
	return strings.Join(what, ", ")
}
