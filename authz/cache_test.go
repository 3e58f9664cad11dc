package authz

import (
	"context"
	"testing"
)

func TestEntriesHoldUntilTheAnswerMayChange(t *testing.T) {
	allow := func(until, soon int64) Verdict {
		return Verdict{Allow: true, Code: CodeOK, Until: until, Ends: Never, ExpiringFrom: soon}
	}
	for _, c := range []struct {
		name string
		v    Verdict
		want int64 // life in seconds
	}{
		{"allow", allow(Never, Never), 60},
		{"deny", Verdict{Code: CodeExpired, Until: Never, Ends: Never, ExpiringFrom: Never}, 5},
		{"allow with an early boundary", allow(noon+7, Never), 7},
		{"deny with an early boundary", Verdict{Code: CodeExpired, Until: noon + 2, Ends: Never, ExpiringFrom: Never}, 2},
		{"boundary after the cap", allow(noon+600, Never), 60},
		{"the warning begins", allow(Never, noon+20), 20},
		{"the warning begins now", allow(Never, noon), 60},
		{"the warning has begun", allow(Never, noon-20), 60},
		{"a boundary that has passed", allow(noon, Never), 0},
		{"no boundary at all", Verdict{Allow: true, Code: CodeOK}, -noon},
	} {
		e := entryOf(c.v, nil, noon)
		if e.From != noon || e.Until-noon != c.want {
			t.Errorf("%s: holds [%d, %d), want a life of %d", c.name, e.From-noon, e.Until-noon, c.want)
		}
		for _, at := range []int64{noon - 1, noon, noon + c.want - 1, noon + c.want} {
			if want := at >= noon && at < noon+c.want; e.holds(at) != want {
				t.Errorf("%s: holds(%d) is %v", c.name, at-noon, !want)
			}
		}
	}
}

func TestGateReusesAVerdictOnlyWhileItIsTrue(t *testing.T) {
	for _, c := range []struct {
		name string
		v    Verdict
		life int64
	}{
		{"allow", Verdict{Allow: true, Code: CodeOK, Until: Never, Ends: Never, ExpiringFrom: Never}, 60},
		{"deny", Verdict{Code: CodeExpired, Until: Never, Ends: Never, ExpiringFrom: Never}, 5},
		{"boundary", Verdict{Allow: true, Code: CodeOK, Until: noon + 3, Ends: Never}, 3},
	} {
		for name, tier := range map[string]func(*GateConfig){
			"l1": func(g *GateConfig) { g.Cache = mapCache{} },
			"l2": func(g *GateConfig) { g.Shared = shared{mapCache{}} },
		} {
			t.Run(c.name+" in "+name, func(t *testing.T) {
				gen := newGeneration()
				gen.evaluate = func(_ context.Context, in *Input) (Verdict, error) {
					v := c.v
					if in.Time >= v.Until {
						v.Until = Never
					}
					return v, nil
				}
				b := newBench(gen, tier)
				for _, step := range []struct {
					at     int64
					cached string
				}{{0, "none"}, {0, name}, {c.life - 1, name}, {c.life, "none"}, {c.life, name}, {c.life - 1, "none"}, {-5, "none"}} {
					b.at = noon + step.at
					if d := b.Decide(context.Background(), pull()); d.Cached != step.cached {
						t.Fatalf("at %+d: cached %s, want %s", step.at, d.Cached, step.cached)
					}
				}
				if len(b.records) != 7 {
					t.Errorf("%d records of 7 decisions", len(b.records))
				}
			})
		}
	}
}

func TestGateTakesSharedVerdictsOver(t *testing.T) {
	gen, l1, l2 := newGeneration(), mapCache{}, mapCache{}
	other := newBench(gen, func(g *GateConfig) { g.Shared = shared{l2} })
	other.Decide(context.Background(), pull())
	b := newBench(gen, func(g *GateConfig) { g.Cache, g.Shared = l1, shared{l2} })
	for _, want := range []string{"l2", "l1"} {
		if d := b.Decide(context.Background(), pull()); d.Cached != want {
			t.Errorf("cached %s, want %s", d.Cached, want)
		}
	}
	if n := gen.evaluations.Load(); n != 1 {
		t.Errorf("%d evaluations", n)
	}
}

func TestGateAppliesKeyAndDeadlineAfterTheCache(t *testing.T) {
	gen := newGeneration()
	b := newBench(gen, withCache(mapCache{}))
	if d := b.Decide(context.Background(), pull()); d.Verdict.Until != Never {
		t.Fatalf("until %d", d.Verdict.Until)
	}
	gen.key.Expires, gen.notAfter = noon+30, noon+20
	if d := b.Decide(context.Background(), pull()); d.Cached != "l1" || d.Verdict.Until != noon+20 {
		t.Errorf("%s until %d, want the deadline", d.Cached, d.Verdict.Until-noon)
	}
	gen.notAfter = Never
	if d := b.Decide(context.Background(), pull()); d.Cached != "l1" || d.Verdict.Until != noon+30 {
		t.Errorf("%s until %d, want the key's expiry", d.Cached, d.Verdict.Until-noon)
	}
}

