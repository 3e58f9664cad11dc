package engine

import (
	"context"
	"errors"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/plan"
	"github.com/pullgate/pullgate/policies"
)

// planOf is a plan whose decision is the given Rego.
func planOf(t *testing.T, decision string) *plan.Program {
	t.Helper()
	m := ast.MustParseModuleWithOpts("package pullgate\n\ndecision := "+decision, ast.ParserOptions{RegoVersion: ast.RegoV1})
	c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	var p *plan.Program
	var err error
	policies.Alone(func() {
		c.Compile(map[string]*ast.Module{"m": m})
		p, err = plan.New(t.Context(), c, decisionQuery)
	})
	if err != nil || c.Failed() {
		t.Fatal(err, c.Errors)
	}
	return p
}

// The library is made for its plan: what it does not plan, would be ten times as slow.
func TestTheLibraryIsPlanned(t *testing.T) {
	w := shop(t)
	w.rule("regions", `package vendor.regions

deny contains {"code": "region", "message": "Not sold there."} if {
	some license in data.pullgate.customer.licenses
	_closed(license.features.region)
}

_closed(region) if region in {"moon", "mars"}
`)
	reg := prometheus.NewRegistry()
	e := w.start(t, Config{Registerer: reg, Compare: compareEvery})
	if why := e.active.Load().policy.unplanned; why != "" {
		t.Fatal(why)
	}
	declined := func() float64 { return testutil.ToFloat64(e.metrics.plan.WithLabelValues("declined")) }
	before := declined()
	gate := authz.NewGate(authz.GateConfig{Engine: e, Clock: clockAt(now)})
	for _, r := range []*authz.Request{
		request("bakery", authz.KindManifest, "acme/app", "1.4.0"),
		request("bakery", authz.KindManifest, "acme/app", "2.0.0"), // refused
		request("bakery", authz.KindManifest, "acme/none", "1.0.0"),
		request("bakery", authz.KindTags, "acme/app", ""),
		request("bakery", authz.KindPing, "", ""),
	} {
		if d := gate.Decide(t.Context(), r); d.Outcome == authz.OutcomeError {
			t.Error(line(d), d.Detail)
		}
	}
	if n := declined() - before; n != 0 {
		t.Errorf("%v questions were left to topdown", n)
	}
	if n := testutil.ToFloat64(e.metrics.plan.WithLabelValues("answered")) + testutil.ToFloat64(e.metrics.plan.WithLabelValues("compared")); n < 6 {
		t.Errorf("%v answers by plan", n)
	}
}

// Topdown is right by definition: a plan that says something else is not asked again.
func TestAPlanThatDiffersIsNotUsed(t *testing.T) {
	const allow = `{"allow": true, "code": "ok", "license": "", "grant": "", "message": "", "until": "never", "ends": "never",
		"expiring_from": "never", "warnings": [], "features": {}, "headers": [], "enforcement": ""}`
	refused := request("bakery", authz.KindManifest, "acme/app", "2.0.0")
	w := shop(t)
	e := w.start(t, Config{Compare: 2})
	gate := authz.NewGate(authz.GateConfig{Engine: e, Clock: clockAt(now)})
	want := line(gate.Decide(t.Context(), refused))
	p := e.active.Load().policy
	p.plan = planOf(t, allow)
	allowed := 0
	for range 4 {
		if got := line(gate.Decide(t.Context(), refused)); got != want {
			allowed++
		}
	}
	if allowed > 1 || !p.distrusted.Load() || testutil.ToFloat64(e.metrics.plan.WithLabelValues("differed")) != 1 {
		t.Errorf("%d other answers; distrusted: %v", allowed, p.distrusted.Load())
	}

	strict := w.start(t, Config{Compare: 1})
	strict.active.Load().policy.plan = planOf(t, allow)
	if d := authz.NewGate(authz.GateConfig{Engine: strict, Clock: clockAt(now)}).Decide(t.Context(), refused); d.Outcome != authz.OutcomeError {
		t.Errorf("a difference that nobody may miss: %s", line(d))
	}
}

// What the plan declines, and what it uses up, takes nothing from topdown.
func TestWhatThePlanDoesNotAnswerTopdownDoes(t *testing.T) {
	refused := request("bakery", authz.KindManifest, "acme/app", "2.0.0")
	e := shop(t).start(t, Config{Compare: compareEvery})
	gate := authz.NewGate(authz.GateConfig{Engine: e, Clock: clockAt(now)})
	want := line(gate.Decide(t.Context(), refused))
	for name, decision := range map[string]string{
		"fails":    `1 / (count(input.action) - count(input.action))`,
		"too long": `[k | some a in numbers.range(1, 1000); some b in numbers.range(1, 1000); k := a * b]`,
		"none":     `{"allow": true} if false`,
	} {
		e.active.Load().policy.plan = planOf(t, decision)
		if got := line(gate.Decide(t.Context(), refused)); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	e.active.Load().policy.plan = nil
	if got := line(gate.Decide(t.Context(), refused)); got != want {
		t.Errorf("without a plan: %s, want %s", got, want)
	}
}

// Whoever goes away is not evaluated for, and is no difference.
func TestAClientThatGoesAwayIsNoDifference(t *testing.T) {
	e := shop(t).start(t, Config{Compare: 1})
	g := e.active.Load()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v, err := g.compared(ctx, decisionQuery, ast.InternedTerm(true).Value, func() (ast.Value, error) { return nil, context.Canceled })
	if err != nil || v != ast.InternedTerm(true).Value || g.policy.distrusted.Load() {
		t.Error(v, err)
	}
	if _, err := g.compared(t.Context(), decisionQuery, ast.InternedTerm(true).Value, func() (ast.Value, error) { return nil, errors.New("fails") }); !errors.Is(err, errDiffers) {
		t.Error(err)
	}
}

// By plan a decision has fewer steps than by topdown (TestStepsOfADecision in policies), which its budget is
// counted in all the same.
func TestStepsOfAPlannedDecision(t *testing.T) {
	reg := prometheus.NewRegistry()
	e := shop(t).start(t, Config{Registerer: reg, Compare: compareEvery})
	gate, r := authz.NewGate(authz.GateConfig{Engine: e, Clock: clockAt(now)}), request("bakery", authz.KindManifest, "acme/app", digestOfName("image140"))
	decide := func() (sum float64, evaluations uint64) {
		t.Helper()
		if d := gate.Decide(t.Context(), r); d.Outcome != authz.OutcomeAllow {
			t.Fatal(line(d), d.Detail)
		}
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if h := m.GetHistogram(); f.GetName() == "pullgate_evaluation_steps" {
					sum, evaluations = sum+h.GetSampleSum(), evaluations+h.GetSampleCount()
				}
			}
		}
		return sum, evaluations
	}
	answered := func() float64 { return testutil.ToFloat64(e.metrics.plan.WithLabelValues("answered")) }
	before, first := decide()
	byPlan := answered()
	after, second := decide()
	if n := answered() - byPlan; n != 1 || second != first+1 {
		t.Fatalf("%v answered by plan alone, %d evaluations", n, second-first)
	}
	t.Logf("manifest: %v steps", after-before)
	if n := after - before; n < 1 || n > 50 {
		t.Errorf("%v steps, want at most 50", n)
	}
}
