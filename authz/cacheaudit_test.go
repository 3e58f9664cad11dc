package authz

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// logLines is a log that is written to from several sides.
type logLines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// audited is a bench of which every hit is audited.
type audited struct {
	*bench
	t   *testing.T
	log *logLines
	l1  *lockedCache
	l2  *lockedCache
}

func newAudited(t *testing.T, gen *fakeGeneration, more ...func(*GateConfig)) *audited {
	if gen.evaluate == nil {
		gen.evaluate = answering(Verdict{Allow: true, Code: CodeOK, License: "acme-app", Until: Never, Ends: Never})
	}
	a := &audited{t: t, log: &logLines{}, l1: &lockedCache{m: mapCache{}}, l2: &lockedCache{m: mapCache{}}}
	a.bench = newBench(gen, append([]func(*GateConfig){func(c *GateConfig) {
		c.Engine, c.Recorder, c.AuditShare = quietEngine{gen}, dropping{}, 1
		c.Cache, c.Shared, c.ShareAlways = a.l1, lockedShared{a.l2}, true
		c.Logger = slog.New(slog.NewTextHandler(a.log, nil))
	}}, more...)...)
	return a
}

// lockedShared makes a SharedCache of a lockedCache.
type lockedShared struct{ *lockedCache }

func (s lockedShared) Get(_ context.Context, k [32]byte) (Entry, Found) {
	if e, ok := s.lockedCache.Get(k); ok {
		return e, FoundEntry
	}
	return Entry{}, FoundNothing
}

// change does something to every entry.
func (c *lockedCache) change(f func(*Entry)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, e := range c.m {
		f(&e)
		c.m[k] = e
	}
}

func (c *lockedCache) entries() (list []Entry) {
	c.change(func(e *Entry) { list = append(list, *e) })
	return list
}

func (a *audited) counted(result string) int {
	return int(testutil.ToFloat64(a.Gate.auditor.results.WithLabelValues(result)))
}

// ask decides until a decision has been audited with a result.
func (a *audited) ask(r *Request, result string) *Decision {
	a.t.Helper()
	before := a.counted(result)
	for end := time.Now().Add(20 * time.Second); ; {
		d := a.Decide(context.Background(), r)
		a.settle()
		if a.counted(result) > before {
			return d
		}
		if time.Now().After(end) {
			a.t.Fatalf("no audit is %s: same %d, different %d, failed %d, dropped %d\n%s", result,
				a.counted("same"), a.counted("different"), a.counted("failed"), a.counted("dropped"), a.log)
		}
	}
}

// settle waits until no audit is under way.
func (a *audited) settle() {
	a.t.Helper()
	for end := time.Now().Add(20 * time.Second); a.Gate.auditor.busy.Load(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			a.t.Fatal("an audit does not end")
		}
	}
}

