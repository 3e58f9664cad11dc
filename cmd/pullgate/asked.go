package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
)

// credentialOf stands for a key of a customer that has no limits. No key has its hash: what is
// hashed has not the form of one.
func credentialOf(customer string) authz.Credential {
	return authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256([]byte("as " + customer))}
}

// asCustomers is a generation in which credentialOf is a key of each of some customers.
type asCustomers struct {
	authz.Generation
	byHash map[[32]byte]string
}

func asEach(gen authz.Generation, customers ...string) asCustomers {
	g := asCustomers{gen, make(map[[32]byte]string, len(customers))}
	for _, id := range customers {
		g.byHash[credentialOf(id).Hash] = id
	}
	return g
}

func (g asCustomers) Authenticate(hash [32]byte) (authz.Key, bool) {
	if customer, ok := g.byHash[hash]; ok {
		return authz.Key{Customer: customer, ID: "decide", Expires: authz.Never}, true
	}
	return g.Generation.Authenticate(hash)
}

// Explain passes on to the generation, as an embedded interface does not.
func (g asCustomers) Explain(ctx context.Context, in *authz.Input, failed error) (*authz.Reasoning, error) {
	e, ok := g.Generation.(authz.Explainer)
	if !ok {
		return nil, authz.ErrNotExplained
	}
	return e.Explain(ctx, in, failed)
}

// ExplainKey likewise.
func (g asCustomers) ExplainKey(in *authz.Input) (parts []authz.KeyPart, uncacheable string) {
	e, ok := g.Generation.(authz.Explainer)
	if !ok {
		return nil, authz.ErrNotExplained.Error()
	}
	return e.ExplainKey(in)
}

type fixedEngine struct{ gen authz.Generation }

func (e fixedEngine) Generation() authz.Generation { return e.gen }

// asked is a Gate over one bundle at one instant, in which every customer can be asked as.
type asked struct {
	*authz.Gate
	bundle    *bundle.Bundle
	at        time.Time
	gen       authz.Generation
	customers []string // every id, ascending
	close     func()
}

// ask makes what the flags name ready. The caller closes what it gets.
func (f *questionFlags) ask(ctx context.Context) (*asked, error) {
	at, err := f.clock()
	if err != nil {
		return nil, err
	}
	b, err := f.bundle(ctx, at)
	if err != nil {
		return nil, err
	}
	return ask(ctx, b, at)
}

// ask makes a bundle ready. The caller closes what it gets.
func ask(ctx context.Context, b *bundle.Bundle, at time.Time) (*asked, error) {
	e := engine.New(engine.Config{Limits: engine.Limits{DecisionTime: 10 * time.Second, VisibleTime: 10 * time.Second}})
	if err := e.Activate(ctx, b); err != nil {
		e.Close()
		return nil, err
	}
	var customers []string
	for id := range b.Object(customersPath).Members() {
		customers = append(customers, id)
	}
	a := &asked{bundle: b, at: at, customers: customers, close: e.Close}
	a.gen = asEach(e.Generation(), a.customers...)
	a.Gate = authz.NewGate(authz.GateConfig{Engine: fixedEngine{a.gen}, AskPast: true, Clock: func() time.Time { return at }, Instance: "decide"})
	return a, nil
}

// customer checks that there is a customer of this id; flag is where the id comes from.
func (a *asked) customer(flag, id string) error {
	if _, ok := slices.BinarySearch(a.customers, id); !ok {
		return fmt.Errorf("%s%s: no such customer", flag, id)
	}
	return nil
}

// answered is the error of a decision that could not be made, or errNo for a refusal.
func (a *asked) answered(d *authz.Decision) error {
	switch {
	case d.Code == authz.CodeStale:
		return fmt.Errorf("stale: the bundle must not be used from %s on; name an earlier instant with --at, or build a new bundle", instantText(a.bundle.NotAfter()))
	case d.Outcome == authz.OutcomeError:
		return fmt.Errorf("%s: %s", d.Code, d.Detail)
	case d.Outcome == authz.OutcomeDeny:
		return errNo
	}
	return nil
}
