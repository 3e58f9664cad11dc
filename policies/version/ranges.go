package version

import (
	"slices"
	"strings"
)

// Range is a half-open interval of versions: From <= order < To. Both are canonical JSON that
// compares with Version.Order in Rego's value order. "[]" as From is below every version, "{}"
// as To above every one.
//
// Every other bound is the order of some version: what comes right after the release 1.2.3 is
// 1.2.4-0, and what comes right after 1.2.3-rc.1 is 1.2.3-rc.1.0.
type Range struct{ From, To string }

// Ranges is a set of versions: ranges that are sorted, disjoint and merged, so that equal sets
// are equal slices. The empty Ranges holds no version.
type Ranges []Range

const (
	beginning = "[]"
	unbounded = "{}"
)

// All holds every version.
func All() Ranges { return Ranges{{From: beginning, To: unbounded}} }

// Exact holds the given versions and nothing else. Build metadata does not distinguish:
// 1.4.0 holds 1.4.0+b1.
func Exact(versions []Version) Ranges {
	spans := make([]span, len(versions))
	for i, v := range versions {
		spans[i] = span{at(v), after(v)}
	}
	return encode(union(spans))
}

// Contains reports whether v is in one of the ranges.
func (r Ranges) Contains(v Version) bool {
	p := at(v)
	for _, x := range r {
		if s := decode(x); s.from.compare(p) <= 0 && p.compare(s.to) < 0 {
			return true
		}
	}
	return false
}

// Overlaps reports whether some version is in both sets.
func (r Ranges) Overlaps(other Ranges) bool {
	return len(intersect(decodeAll(r), decodeAll(other))) > 0
}

// cut is a place between versions: right before v, or before or after all of them.
type cut struct {
	side int // -1: before every version; 1: after every version; 0: right before v
	v    Version
}

// span holds the versions between two cuts.
type span struct{ from, to cut }

var (
	first = cut{side: -1}
	last  = cut{side: 1}
)

func at(v Version) cut {
	c := cut{v: Version{core: v.core, pre: v.pre}}
	if v.core == [3]string{"0", "0", "0"} && len(v.pre) == 1 && v.pre[0] == "0" {
		return first // nothing is below 0.0.0-0
	}
	return c
}

// below is the cut before v and, when v is a release, before its pre-releases as well.
func below(v Version) cut {
	if len(v.pre) > 0 {
		return at(v)
	}
	return at(Version{core: v.core, pre: []string{"0"}})
}

func after(v Version) cut {
	if len(v.pre) > 0 {
		return at(Version{core: v.core, pre: append(slices.Clip(v.pre), "0")})
	}
	return below(bump(v, 2))
}

// bump is the next release that differs from v in the given part: 0 major, 1 minor, 2 patch.
func bump(v Version, part int) Version {
	w := Version{core: [3]string{"0", "0", "0"}}
	copy(w.core[:part], v.core[:part])
	w.core[part] = increment(v.core[part])
	return w
}

func (c cut) compare(d cut) int {
	if c.side != 0 || d.side != 0 {
		return c.side - d.side
	}
	return c.v.Compare(d.v)
}

func union(spans []span) []span {
	spans = slices.DeleteFunc(spans, func(s span) bool { return s.from.compare(s.to) >= 0 })
	slices.SortFunc(spans, func(a, b span) int { return a.from.compare(b.from) })
	var out []span
	for _, s := range spans {
		if n := len(out); n > 0 && s.from.compare(out[n-1].to) <= 0 {
			if s.to.compare(out[n-1].to) > 0 {
				out[n-1].to = s.to
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// intersect takes and returns sorted, disjoint spans.
func intersect(a, b []span) []span {
	var out []span
	for i, j := 0, 0; i < len(a) && j < len(b); {
		s := a[i]
		if b[j].from.compare(s.from) > 0 {
			s.from = b[j].from
		}
		if b[j].to.compare(s.to) < 0 {
			s.to = b[j].to
		}
		if s.from.compare(s.to) < 0 {
			out = append(out, s)
		}
		if a[i].to.compare(b[j].to) < 0 {
			i++
		} else {
			j++
		}
	}
	return out
}

func encode(spans []span) Ranges {
	out := make(Ranges, 0, len(spans))
	for _, s := range spans {
		r := Range{From: beginning, To: unbounded}
		if s.from.side == 0 {
			r.From = s.from.v.Order()
		}
		if s.to.side == 0 {
			r.To = s.to.v.Order()
		}
		out = append(out, r)
	}
	return out
}

func decodeAll(r Ranges) []span {
	out := make([]span, len(r))
	for i, x := range r {
		out[i] = decode(x)
	}
	return out
}

func decode(r Range) span {
	s := span{first, last}
	if r.From != beginning {
		s.from = cut{v: fromOrder(r.From)}
	}
	if r.To != unbounded {
		s.to = cut{v: fromOrder(r.To)}
	}
	return s
}

// fromOrder is the inverse of Order. Identifiers hold no comma, quote or bracket, so splitting
// is enough.
func fromOrder(order string) Version {
	parts := strings.SplitN(strings.Trim(order, "[]"), ",", 4)
	var v Version
	copy(v.core[:], parts)
	if len(parts) == 4 && parts[3] != "{}" {
		for id := range strings.SplitSeq(strings.TrimPrefix(parts[3], "["), ",") {
			v.pre = append(v.pre, strings.Trim(id, `"`))
		}
	}
	return v
}