// Whatever is wrong with an entry is found, told once with its key, and is gone.
func TestACorruptedEntryIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		kind Kind
		does func(*Entry)
		says string
	}{
		"allows":       {KindManifest, func(e *Entry) { e.Verdict.Allow = !e.Verdict.Allow }, "Verdict.Allow"},
		"license":      {KindManifest, func(e *Entry) { e.Verdict.License = "another" }, `differs=Verdict.License`},
		"until":        {KindBlob, func(e *Entry) { e.Verdict.Until = noon + 1000 }, "differs=Verdict.Until"},
		"warning":      {KindBlob, func(e *Entry) { e.Verdict.Warnings = []Warning{{Code: "grace"}} }, "differs=Verdict.Warnings"},
		"header":       {KindManifest, func(e *Entry) { e.Verdict.Headers = []Header{{Name: "x-a", Value: "b", To: "upstream"}} }, "differs=Verdict.Headers"},
		"what is seen": {KindTags, func(e *Entry) { e.Visible = []int{0, 1} }, "differs=Names"},
	} {
		for _, tier := range []string{"l1", "l2"} {
			t.Run(name+" in "+tier, func(t *testing.T) {
				gen := newGeneration()
				gen.visible = []int{0}
				gen.target = func(r *Request) Target {
					eternal := Candidate{Released: Always, WithdrawnAt: Never, RetiresAt: Never, RevokedAt: Never}
					return Target{Resource: Resource{Registry: "main", Repository: r.Repository}, Repository: true, Reference: true, Candidates: []Candidate{eternal, eternal}, Names: []string{"1.0", "2.0"}}
				}
				a := newAudited(t, gen)
				a.Decide(context.Background(), with(kind(c.kind)))
				a.ask(with(kind(c.kind)), "same")
				if tier == "l1" {
					a.l1.change(c.does)
				} else {
					clear(a.l1.m)
					a.l2.change(c.does)
				}
				if d := a.ask(with(kind(c.kind)), "different"); d.Cached != tier || !strings.Contains(a.log.String(), d.ID) {
					t.Errorf("%s was found to be different from %s:\n%s", d.ID, d.Cached, a.log)
				}
				log := a.log.String()
				for _, want := range []string{"level=ERROR", "revision=r1", c.says, "keys=", "part=whole"} {
					if !strings.Contains(log, want) {
						t.Errorf("no %q in the log:\n%s", want, log)
					}
				}
				// It is not used any more, from nowhere: the next is right.
				if n := len(a.l1.entries()); n != 0 {
					t.Errorf("%d entries are still in memory", n)
				}
				d := a.ask(with(kind(c.kind)), "same")
				if !d.Verdict.Allow || len(d.Verdict.Warnings)+len(d.Verdict.Headers) > 0 || d.Verdict.License != "acme-app" || len(d.Names) > 1 || a.counted("different") != 1 {
					t.Errorf("afterwards %+v, %d were different", d, a.counted("different"))
				}
			})
		}
	}
}

func (e quietEngine) Explain(context.Context, *Input, error) (*Reasoning, error) { return nil, nil }

func (e quietEngine) ExplainKey(*Input) ([]KeyPart, string) {
	return []KeyPart{{Name: "part", Value: "whole"}}, ""
}

// What is right is found right: of each kind, for a bad key that is not counted once more, and by the
// generation and the clock of the decision, whatever is true meanwhile.
func TestAuditsOfRightAnswers(t *testing.T) {
	gen := newGeneration()
	gen.repositories = []string{"acme/app", "acme/tools"}
	gen.visible = []int{0}
	gen.target = func(r *Request) Target {
		return Target{
			Resource: Resource{Registry: "main", Repository: r.Repository, Tag: r.Tag}, Repository: true, Reference: true, Names: []string{"1.0"},
			Candidates: []Candidate{{Released: Always, WithdrawnAt: Never, RetiresAt: Never, RevokedAt: Never}}, Referrers: []Descriptor{{Digest: "sha256:def"}},
		}
	}
	var mu sync.Mutex
	inTime := map[int64]int{}
	gen.evaluate = func(_ context.Context, in *Input) (Verdict, error) {
		mu.Lock()
		defer mu.Unlock()
		inTime[in.Time]++
		return Verdict{Allow: true, Code: CodePublic, License: "acme-app", Until: Never, Ends: Never, ExpiringFrom: Never}, nil
	}
	a := newAudited(t, gen, func(c *GateConfig) { c.BadKeysPerMinute = 3 })
	for _, k := range askedKinds {
		a.ask(with(kind(k)), "same")
	}
	for range 10 {
		a.ask(with(credential(CredentialInvalid)), "same") // public, so that one bad key is forgiven
	}
	if n := a.counted("different") + a.counted("failed"); n > 0 {
		t.Errorf("%d audits found something:\n%s", n, a.log)
	}
	before := a.at
	a.at += 10
	a.ask(pull(), "same")
	if inTime[before+10] == 0 {
		t.Error("it was not made again as of its own instant")
	}
}

