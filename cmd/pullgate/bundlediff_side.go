package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/policies"
)

// A side is one of two bundles that are compared, made ready to be asked.
type side struct {
	bundle    *bundle.Bundle
	index     *index.Index
	gen       authz.Generation
	gate      *authz.Gate
	alike     engine.Alike
	own       bool              // the library is this program's
	ids       *atomic.Uint64    // of the comparison
	at        int64             // the clock
	rules     bool              // there are vendor rules
	grants    bool              // and they may grant what no license names
	customers []bundle.Member   // ascending by id
	hosts     map[string]string // one of each registry's, by its id
	byProduct map[string][]*repository
	byName    map[string][]*repository
}

// newSide makes a bundle ready, but for its customers, whom the caller adds. The engine is used for
// both sides, so that policies that are the same are compiled once.
func newSide(ctx context.Context, e *engine.Engine, b *bundle.Bundle, at int64) (*side, error) {
	s := &side{bundle: b, at: at, hosts: map[string]string{}, byProduct: map[string][]*repository{}, byName: map[string][]*repository{}}
	var err error
	if s.index, err = index.Open(b.File(bundle.IndexPath)); err != nil {
		return nil, fmt.Errorf("open %s: %w", bundle.IndexPath, err)
	}
	if err := e.ActivateSome(ctx, b, s.document); err != nil {
		return nil, err
	}
	s.gen, s.alike, s.own = asPlaces{e.Generation(), s}, e.Alike(), hasOwnLibrary(b)
	registries, err := registriesOf(b)
	if err != nil {
		return nil, err
	}
	for _, r := range registries {
		s.hosts[r.id] = r.host
	}
	rules := rulesOf(b)
	s.rules, s.grants = len(rules) > 0, policies.RulesGrant(rules)
	s.gate = authz.NewGate(authz.GateConfig{
		Engine: fixedEngine{s.gen}, AskPast: true, Clock: func() time.Time { return time.Unix(at, 0) }, Instance: "diff", NewID: func() string { return "" },
	})
	return s, nil
}

// document is a customer's document, nil when there is none.
func (s *side) document(id string) []byte {
	i, ok := slices.BinarySearchFunc(s.customers, id, func(m bundle.Member, id string) int { return cmp.Compare(m.Name, id) })
	if !ok {
		return nil
	}
	return s.customers[i].Value
}

// asPlaces is a generation in which the customer at a place has the key keyOf(place), and which
// is not too old: what a bundle gives is compared, not how long it lasts.
type asPlaces struct {
	authz.Generation
	side *side
}

func (g asPlaces) NotAfter() int64 { return authz.Never }

func (g asPlaces) Authenticate(hash [32]byte) (authz.Key, bool) {
	place := binary.BigEndian.Uint64(hash[:])
	if place >= uint64(len(g.side.customers)) || keyOf(int(place)).Hash != hash {
		return authz.Key{}, false
	}
	return authz.Key{Customer: g.side.customers[place].Name, ID: "decide", Expires: authz.Never}, true
}

// keyOf stands for a key without limits of the customer at a place, nobody for -1.
func keyOf(place int) authz.Credential {
	if place < 0 {
		return authz.Credential{Kind: authz.CredentialNone}
	}
	c := authz.Credential{Kind: authz.CredentialKey}
	binary.BigEndian.PutUint64(c.Hash[:], uint64(place))
	return c
}

// A tagAnswer is what a decision about a tag says; of a refusal only that it is one. It is comparable.
type tagAnswer struct {
	Allow       bool
	Code        authz.Code
	Enforcement string
	License     string
	Until       int64
}

var refusal = tagAnswer{Until: authz.Never}

// ask asks about a tag as the customer at a place, or as nobody for -1. A policy that fails
// refuses, as it does for the customer.
func (s *side) ask(ctx context.Context, place int, t *heldTag) (tagAnswer, error) {
	if !s.rules && !s.isVisible(ctx, place, t) {
		return refusal, ctx.Err()
	}
	return s.pull(ctx, place, t)
}

// pull is the decision about a tag.
func (s *side) pull(ctx context.Context, place int, t *heldTag) (tagAnswer, error) {
	d := s.decide(ctx, place, t)
	if err := ctx.Err(); err != nil {
		return refusal, err
	}
	if d.Outcome != authz.OutcomeAllow {
		return refusal, nil
	}
	return tagAnswer{Allow: true, Code: d.Code, Enforcement: d.Verdict.Enforcement, License: d.Verdict.License, Until: d.Verdict.Until}, nil
}

// why is the code of a refusal.
func (s *side) why(ctx context.Context, place int, t *heldTag) authz.Code {
	d := s.decide(ctx, place, t)
	if d.PolicyCode != "" {
		return d.PolicyCode
	}
	return d.Code
}

func (s *side) decide(ctx context.Context, place int, t *heldTag) *authz.Decision {
	r := *t.request
	r.Credential = keyOf(place)
	return s.gate.Decide(ctx, &r)
}

// isVisible says that a tag is in the customer's list, which is exactly when it may be pulled. It
// is asked for first because why something is refused takes many times as long to find out. Where
// it cannot be told the decision is asked for.
func (s *side) isVisible(ctx context.Context, place int, t *heldTag) bool {
	target := authz.Target{
		Resource:   authz.Resource{Registry: t.target.Resource.Registry, Repository: t.request.Repository, Product: t.target.Resource.Product},
		Repository: true, Candidates: t.target.Candidates, Set: t.target.Set, Facts: t.target.Facts,
	}
	r := *t.request
	r.Kind, r.Tag, r.Path = authz.KindTags, "", "/v2/"+r.Repository+"/tags/list"
	found, err := s.visible(ctx, place, &r, &target)
	return err != nil || len(found) > 0
}

// unseen are the tags that are not in the customer's list of a repository, nil when it cannot be told.
func (s *side) unseen(ctx context.Context, place int, h *held) map[string]bool {
	found, err := s.visible(ctx, place, h.listing, &h.listed)
	if err != nil {
		return nil
	}
	out := map[string]bool{}
	for _, name := range h.listed.Names {
		out[name] = true
	}
	for _, i := range found {
		delete(out, h.listed.Names[i])
	}
	return out
}

// visible are the candidates that the customer may see.
func (s *side) visible(ctx context.Context, place int, list *authz.Request, target *authz.Target) ([]int, error) {
	subject := authz.Subject{Via: "anonymous"}
	if place >= 0 {
		subject = authz.Subject{Customer: s.customers[place].Name, Key: "decide", Via: "key"}
	}
	found, _, err := s.gen.Visible(ctx, &authz.Input{Time: s.at, Subject: subject, Action: "list", Kind: authz.KindTags, Target: target, Request: list})
	return found, err
}

// rulesOf are the vendor rules of a bundle, by path.
func rulesOf(b *bundle.Bundle) map[string][]byte {
	rules := map[string][]byte{}
	for _, p := range b.Paths() {
		if strings.HasPrefix(p, policies.RulesDir) {
			rules[p] = b.File(p)
		}
	}
	return rules
}
