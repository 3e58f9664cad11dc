package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/pullgate/pullgate/authz"
)

// placed is an answer that holds for everybody whose portion is alike: with the place of a
// license among the portion's, and of an instant among its instants, in place of these.
type placed struct {
	tagAnswer      // License and Until are empty where there is a place
	license, until int
	id             uint64 // of its own
	side           *side  // who was asked
	place          int
	code           atomic.Pointer[authz.Code] // of the refusal, when it has been asked for
}

// noPlace stands for what is in the answer itself.
const noPlace = -1

// notThere is the answer about a tag that is not there.
var notThere = &placed{tagAnswer: refusal, license: noPlace, until: noPlace}

// of is what the answer says to somebody.
func (p *placed) of(whose *portion) tagAnswer {
	a := p.tagAnswer
	if p.license != noPlace {
		a.License = whose.licenses[p.license]
	}
	if p.until != noPlace {
		a.Until = whose.instants[p.until]
	}
	return a
}

// why is the code of a refusal, "" of what is not there.
func (p *placed) why(ctx context.Context, t *heldTag) authz.Code {
	if p.side == nil || t == nil {
		return ""
	}
	if code := p.code.Load(); code != nil {
		return *code
	}
	code := p.side.why(ctx, p.place, t)
	p.code.Store(&code)
	return code
}

// A profile is the answers about a repository's tags, at the places of repository.tags. It is
// shared by everybody who gets the same.
type profile struct {
	answers []*placed
	uses    atomic.Int64
}

// nothing is the profile of who is not there, or of what is not there.
var nothing = &profile{}

func (p *profile) at(i int) *placed {
	if i >= len(p.answers) {
		return notThere
	}
	return p.answers[i]
}

// errNotAlike is that customers were told apart who should be alike: then each is asked.
var errNotAlike = errors.New("the policy tells customers apart in a way that was not foreseen")

// tag asks about one tag.
func (c *comparison) tag(ctx context.Context, s *side, t *heldTag, customer int) (tagAnswer, error) {
	c.asked.Add(1)
	return s.ask(ctx, customer, t)
}

// eachTag asks about all tags of a repository, or those that differ, as the customer at a place, or
// as nobody for -1. Of what it does not ask about it says that it is not there.
func (c *comparison) eachTag(ctx context.Context, h *held, customer int, some bool) (*profile, error) {
	if h == nil {
		return nothing, nil
	}
	out := &profile{answers: make([]*placed, len(h.all))}
	for i, t := range h.all {
		if out.answers[i] = notThere; t == nil || some && !h.differs[i] {
			continue
		}
		a, err := c.tag(ctx, h.side, t, customer)
		if err != nil {
			return nil, err
		}
		out.answers[i] = &placed{tagAnswer: a, license: noPlace, until: noPlace, side: h.side, place: customer}
	}
	return out, nil
}

// answers is eachTag, or takes what another customer who is alike was answered.
func (c *comparison) answers(ctx context.Context, h *held, d *customerDocument, p *portion, some bool) (*profile, error) {
	id := ""
	if h.exceptions[d.id] {
		id = d.id
	}
	key, reached, err := h.key(p, id, some)
	if err != nil {
		return nil, fmt.Errorf("customer %s: grants: %w", d.id, err)
	}
	if known, ok := h.profiles.get(key); ok {
		return known, c.check(ctx, h, d, p, known)
	}
	out := &profile{answers: make([]*placed, len(h.all))}
	type kind struct {
		answers *memoized[string, *placed]
		key     string
	}
	kinds := map[kind]bool{}
	var missing []int
	for i, t := range h.all {
		out.answers[i] = notThere
		if t == nil || some && !h.differs[i] {
			continue
		}
		key := h.keyOfTag(i, p, reached, id)
		a, ok := t.answers.get(key)
		if !ok {
			missing = append(missing, i)
			kinds[kind{t.answers, key}] = true
			continue
		}
		out.answers[i] = a
	}
	var unseen map[string]bool
	if len(kinds)*4 >= len(h.tags) && !h.side.rules { // else it pays to ask for each alone
		c.asked.Add(1)
		unseen = h.side.unseen(ctx, d.place, h)
	}
	for _, i := range missing {
		t, found := h.all[i], refusal
		key := h.keyOfTag(i, p, reached, id)
		if a, ok := t.answers.get(key); ok { // another tag has got it
			out.answers[i] = a
			continue
		}
		var err error
		switch {
		case unseen == nil:
			found, err = c.tag(ctx, h.side, t, d.place)
		case !unseen[h.tags[i]]:
			c.asked.Add(1)
			found, err = h.side.pull(ctx, d.place, t)
		}
		if err != nil {
			return nil, err
		}
		a, ok := p.put(found, t.instants, h.side.alike.Order)
		if !ok {
			return nil, errNotAlike
		}
		a.id, a.side, a.place = c.ids.Add(1), h.side, d.place
		out.answers[i] = t.answers.put(key, a)
	}
	var content []byte
	for _, a := range out.answers {
		content = binary.AppendUvarint(content, a.id)
	}
	return h.profiles.put(key, h.interned.put(string(content), out)), nil
}

// put finds the places of the license and the instant that an answer names. It fails when the
// license is not the portion's, or, where instants have places, the instant neither the portion's
// nor the tag's.
func (p *portion) put(a tagAnswer, instants []int64, order bool) (*placed, bool) {
	out := &placed{tagAnswer: a, license: noPlace, until: noPlace}
	if a.License != "" {
		i, ok := slices.BinarySearch(p.licenses, a.License)
		if !ok {
			return nil, false
		}
		out.license, out.License = i, ""
	}
	if i, ok := slices.BinarySearch(p.instants, a.Until); ok {
		out.until, out.Until = i, 0
		return out, true
	}
	_, ok := slices.BinarySearch(instants, a.Until)
	return out, ok || a.Until == authz.Never || !order
}

// mostChecks bounds how many answers that others were given are asked for all the same.
const mostChecks = 2000

// check asks for one of the answers that somebody else was given, now and then, and fails when it
// is another.
func (c *comparison) check(ctx context.Context, h *held, d *customerDocument, p *portion, given *profile) error {
	n := given.uses.Add(1)
	if n&(n-1) != 0 || len(given.answers) == 0 || c.checks.Load() >= mostChecks {
		return nil
	}
	i := int(c.checks.Add(1)) % len(given.answers)
	if given.answers[i] == notThere {
		return nil
	}
	a, err := c.tag(ctx, h.side, h.all[i], d.place)
	if err != nil {
		return err
	}
	if a != given.answers[i].of(p) {
		return errNotAlike
	}
	return nil
}
