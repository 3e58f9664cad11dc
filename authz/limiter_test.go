package authz

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"pgregory.net/rapid"
)

func limitedTo(n int) func(*GateConfig) { return func(g *GateConfig) { g.BadKeysPerMinute = n } }

// bad makes a request with a key of the right form that nobody has.
func bad(n byte) func(*Request) {
	return func(r *Request) {
		r.Credential = Credential{Kind: CredentialKey}
		r.Credential.Hash[0] = n
	}
}

func from(address string) func(*Request) {
	return func(r *Request) {
		r.Address = netip.Addr{}
		if address != "" {
			r.Address = netip.MustParseAddr(address)
		}
	}
}

func TestGateLimitsBadKeysOfAnAddress(t *testing.T) {
	for _, c := range []struct {
		name, address string
		same, other   []string // counted together with address, and not
	}{
		{"IPv4", "192.0.2.7", []string{"::ffff:192.0.2.7"}, []string{"192.0.2.8", "::c000:207", ""}},
		{"IPv6", "2001:db8:0:1::7", []string{"2001:db8:0:1::8", "2001:db8:0:1:ffff:ffff:ffff:ffff"}, []string{"2001:db8:0:2::7", "2001:db8:1:1::7", ""}},
		{"low IPv6", "::7", []string{"::c000:207"}, []string{"0.0.0.0", "0:0:0:1::", ""}},
		{"unknown", "", nil, []string{"0.0.0.0", "::"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(newGeneration(), limitedTo(5))
				ask := func(change ...func(*Request)) *Decision { return b.Decide(context.Background(), with(change...)) }
				for n := range 5 {
					expect(t, ask(bad(byte(n)), from(c.address)), OutcomeDeny, 401, CodeUnknownKey)
				}
				b.gen.inputs = nil
				for _, a := range append(c.same, c.address) {
					for _, k := range []Kind{KindPing, KindManifest, KindTags, KindCatalog} {
						expect(t, ask(kind(k), bad(9), from(a)), OutcomeDeny, 429, CodeRateLimited)
					}
				}
				if len(b.gen.inputs) > 0 {
					t.Errorf("the policy was asked: %+v", b.gen.inputs)
				}
				if r := b.records[len(b.records)-1]; r.Status != 429 || r.Code != CodeRateLimited || r.Verdict != "deny" || r.Subject.Customer != "" {
					t.Errorf("record %+v", r)
				}
				for _, a := range c.other {
					expect(t, ask(bad(9), from(a)), OutcomeDeny, 401, CodeUnknownKey)
				}
				// Who has a key, and who has none, notice nothing.
				expect(t, ask(from(c.address)), OutcomeAllow, 200, CodeOK)
				expect(t, ask(nobody, from(c.address)), OutcomeDeny, 401, CodeAnonymous)

				time.Sleep(time.Minute - 1)
				expect(t, ask(bad(9), from(c.address)), OutcomeDeny, 429, CodeRateLimited)
				time.Sleep(time.Nanosecond)
				expect(t, ask(bad(9), from(c.address)), OutcomeDeny, 401, CodeUnknownKey)
			})
		})
	}
}

// What counts is what could be a guess.
func TestGateCountsBadKeysAndNothingElse(t *testing.T) {
	mtls := Identity{SAN: "spiffe://acme/ci"}
	identity := func(r *Request) { r.Identity = mtls }
	for _, c := range []struct {
		name    string
		change  func(*Request)
		spoil   func(*fakeGeneration)
		counted bool
	}{
		{"a key of nobody", bad(1), nil, true},
		{"what is no key", credential(CredentialInvalid), nil, true},
		{"what is no key, beside an identity", func(r *Request) { credential(CredentialInvalid)(r); identity(r) }, nil, true},
		{"a key and another's identity", identity, func(g *fakeGeneration) { g.identities = map[Identity]string{mtls: "globex"} }, true},
		{"no key", nobody, nil, false},
		{"an identity of nobody", func(r *Request) { nobody(r); identity(r) }, nil, false},
		{"a key", func(*Request) {}, nil, false},
		{"a key that has expired", func(*Request) {}, func(g *fakeGeneration) { g.key.Expires = noon }, false},
		{"a key of another place", func(*Request) {}, func(g *fakeGeneration) { g.key.Addresses = []netip.Prefix{} }, false},
		{"a key of a customer without rights", func(*Request) {}, func(g *fakeGeneration) { g.evaluate, g.named = denying(CodeNoLicense), false }, false},
		// Refused before a key is looked at, and the same for everybody.
		{"a bad key with a malformed request", func(r *Request) { bad(1)(r); r.Kind = KindMalformed }, nil, false},
		{"a bad key with another verb", func(r *Request) { bad(1)(r); r.Kind, r.Method = KindUnsupported, "PUT" }, nil, false},
		{"a bad key for an unknown host", func(r *Request) { bad(1)(r); r.Host = "elsewhere.example" }, nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			gen := newGeneration()
			if c.spoil != nil {
				c.spoil(gen)
			}
			b := newBench(gen, limitedTo(3))
			for range 50 {
				if d := b.Decide(context.Background(), with(c.change)); !c.counted && d.Status == 429 {
					t.Fatalf("limited: %+v", d)
				}
			}
			d := b.Decide(context.Background(), with(bad(9)))
			if limited := d.Status == 429; limited != c.counted {
				t.Errorf("a bad key from the same address gets %d", d.Status)
			}
		})
	}
}

