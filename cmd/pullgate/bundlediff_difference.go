package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
)

// difference is what compare finds, in sums and groups: it does not grow with the customers who
// differ.
type difference struct {
	At            time.Time
	Before, After *bundle.Bundle

	Customers [2]int // before and after
	// How many customers came, went, or were there before and after and differ; and of all these how
	// many lose something that they had, gain something that they had not, or have something less long.
	Added, Removed, Changed, Lose, Gain, Sooner int
	// The first ids of each kind.
	AddedIDs, RemovedIDs, LoseIDs, GainIDs, SoonerIDs []string
	Products                                          map[string]*productDifference // by id, "" for none

	Lost, Gained, Answers, Said             groups // of customers
	AnyoneLost, AnyoneGained, AnyoneAnswers groups // of everybody, without a license
	Facts                                   []factChange
	Moved                                   []movedTags
	Asked                                   int64  // how many answers were asked for
	OneByOne                                string // why customers who are alike were not asked once, "" where they were

	registries int // how many there are
}

// productDifference is how many customers lose and gain something of a product.
type productDifference struct {
	Lose int `json:"lose"`
	Gain int `json:"gain"`
}

// movedTags are tags that deliver something else than before.
type movedTags struct {
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Tags       []string `json:"tags"`
}

// mostNamed bounds the customers that a difference names of one kind.
const mostNamed = 100

func newDifference(before, after *bundle.Bundle, at time.Time) *difference {
	return &difference{At: at, Before: before, After: after, Products: map[string]*productDifference{}}
}

// Different says that there is any difference.
func (d *difference) Different() bool {
	return d.Added+d.Removed+d.Changed+len(d.Facts)+len(d.Moved) > 0 || d.AnyoneLost.any() || d.AnyoneGained.any() || d.AnyoneAnswers.any()
}

// Loses says that somebody loses something, now or sooner than before.
func (d *difference) Loses() bool {
	return d.Lose+d.Sooner > 0 || d.AnyoneLost.any() || slices.ContainsFunc(d.Facts, func(f factChange) bool { return f.loses })
}

// facts adds what is of no customer.
func (d *difference) facts(f *factChanges, repositories []*repository, samePolicy bool) {
	d.Facts = f.all
	for _, r := range repositories {
		if r.same || r.sides[0] == nil || r.sides[1] == nil {
			continue
		}
		r.load(samePolicy)
		m := movedTags{Registry: r.registry, Repository: r.name}
		for i, name := range r.tags {
			if b, a := r.tag(0, i), r.tag(1, i); b != nil && a != nil && b.target.Resource.Digest != a.target.Resource.Digest {
				m.Tags = append(m.Tags, name)
			}
		}
		if len(m.Tags) > 0 {
			d.Moved = append(d.Moved, m)
		}
	}
}

// anyone adds what is open without a license.
func (d *difference) anyone(c *customerChange) {
	d.tags(c, &d.AnyoneLost, &d.AnyoneGained, &d.AnyoneAnswers)
}

// tags adds what of tags has changed to the groups of these.
func (d *difference) tags(c *customerChange, lost, gained, answers *groups) {
	for i := range c.repositories {
		r := &c.repositories[i]
		name := r.name
		if d.registries > 1 {
			name = r.registry + " " + name
		}
		for _, l := range r.delta.lost {
			why := string(l.code)
			if l.code == "" {
				if why = "not in the registry"; c.after.raw == nil {
					why = "no such customer"
				}
			}
			lost.add(c.id(), r.product(), name, r.tagList(l.tags, 0), why)
		}
		if len(r.delta.gained) > 0 {
			gained.add(c.id(), r.product(), name, r.tagList(r.delta.gained, 1))
		}
		for _, k := range r.changed {
			answers.add(c.id(), r.product(), name, r.tagList(r.delta.kept[k].tags, 1), r.what(k))
		}
	}
}

