package authz

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

type noEngine struct{}

func (noEngine) Generation() Generation { return nil }

func TestGateDeniesEverythingWithoutAGeneration(t *testing.T) {
	g := NewGate(GateConfig{Engine: noEngine{}})
	for _, k := range append(askedKinds, KindMalformed, KindUnsupported) {
		d := g.Decide(context.Background(), with(kind(k)))
		expect(t, d, OutcomeError, 503, CodeNotReady)
		if d.ID == "" {
			t.Error("no id")
		}
	}
}

func TestGateRefusesBeforeItLooksAtKeys(t *testing.T) {
	for _, c := range []struct {
		name    string
		request *Request
		outcome Outcome
		status  int
		code    Code
	}{
		{"malformed", with(kind(KindMalformed)), OutcomeDeny, 400, CodeMalformed},
		{"a kind nobody knows", with(kind(Kind(200))), OutcomeDeny, 400, CodeMalformed},
		{"push", with(kind(KindUnsupported), func(r *Request) { r.Method = "PUT" }), OutcomeDeny, 405, CodeUnsupported},
		{"lower-case verb", with(kind(KindUnsupported), func(r *Request) { r.Method = "get" }), OutcomeDeny, 405, CodeUnsupported},
		{"upload read", with(kind(KindUnsupported)), OutcomeDeny, 403, CodeUnsupported},
		{"upload read by HEAD", with(kind(KindUnsupported), func(r *Request) { r.Method = "HEAD" }), OutcomeDeny, 403, CodeUnsupported},
		{"unknown host", with(func(r *Request) { r.Host = "other.example" }), OutcomeDeny, 404, CodeUnknownRepository},
		{"login at an unknown host", with(kind(KindPing), func(r *Request) { r.Host = "" }), OutcomeDeny, 404, CodeUnknownRepository},
		{"catalog that is off", with(kind(KindCatalog), func(r *Request) { r.Host = "registry.example" }), OutcomeDeny, 403, CodeUnsupported},
	} {
		for who, cred := range map[string]Credential{"known": known, "anonymous": {Kind: CredentialNone}, "unknown": {}} {
			t.Run(c.name+" as "+who, func(t *testing.T) {
				gen := newGeneration()
				r := *c.request
				r.Credential = cred
				d := newBench(gen).Decide(context.Background(), &r)
				expect(t, d, c.outcome, c.status, c.code)
				if d.Subject.Customer != "" || gen.evaluations.Load() != 0 || d.PolicyCode != "" {
					t.Errorf("keys or policy were asked: %+v", d)
				}
			})
		}
	}
}

func TestGateDeniesFromTheDeadlineOn(t *testing.T) {
	gen := newGeneration()
	gen.notAfter = noon
	b := newBench(gen, withCache(mapCache{}))
	b.at = noon - 1
	d := b.Decide(context.Background(), pull())
	expect(t, d, OutcomeAllow, 200, CodeOK)
	if d.Verdict.Until != noon {
		t.Errorf("until %d, want the deadline", d.Verdict.Until)
	}
	b.at = noon
	for _, k := range askedKinds {
		expect(t, b.Decide(context.Background(), with(kind(k))), OutcomeError, 503, CodeStale)
	}
	expect(t, b.Decide(context.Background(), with(kind(KindMalformed))), OutcomeDeny, 400, CodeMalformed)
}

func TestGateAsksThePolicyAboutEveryKind(t *testing.T) {
	for _, k := range askedKinds {
		gen := newGeneration()
		gen.repositories = []string{"acme/app"}
		gen.evaluate = denying("vendor.all.nothing")
		d := newBench(gen).Decide(context.Background(), with(kind(k)))
		if d.Outcome != OutcomeDeny || gen.evaluations.Load() == 0 {
			t.Errorf("%s: a policy that denies everything gave %+v after %d questions", k, d, gen.evaluations.Load())
		}
		want := k
		if k == KindCatalog {
			want = KindTags // each repository's own list
		}
		if in := gen.inputs[0]; in.Action != k.Action() || in.Kind != want || in.Time != noon || in.Subject.Customer != "acme" {
			t.Errorf("%s: asked %+v", k, in)
		}
	}
}

