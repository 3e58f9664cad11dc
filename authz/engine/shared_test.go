package engine

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/examples/peers"
)

const (
	fleetSecret    = "the-secret-of-all-who-share-it-00"
	strangerSecret = "the-secret-of-somebody-else-00000"
)

// switched is an engine with several generations, of which one counts at a time.
type switched struct {
	generations []authz.Generation
	active      atomic.Int32
}

func (s *switched) Generation() authz.Generation { return s.generations[s.active.Load()] }

// sharer is one of the processes that share verdicts, with a clock of its own.
type sharer struct {
	gate     *authz.Gate
	verdicts *redisstore.Verdicts
	at       atomic.Int64
	skew     int64
	metrics  *prometheus.Registry
	stop     func()
}

func newSharer(t testing.TB, e authz.Engine, addr string, skew int64, l1 authz.Cache, secrets ...string) *sharer {
	s := &sharer{skew: skew, metrics: prometheus.NewRegistry()}
	clock := func() time.Time { return time.Unix(s.at.Load(), 0) }
	var err error
	s.verdicts, err = redisstore.OpenVerdicts(redisstore.Config{URLs: []string{"redis://" + addr}},
		redisstore.VerdictsConfig{Secrets: secrets, Program: "test", Clock: clock, Registerer: s.metrics})
	if err != nil {
		t.Fatal(err)
	}
	s.gate = authz.NewGate(authz.GateConfig{Engine: e, Cache: l1, Shared: s.verdicts, ShareAlways: true, AuditShare: 1, Clock: clock, AskPast: true, Registerer: s.metrics})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.verdicts.Run(ctx) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = s.verdicts.Close()
	})
	return s
}

// decide asks at an instant as this one's clock has it.
func (s *sharer) decide(at int64, r *authz.Request) *authz.Decision {
	s.at.Store(at + s.skew)
	return s.gate.Decide(context.Background(), r)
}

