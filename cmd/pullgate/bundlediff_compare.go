package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	versions "github.com/pullgate/pullgate/policies/version"
)

// compareOptions say what of two bundles is compared.
type compareOptions struct {
	At time.Time // the clock that both are asked by
	// Customers, Products and Repositories (names or patterns), when there are any, are all that is
	// looked at. With the last two only tags are.
	Customers, Products, Repositories []string
	// Each, when not nil, is told of each customer who is not as before, ascending, and first of
	// what anyone may pull, as customer "".
	Each     func(*customerChange) error
	Progress *asking // or nil
	// WithoutReasons: nobody is told why something is lost, which takes many times as long to find
	// out as that it is.
	WithoutReasons bool
	// Engine is what is asked, nil for one of the comparison's own. It keeps the bundle after, and its
	// policy compiled, until it is closed or used for another.
	Engine *engine.Engine
}

func (o *compareOptions) tagsOnly() bool { return len(o.Products)+len(o.Repositories) > 0 }

// compare says who gains and who loses what when one bundle takes the other's place, by asking the
// engine that serves Envoy about both. What it keeps does not grow with the customers who differ.
// It takes long only for what differs: customers whose answers cannot have changed are not asked,
// and those whom the policy cannot tell apart are asked once (engine.Alike).
func compare(ctx context.Context, before, after *bundle.Bundle, opts compareOptions) (*difference, error) {
	// Who is told of customers must not be told twice: with it, what is told apart later is an error.
	diff, err := compareOnce(ctx, before, after, opts, false)
	if errors.Is(err, errNotAlike) && opts.Each == nil {
		diff, err = compareOnce(ctx, before, after, opts, true)
	}
	return diff, err
}

// newComparing is an engine for comparisons: what is asked takes the time it takes.
func newComparing() *engine.Engine {
	return engine.New(engine.Config{Limits: engine.Limits{DecisionTime: 10 * time.Second, VisibleTime: 10 * time.Second}})
}

// comparison is one comparison under way.
type comparison struct {
	compareOptions
	sides        [2]*side
	repositories []*repository
	samePolicy   bool // equal documents and repositories get equal answers on both sides
	changed      bool // some repository is not the same
	apart        bool // nobody is alike
	facts        *factChanges

	unnamed                memoized[[2]string, unnamedDeltas]
	shapes                 memoized[[32]byte, uint64]
	ids                    atomic.Uint64 // numbers what is kept once
	asked, checks, visited atomic.Int64
}

func compareOnce(ctx context.Context, before, after *bundle.Bundle, opts compareOptions, apart bool) (*difference, error) {
	diff := newDifference(before, after, opts.At)
	if before.Revision() == after.Revision() {
		n := before.Object(customersPath).Len()
		diff.Customers = [2]int{n, n}
		return diff, nil
	}
	e := opts.Engine
	if e == nil {
		e = newComparing()
		defer e.Close()
	}
	c := &comparison{compareOptions: opts, apart: apart}
	if err := c.prepare(ctx, e, before, after); err != nil {
		return nil, err
	}
	for i, s := range c.sides {
		diff.Customers[i], diff.registries = len(s.customers), max(diff.registries, len(s.hosts))
	}
	if !c.tagsOnly() {
		var err error
		if c.facts, err = compareFacts(before, after); err != nil {
			return nil, err
		}
		diff.facts(c.facts, c.repositories, c.samePolicy)
	}
	if err := c.anyone(ctx, diff); err != nil {
		return nil, err
	}
	if err := c.everybody(ctx, diff); err != nil {
		return nil, err
	}
	diff.Asked, diff.OneByOne = c.asked.Load(), c.whyApart()
	return diff, nil
}

const customersPath = "pullgate/customers/data.json"

// prepare makes both sides ready, and finds their customers meanwhile.
func (c *comparison) prepare(ctx context.Context, e *engine.Engine, before, after *bundle.Bundle) error {
	bundles := [2]*bundle.Bundle{before, after}
	var customers [2][]bundle.Member
	var group errgroup.Group
	group.Go(func() error {
		customers[0] = before.Object(customersPath).List(nil)
		customers[1] = after.Object(customersPath).List(customers[0])
		return nil
	})
	var keys [2][32]byte
	group.Go(func() (err error) {
		cacheable := true
		for i, b := range bundles {
			if c.sides[i], err = newSide(ctx, e, b, c.At.Unix()); err != nil {
				return fmt.Errorf("bundle of revision %.12s: %w", b.Revision(), err)
			}
			c.sides[i].ids = &c.ids
			// What this key is made of besides the question is the policy and the data that it reads.
			in := &authz.Input{
				Time: c.At.Unix(), Subject: authz.Subject{Via: "anonymous"}, Action: "ping", Kind: authz.KindPing, Target: &authz.Target{},
				Request: &authz.Request{Kind: authz.KindPing, Method: http.MethodGet, Path: "/v2/", Via: "cli"},
			}
			var ok bool
			keys[i], ok = c.sides[i].gen.Key(in)
			cacheable = cacheable && ok
		}
		c.samePolicy = cacheable && keys[0] == keys[1]
		return nil
	})
	err := group.Wait()
	if err != nil {
		return err
	}
	sameIndex := bytes.Equal(before.File(bundle.IndexPath), after.File(bundle.IndexPath))
	c.repositories = repositoriesOf(c.sides, c.wants, sameIndex)
	c.changed = slices.ContainsFunc(c.repositories, func(r *repository) bool { return !r.same })
	for i, s := range c.sides {
		s.customers = customers[i]
	}
	return nil
}