// An engine's next generation has nothing to do with decisions of the last.
func TestAnAuditAsksTheGenerationOfTheDecision(t *testing.T) {
	one, two := newGeneration(), newGeneration()
	two.evaluate = denying(CodeExpired)
	a := newAudited(t, one)
	swap := &swapping{now: quietEngine{one}}
	a.Gate.cfg.Engine = swap
	a.Decide(context.Background(), pull())
	a.Gate.cfg.Observe = func(*Request, *Decision) { swap.set(quietEngine{two}) }
	d := a.Decide(context.Background(), pull())
	a.settle()
	if d.Cached != "l1" || a.counted("same") != 1 || a.counted("different") != 0 {
		t.Errorf("%s: %d same, %d different:\n%s", d.Cached, a.counted("same"), a.counted("different"), a.log)
	}
}

type swapping struct {
	mu  sync.Mutex
	now Generation
}

func (s *swapping) set(g Generation) { s.mu.Lock(); defer s.mu.Unlock(); s.now = g }

func (s *swapping) Generation() Generation { s.mu.Lock(); defer s.mu.Unlock(); return s.now }

// Audits are one at a time, what fails is no difference, and only hits are audited.
func TestAuditsAreBoundedAndMayFail(t *testing.T) {
	gen := newGeneration()
	a := newAudited(t, gen)
	for range 5 {
		clear(a.l1.m)
		clear(a.l2.m)
		a.Decide(context.Background(), pull())
	}
	a.settle()
	if n := a.counted("same") + a.counted("dropped"); n != 0 {
		t.Errorf("%d audits of what was evaluated", n)
	}
	entered, release := make(chan struct{}, 1), make(chan struct{})
	gen.evaluate = func(context.Context, *Input) (Verdict, error) {
		entered <- struct{}{}
		<-release
		return Verdict{}, errors.New("broken")
	}
	a.Decide(context.Background(), pull())
	<-entered
	for range 20 {
		expect(t, a.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK) // nobody waits
	}
	if n := a.counted("dropped"); n != 20 {
		t.Errorf("%d dropped while one was under way", n)
	}
	close(release)
	a.settle()
	if a.counted("failed") != 1 || a.counted("different") != 0 || strings.Contains(a.log.String(), "please report") {
		t.Errorf("%d failed, %d different", a.counted("failed"), a.counted("different"))
	}
	if len(a.l1.entries()) != 1 {
		t.Error("what could not be made again was dropped")
	}
}

// One in so many is audited; without a share none is.
func TestAShareOfHitsIsAudited(t *testing.T) {
	a := newAudited(t, newGeneration(), func(c *GateConfig) { c.AuditShare = 0.25 })
	for range 4001 {
		a.Decide(context.Background(), pull())
	}
	a.settle()
	if n := a.counted("same") + a.counted("dropped"); n < 800 || n > 1200 {
		t.Errorf("%d of 4000 hits were drawn, want some 1000", n)
	}
	none := newBench(newGeneration(), withCache(mapCache{}))
	none.Decide(context.Background(), pull())
	none.Decide(context.Background(), pull())
	if none.Gate.auditor != nil {
		t.Error("an auditor although nothing is audited")
	}
}

// A field that a Decision will have is compared without anybody thinking of it.
func TestDifferencesNameFields(t *testing.T) {
	a := &Decision{ID: "1", Cached: "l1", Duration: 1, Code: CodeOK, Verdict: Verdict{Allow: true}}
	b := &Decision{ID: "2", Cached: "none", Duration: 2, Code: CodeOK, Verdict: Verdict{Allow: true}}
	if list := differences(a, b); len(list) > 0 {
		t.Errorf("%v", list)
	}
	b.Pinned, b.Verdict.Until, b.Verdict.Headers = "sha256:a", 1, []Header{{}}
	if got := strings.Join(differences(a, b), " "); got != "Pinned Verdict.Until Verdict.Headers" {
		t.Error(got)
	}
}
