package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies"
	versions "github.com/pullgate/pullgate/policies/version"
)

// With this program's own library, a decision about a tag takes from what a grant reaches only
// which of the tag's candidates that is (data.pullgate.check), and what was written for it only
// into messages: grants of other versions and tags that reach the same are alike. Candidates' dates
// are compared with those of updates and of the end (data.pullgate.check.standing): of other instants
// that are over nothing counts but that and their order. What another library does is not known.

// hasOwnLibrary says that a bundle's library is this program's.
func hasOwnLibrary(b *bundle.Bundle) bool {
	own := policies.Modules()
	n := 0
	for _, path := range b.Paths() {
		if !strings.HasSuffix(path, ".rego") || strings.HasPrefix(path, policies.RulesDir) {
			continue
		}
		if text, ok := own[path]; !ok || !bytes.Equal(text, b.File(path)) {
			return false
		}
		n++
	}
	return n == len(own)
}

// reach is a member of a grant that says what it reaches: ranges, tags or patterns.
type reach struct{ member, value string }

// reached is what a member of a grant reaches in a repository of a side.
type reached struct {
	id     uint64   // the same for what reaches the same
	places []string // of the repository's tags: for each candidate 1 or 0
}

// reached finds what of a repository is reached.
func (h *held) reached(r reach) (*reached, error) {
	if known, ok := h.reaches.get(r); ok {
		return known, nil
	}
	reaches, err := r.test()
	if err != nil {
		return nil, err
	}
	out := &reached{places: make([]string, len(h.all))}
	var all []byte
	for i, t := range h.all {
		if t == nil {
			continue
		}
		place := make([]byte, len(t.target.Candidates))
		for j := range t.target.Candidates {
			c := &t.target.Candidates[j]
			if reaches(c.Order, c.Tag) {
				place[j] = 1
			}
		}
		out.places[i] = string(place)
		all = append(all, place...)
	}
	out.id = h.sameReach.put(string(all), h.side.ids.Add(1))
	return h.reaches.put(r, out), nil
}

// test returns what says of a candidate's order and tag whether they are reached, as
// data.pullgate.check does.
func (r reach) test() (func(order, tag string) bool, error) {
	switch r.member {
	case "ranges":
		v, err := ast.ValueFromReader(strings.NewReader(r.value))
		if err != nil {
			return nil, err
		}
		return func(order, _ string) bool { return order != "" && inRanges(v, order) }, nil
	case "tags":
		var tags map[string]bool
		err := json.Unmarshal([]byte(r.value), &tags)
		return func(_, tag string) bool { return tags[tag] }, err
	case "patterns":
		var patterns []string
		err := json.Unmarshal([]byte(r.value), &patterns)
		return func(_, tag string) bool {
			for _, p := range patterns {
				if versions.MatchTag(p, tag) {
					return true
				}
			}
			return false
		}, err
	}
	return nil, fmt.Errorf("no member %q of a grant reaches anything", r.member)
}

// inRanges compares as OPA does.
func inRanges(ranges ast.Value, order string) bool {
	at, err := ast.ValueFromReader(strings.NewReader(order))
	list, ok := ranges.(*ast.Array)
	if err != nil || !ok {
		return false
	}
	return list.Until(func(t *ast.Term) bool {
		span, ok := t.Value.(*ast.Array)
		return ok && span.Len() == 2 && ast.Compare(span.Elem(0).Value, at) <= 0 && ast.Compare(at, span.Elem(1).Value) < 0
	})
}

// key says which portions get the same answers about a repository's tags.
func (h *held) key(p *portion, id string, some bool) (string, []*reached, error) {
	key := append(p.key(h.instants), 0)
	if some {
		key[len(key)-1] = 1
	}
	all := make([]*reached, len(p.reaches))
	for i, r := range p.reaches {
		var err error
		if all[i], err = h.reached(r); err != nil {
			return "", nil, fmt.Errorf("%s: %w", r.member, err)
		}
		key = binary.AppendUvarint(key, all[i].id)
	}
	return string(append(key, id...)), all, nil
}

// keyOfTag says which portions get the same answers about the tag at a place.
func (h *held) keyOfTag(i int, p *portion, all []*reached, id string) string {
	key := p.key(h.all[i].instants)
	for _, r := range all {
		key = append(key, r.places[i]...)
	}
	return string(append(key, id...))
}

// kind is what of a tag's candidates counts beside what reaches them, "" where that is not known: with
// this program's own library and vendor rules that do not read it, in a repository of which nothing is public. Instants
// are at their places among the tag's; those to come are themselves, since an answer may end there.
func (h *held) kind(t *heldTag) string {
	if a := &h.side.alike; !h.side.own || a.Tags || !a.Order || h.public != nil {
		return ""
	}
	place := func(at int64) int {
		i, _ := slices.BinarySearch(t.instants, at)
		return i
	}
	clock := place(h.side.at)
	key := fmt.Appendf(nil, "%d %d %v", clock, len(t.instants), t.instants[clock+1:])
	for i := range t.target.Candidates {
		c := &t.target.Candidates[i]
		key = fmt.Appendf(key, "\n%q %q %q %q %v %v", c.Product, c.Channel, c.Except, c.Requires, c.Order == "", c.Tag == "")
		for _, at := range []int64{c.Released, c.CountsFrom, c.WithdrawnAt, c.RetiresAt, c.RevokedAt} {
			key = fmt.Appendf(key, " %d", place(at))
		}
	}
	return string(key)
}
