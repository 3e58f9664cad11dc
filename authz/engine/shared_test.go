package engine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/examples/peers"
)

// A cached answer is the answer that would be given now, whatever becomes of Redis: while somebody
// forges, moves, replays and spoils what is in it, while the network to it is slow, silent, cut or away, for
// processes whose clocks differ, whose clocks jump, who have different bundles, and who ask at once.
func TestAnAnswerFromRedisEqualsAFreshOneAtEveryInstant(t *testing.T) {
	r, err := peers.StartRedis(t.Context(), peers.Redis(t), peers.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	p, err := peers.StartProxy(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	c, v := newContest(t), newVandal(t, r)
	var healthy []*sharer

	round := func(rt *rapid.T) {
		d := drawer{rt}
		all := healthy
		fault, faulty := peers.Fault{}, rapid.IntRange(0, 15).Draw(rt, "network") == 15
		if faulty {
			fault = d.drawFault()
			all = c.fleet(t, p.Addr)
			defer func() { p.Set(peers.Fault{}); p.Cut(); c.dismiss(all) }()
		}
		v.do("FLUSHALL") // what is left is what will be asked for again, or is copied from before
		c.bundles.active.Store(int32(rapid.IntRange(0, len(c.bundles.generations)-1).Draw(rt, "bundle")))
		at := now + rapid.Int64Range(-2*span, 2*span).Draw(rt, "clock")
		disturb := func() {
			if rapid.IntRange(0, 7).Draw(rt, "wreak") == 7 {
				v.wreak(d)
			}
			if rapid.IntRange(0, 7).Draw(rt, "edit") == 7 {
				c.bundles.active.Store(c.bundles.active.Load() ^ 1)
			}
		}
		for i := range 3 {
			if faulty && i == 1 {
				breakNetwork(p, fault)
			}
			one, other, field := d.drawPair(c.bundles.programs[c.bundles.active.Load()], c.questions)
			which := func() ask {
				return ask{rapid.SampledFrom(all).Draw(rt, "who"), rapid.SampledFrom([]*authz.Request{one, other}).Draw(rt, "which")}
			}
			if d.rarely("at once") {
				for range 2 {
					c.askAtOnce(rt, at, []ask{which(), which(), which(), which()}, disturb)
				}
				continue
			}
			last := map[*authz.Request]*authz.Decision{}
			for _, step := range []int64{0, 0, 0, 1, 2, 53} {
				at += step
				disturb()
				a := which()
				last[a.q] = c.ask(rt, a.who, at, a.q)
				c.rules.contrast(field, last[one], last[other])
			}
		}
	}
	little := func() string {
		if c.from["l2"] < 200 || c.rejected < 10 || len(v.done) < 10 || c.audits["same"] < 10 || c.atOnce < 20 {
			return fmt.Sprintf("%v, %d times at once, %d not authentic, vandalism %v, audits %v", c.from, c.atOnce, c.rejected, v.done, c.audits)
		}
		return c.rules.little(40, 0)
	}
	var o *outages
	for seed := range seeds(t) { // on a busy machine Redis may be left alone for a while: then there is more to ask
		c.draw(t, seed)
		if o == nil {
			o = c.outages(r.Addr, seed)
			defer o.close()
			t.Run("out of order", o.begin)
			t.Run("moved", func(t *testing.T) { c.moved(t, v) })
			t.Run("evicted", c.evicted)
		}
		healthy = c.fleet(t, r.Addr)
		rapid.Check(t, round)
		c.dismiss(healthy) // what they have rejected counts now
		few := little()
		if t.Failed() || few == "" {
			break
		}
		t.Logf("once more: %s", few)
	}
	if !t.Failed() {
		t.Run("in order again", o.end) // which it was meanwhile
	}
	t.Logf("%d answers: %v, %d times at once; %s; %d values were not authentic; vandalism %v; audits %v", c.answers, c.from, c.atOnce, c.rules, c.rejected, v.done, c.audits)
	if few := little(); few != "" && !t.Failed() {
		t.Errorf("the test shows little: %s", few)
	}
	if c.audits["different"] > 0 {
		t.Error("an audit that runs beside what changes found a difference that there is not")
	}
}