func TestGatePinsTagsAndNothingElse(t *testing.T) {
	b := newBench(newGeneration())
	if d := b.Decide(context.Background(), pull()); d.Pinned != "sha256:of-1.0" {
		t.Errorf("a tag is pinned to %q", d.Pinned)
	}
	for _, r := range []*Request{
		with(kind(KindBlob)), with(kind(KindTags)), with(kind(KindPing)),
		with(func(r *Request) { r.Tag, r.Digest = "", "sha256:abc" }),
	} {
		if d := b.Decide(context.Background(), r); d.Pinned != "" {
			t.Errorf("%s is pinned to %q", r.Kind, d.Pinned)
		}
	}
	b.gen.evaluate = denying(CodeExpired)
	if d := b.Decide(context.Background(), pull()); d.Pinned != "" {
		t.Errorf("a refusal is pinned to %q", d.Pinned)
	}
}

func TestGateListsWhatIsVisible(t *testing.T) {
	gen := newGeneration()
	gen.target = func(*Request) Target {
		return Target{
			Repository: true,
			Candidates: make([]Candidate, 5), Names: []string{"b", "latest", "latest", "a", "hidden"},
			Referrers: []Descriptor{{Digest: "d1", ArtifactType: "x"}, {Digest: "d2", ArtifactType: "y"}}, Reference: true,
		}
	}
	gen.visible = []int{0, 1, 2, 3}
	b := newBench(gen)
	d := b.Decide(context.Background(), with(kind(KindTags)))
	if want := []string{"a", "b", "latest"}; !slices.Equal(d.Names, want) {
		t.Errorf("tags %v, want %v", d.Names, want)
	}
	d = b.Decide(context.Background(), with(kind(KindReferrers), func(r *Request) { r.ArtifactType = "y" }))
	if len(d.Referrers) != 1 || d.Referrers[0].Digest != "d2" {
		t.Errorf("referrers %v", d.Referrers)
	}
	d = b.Decide(context.Background(), with(kind(KindReferrers), func(r *Request) { r.ArtifactType = "z" }))
	if d.Referrers == nil || len(d.Referrers) != 0 {
		t.Errorf("referrers of another type: %v", d.Referrers)
	}
	gen.visible = nil
	if d := b.Decide(context.Background(), with(kind(KindTags))); d.Names == nil || len(d.Names) != 0 {
		t.Errorf("an empty list is %v", d.Names)
	}
	gen.evaluate = denying(CodeExpired)
	if d := b.Decide(context.Background(), with(kind(KindTags))); d.Outcome != OutcomeDeny || d.Names != nil {
		t.Errorf("a refused list is %+v", d)
	}
}

func TestGateListsRepositories(t *testing.T) {
	gen := newGeneration()
	gen.repositories = []string{"acme/app", "acme/gold", "acme/tools"}
	gen.key.InScope = func(r string) bool { return r != "acme/tools" }
	gen.evaluate = func(_ context.Context, in *Input) (Verdict, error) {
		v := Verdict{Allow: true, Code: CodeOK, Until: noon + 100, Ends: Never}
		switch {
		case in.Subject == anonymous:
			v = Verdict{Code: CodeAnonymous, Until: Never, Ends: Never}
		case in.Target.Resource.Repository == "acme/gold":
			v = Verdict{Code: CodeNotStarted, Until: noon + 50, Ends: Never}
		}
		return v, nil
	}
	b := newBench(gen)
	d := b.Decide(context.Background(), with(kind(KindCatalog)))
	expect(t, d, OutcomeAnswer, 200, CodeOK)
	if !slices.Equal(d.Names, []string{"acme/app"}) || d.Verdict.Until != noon+50 {
		t.Errorf("names %v until %d", d.Names, d.Verdict.Until-noon)
	}
	if len(b.records) != 1 {
		t.Errorf("%d records of one request", len(b.records))
	}
}

