package license

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/policies/version"
)

// shadows warns about grants that others cover: without them every request is allowed or refused
// as before, with the same code, and every list is the same. A refusal may then name another
// license, and `until` may come later. What is uncertain is no warning.
func (w *warner) shadows() {
	held := make(map[string][]*License) // by customer, in order of ids
	for i := range w.set.Licenses {
		l := &w.set.Licenses[i]
		if last, _ := l.lastRight(l.Schedule(w.at)); last > w.at { // what is over disturbs nobody
			held[l.Customer] = append(held[l.Customer], l)
		}
	}
	for _, customer := range slices.Sorted(maps.Keys(held)) {
		licenses := held[customer]
		for i, l := range licenses {
			for n := range l.Grants {
				w.shadowed(licenses, i, n)
			}
		}
	}
}

// shadowed warns about the n-th grant of the i-th license when another grant covers it.
func (w *warner) shadowed(licenses []*License, i, n int) {
	l := licenses[i]
	g := &l.Grants[n]
	path := fmt.Sprintf("grants[%d]", n)
	for m := range l.Grants {
		// Of two that cover each other the first stays.
		if o := &l.Grants[m]; m != n && o.covers(g) && (m < n || !g.covers(o)) {
			w.add(g.Pos, WarnShadowed, path, "grants[%d] at %s covers all of it: remove it, nothing changes", m, o.Pos)
			return
		}
	}
	for j, other := range licenses {
		if i == j || !other.outlasts(l) {
			continue
		}
		for m := range other.Grants {
			o := &other.Grants[m]
			if !o.covers(g) || j > i && g.covers(o) && l.outlasts(other) {
				continue
			}
			w.add(w.ownPlace(l, g), WarnShadowed, path, "license %s does not need it: grants[%d] of license %s at %s covers all of it for as long: remove it, nothing changes",
				l.ID, m, other.ID, w.ownPlace(other, o))
			return
		}
	}
}

// covers reports whether g has every version or tag that o has, and names the same or more.
func (g *Grant) covers(o *Grant) bool {
	switch {
	// A grant of nothing says so, and refusals say which part of it is missing.
	case g.Empty() || o.Empty() || (g.Product == "") != (o.Product == ""):
		return false
	case g.Product != "":
		return g.Product == o.Product && containsAll(g.Channels, o.Channels) && coversVersions(g.Versions, o.Versions)
	case !coversRepositories(g.Repository, o.Repository):
		return false
	case o.Current != nil:
		return g.Current != nil && *g.Current >= *o.Current || slices.Contains(g.Tags, "*")
	case g.Current != nil:
		return false
	}
	for _, tag := range o.Tags {
		if !slices.ContainsFunc(g.Tags, func(pattern string) bool { return coversTags(pattern, tag) }) {
			return false
		}
	}
	return true
}

func containsAll(all, some []string) bool {
	return !slices.ContainsFunc(some, func(s string) bool { return !slices.Contains(all, s) })
}

// coversVersions reports whether every version of b is in a: none is in the gaps of a.
func coversVersions(a, b version.Ranges) bool {
	if slices.Equal(a, b) {
		return true
	}
	all := version.All()[0]
	var gaps version.Ranges
	from := all.From
	for _, r := range a {
		if r.From != from {
			gaps = append(gaps, version.Range{From: from, To: r.From})
		}
		from = r.To
	}
	if from != all.To {
		gaps = append(gaps, version.Range{From: from, To: all.To})
	}
	return !b.Overlaps(gaps)
}

// coversTags reports whether pattern matches every tag that the pattern o matches: what a star of
// o stands for can only be matched by a star.
func coversTags(pattern, o string) bool {
	return version.MatchTag(pattern, strings.ReplaceAll(o, "*", "\x00"))
}

// coversRepositories reports whether pattern matches every name that the pattern o matches. It may
// say no where only a proof in several cases would say yes.
func coversRepositories(pattern, o string) bool {
	ps, names := strings.Split(pattern, "/"), strings.Split(o, "/")
	// reach[n]: the pattern so far matches the first n segments. What `*` of o stands for takes a star,
	// what `**` stands for takes two.
	reach := make([]bool, len(names)+1)
	reach[0] = true
	for _, p := range ps {
		next := make([]bool, len(names)+1)
		for n, name := range names {
			switch {
			case p == "**":
				next[n+1] = reach[n] || next[n]
			case p == name || p == "*" && name != "**":
				next[n+1] = reach[n]
			}
		}
		reach = next
	}
	return reach[len(names)]
}

// outlasts reports whether l passes every check of a license's state whenever o does, with a code
// that counts as much, and gets as far whenever o is refused: so that a grant of l which covers one
// of o makes that superfluous, whenever the bundle is issued.
func (l *License) outlasts(o *License) bool {
	if l.Suspended != nil || l.Revoked != nil || l.ReplacedAt < o.ReplacedAt || l.terms.starts > o.terms.starts ||
		l.Enforcement != o.Enforcement || !containsAll(l.Held(), o.Held()) {
		return false
	}
	// On a tie the license with the smaller id is reported, with its features and in its zone.
	if o.ID < l.ID && (l.Zone != o.Zone || !reflect.DeepEqual(l.Features, o.Features)) {
		return false
	}
	if (l.Type == Trial) == (o.Type == Trial) && l.terms.same(&o.terms) && (l.KeepVersions || !o.KeepVersions) {
		return true
	}
	first, last := l.Schedule(Always), o.latest()
	right, _ := o.lastRight(last)
	return first.Ends >= max(right, last.Ends) && first.Updates >= last.Updates && first.Terminates >= last.Terminates &&
		(first.Ends == Never || (l.Type == Trial) == (o.Type == Trial))
}

// latest is the schedule of bundles issued as late as can be. Where Ends is Never, nothing depends
// on Terminates.
func (l *License) latest() Schedule {
	s := l.Schedule(Always)
	t := &l.terms
	if t.renews == nil || t.renews.cancelled != Never {
		return s
	}
	s.Ends, s.Grace = Never, Never
	if t.updates.kind == withTerm {
		s.Updates = Never
	}
	return s
}

// same reports whether two licenses have the same clocks, whenever the bundle is issued.
func (t *terms) same(o *terms) bool {
	a, b := *t, *o
	a.loc, b.loc = nil, nil
	return t.loc.String() == o.loc.String() && reflect.DeepEqual(a, b)
}