// The Gate's own deadline is as good as the bundle's: for every kind, after the cache, and in what
// the decision says about how long it holds.
func TestGateAppliesItsOwnDeadlineAfterTheCache(t *testing.T) {
	gen := newGeneration()
	gen.notAfter = noon + 100
	deadline := noon + 20
	b := newBench(gen, withCache(mapCache{}), func(cfg *GateConfig) { cfg.Deadline = func() int64 { return deadline } })
	for _, want := range []int64{noon + 20, noon + 20, noon + 50, noon + 100} {
		deadline = want
		if want == noon+100 {
			deadline = Never
		}
		if d := b.Decide(context.Background(), pull()); d.Outcome != OutcomeAllow || d.Verdict.Until != want {
			t.Errorf("until %d, want %d", d.Verdict.Until-noon, want-noon)
		}
	}
	if n := gen.evaluations.Load(); n != 1 {
		t.Errorf("%d evaluations", n)
	}
	deadline, b.at = noon+20, noon+20
	for _, k := range askedKinds {
		expect(t, b.Decide(context.Background(), with(kind(k))), OutcomeError, 503, CodeStale)
	}
	expect(t, b.Decide(context.Background(), with(kind(KindMalformed))), OutcomeDeny, 400, CodeMalformed)
	deadline++ // the publisher was heard of
	expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)
}

func TestGateCachesOnlyWhatMayBe(t *testing.T) {
	gen := newGeneration()
	gen.uncacheable = true
	cache := mapCache{}
	b := newBench(gen, withCache(cache))
	for range 3 {
		if d := b.Decide(context.Background(), pull()); d.Cached != "none" {
			t.Errorf("cached %s", d.Cached)
		}
	}
	if len(cache) != 0 {
		t.Error("an uncacheable verdict was kept")
	}
}

func TestAListEndsWithItsCandidates(t *testing.T) {
	soon := func(set func(*Candidate)) Candidate {
		c := Candidate{Released: Always, CountsFrom: noon + 1, WithdrawnAt: Never, RetiresAt: Never, RevokedAt: Never}
		set(&c)
		return c
	}
	for name, c := range map[string]Candidate{
		"release":    soon(func(c *Candidate) { c.Released = noon + 10 }),
		"withdrawal": soon(func(c *Candidate) { c.WithdrawnAt = noon + 10 }),
		"retirement": soon(func(c *Candidate) { c.RetiresAt = noon + 10 }),
		"revocation": soon(func(c *Candidate) { c.RevokedAt = noon + 10 }),
	} {
		gen := newGeneration()
		gen.target = func(*Request) Target {
			past := soon(func(c *Candidate) { c.Released = noon })
			return Target{Repository: true, Candidates: []Candidate{past, c}, Names: []string{"a", "b"}}
		}
		gen.visible = []int{0}
		b := newBench(gen, withCache(mapCache{}))
		if d := b.Decide(context.Background(), with(kind(KindTags))); d.Verdict.Until != noon+10 {
			t.Errorf("%s: until %d, want 10", name, d.Verdict.Until-noon)
		}
		b.at = noon + 10
		if d := b.Decide(context.Background(), with(kind(KindTags))); d.Cached != "none" {
			t.Errorf("%s: a list was reused at its boundary", name)
		}
	}
}

// An L1 hit is most of a sidecar's work: what it allocates is a budget.
func TestAllocationsOfACacheHit(t *testing.T) {
	gen := newGeneration()
	target := gen.Resolve(Registry{ID: "main"}, pull())
	gen.target = func(*Request) Target { return target }
	cache := mapCache{}
	g := NewGate(GateConfig{Engine: fixedKey{gen}, Cache: cache, Recorder: dropping{}})
	r, ctx := pull(), context.Background()
	if d := g.Decide(ctx, r); d.Cached != "none" {
		t.Fatal(d.Cached)
	}
	n := testing.AllocsPerRun(500, func() {
		if d := g.Decide(ctx, r); d.Cached != "l1" {
			t.Fatal(d.Cached)
		}
	})
	t.Logf("%v allocations", n)
	if n > 7 {
		t.Errorf("%v allocations, want at most 7", n)
	}
}

// fixedKey spares the fake's own allocations.
type fixedKey struct{ *fakeGeneration }

func (f fixedKey) Generation() Generation         { return f }
func (f fixedKey) Key(in *Input) ([32]byte, bool) { return [32]byte{byte(in.Kind)}, true }

type dropping struct{}

func (dropping) Record(*Record) {}

func BenchmarkDecideFromCache(b *testing.B) {
	gen := newGeneration()
	target := gen.Resolve(Registry{ID: "main"}, pull())
	gen.target = func(*Request) Target { return target }
	g := NewGate(GateConfig{Engine: fixedKey{gen}, Cache: mapCache{}, Recorder: dropping{}})
	r, ctx := pull(), context.Background()
	g.Decide(ctx, r)
	b.ReportAllocs()
	for b.Loop() {
		g.Decide(ctx, r)
	}
}