// customer adds a customer who is not as before.
func (d *difference) customer(c *customerChange) {
	d.tags(c, &d.Lost, &d.Gained, &d.Answers)
	lose, gain := d.products(c)
	sooner := false
	for i := range c.facts {
		f := &c.facts[i]
		lose, gain, sooner = lose || f.loses, gain || f.gains, sooner || f.sooner
		of := f.ID
		if !strings.HasPrefix(of, c.id()) {
			of = c.id() + " " + of
		}
		d.Said.add(of, f.Kind, cmp.Or(f.Field, f.Change), textOrNone(f.Before), textOrNone(f.After))
	}
	switch {
	case c.before.raw == nil:
		count(&d.Added, &d.AddedIDs, c.id())
	case c.after.raw == nil:
		count(&d.Removed, &d.RemovedIDs, c.id())
	default:
		d.Changed++
	}
	if lose {
		count(&d.Lose, &d.LoseIDs, c.id())
	}
	if gain {
		count(&d.Gain, &d.GainIDs, c.id())
	}
	if sooner {
		count(&d.Sooner, &d.SoonerIDs, c.id())
	}
}

// products counts a customer once for each product.
func (d *difference) products(c *customerChange) (lose, gain bool) {
	var losing, gaining []string
	for i := range c.repositories {
		r := &c.repositories[i]
		if len(r.delta.lost) > 0 && !slices.Contains(losing, r.product()) {
			losing = append(losing, r.product())
		}
		if len(r.delta.gained) > 0 && !slices.Contains(gaining, r.product()) {
			gaining = append(gaining, r.product())
		}
	}
	of := func(id string) *productDifference {
		if d.Products[id] == nil {
			d.Products[id] = &productDifference{}
		}
		return d.Products[id]
	}
	for _, id := range losing {
		of(id).Lose++
	}
	for _, id := range gaining {
		of(id).Gain++
	}
	return len(losing) > 0, len(gaining) > 0
}

func count(n *int, ids *[]string, id string) {
	if *n++; len(*ids) < mostNamed {
		*ids = append(*ids, id)
	}
}

func textOrNone(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// tagList says tags for people, with the version where it is not the tag.
func (r *repository) tagList(tags []int, side int) string {
	names := make([]string, 0, len(tags))
	for _, i := range tags {
		name := r.tags[i]
		if v := r.version(side, i); v != "" && v != strings.TrimPrefix(name, "v") {
			name += " (" + v + ")"
		}
		if names = append(names, name); len(names) == 13 {
			return fmt.Sprintf("%s and %d more", strings.Join(names[:12], ", "), len(tags)-12)
		}
	}
	return strings.Join(names, ", ")
}

// what says how the answer about some tags that are kept has changed.
func (r *repositoryChange) what(kept int) string {
	k := &r.delta.kept[kept]
	b, a := k.before.of(r.before), k.after.of(r.after)
	var out []string
	if was, is := b.code(), a.code(); was != is {
		out = append(out, was+" → "+is)
	}
	if b.License != a.License {
		out = append(out, "by another license")
	}
	if b.Until != a.Until {
		out = append(out, fmt.Sprintf("until %s → %s", instantText(b.Until), instantText(a.Until)))
	}
	return strings.Join(out, "; ")
}

// code is the code, with what lets it through.
func (a *tagAnswer) code() string {
	if a.Enforcement != "" && a.Code != authz.CodeOK {
		return string(a.Code) + " (" + a.Enforcement + ")"
	}
	return string(a.Code)
}

// groups are changes that are the same for many, counted.
type groups struct {
	byText map[string]*group
	n      int // how many were added
	beyond int // how many of these have no room
}

// group is one of them: what is the same, and how many it is about.
type group struct {
	Columns []string
	N       int
	Who     []string // the first few
}

const (
	mostGroups  = 2000
	mostMembers = 5
)

func (g *groups) any() bool { return g.n > 0 }

// add counts a change of somebody.
func (g *groups) add(who string, columns ...string) {
	g.n++
	key := strings.Join(columns, "\x00")
	found := g.byText[key]
	if found == nil {
		if len(g.byText) == mostGroups {
			g.beyond++
			return
		}
		if g.byText == nil {
			g.byText = map[string]*group{}
		}
		found = &group{Columns: columns}
		g.byText[key] = found
	}
	if found.N++; len(found.Who) < mostMembers {
		found.Who = append(found.Who, who)
	}
}

// list returns the groups, the largest first.
func (g *groups) list() []*group {
	return slices.SortedFunc(maps.Values(g.byText), func(a, b *group) int {
		return cmp.Or(cmp.Compare(b.N, a.N), slices.Compare(a.Columns, b.Columns))
	})
}
