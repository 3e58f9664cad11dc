package engine

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/bundle"
)

// lasting is the place of a bundle with rules that ends at no instant.
const lasting = 2

// worlds are bundles with their rules, of which each second differs from the one before in one customer.
type worlds struct {
	switched
	worlds   []*world
	programs []*program
}

// draw replaces all, while nobody asks.
func (all *worlds) draw(t testing.TB, seed int) {
	all.generations, all.worlds, all.programs = nil, nil, nil
	for i, p := range programs(seed) {
		rapid.Custom(func(rt *rapid.T) bool {
			d := drawer{rt}
			e, w := newEngine(t, Config{Compare: 1}), d.world(t)
			p.add(w)
			if i == lasting/2 {
				w.notAfter = bundle.Never
			}
			for n := range 2 {
				if n == 1 {
					d.customer(t, w, "bakery")
				}
				w.serial = int64(2*i + n + 1)
				if err := e.Activate(context.Background(), w.bundle(t)); err != nil {
					t.Fatalf("%v\n%s", err, p)
				}
				shown := *w
				shown.customers = maps.Clone(w.customers)
				all.generations, all.worlds, all.programs = append(all.generations, e.Generation()), append(all.worlds, &shown), append(all.programs, p)
			}
			return true
		}).Example(seed + i)
	}
}

// A contest compares what sharers answer with what is true.
type contest struct {
	bundles   *worlds
	truth     switched // the same generations
	fresh     *authz.Gate
	clock     atomic.Int64 // of fresh
	questions []*authz.Request
	l1        *memstore.Cache

	answers, rejected, atOnce int
	from, audits              map[string]int // by tier, by result
	rules                     *ruled
}

func newContest(t *testing.T) *contest {
	c := &contest{bundles: &worlds{}, from: map[string]int{}, audits: map[string]int{}, rules: newRuled()}
	for _, q := range requests() {
		if q.Kind != authz.KindCatalog { // which asks only what others ask, too, and takes long
			c.questions = append(c.questions, q)
		}
	}
	c.fresh = authz.NewGate(authz.GateConfig{Engine: &c.truth, AskPast: true, Clock: func() time.Time { return time.Unix(c.clock.Load(), 0) }})
	var err error
	if c.l1, err = memstore.New(memstore.Config{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.l1.Close)
	return c
}

// draw replaces all bundles, while nobody asks.
func (c *contest) draw(t testing.TB, seed int) {
	c.bundles.draw(t, seed)
	c.truth.generations = c.bundles.generations
}

// fleet are processes whose clocks differ, one with a memory of its own and one that is changing its secret.
func (c *contest) fleet(t testing.TB, addr string) []*sharer {
	return []*sharer{
		newSharer(t, c.bundles, addr, 0, nil, fleetSecret),
		newSharer(t, c.bundles, addr, -2, nil, fleetSecret, strangerSecret+" no more"),
		newSharer(t, c.bundles, addr, 20, c.l1, fleetSecret),
	}
}

// dismiss stops sharers, and counts what they have.
func (c *contest) dismiss(all []*sharer) {
	for _, s := range all {
		s.stop()
		c.rejected += counted(s.metrics, "pullgate_shared_cache_rejected_total", "mac")
		for _, result := range []string{"same", "different", "failed"} {
			c.audits[result] += counted(s.metrics, "pullgate_decision_cache_audits_total", result)
		}
	}
}

// ask asks one at an instant, while nobody else asks.
func (c *contest) ask(t rapid.TB, s *sharer, at int64, q *authz.Request) *authz.Decision {
	t.Helper()
	d := s.decide(at, q)
	if want := c.bundles.Generation().Revision(); d.Revision != want {
		t.Fatalf("%s: revision %s where %s is active", asked(q), d.Revision, want)
	}
	c.check(t, s, at, q, d)
	return d
}

// check compares an answer with that of the bundle that it names.
func (c *contest) check(t rapid.TB, s *sharer, at int64, q *authz.Request, got *authz.Decision) {
	t.Helper()
	for i, g := range c.truth.generations {
		if g.Revision() == got.Revision {
			c.truth.active.Store(int32(i))
		}
	}
	i := c.truth.active.Load()
	c.clock.Store(at + s.skew)
	want := c.fresh.Decide(context.Background(), q)
	if diff := differs(q, want, got); diff != "" {
		t.Fatalf("%s at %+d: fresh to %s:\n%s\nwith the rules\n%s", asked(q), at+s.skew-now, got.Cached, diff, c.bundles.programs[i])
	}
	if got.Code == authz.CodeInternalError {
		t.Fatalf("%s\n%s", got.Detail, c.bundles.programs[i])
	}
	c.answers++
	c.from[got.Cached]++
	c.rules.note(got, c.bundles.programs[i], c.bundles.worlds[i])
}

// ask is a question to one of the sharers.
type ask struct {
	who *sharer
	q   *authz.Request
}

// askAtOnce has several asked at one instant, while something else happens.
func (c *contest) askAtOnce(t rapid.TB, at int64, asks []ask, meanwhile func()) []*authz.Decision {
	t.Helper()
	for _, a := range asks {
		a.who.at.Store(at + a.who.skew)
	}
	got := make([]*authz.Decision, len(asks))
	var asking sync.WaitGroup
	for i, a := range asks {
		asking.Go(func() { got[i] = a.who.gate.Decide(context.Background(), a.q) })
	}
	meanwhile()
	asking.Wait()
	for i, a := range asks {
		c.check(t, a.who, at, a.q, got[i])
	}
	c.atOnce++
	return got
}

// until does something until it is so.
func (*contest) until(t rapid.TB, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !so(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
