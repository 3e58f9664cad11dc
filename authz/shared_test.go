package authz

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// lockedCache is a mapCache for several at once.
type lockedCache struct {
	mu sync.Mutex
	m  mapCache
}

func (c *lockedCache) Get(k [32]byte) (Entry, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m.Get(k)
}

func (c *lockedCache) Put(k [32]byte, e Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.Put(k, e)
}

func (c *lockedCache) Drop(k [32]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.Drop(k)
}

// together has n ask at once: the first is held in its evaluation until all others wait for it.
func together(t *testing.T, gen *fakeGeneration, n int, led func(context.Context) (Verdict, error), others func(i int) context.Context, cfg ...func(*GateConfig)) (*bench, []*Decision) {
	t.Helper()
	entered, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var mu sync.Mutex
	evaluations := 0
	gen.evaluate = func(ctx context.Context, in *Input) (v Verdict, err error) {
		first := false
		once.Do(func() { first = true })
		mu.Lock()
		evaluations++
		mu.Unlock()
		if first {
			close(entered)
			<-release
			return led(ctx)
		}
		return Verdict{Allow: true, Code: CodeOK, License: "second", Until: Never, Ends: Never}, nil
	}
	b := newBench(gen, append([]func(*GateConfig){withCache(&lockedCache{m: mapCache{}}), func(c *GateConfig) { c.Recorder, c.Engine = dropping{}, quietEngine{gen} }}, cfg...)...)
	out := make([]*Decision, n)
	var all sync.WaitGroup
	all.Go(func() { out[0] = b.Decide(others(0), pull()) })
	<-entered
	for i := 1; i < n; i++ {
		all.Go(func() { out[i] = b.Decide(others(i), pull()) })
	}
	// All have missed the cache, and so are at the flight or about to be.
	for end := time.Now().Add(20 * time.Second); testutil.ToFloat64(b.Gate.metrics.cache.WithLabelValues("l1", "miss")) < float64(n); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("somebody has not come")
		}
	}
	close(release)
	all.Wait()
	t.Logf("%d evaluations of %d decisions", evaluations, n)
	return b, out
}

// quietEngine does not keep inputs, which the fake does without a lock.
type quietEngine struct{ *fakeGeneration }

func (e quietEngine) Generation() Generation { return e }
func (e quietEngine) Evaluate(ctx context.Context, in *Input) (Verdict, error) {
	e.evaluations.Add(1)
	return e.evaluate(ctx, in)
}

func background(int) context.Context { return context.Background() }

func TestTheSameQuestionsAreEvaluatedOnce(t *testing.T) {
	gen := newGeneration()
	b, all := together(t, gen, 50, func(context.Context) (Verdict, error) {
		return Verdict{Allow: true, Code: CodeOK, License: "first", Until: Never, Ends: Never}, nil
	}, background)
	for i, d := range all {
		if d.Outcome != OutcomeAllow || d.Verdict.License != "first" {
			t.Errorf("%d: %+v", i, d)
		}
	}
	if n := gen.evaluations.Load(); n != 1 {
		t.Errorf("%d evaluations", n)
	}
	if n := testutil.ToFloat64(b.Gate.metrics.coalesced); n > 49 {
		t.Errorf("%v were taken over", n)
	}
	if len(b.Gate.flights.under) > 0 {
		t.Error("a flight is under way for ever")
	}
}

// What went wrong for one is not the others' answer: its client may have gone away.
func TestAFailureIsNotShared(t *testing.T) {
	for name, led := range map[string]func(context.Context) (Verdict, error){
		"error": func(context.Context) (Verdict, error) { return Verdict{}, errors.New("broken") },
		"panic": func(context.Context) (Verdict, error) { panic("broken") },
		"none":  func(context.Context) (Verdict, error) { return Verdict{}, nil },
	} {
		t.Run(name, func(t *testing.T) {
			b, all := together(t, newGeneration(), 10, led, background)
			for i, d := range all {
				if want := "second"; i == 0 && d.Outcome != OutcomeError || i > 0 && d.Verdict.License != want {
					t.Errorf("%d: %+v", i, d)
				}
			}
			if len(b.Gate.flights.under) > 0 {
				t.Error("a flight is under way for ever")
			}
		})
	}
}

// Who waits for another's answer still leaves when its own time is over.
func TestWhoWaitsHasItsOwnTime(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	gen := newGeneration()
	entered, release := make(chan struct{}), make(chan struct{})
	gen.evaluate = func(context.Context, *Input) (Verdict, error) {
		close(entered)
		<-release
		return Verdict{Allow: true, Code: CodeOK, Until: Never, Ends: Never}, nil
	}
	b := newBench(gen, withCache(&lockedCache{m: mapCache{}}), func(c *GateConfig) { c.Recorder = dropping{} })
	var leads sync.WaitGroup
	leads.Go(func() { expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK) })
	<-entered
	cancel()
	expect(t, b.Decide(gone, pull()), OutcomeError, 503, CodeInternalError)
	close(release)
	leads.Wait()
}

// A second may pass between two questions: what holds for the one need not for the other.
func TestWhoAskedAtAnotherInstantAsksItself(t *testing.T) {
	gen := newGeneration()
	var b *bench
	var mu sync.Mutex
	at := noon
	b, all := together(t, gen, 2, func(context.Context) (Verdict, error) {
		return Verdict{Allow: true, Code: CodeOK, License: "first", Until: noon + 1, Ends: Never}, nil
	}, background, func(c *GateConfig) {
		c.Clock = func() time.Time { mu.Lock(); defer mu.Unlock(); at++; return time.Unix(at-1, 0) }
	})
	if all[0].Verdict.License != "first" || all[1].Verdict.License != "second" {
		t.Errorf("%+v\n%+v", all[0], all[1])
	}
	_ = b
}

