package engine

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// denyAll is a library that knows one answer.
const denyAll = `package pullgate

default decision := {"allow": false, "code": "vendor.test.closed", "license": "", "grant": "", "message": "closed",
	"until": "never", "ends": "never", "warnings": [], "features": {}, "headers": [], "enforcement": ""}

default visible := set()
`

// library is a policy of one module.
func library(rego string) map[string][]byte {
	return map[string][]byte{"pullgate/decision.rego": []byte(rego)}
}

// everything asks for something of each kind that a customer may have.
func everything() []*authz.Request {
	v := request("bakery", authz.KindVersion, "", "")
	v.Product, v.Version = "app", "1.4.0"
	return []*authz.Request{
		request("bakery", authz.KindPing, "", ""),
		request("bakery", authz.KindManifest, "acme/app", "1.4.0"),
		request("bakery", authz.KindManifest, "acme/app", digestOfName("image140")),
		request("bakery", authz.KindBlob, "acme/app", digestOfName("layer140")),
		request("bakery", authz.KindTags, "acme/app", ""),
		request("bakery", authz.KindReferrers, "acme/app", digestOfName("image140")),
		request("bakery", authz.KindCatalog, "", ""),
		request("", authz.KindManifest, "acme/docs", "guide"),
		v,
	}
}

// The verdict is Rego's: another library, another answer, whatever was asked.
func TestALibraryThatDeniesEverythingDeniesEveryKind(t *testing.T) {
	w := shop(t)
	a := w.asks(t, nil)
	for _, r := range everything() {
		if d := a.ask(r); d.Outcome == authz.OutcomeDeny {
			t.Errorf("%s %s%s is denied by the real library: %s", r.Kind, r.Tag, r.Digest, line(d))
		}
	}
	w.serial, w.modules = 2, library(denyAll)
	if err := a.engine.Activate(context.Background(), w.bundle(t)); err != nil {
		t.Fatal(err)
	}
	for _, r := range everything() {
		if d := a.ask(r); d.Outcome != authz.OutcomeDeny || d.PolicyCode != "vendor.test.closed" {
			t.Errorf("%s %s%s: %s by %s", r.Kind, r.Tag, r.Digest, line(d), d.PolicyCode)
		}
	}
}

func TestABundleThatCannotBeMadeReadyLeavesTheActiveOne(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   string
	}{
		"syntax":      {func(w *world) { w.modules["vendor/x.rego"] = []byte("package vendor.x\n\ndeny contains {") }, "vendor rules: vendor/x.rego:3"},
		"no decision": {func(w *world) { w.modules = library("package pullgate\n\nvisible := []") }, "data.pullgate.decision is undefined"},
		"no visible": {func(w *world) {
			w.modules = library(strings.Split(denyAll, "default visible")[0])
		}, "data.pullgate.visible is undefined"},
		"shape": {func(w *world) {
			w.modules = library(strings.Replace(denyAll, `"allow": false`, `"allow": "yes"`, 1))
		}, "allow is no boolean"},
		"undecided": {func(w *world) {
			w.modules = library(strings.Replace(denyAll, "vendor.test.closed", "internal_error", 1))
		}, "no decision"},
		"forbidden builtin": {func(w *world) {
			w.modules["vendor/x.rego"] = []byte("package vendor.x\n\nx := time.now_ns()")
		}, "vendor rules: vendor/x.rego:3"},
		"forbidden builtin in the library": {func(w *world) {
			w.modules = library(denyAll + "\nx := time.now_ns()")
		}, "compile policy"},
		"rules that are not listed": {func(w *world) {
			w.modules["vendor/x.rego"] = []byte("package vendor.x\n\ndeny contains {\"code\": \"x\", \"message\": \"x\"}")
		}, `data.pullgate.rules names [], the bundle has rules of ["x"]`},
		"endless": {func(w *world) {
			w.modules = library(denyAll + "\ndecision := 1 if { some i in numbers.range(1, 100000); i < 0 }\n")
		}, "more steps"},
		"hosts":    {func(w *world) { w.registries["other"] = object{"hosts": []string{"REGISTRY.example"}} }, "both answer"},
		"key hash": {func(w *world) { w.keys["abc"] = object{"customer": "acme", "key": "x", "expires": "never"} }, "no SHA-256"},
	} {
		t.Run(name, func(t *testing.T) {
			w := shop(t)
			a := w.asks(t, nil)
			before := a.engine.Generation().Revision()
			w.serial = 2
			c.change(w)
			err := a.engine.Activate(context.Background(), w.bundle(t))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if got := a.engine.Generation().Revision(); got != before {
				t.Errorf("revision %s is active, want %s", got, before)
			}
			if d := a.ask(request("bakery", authz.KindManifest, "acme/app", "1.4.0")); d.Outcome != authz.OutcomeAllow {
				t.Errorf("the active bundle answers %s", line(d))
			}
		})
	}
}