// A forgotten key does not keep anybody from what is open to everybody, and trying keys on it
// is trying keys.
func TestBadKeysAndPublicRepositories(t *testing.T) {
	gen := newGeneration()
	gen.evaluate = func(_ context.Context, in *Input) (Verdict, error) {
		return Verdict{Allow: in.Target.Resource.Repository != "acme/app", Code: CodePublic, Until: Never, Ends: Never}, nil
	}
	public := func(r *Request) { r.Repository = "acme/docs" }
	for name, forgotten := range map[string]func(*Request){"forgotten": bad(1), "no key": credential(CredentialInvalid)} {
		b := newBench(gen, limitedTo(3))
		for range 100 {
			expect(t, b.Decide(context.Background(), with(public, forgotten)), OutcomeAllow, 200, CodePublic)
		}
		for range 2 {
			expect(t, b.Decide(context.Background(), with(forgotten)), OutcomeDeny, 401, CodeUnknownKey)
		}
		t.Log(name)
		expect(t, b.Decide(context.Background(), with(forgotten)), OutcomeDeny, 429, CodeRateLimited)
	}
	b := newBench(gen, limitedTo(3))
	for n := range 3 {
		expect(t, b.Decide(context.Background(), with(public, bad(byte(n)))), OutcomeAllow, 200, CodePublic)
	}
	expect(t, b.Decide(context.Background(), with(public, bad(9))), OutcomeDeny, 429, CodeRateLimited)
	expect(t, b.Decide(context.Background(), with(public, nobody)), OutcomeAllow, 200, CodePublic)
}

func TestWithoutALimitNothingIsLimited(t *testing.T) {
	b := newBench(newGeneration())
	for range 1000 {
		expect(t, b.Decide(context.Background(), with(bad(1))), OutcomeDeny, 401, CodeUnknownKey)
	}
}

// Exactly as many are answered, however many ask at once.
func TestLimitHoldsForRequestsAtOnce(t *testing.T) {
	b := newBench(newGeneration(), limitedTo(20), func(g *GateConfig) { g.Recorder = nil })
	var answered atomic.Int32
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for range 50 {
				if b.Decide(context.Background(), with(bad(byte(g)))).Status == 401 {
					answered.Add(1)
				}
			}
		})
	}
	all.Wait()
	if n := answered.Load(); n != 20 {
		t.Errorf("%d bad keys were answered with 401", n)
	}
}

func TestBadKeysAreCountedInAMetric(t *testing.T) {
	b := newBench(newGeneration(), limitedTo(2))
	for range 5 {
		b.Decide(context.Background(), with(bad(1)))
	}
	want := `# HELP pullgate_bad_keys_total Bad keys by result (answered, limited) and whether they were counted for their own address or, with the table full, together with others (own, shared).
# TYPE pullgate_bad_keys_total counter
pullgate_bad_keys_total{counter="own",result="answered"} 2
pullgate_bad_keys_total{counter="own",result="limited"} 3
`
	if err := testutil.GatherAndCompare(b.metrics, strings.NewReader(want), "pullgate_bad_keys_total"); err != nil {
		t.Error(err)
	}
}

// small makes a limiter with few sets and a clock that the test turns.
func small(sets, most int) (*limiter, *time.Duration) {
	l, now := newLimiter(most, nil), new(time.Duration)
	l.sets, l.clock = make([]limiterSet, sets), func() time.Duration { return *now }
	return l, now
}

// While there is room every address is counted as if it were alone.
func TestAddressesAreCountedForThemselves(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(1, 4).Draw(t, "most")
		l, now := small(1, most)
		type window struct {
			since time.Duration
			count int
		}
		model := map[byte]window{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			*now += time.Duration(rapid.SampledFrom([]int{0, 0, 1, 1000, 29_999, 30_000, 60_000}).Draw(t, "ms")) * time.Millisecond
			who := rapid.ByteRange(1, limiterPlaces).Draw(t, "who")
			w, ok := model[who]
			if !ok || *now-w.since >= time.Minute {
				w = window{since: *now}
			}
			want := w.count < most
			if want {
				w.count++
			}
			model[who] = w
			if got, _ := l.admit(netip.AddrFrom4([4]byte{10, 0, 0, who}), 0); got != want {
				t.Fatalf("address %d at %s: %v", who, *now, got)
			}
		}
	})
}

