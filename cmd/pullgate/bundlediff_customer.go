package main

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"

	"github.com/pullgate/pullgate/authz"
)

// customerChange is what is not as before about a customer.
type customerChange struct {
	before, after *customerDocument // of the same id; raw is nil where there is no such customer
	repositories  []repositoryChange
	facts         []factChange
}

func (c *customerChange) id() string { return c.before.id }

// repositoryChange is what is not as before about a repository for a customer.
type repositoryChange struct {
	*repository
	delta         *delta
	before, after *portion
	changed       []int // of delta.kept, those that differ
}

// add adds a repository if anything about it has changed.
func (c *customerChange) add(r *repository, d *delta, before, after *portion) {
	change := repositoryChange{repository: r, delta: d, before: before, after: after}
	for i := range d.kept {
		if k := &d.kept[i]; k.before.of(before) != k.after.of(after) {
			change.changed = append(change.changed, i)
		}
	}
	if len(d.lost)+len(d.gained)+len(change.changed) > 0 {
		c.repositories = append(c.repositories, change)
	}
}

// A delta is how two profiles of a repository differ.
type delta struct {
	before, after *profile
	lost          []lostTags
	gained        []int // places of tags
	kept          []keptTags
}

// lostTags are tags that are refused with the same code.
type lostTags struct {
	code authz.Code // "" for tags that are not there any more
	tags []int
}

// keptTags are tags that are had before and after, with the same pair of answers.
type keptTags struct {
	before, after *placed
	tags          []int
}

// newDelta compares tag by tag. What a customer has or had because anyone may is no gain and no
// loss of his: it is told of anyone.
func (c *comparison) newDelta(ctx context.Context, r *repository, profiles [2]*profile, anyone bool) *delta {
	d := &delta{before: profiles[0], after: profiles[1]}
	type kind struct {
		answers         [2]tagAnswer
		licenses, until [2]int
	}
	seen := map[kind]int{}
	his := func(a *placed) bool { return a.Allow && (anyone || a.Code != authz.CodePublic) }
	for i := range r.tags {
		b, a := d.before.at(i), d.after.at(i)
		switch {
		case b.Allow && a.Allow && (his(b) || his(a)):
			k := kind{[2]tagAnswer{b.tagAnswer, a.tagAnswer}, [2]int{b.license, a.license}, [2]int{b.until, a.until}}
			n, ok := seen[k]
			if !ok {
				n = len(d.kept)
				seen[k] = n
				d.kept = append(d.kept, keptTags{before: b, after: a})
			}
			d.kept[n].tags = append(d.kept[n].tags, i)
		case his(b) && !a.Allow:
			code := authz.Code("")
			if !c.WithoutReasons {
				code = a.why(ctx, r.tag(1, i))
			}
			n := slices.IndexFunc(d.lost, func(l lostTags) bool { return l.code == code })
			if n < 0 {
				n = len(d.lost)
				d.lost = append(d.lost, lostTags{code: code})
			}
			d.lost[n].tags = append(d.lost[n].tags, i)
		case his(a) && !b.Allow:
			d.gained = append(d.gained, i)
		}
	}
	return d
}

// worker compares customers; it belongs to one goroutine.
type worker struct {
	*comparison
	cutters [2]*cutter
	named   []*repository
}

func (c *comparison) newWorker() *worker {
	w := &worker{comparison: c}
	for i, s := range c.sides {
		w.cutters[i] = &cutter{alike: s.alike, at: s.at, own: s.own, shapes: &c.shapes, number: func() uint64 { return c.ids.Add(1) }}
	}
	return w
}

func (w *worker) changes(ctx context.Context, pairs []pair) ([]*customerChange, error) {
	var out []*customerChange
	for i := range pairs {
		change, err := w.change(ctx, &pairs[i])
		if err != nil {
			return nil, err
		}
		if len(change.repositories)+len(change.facts) > 0 || !w.tagsOnly() && (change.before.raw == nil) != (change.after.raw == nil) {
			out = append(out, change)
		}
	}
	return out, nil
}