// slowShared takes a while, by the Gate's measure.
type slowShared struct {
	shared
	asked int
	found Found // when it is not what the map has
	takes time.Duration
}

func (s *slowShared) Get(ctx context.Context, k [32]byte) (Entry, Found) {
	s.asked++
	time.Sleep(s.takes)
	if s.found != FoundNothing {
		return Entry{}, s.found
	}
	return s.shared.Get(ctx, k)
}

func TestTheSharedCacheIsAskedWhileItPays(t *testing.T) {
	gen := newGeneration()
	s := &slowShared{shared: shared{mapCache{}}}
	b := newBench(gen, func(c *GateConfig) { c.Shared = s })
	set := func(lookup, other, list time.Duration) {
		for range 1000 {
			b.Gate.worth.lookup.add(lookup)
			b.Gate.worth.evaluation[1].add(other)
			b.Gate.worth.evaluation[0].add(list)
		}
		s.asked = 0
	}
	ask := func(k Kind, n int) int {
		for range n {
			clear(s.mapCache)
			b.Decide(context.Background(), with(kind(k)))
		}
		return s.asked
	}
	set(time.Millisecond, 10*time.Second, 10*time.Second)
	if n := ask(KindManifest, 20); n != 20 {
		t.Errorf("asked %d times of 20 although it is fast", n)
	}
	set(10*time.Second, time.Millisecond, time.Hour)
	if n := ask(KindManifest, 10*probeEvery); n != 10 {
		t.Errorf("asked %d times of %d although it is slow, want 10", n, 10*probeEvery)
	}
	if n := ask(KindManifest, 1); n != 10 || len(s.mapCache) > 0 {
		t.Errorf("who does not ask writes: %d", n-10)
	}
	if n := ask(KindTags, 20); n != 30 {
		t.Errorf("asked %d times of 20 about lists, which take longer", n-10)
	}
	set(10*time.Second, time.Millisecond, time.Millisecond)
	b.Gate.cfg.ShareAlways = true
	if n := ask(KindManifest, 20); n != 20 {
		t.Errorf("asked %d times of 20", n)
	}
}

// The few that ask although it does not pay find out when it does.
func TestTheSharedCacheIsTriedAgain(t *testing.T) {
	var w worth
	for range 1000 {
		w.looked(5 * time.Millisecond)
		w.evaluated(KindBlob, time.Millisecond)
	}
	asked, n := 0, 0
	for ; asked < 10*averageOver && n < 1_000_000; n++ {
		if w.asking(KindBlob) {
			asked++
			w.looked(100 * time.Microsecond)
		}
	}
	if n > 3*averageOver*probeEvery || !w.asking(KindBlob) || !w.asking(KindBlob) {
		t.Errorf("asked %d times of %d; %s", asked, n, w.lookup.value())
	}
}

// An answer that does not come is evaluated; a cache that is out of order costs nothing and does not
// look fast.
func TestASharedCacheThatDoesNotAnswer(t *testing.T) {
	for found, want := range map[Found]string{FoundFailed: "error", NotAsked: "open"} {
		gen := newGeneration()
		s := &slowShared{shared: shared{mapCache{}}, found: found}
		b := newBench(gen, func(c *GateConfig) { c.Shared = s })
		for range 20 {
			expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)
		}
		if n := testutil.ToFloat64(b.Gate.metrics.cache.WithLabelValues("l2", want)); n != 20 {
			t.Errorf("%s: counted %v", want, n)
		}
		if put := len(s.mapCache) > 0; put != (found == FoundFailed) || (b.Gate.worth.lookup.value() > 0) != (found == FoundFailed) {
			t.Errorf("%s: written %v, look-ups take %s", want, put, b.Gate.worth.lookup.value())
		}
	}
}

// A catalog asks about each repository; together they do not wait for long.
func TestOneRequestDoesNotWaitForTheSharedCacheForEver(t *testing.T) {
	gen := newGeneration()
	gen.repositories = strings.Fields(strings.Repeat("acme/app ", 1))
	for i := range 300 {
		gen.repositories = append(gen.repositories, "acme/app-"+strings.Repeat("x", i))
	}
	s := &slowShared{shared: shared{mapCache{}}, takes: 2 * time.Millisecond}
	b := newBench(gen, func(c *GateConfig) { c.Shared, c.ShareAlways = s, true })
	r := with(kind(KindCatalog))
	r.Host = "listed.example"
	d := b.Decide(context.Background(), r)
	if d.Outcome != OutcomeAnswer || len(d.Names) != 301 {
		t.Fatalf("%+v", d)
	}
	if s.asked < 1 || s.asked > 5 {
		t.Errorf("asked %d times, 2 ms each", s.asked)
	}
	if diff := cmp.Diff(301, int(gen.evaluations.Load())); diff != "" {
		t.Error(diff)
	}
}

func TestAnAverageFollows(t *testing.T) {
	var a average
	for range enough - 1 {
		a.add(time.Second)
	}
	if a.value() != 0 {
		t.Errorf("%s before there are enough", a.value())
	}
	a.add(time.Second)
	if a.value() != time.Second {
		t.Errorf("%s of seconds", a.value())
	}
	for _, to := range []time.Duration{time.Microsecond, 5 * time.Millisecond, 200, time.Minute, 1} {
		for range 2000 {
			a.add(to)
		}
		if v := a.value(); v < to || v > to+averageOver {
			t.Errorf("%s, want %s", v, to)
		}
	}
}
