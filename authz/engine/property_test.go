package engine

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
)

// differs says how an answer differs from the fresh one, in any field or in the bytes of the reply; "" when
// it does not.
func differs(r *authz.Request, fresh, cached *authz.Decision) string {
	if diff := cmp.Diff(fresh, cached, cmpopts.IgnoreFields(authz.Decision{}, "ID", "Cached", "Duration")); diff != "" {
		return diff
	}
	if a, b := answered(r, fresh), answered(r, cached); !bytes.Equal(a, b) {
		return fmt.Sprintf("the fresh reply\n%q\nthe cached\n%q", a, b)
	}
	return ""
}

// asked names a request.
func asked(r *authz.Request) string {
	return fmt.Sprintf("%s %s %s %s%s from %s", r.Method, r.Kind, r.Path, r.Tag, r.Digest, r.Address)
}

// A cached answer is the answer that would be given now: for random licenses, vendor rules, releases,
// revocations and keys, in any order of questions, for requests that differ in nothing but what a rule reads,
// while the clock jumps both ways and bundles change, the whole decision is the same with and without a cache.
func TestACachedAnswerEqualsAFreshOneAtEveryInstant(t *testing.T) {
	hits, answers, codes, rules := 0, 0, map[authz.Code]int{}, newRuled()
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	var all []*program
	engines := map[*program]*Engine{} // each compiles its rules once
	bundles := &switched{}
	clock := int64(0)
	cfg := authz.GateConfig{Engine: bundles, Clock: func() time.Time { return time.Unix(clock, 0) }, AskPast: true}
	fresh := authz.NewGate(cfg)
	cfg.Cache = cache
	cached := authz.NewGate(cfg)
	questions := requests()
	serial := int64(0)

	property := func(rt *rapid.T) {
		d := drawer{rt}
		w := d.world(t)
		p := all[rapid.IntRange(0, len(all)-1).Draw(rt, "rules")]
		p.add(w)
		for range 2 {
			serial++
			w.serial = serial
			if err := engines[p].Activate(context.Background(), w.bundle(t)); err != nil {
				rt.Fatalf("%v\n%s", err, p)
			}
			bundles.generations = []authz.Generation{engines[p].Generation()}
			for range 8 {
				clock = now + rapid.Int64Range(-2*span, 2*span).Draw(rt, "clock")
				one, other, field := d.drawPair(p, questions)
				last := map[*authz.Request]*authz.Decision{}
				// Close together, so that there is something to reuse.
				for _, step := range []int64{0, 1, 3, 30, 59} {
					clock += step
					r := rapid.SampledFrom([]*authz.Request{one, other}).Draw(rt, "which")
					got := cached.Decide(context.Background(), r)
					want := fresh.Decide(context.Background(), r)
					if diff := differs(r, want, got); diff != "" {
						rt.Fatalf("%s at %+d: fresh to cached:\n%s\nwith the rules\n%s", asked(r), clock-now, diff, p)
					}
					if got.Code == authz.CodeInternalError {
						rt.Fatalf("%s\n%s", got.Detail, p)
					}
					answers++
					codes[got.Code]++
					if got.Cached == "l1" {
						hits++
					}
					rules.note(got, p, w)
					last[r] = got
					rules.contrast(field, last[one], last[other])
				}
			}
			d.customer(t, w, "bakery")
		}
	}
	little := func() string {
		if hits < answers/10 || len(codes) < 15 {
			return fmt.Sprintf("%d hits in %d answers, %d codes", hits, answers, len(codes))
		}
		return rules.little(200, 5)
	}
	for seed := range seeds(t) { // more than one when by chance there is a rule that hardly ever counts
		all = programs(seed)
		for _, p := range all {
			engines[p] = newEngine(t, Config{})
		}
		rapid.Check(t, property)
		few := little()
		if t.Failed() || few == "" {
			break
		}
		t.Logf("once more: %s", few)
	}
	t.Logf("%d of %d answers came from the cache; %s; %v", hits, answers, rules, codes)
	if few := little(); few != "" {
		t.Errorf("the test shows little: %s", few)
	}
}
