package authz

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// overloaded says that too many wait.
func overloaded(context.Context, *Input) (Verdict, error) {
	return Verdict{}, errors.Join(errors.New("evaluate decision"), ErrOverloaded)
}

// What would come too late is a clear refusal for every kind that asks the policy, and no failure: the
// log is told once, and nothing is kept.
func TestAnOverloadIsRefused(t *testing.T) {
	gen := newGeneration()
	gen.evaluate, gen.named = overloaded, false // whoever has no right here is not asked about once more
	gen.repositories = []string{"acme/app"}
	log, cache := &logLines{}, mapCache{}
	b := newBench(gen, withCache(cache), func(c *GateConfig) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	for _, k := range askedKinds {
		d := b.Decide(context.Background(), with(kind(k)))
		expect(t, d, OutcomeError, 503, CodeOverloaded)
		if d.Detail != "" || d.Verdict.Allow || d.Names != nil || d.Pinned != "" {
			t.Errorf("%s: %+v", k, d)
		}
	}
	if n := int(gen.evaluations.Load()); n != len(askedKinds) || gen.askedAs("") {
		t.Errorf("%d evaluations of %d requests, as anybody: %v", n, len(askedKinds), gen.askedAs(""))
	}
	if n := strings.Count(log.String(), "\n"); n != 1 || !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("%d lines:\n%s", n, log)
	}
	if len(cache) > 0 || testutil.ToFloat64(b.Gate.metrics.decisions.WithLabelValues("error", "overloaded", "none")) != float64(len(askedKinds)) {
		t.Error("kept, or not counted")
	}
	// What needs no policy is answered as ever.
	expect(t, b.Decide(context.Background(), with(kind(KindMalformed))), OutcomeDeny, 400, CodeMalformed)
	gen.evaluate = nil
	expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)
}

// Who waits for another's answer learns that there is none, and does not ask once more.
func TestWhoWaitsForOneThatIsRefusedIsRefused(t *testing.T) {
	gen := newGeneration()
	l2 := &lockedCache{m: mapCache{}}
	asked := 0
	b, all := together(t, gen, 20, func(context.Context) (Verdict, error) { return Verdict{}, ErrOverloaded }, background, func(c *GateConfig) {
		c.Shared, c.ShareAlways = countingShared{lockedShared{l2}, &asked}, true
	})
	refused := 0
	for _, d := range all {
		if d.Code == CodeOverloaded {
			refused++
		}
	}
	// A few may have come after the first had landed, and asked themselves.
	if refused == 0 || all[0].Code != CodeOverloaded || asked > 21-refused+1 {
		t.Errorf("%d of 20 refused, the shared cache was asked %d times", refused, asked)
	}
	if n := b.Gate.waiting.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

type countingShared struct {
	lockedShared
	n *int
}

func (s countingShared) Get(ctx context.Context, k [32]byte) (Entry, Found) {
	s.mu.Lock()
	*s.n++
	s.mu.Unlock()
	return s.lockedShared.Get(ctx, k)
}

// While as many wait as may, others are refused at once; what is in memory is answered.
func TestHitsGoOnWhileOthersWait(t *testing.T) {
	gen := newGeneration()
	gen.evaluate = answering(Verdict{Allow: true, Code: CodeOK, Until: Never, Ends: Never})
	b := newBench(gen, withCache(&lockedCache{m: mapCache{}}), func(c *GateConfig) {
		c.Engine, c.Recorder, c.MaxWaiting = quietEngine{gen}, dropping{}, 5
	})
	expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)

	entered, release := make(chan struct{}), make(chan struct{})
	gen.evaluate = func(context.Context, *Input) (Verdict, error) {
		entered <- struct{}{}
		<-release
		return Verdict{Allow: true, Code: CodeOK, Until: Never, Ends: Never}, nil
	}
	tag := func(n int) *Request { return with(func(r *Request) { r.Tag = strings.Repeat("1", n) + ".0" }) }
	var waiting sync.WaitGroup
	for n := range 5 {
		waiting.Go(func() { expect(t, b.Decide(context.Background(), tag(n+2)), OutcomeAllow, 200, CodeOK) })
		<-entered
	}
	for range 100 {
		expect(t, b.Decide(context.Background(), tag(9)), OutcomeError, 503, CodeOverloaded)
		expect(t, b.Decide(context.Background(), tag(2)), OutcomeError, 503, CodeOverloaded) // waiting for another is waiting
		if d := b.Decide(context.Background(), pull()); d.Cached != "l1" || d.Outcome != OutcomeAllow {
			t.Fatalf("%s %s", d.Cached, d.Code)
		}
	}
	close(release)
	waiting.Wait()
	go func() { <-entered }()
	expect(t, b.Decide(context.Background(), tag(9)), OutcomeAllow, 200, CodeOK)
	if n := b.Gate.waiting.Load(); n != 0 {
		t.Errorf("%d still wait", n)
	}
}

// An audit does not compete with requests that wait.
func TestAnAuditIsLetGoDuringAnOverload(t *testing.T) {
	gen := newGeneration()
	a := newAudited(t, gen)
	a.Decide(context.Background(), pull())
	gen.evaluate = overloaded
	d := a.Decide(context.Background(), pull())
	for end := time.Now().Add(20 * time.Second); a.counted("dropped") == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if a.settle(); d.Cached != "l1" || a.counted("dropped") != 1 || a.counted("failed")+a.counted("different") != 0 {
		t.Errorf("%s: %d dropped, %d failed, %d different", d.Cached, a.counted("dropped"), a.counted("failed"), a.counted("different"))
	}
}