func (w *worker) change(ctx context.Context, p *pair) (*customerChange, error) {
	docs := [2]*customerDocument{{id: p.id, place: -1}, {id: p.id, place: -1}}
	same := w.sameDocument(p)
	for i, s := range w.sides {
		if i == 1 && same {
			after := *docs[0]
			after.place = p.places[1]
			docs[1] = &after
		} else if p.places[i] >= 0 {
			var err error
			if docs[i], err = readCustomer(p.id, p.places[i], s.customers[p.places[i]].Value); err != nil {
				return nil, err
			}
		}
	}
	change := &customerChange{before: docs[0], after: docs[1]}
	if !w.tagsOnly() {
		var err error
		if !same {
			if change.facts, err = documentChanges(docs[0], docs[1]); err != nil {
				return nil, err
			}
		}
		change.facts = append(change.facts, w.facts.of(p.id)...)
	}
	w.findNamed(docs)
	for _, r := range w.named {
		if same && w.samePolicy && r.same {
			continue
		}
		d, portions, err := w.repository(ctx, r, docs, same && w.samePolicy)
		if err != nil {
			return nil, err
		}
		change.add(r, d, portions[0], portions[1])
	}
	if w.sides[0].grants || w.sides[1].grants {
		if err := w.addUnnamed(ctx, change, docs, same && w.samePolicy); err != nil {
			return nil, err
		}
	}
	return change, ctx.Err()
}

// findNamed finds the repositories that grants of either document name.
func (w *worker) findNamed(docs [2]*customerDocument) {
	w.named = w.named[:0]
	for i, d := range docs {
		for _, m := range d.products {
			w.named = append(w.named, w.sides[i].byProduct[m.Name]...)
		}
		for _, m := range d.repositories {
			w.named = append(w.named, w.sides[i].byName[m.Name]...)
		}
	}
	slices.SortFunc(w.named, func(a, b *repository) int { return cmp.Compare(a.place, b.place) })
	w.named = slices.Compact(w.named)
}

// repository asks both sides about a repository, or about those of its tags that differ.
func (w *worker) repository(ctx context.Context, r *repository, docs [2]*customerDocument, some bool) (*delta, [2]*portion, error) {
	r.load(w.samePolicy)
	profiles, portions := [2]*profile{nothing, nothing}, [2]*portion{noPortion, noPortion}
	many := true
	for i, h := range r.sides {
		if h == nil || docs[i].raw == nil {
			continue
		}
		var err error
		if w.shared(h.side) {
			if b := r.sides[0]; i == 1 && some && b != nil && b.product == h.product {
				portions[1] = portions[0]
			} else {
				portions[i], err = w.cutters[i].portion(docs[i], h.product, r.name)
			}
			if err == nil {
				profiles[i], err = w.answers(ctx, h, docs[i], portions[i], some)
			}
		} else {
			many = false
			profiles[i], err = w.eachTag(ctx, h, docs[i].place, some)
		}
		if err != nil {
			return nil, portions, err
		}
	}
	if !many {
		return w.newDelta(ctx, r, profiles, false), portions, nil
	}
	d, ok := r.deltas.get(profiles)
	if !ok {
		d = r.deltas.put(profiles, w.newDelta(ctx, r, profiles, false))
	}
	return d, portions, nil
}

// unnamedDeltas are the differences of all repositories for customers of whom no grant names them,
// at the repositories' places; nil where nobody has asked yet.
type unnamedDeltas []atomic.Pointer[delta]

// addUnnamed adds the repositories that no license names, where a vendor rule may grant them.
// Nothing of a license counts there, so that the answers are those of many.
func (w *worker) addUnnamed(ctx context.Context, change *customerChange, docs [2]*customerDocument, same bool) error {
	bare := [2]*customerDocument{docs[0].bare(), docs[1].bare()}
	var key [2]string
	many := w.shared(w.sides[0]) && w.shared(w.sides[1])
	for i, d := range bare {
		if many && d.raw != nil {
			p, err := w.cutters[i].portion(d, "", "")
			if err != nil {
				return err
			}
			key[i] = string(p.key(nil))
		}
	}
	var known unnamedDeltas
	if many {
		var ok bool
		if known, ok = w.unnamed.get(key); !ok {
			known = w.unnamed.put(key, make(unnamedDeltas, len(w.repositories)))
		}
	}
	named := w.named
	for _, r := range w.repositories {
		if len(named) > 0 && named[0] == r {
			named = named[1:]
			continue
		}
		if same && r.same {
			continue
		}
		r.load(w.samePolicy)
		keep := many && !r.excepts(change.id())
		if keep {
			if d := known[r.place].Load(); d != nil {
				change.add(r, d, noPortion, noPortion)
				continue
			}
		}
		d, portions, err := w.repository(ctx, r, bare, same)
		if err != nil {
			return err
		}
		if keep {
			known[r.place].Store(d)
		}
		change.add(r, d, portions[0], portions[1])
	}
	slices.SortFunc(change.repositories, func(a, b repositoryChange) int { return cmp.Compare(a.place, b.place) })
	return nil
}