// counted sums a counter's values whose labels have all these texts.
func counted(reg *prometheus.Registry, name string, labels ...string) (n int) {
	all, _ := reg.Gather()
	for _, f := range all {
		for _, m := range f.GetMetric() {
			matches := f.GetName() == name
			for _, l := range labels {
				matches = matches && strings.Contains(m.String(), `"`+l+`"`)
			}
			if matches {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// A vandal can do to Redis what anybody can who may write there, and has kept what it once held.
type vandal struct {
	t      testing.TB
	redis  *peers.RedisProcess
	kept   map[string][]string // values by name
	forged string              // an allow, sealed with another secret
	done   map[string]int
}

func newVandal(t testing.TB, r *peers.RedisProcess) *vandal {
	v := &vandal{t: t, redis: r, kept: map[string][]string{}, done: map[string]int{}}
	s := newSharer(t, &switched{}, r.Addr, 0, nil, strangerSecret)
	defer s.stop()
	s.at.Store(now)
	for end := time.Now().Add(time.Minute); len(v.names()) == 0; time.Sleep(5 * time.Millisecond) { // it may be lost while Redis is left alone
		s.verdicts.Put([32]byte{}, authz.Entry{From: now - 1000, Until: now + 1000, Verdict: authz.Verdict{Allow: true, Code: authz.CodeOK, Until: authz.Never, Ends: authz.Never}})
		if time.Now().After(end) {
			t.Fatal("nothing is written to Redis")
		}
	}
	v.forged = v.do("GET", v.names()[0])
	v.do("FLUSHALL")
	return v
}

func (v *vandal) do(args ...string) string {
	v.t.Helper()
	text, err := v.redis.Do(args...)
	if err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		v.t.Fatal(err)
	}
	return text
}

func (v *vandal) names() []string { return strings.Fields(v.do("KEYS", "*")) }

// wreak does something to what is there.
func (v *vandal) wreak(d drawer) {
	names := v.names()
	if len(names) == 0 {
		return
	}
	name := rapid.SampledFrom(names).Draw(d.t, "name")
	value := v.do("GET", name)
	if value != "" {
		if len(v.kept) == 8 {
			clear(v.kept)
		}
		v.kept[name] = append(v.kept[name], value)
	}
	what := d.pick("what", "forge", "move", "replay", "replay another", "bit", "large", "type", "delete", "flush", "keep").(string)
	v.done[what]++
	switch what {
	case "forge":
		v.do("SET", name, v.forged)
	case "move":
		v.do("SET", rapid.SampledFrom(names).Draw(d.t, "to"), value)
	case "replay":
		for name, old := range v.kept {
			v.do("SET", name, rapid.SampledFrom(old).Draw(d.t, "old"))
		}
	case "replay another":
		for _, old := range v.kept {
			v.do("SET", name, old[0])
		}
	case "bit":
		if value != "" {
			b := []byte(value)
			b[rapid.IntRange(0, len(b)-1).Draw(d.t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(d.t, "bit")
			v.do("SET", name, string(b))
		}
	case "large":
		v.do("SETRANGE", name, fmt.Sprint(1<<20), "x")
	case "type":
		v.do("DEL", name)
		v.do("LPUSH", name, value)
	case "delete":
		v.do("DEL", name)
	case "flush":
		v.do("FLUSHALL")
	}
}

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

// A cached answer is the answer that would be given now, whatever becomes of Redis: while somebody
// forges, moves, replays and spoils what is in it, while the network to it is slow, silent, cut or away, for
// processes whose clocks differ, whose clocks jump, and who have different bundles.
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
	l1, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer l1.Close()
	bundles := &worlds{}
	var clock atomic.Int64
	fresh := authz.NewGate(authz.GateConfig{Engine: bundles, AskPast: true, Clock: func() time.Time { return time.Unix(clock.Load(), 0) }})
	v := newVandal(t, r)
	var questions []*authz.Request
	for _, q := range requests() {
		if q.Kind != authz.KindCatalog { // which asks only what others ask, too, and takes long
			questions = append(questions, q)
		}
	}
	answers, from, rules := 0, map[string]int{}, newRuled()
	rejected, audits := 0, map[string]int{}

	fleet := func(addr string) []*sharer {
		return []*sharer{
			newSharer(t, bundles, addr, 0, nil, fleetSecret),
			newSharer(t, bundles, addr, -2, nil, fleetSecret, strangerSecret+" no more"),
			newSharer(t, bundles, addr, 20, l1, fleetSecret),
		}
	}
	dismiss := func(all []*sharer) {
		for _, s := range all {
			s.stop()
			rejected += counted(s.metrics, "pullgate_shared_cache_rejected_total", "mac")
			for _, result := range []string{"same", "different", "failed"} {
				audits[result] += counted(s.metrics, "pullgate_decision_cache_audits_total", result)
			}
		}
	}
	var healthy []*sharer

	round := func(rt *rapid.T) {
		d := drawer{rt}
		all := healthy
		fault, faulty := peers.Fault{}, rapid.IntRange(0, 15).Draw(rt, "network") == 15
		if faulty {
			fault = d.pick("fault", peers.Fault{Delay: 3 * time.Millisecond}, peers.Fault{Delay: 30 * time.Millisecond}, peers.Fault{Mute: true}, peers.Fault{Refuses: true}).(peers.Fault)
			all = fleet(p.Addr)
			defer func() { p.Set(peers.Fault{}); p.Cut(); dismiss(all) }()
		}
		v.do("FLUSHALL") // what is left is what will be asked for again, or is copied from before
		bundles.active.Store(int32(rapid.IntRange(0, len(bundles.generations)-1).Draw(rt, "bundle")))
		at := now + rapid.Int64Range(-2*span, 2*span).Draw(rt, "clock")
		for i := range 3 {
			if faulty && i == 1 {
				p.Set(fault)
				if fault.Refuses || d.rarely("cut") {
					p.Cut()
				}
			}
			p := bundles.programs[bundles.active.Load()]
			one, other, field := d.drawPair(p, questions)
			last := map[*authz.Request]*authz.Decision{}
			for _, step := range []int64{0, 0, 0, 1, 2, 53} {
				at += step
				if rapid.IntRange(0, 7).Draw(rt, "wreak") == 7 {
					v.wreak(d)
				}
				if rapid.IntRange(0, 7).Draw(rt, "edit") == 7 {
					bundles.active.Store(bundles.active.Load() ^ 1)
				}
				s := rapid.SampledFrom(all).Draw(rt, "who")
				q := rapid.SampledFrom([]*authz.Request{one, other}).Draw(rt, "which")
				got := s.decide(at, q)
				clock.Store(at + s.skew)
				want := fresh.Decide(context.Background(), q)
				if diff := differs(q, want, got); diff != "" {
					rt.Fatalf("%s at %+d: fresh to %s:\n%s\nwith the rules\n%s", asked(q), at+s.skew-now, got.Cached, diff, p)
				}
				if got.Code == authz.CodeInternalError {
					rt.Fatalf("%s\n%s", got.Detail, p)
				}
				answers++
				from[got.Cached]++
				rules.note(got, p, bundles.worlds[bundles.active.Load()])
				last[q] = got
				rules.contrast(field, last[one], last[other])
			}
		}
	}
	// On a busy machine Redis may be left alone for a while: then there is more to ask.
	little := func() bool {
		return from["l2"] < 200 || rejected < 10 || len(v.done) < 10 || audits["same"] < 10 || rules.little(40, 0) != ""
	}
	for seed := range seeds(t) {
		bundles.draw(t, seed)
		healthy = fleet(r.Addr)
		rapid.Check(t, round)
		dismiss(healthy) // what they have rejected counts now
		if t.Failed() || !little() {
			break
		}
	}
	if t.Failed() {
		return
	}
	t.Logf("%d answers: %v; %s; %d values were not authentic; vandalism %v; audits %v", answers, from, rules, rejected, v.done, audits)
	if little() {
		t.Error("the test shows little")
	}
	if audits["different"] > 0 {
		t.Error("an audit that runs beside what changes found a difference that there is not")
	}
}