// wants says that a repository, of these products, is looked at.
func (c *comparison) wants(name string, products ...string) bool {
	if len(c.Repositories) > 0 && !slices.ContainsFunc(c.Repositories, func(p string) bool { return versions.MatchRepository(p, name) }) {
		return false
	}
	return len(c.Products) == 0 || slices.ContainsFunc(products, func(p string) bool { return p != "" && slices.Contains(c.Products, p) })
}

// shared says that customers of a side who are alike are asked once.
func (c *comparison) shared(s *side) bool { return s.alike.Shared && !c.apart }

func (c *comparison) whyApart() string {
	for _, s := range c.sides {
		switch {
		case c.apart:
			return errNotAlike.Error()
		case !s.alike.Shared:
			return s.alike.Because
		}
	}
	return ""
}

// anyone compares what is open without a license.
func (c *comparison) anyone(ctx context.Context, diff *difference) error {
	if len(c.Customers) > 0 {
		return nil
	}
	nobody := &customerDocument{place: -1, raw: []byte{}}
	change := &customerChange{before: nobody, after: nobody}
	open := map[[2]string]bool{}
	for _, s := range c.sides {
		for id := range s.hosts {
			for _, name := range s.gen.Repositories(authz.Registry{ID: id}, "") {
				open[[2]string{id, name}] = true
			}
		}
	}
	for _, r := range c.repositories {
		if !open[[2]string{r.registry, r.name}] || c.samePolicy && r.same {
			continue
		}
		r.load(c.samePolicy)
		var profiles [2]*profile
		for i, h := range r.sides {
			var err error
			if profiles[i], err = c.eachTag(ctx, h, -1, false); err != nil {
				return err
			}
		}
		change.add(r, c.newDelta(ctx, r, profiles, true), noPortion, noPortion)
	}
	if len(change.repositories) == 0 {
		return nil
	}
	diff.anyone(change)
	if c.Each != nil {
		return c.Each(change)
	}
	return nil
}

// pair is a customer of either side.
type pair struct {
	id     string
	places [2]int // among the sides' customers, -1 where there is none
}

// chunk is some customers, in order.
type chunk struct {
	pairs   []pair
	changes []*customerChange
	err     error
	done    chan struct{}
}

const chunkSize = 256

// everybody compares customer by customer, on all processors, and tells of them in order.
func (c *comparison) everybody(ctx context.Context, diff *difference) error {
	group, inner := errgroup.WithContext(ctx)
	workers := runtime.GOMAXPROCS(0)
	queue, jobs := make(chan *chunk, 4*workers), make(chan *chunk)
	group.Go(func() error {
		defer close(queue)
		defer close(jobs)
		return c.cutIntoChunks(inner, queue, jobs)
	})
	for range workers {
		group.Go(func() error {
			w := c.newWorker()
			for k := range jobs {
				k.changes, k.err = w.changes(inner, k.pairs)
				close(k.done)
			}
			return nil
		})
	}
	group.Go(func() error {
		for k := range queue {
			select {
			case <-k.done:
			case <-inner.Done():
				return inner.Err()
			}
			if k.err != nil {
				return k.err
			}
			if err := c.tell(k.changes, diff); err != nil {
				return err
			}
		}
		return nil
	})
	err := group.Wait()
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted before every customer was compared; nothing is said: %w", context.Cause(ctx))
	}
	return err
}

// tell adds changes to the difference.
func (c *comparison) tell(changes []*customerChange, diff *difference) error {
	for _, change := range changes {
		diff.customer(change)
		if c.Each != nil {
			if err := c.Each(change); err != nil {
				return err
			}
		}
	}
	if c.Progress != nil {
		c.Progress.show("%d of %d customers", c.visited.Load(), max(len(c.sides[0].customers), len(c.sides[1].customers)))
	}
	return nil
}

// cutIntoChunks finds the customers who may not be as before.
func (c *comparison) cutIntoChunks(ctx context.Context, queue, jobs chan<- *chunk) error {
	next := &chunk{done: make(chan struct{})}
	flush := func() error {
		if len(next.pairs) == 0 {
			return nil
		}
		for _, to := range []chan<- *chunk{queue, jobs} {
			select {
			case to <- next:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		next = &chunk{done: make(chan struct{})}
		return nil
	}
	a, b := c.sides[0].customers, c.sides[1].customers
	for i, j := 0, 0; i < len(a) || j < len(b); {
		p := pair{places: [2]int{-1, -1}}
		if i < len(a) && (j == len(b) || a[i].Name <= b[j].Name) {
			p.id, p.places[0] = a[i].Name, i
		}
		if j < len(b) && (i == len(a) || b[j].Name <= a[i].Name) {
			p.id, p.places[1] = b[j].Name, j
		}
		if p.places[0] >= 0 {
			i++
		}
		if p.places[1] >= 0 {
			j++
		}
		c.visited.Add(1)
		if len(c.Customers) > 0 && !slices.Contains(c.Customers, p.id) || c.isAsBefore(&p) {
			continue
		}
		if next.pairs = append(next.pairs, p); len(next.pairs) == chunkSize {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// isAsBefore says that nothing about a customer can have changed.
func (c *comparison) isAsBefore(p *pair) bool {
	return c.samePolicy && !c.changed && c.sameDocument(p) && len(c.facts.of(p.id)) == 0
}

// sameDocument says that a customer's document is the same: bundle.Object.List has made it so.
func (c *comparison) sameDocument(p *pair) bool {
	if p.places[0] < 0 || p.places[1] < 0 {
		return false
	}
	a, b := c.sides[0].customers[p.places[0]].Value, c.sides[1].customers[p.places[1]].Value
	return len(a) == len(b) && &a[0] == &b[0]
}