// A request holds the generation it started with: while bundles alternate between one that
// allows and one that denies, every decision is that of the revision it names.
func TestActivationUnderLoad(t *testing.T) {
	open, closed := shop(t), shop(t)
	closed.modules = library(denyAll)
	a := open.asks(t, nil)
	bundles := map[bool]func() error{}
	revisions := map[string]authz.Outcome{}
	for shut, w := range map[bool]*world{false: open, true: closed} {
		b := w.bundle(t)
		revisions[b.Revision()] = map[bool]authz.Outcome{false: authz.OutcomeAllow, true: authz.OutcomeDeny}[shut]
		bundles[shut] = func() error { return a.engine.Activate(context.Background(), b) }
	}
	var wg sync.WaitGroup
	asked := make(chan struct{}) // one for each decision
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				d := a.gate.Decide(context.Background(), request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
				if want, ok := revisions[d.Revision]; !ok || d.Outcome != want {
					t.Errorf("revision %.8s: %s %s", d.Revision, line(d), d.Detail)
				}
				select {
				case asked <- struct{}{}:
				case <-stop:
					return
				}
			}
		})
	}
	for i := range 6 {
		if err := bundles[i%2 == 0](); err != nil {
			t.Error(err)
		}
		for range 20 {
			<-asked
		}
	}
	close(stop)
	wg.Wait()
}

// Several engines of one process (a candidate beside the active one, say) are made ready at once and
// asked meanwhile. It is the race detector that finds what OPA's compilers have in common.
func TestEnginesAreMadeReadyAtOnce(t *testing.T) {
	w := shop(t)
	b := w.bundle(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			a := w.asks(t, nil)
			if err := a.engine.Activate(context.Background(), b); err != nil {
				t.Error(err)
			}
			for _, r := range everything() {
				if d := a.ask(r); d.Outcome == authz.OutcomeError {
					t.Errorf("%s: %s", r.Kind, line(d))
				}
			}
		})
	}
	all.Wait()
}

func TestEvaluationsEndWithTheirContext(t *testing.T) {
	w := shop(t)
	w.modules = library(denyAll + `
decision := 1 if {
	input.action == "pull"
	some i in numbers.range(1, 200000)
	some j in numbers.range(1, 200000)
	i < j - 1000000
}
`)
	e := w.start(t, Config{Workers: 1, Limits: Limits{DecisionSteps: 1 << 40, DecisionTime: time.Hour}})
	gate := authz.NewGate(authz.GateConfig{Engine: e, AskPast: true})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	d := gate.Decide(ctx, request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
	if d.Code != authz.CodeInternalError || !strings.Contains(d.Detail, "deadline") {
		t.Errorf("%s %s", line(d), d.Detail)
	}
	// The only worker is free again: it has seen the deadline too.
	if d := gate.Decide(context.Background(), request("bakery", authz.KindPing, "", "")); d.PolicyCode != "vendor.test.closed" {
		t.Errorf("%s %s", line(d), d.Detail)
	}
}

func TestEvaluationsAfterCloseFail(t *testing.T) {
	a := shop(t).asks(t, nil)
	a.engine.Close()
	a.engine.Close()
	d := a.gate.Decide(context.Background(), request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
	if d.Outcome != authz.OutcomeError || d.Code != authz.CodeInternalError {
		t.Error(line(d))
	}
}

func TestAFailingRuleIsNamedWithoutItsValues(t *testing.T) {
	w := shop(t)
	w.modules = library(denyAll + `
decision := time.parse_rfc3339_ns(secret) if {
	input.action == "pull"
}

secret := "sesame" if input.action
`)
	a := w.asks(t, nil)
	d := a.gate.Decide(context.Background(), request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
	if d.Code != authz.CodeInternalError || !strings.Contains(d.Detail, "pullgate/decision.rego") ||
		!strings.Contains(d.Detail, "decision") || strings.Contains(d.Detail, "sesame") {
		t.Errorf("%s: %s", line(d), d.Detail)
	}
}