func TestGateDeniesAListOfNoRepositoryWithTheNearestMiss(t *testing.T) {
	for _, c := range []struct {
		name   string
		codes  map[string]Code // by repository; "" is the question without one
		limit  bool
		who    func(*Request)
		status int
		code   Code
	}{
		{"nearest", map[string]Code{"a": CodeRevoked, "b": CodeExpired, "c": CodeSuspended}, false, func(*Request) {}, 403, CodeExpired},
		{"nothing named", map[string]Code{"": CodeNoLicense}, false, func(*Request) {}, 403, CodeNoLicense},
		{"anonymous", map[string]Code{"": CodeAnonymous}, false, nobody, 401, CodeAnonymous},
		{"banned", map[string]Code{"a": CodeCustomerBanned}, false, func(*Request) {}, 403, CodeCustomerBanned},
		{"out of scope", map[string]Code{"": CodeAnonymous, "a": CodeAnonymous, "b": CodeAnonymous}, true, func(*Request) {}, 403, CodeKeyScope},
		{"out of scope but for one", map[string]Code{"a": CodeAnonymous, "in": CodeExpired}, true, func(*Request) {}, 403, CodeExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			gen := newGeneration()
			for name := range c.codes {
				if name != "" {
					gen.repositories = append(gen.repositories, name)
				}
			}
			if c.limit {
				gen.key.InScope = func(r string) bool { return r == "in" }
			}
			gen.evaluate = func(_ context.Context, in *Input) (Verdict, error) {
				return Verdict{Code: c.codes[in.Target.Resource.Repository], Until: Never, Ends: Never}, nil
			}
			d := newBench(gen).Decide(context.Background(), with(kind(KindCatalog), c.who))
			expect(t, d, OutcomeDeny, c.status, c.code)
		})
	}
}

func TestGateTurnsFailuresIntoInternalErrors(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name     string
		ctx      context.Context
		evaluate func(context.Context, *Input) (Verdict, error)
		detail   string
	}{
		{"error", context.Background(), func(context.Context, *Input) (Verdict, error) {
			return Verdict{Allow: true, Code: CodeOK}, errors.New("boom")
		}, "boom"},
		{"panic", context.Background(), func(context.Context, *Input) (Verdict, error) { panic("secret") }, "panic while deciding"},
		{"zero verdict", context.Background(), answering(Verdict{}), "no decision"},
		{"allow without a code", context.Background(), answering(Verdict{Allow: true}), "no decision"},
		{"ended context", ended, func(ctx context.Context, _ *Input) (Verdict, error) { return Verdict{}, ctx.Err() }, "canceled"},
	} {
		t.Run(c.name, func(t *testing.T) {
			gen, cache := newGeneration(), mapCache{}
			gen.repositories = []string{"acme/app"}
			gen.evaluate = c.evaluate
			b := newBench(gen, withCache(cache))
			for _, k := range askedKinds {
				d := b.Decide(c.ctx, with(kind(k)))
				expect(t, d, OutcomeError, 503, CodeInternalError)
				if !strings.Contains(d.Detail, c.detail) || d.Verdict.Allow || d.ID == "" || d.Pinned != "" || d.Names != nil {
					t.Errorf("%s: %+v", k, d)
				}
			}
			if len(cache) != 0 {
				t.Error("a failure was cached")
			}
			if len(b.records) != len(askedKinds) || b.records[0].Verdict != "deny" || b.records[0].Detail == "" {
				t.Errorf("records %+v", b.records)
			}
		})
	}
}

type panicking struct{}

func (panicking) Record(*Record) { panic("full") }

func TestGateAnswersAlthoughTheRecorderPanics(t *testing.T) {
	g := NewGate(GateConfig{Engine: newGeneration(), Recorder: panicking{}, AskPast: true})
	expect(t, g.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)
}

func TestGateClockNeverRunsBelowTheBundle(t *testing.T) {
	gen := newGeneration()
	b := newBench(gen)
	b.at = gen.issuedAt - 1000
	d := b.Decide(context.Background(), pull())
	if got := gen.inputs[0].Time; got != gen.issuedAt || d.Time.Unix() != gen.issuedAt {
		t.Errorf("asked at %d, decided at %d, want %d", got, d.Time.Unix(), gen.issuedAt)
	}
	b = newBench(gen, func(c *GateConfig) { c.AskPast = true })
	b.at = gen.issuedAt - 1000
	b.Decide(context.Background(), pull())
	if got := gen.inputs[1].Time; got != b.at {
		t.Errorf("a question about the past was asked at %d, want %d", got, b.at)
	}
}