// However many addresses an attacker has: nobody's count is forgotten before its minute is
// over, and what is answered in a minute has a bound that does not depend on them.
func checkCrowd(t interface {
	Helper()
	Fatalf(string, ...any)
}, steps []byte,
) {
	t.Helper()
	const sets, most = 2, 3
	l, now := small(sets, most)
	limitedUntil := map[netip.Addr]time.Duration{} // of those with a place of their own
	type window struct {
		netip.Addr
		since time.Duration
	}
	own := map[window]int{} // answered in a place of one's own
	var answered []time.Duration
	for ; len(steps) >= 3; steps = steps[3:] {
		*now += time.Duration(steps[0]) * 100 * time.Millisecond
		a := netip.AddrFrom16([16]byte{0x20, 1, steps[1], steps[2]})
		who := networkOf(a)
		c, found := l.set(who).find(who, *now)
		placed := found && c.who == who && c.live(*now)
		until, limited := limitedUntil[a]
		if limited && *now < until && !placed {
			t.Fatalf("%s was forgotten before %s", a, until)
		}
		ok, _ := l.admit(a, uint64(steps[2]))
		if ok && limited && *now < until {
			t.Fatalf("%s was answered before %s", a, until)
		}
		if ok {
			answered = append(answered, *now)
		} else if placed {
			limitedUntil[a] = c.since + badKeyWindow
		}
		if w := (window{a, c.since}); found {
			if own[w] < most && !ok {
				t.Fatalf("%s is limited for what others did", a)
			}
			own[w]++
		}
		if steps[0]%5 == 0 {
			before := c.count
			l.forgive(a)
			if c.count < before-1 || c.count < 1 {
				t.Fatalf("forgiving one took %d back", before-c.count)
			}
			return // what follows would need to know of it
		}
	}
	for i, end := range answered {
		first, _ := slices.BinarySearch(answered, end-badKeyWindow+1)
		if n := i + 1 - first; n > 2*sets*(limiterPlaces+1)*most {
			t.Fatalf("%d bad keys were answered in the minute before %s", n, end)
		}
	}
}

func TestAttackersWithManyAddressesResetNobody(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		step := rapid.Custom(func(t *rapid.T) [3]byte {
			return [3]byte{rapid.ByteRange(0, 20).Draw(t, "wait"), rapid.ByteRange(0, 3).Draw(t, "network"), rapid.ByteRange(0, 31).Draw(t, "address")}
		})
		var steps []byte
		for _, s := range rapid.SliceOfN(step, 0, 400).Draw(t, "steps") {
			if s[0]%5 == 0 {
				s[0]++
			}
			steps = append(steps, s[:]...)
		}
		checkCrowd(t, steps)
	})
}

func FuzzLimiter(f *testing.F) {
	f.Add([]byte("\x01\x00\x01\x01\x00\x01\x01\x00\x01\x01\x00\x01"))
	f.Add(slices.Repeat([]byte{1, 1, 1, 0, 2, 2}, 50))
	f.Fuzz(func(t *testing.T, steps []byte) { checkCrowd(t, steps) })
}

// The table as it is: a million networks do not make it larger, free no slot of somebody who
// is limited, and let no more guesses through than it has places for.
func TestTableOfBadKeysIsBounded(t *testing.T) {
	const most = 20
	l, now := newLimiter(most, nil), time.Duration(0)
	l.clock = func() time.Duration { return now }
	if size := unsafe.Sizeof(limiterSet{}) * uintptr(len(l.sets)); size > 1<<20 {
		t.Errorf("the table has %d bytes", size)
	}
	victim := netip.MustParseAddr("192.0.2.7")
	for range most {
		l.admit(victim, 1)
	}
	address := func(n uint64) netip.Addr {
		b := [16]byte{0x20, 1}
		binary.BigEndian.PutUint64(b[:8], 0x2001<<48|n)
		return netip.AddrFrom16(b)
	}
	answered := 0
	for n := range uint64(1_000_000) {
		now += 50 * time.Microsecond // all within 50 s
		if ok, _ := l.admit(address(n), n); ok {
			answered++
		}
		if ok, _ := l.admit(victim, n); ok {
			t.Fatalf("after %d other networks the first one may guess again", n)
		}
	}
	if bound := limiterSets * (limiterPlaces + most); answered > bound {
		t.Errorf("%d guesses were answered, more than %d", answered, bound)
	}
	if answered < limiterSets*limiterPlaces {
		t.Errorf("only %d were answered: the table has room for more", answered)
	}
	n := uint64(2_000_000)
	if allocs := testing.AllocsPerRun(1000, func() { n++; l.admit(address(n), n) }); allocs > 0 {
		t.Errorf("%v allocations for one bad key", allocs)
	}
	now += time.Minute
	if ok, _ := l.admit(victim, 1); !ok {
		t.Error("limited for longer than a minute")
	}
	free := 0
	for n := range uint64(1000) { // nothing is left of the flood
		if ok, _ := l.admit(address(n), n); ok {
			free++
		}
	}
	if free != 1000 {
		t.Errorf("after a minute %d of 1000 addresses may log in", free)
	}
}

func BenchmarkBadKey(b *testing.B) {
	for _, addresses := range []uint32{1, 1 << 20} {
		b.Run(fmt.Sprintf("addresses=%d", addresses), func(b *testing.B) {
			l := newLimiter(20, nil)
			var n uint32
			for b.Loop() {
				n++
				a := n % addresses
				l.admit(netip.AddrFrom4([4]byte{byte(a >> 24), byte(a >> 16), byte(a >> 8), byte(a)}), uint64(n))
			}
		})
	}
}