func TestGateMakesSortableIDs(t *testing.T) {
	b := newBench(newGeneration())
	last := ""
	for range 50 {
		d := b.Decide(context.Background(), pull())
		id, err := uuid.Parse(d.ID)
		if err != nil || id.Version() != 7 || d.ID <= last {
			t.Fatalf("id %q after %q: %v", d.ID, last, err)
		}
		last = d.ID
	}
}

func TestGateRecordsWhatItDecided(t *testing.T) {
	gen := newGeneration()
	gen.target = func(r *Request) Target {
		return Target{
			Repository: true, Reference: false,
			Resource: Resource{Registry: "main", Repository: r.Repository, Product: "app", Tag: r.Tag, Version: "1.0.0"},
		}
	}
	gen.evaluate = answering(Verdict{
		Allow: true, Code: CodeExpired, License: "acme-app", Grant: "acme-app/0", Until: noon + 60, Ends: noon - 60, Enforcement: "warn",
	})
	b := newBench(gen, func(c *GateConfig) { c.NewID = func() string { return "id" } })
	b.Decide(context.Background(), pull())
	r := b.records[0]
	r.DurationUS = 0
	got, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"id":"id","time":"2026-05-28T20:26:40.999999999Z","instance":"test","revision":"r1",` +
		`"subject":{"customer":"acme","key":"ci","via":"key"},` +
		`"request":{"method":"GET","host":"registry.example","path":"/v2/acme/app/manifests/1.0","address":"10.0.0.7","via":"cli"},` +
		`"action":"pull","repository":"acme/app","reference":"1.0","product":"app","version":"1.0.0",` +
		`"verdict":"deny","code":"unknown_reference","policy_code":"expired","license":"acme-app","grant":"acme-app/0",` +
		`"until":"2026-05-28T20:27:40Z","enforcement":"warn","cached":"none","duration_us":0,"status":404}`
	if d := cmp.Diff(want, string(got)); d != "" {
		t.Error(d)
	}
}

func TestGateCountsDecisions(t *testing.T) {
	gen := newGeneration()
	b := newBench(gen, withCache(mapCache{}))
	b.Decide(context.Background(), pull())
	b.Decide(context.Background(), pull())
	b.Decide(context.Background(), with(kind(KindMalformed)))
	gen.evaluate = denying("vendor.region.closed")
	b.Decide(context.Background(), with(kind(KindTags)))
	gen.evaluate = func(context.Context, *Input) (Verdict, error) { return Verdict{}, errors.New("boom") }
	b.Decide(context.Background(), with(kind(KindPing)))
	want := `
# HELP pullgate_decision_cache_total Look-ups of verdicts by tier (l1, l2) and result (hit, miss; bypass: a rule makes the answer uncacheable; of l2 also error: it did not say in time, open: it is left alone after errors, skip: evaluating is cheaper).
# TYPE pullgate_decision_cache_total counter
pullgate_decision_cache_total{result="hit",tier="l1"} 1
pullgate_decision_cache_total{result="miss",tier="l1"} 3
# HELP pullgate_decisions_total Decisions by verdict (allow, deny, error), code and where the verdict came from (none: evaluated, l1, l2).
# TYPE pullgate_decisions_total counter
pullgate_decisions_total{cached="l1",code="ok",verdict="allow"} 1
pullgate_decisions_total{cached="none",code="internal_error",verdict="error"} 1
pullgate_decisions_total{cached="none",code="malformed",verdict="deny"} 1
pullgate_decisions_total{cached="none",code="ok",verdict="allow"} 1
pullgate_decisions_total{cached="none",code="vendor",verdict="deny"} 1
`
	if err := testutil.GatherAndCompare(b.metrics, strings.NewReader(want), "pullgate_decisions_total", "pullgate_decision_cache_total"); err != nil {
		t.Error(err)
	}
}
