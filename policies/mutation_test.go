package policies_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"golang.org/x/sync/errgroup"
)

// equivalent lists the mutants that change no answer, with the reason: text that occurs in a
// mutant's name. An entry that no surviving mutant needs is an error.
var equivalent = map[string]string{
	"without rule open_to(candidate, _, time)":              "the short way of the general rule below it",
	"without rule holds_required(candidate, _)":             "the same",
	"without rule matches":                                  "the same",
	`passing: input.action == "list", removed`:              "is_list asks again; here it ends the evaluation of a pull a step earlier",
	"_let_through: _lenient, removed":                       "spares the nearest misses where every license enforces",
	"_lenient: miss.lets_through(grant), removed":           "the same",
	"decision: data.pullgate.rules != {}, removed":          "spares looking for rules where there are none",
	"_let_through: count(indexes & _covered) == 0, removed": "spares the nearest miss of what is allowed",
	"_rules_are_asked: customer.banned == false, removed":   "spares a decision about each tag, which is the same for nobody and somebody banned",
	"refusal: data.pullgate.rules != {}, removed":           "spares looking for rules where there are none",
	"decision: vendor.fault, removed":                       "names what the branch needs: its value is undefined without",
	"decision: vendor.grant, removed":                       "the same",
	"_public: is_array(data.pullgate.public[":               "spares a look at each candidate",
	"_resource: input.resource.repository, removed":         "names the field that the branch needs: its value is undefined without",
	"_resource: input.resource.product, removed":            "the same",
	"_asked: candidate.version, removed":                    "the same",
	"_asked: candidate.tag, removed":                        "the same",
	"_covers: grant.constraint, removed":                    "the same",
	"_asked: not level in {level |":                         "spares the checks of a license for each candidate",
}

// known is the entry of equivalent that a mutant of this name needs, "" for none.
func known(name string) string {
	for part := range equivalent {
		if strings.Contains(name, part) {
			return part
		}
	}
	return ""
}

// compareEvery is how many mutants there are to one that is also compiled by itself when a probe
// fails with it, to see a Rego test fail.
const compareEvery = 100

// TestEveryConditionMatters takes away, turns round and shifts every condition of the library
// and takes away every rule, one at a time: some Rego test must fail each time. Conditions are
// found by walking the modules, so that a new one is tested when it is written.
func TestEveryConditionMatters(t *testing.T) {
	began := time.Now()
	h := newHunt(t)
	if err := h.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	needed, survived := map[string]bool{}, 0
	for i := range h.program.mutants {
		m := &h.program.mutants[i]
		if h.killed[i] || h.program.invalid[i] {
			continue
		}
		survived++
		if part := known(m.name); part != "" {
			needed[part] = true
			continue
		}
		// No test that looks the rule up fails. Before that counts, all are tried.
		switch failed, err := h.alone(t.Context(), m, ""); {
		case err != nil:
			t.Errorf("%s: %v", m.name, err)
		case failed == "":
			t.Errorf("no test fails after: %s", m.name)
		case failed != noCompile:
			t.Errorf("%s: %s fails, which is said not to look the rule up", m.name, failed)
		}
	}
	for part := range equivalent {
		if !needed[part] && everyMutant == 1 {
			t.Errorf("equivalent[%q] is not needed", part)
		}
	}
	n := len(h.program.mutants)
	t.Logf("%d mutants, %d of them bind variables or do not compile, %d known to change nothing, in %s",
		n, len(h.program.invalid), survived, time.Since(began).Round(time.Second))
	if n -= len(h.program.invalid); n < 300/everyMutant {
		t.Errorf("only %d mutants were tried", n)
	}
}

// hunt looks for a test that fails for each mutant.
type hunt struct {
	modules map[string]*ast.Module
	tests   []string
	program *program
	turns   *turns

	mu     sync.Mutex
	killed map[int]bool // by index
}

func newHunt(t *testing.T) *hunt {
	modules := parse(t, sources(t))
	var tried []mutant
	for i, m := range mutants(modules, slices.Sorted(maps.Keys(library()))) {
		if i%everyMutant == 0 {
			tried = append(tried, m)
		}
	}
	h := &hunt{modules: modules, tests: rulesOfTests(modules), killed: map[int]bool{}}
	var err error
	if h.program, err = newProgram(modules, tried); err != nil {
		t.Fatal(err)
	}
	all, err := probes(t.Context(), h.program, h.tests)
	if err != nil {
		t.Fatal(err)
	}
	h.turns = newTurns(all)
	return h
}

func (h *hunt) run(ctx context.Context) error {
	next := make(chan int, len(h.program.mutants))
	for i := range h.program.mutants {
		if !h.program.invalid[i] {
			next <- i
		}
	}
	close(next)
	group, ctx := errgroup.WithContext(ctx)
	for range max(2, runtime.GOMAXPROCS(0)) {
		group.Go(func() error {
			w := &hunter{hunt: h, store: h.program.store(), ready: map[*probe]rego.PreparedEvalQuery{}}
			for i := range next {
				if err := w.try(ctx, i); err != nil {
					return fmt.Errorf("%s: %w", h.program.mutants[i].name, err)
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// noCompile is a failure of a mutant by itself: it takes away what other rules call.
const noCompile = "compiling"

// alone compiles a mutant by itself and says what fails: a Rego test, of which those that first
// names are tried first, or noCompile; or nothing.
func (h *hunt) alone(ctx context.Context, m *mutant, first string) (string, error) {
	p, err := newProgram(m.alone(h.modules), nil)
	if err != nil {
		return noCompile, nil
	}
	store := p.store()
	for _, named := range []bool{true, false} {
		for _, test := range h.tests {
			if strings.Contains(test, first) != named {
				continue
			}
			rs, err := evaluate(ctx, p.compiler, store, test)
			if ctx.Err() != nil {
				return "", ctx.Err()
			}
			if err != nil || !rs.Allowed() {
				return test, nil
			}
		}
	}
	return "", nil
}

// hunter tries one mutant after the other.
type hunter struct {
	*hunt
	store storage.Store
	ready map[*probe]rego.PreparedEvalQuery
}

// try looks for a probe that fails with a mutant. Of one that is known to change nothing only
// those are asked that are likely to notice it.
func (w *hunter) try(ctx context.Context, i int) error {
	m := &w.program.mutants[i]
	rule := w.modules[m.path].Rules[m.rule]
	if rule.Default {
		failed, err := w.alone(ctx, m, "")
		w.found(i, failed != "")
		return err
	}
	node := nodeOf(w.program.compiler.RuleTree, rule.Ref())
	probes, likely := w.turns.of(node, m)
	if known(m.name) != "" {
		probes = probes[:likely]
	}
	if err := w.program.set(ctx, w.store, m, i+1); err != nil {
		return err
	}
	n, failed := 0, false
	for ; n < len(probes) && !failed; n++ {
		holds, err := w.holds(ctx, probes[n])
		if err != nil {
			return err
		}
		failed = !holds
	}
	w.turns.told(node, m, probes[:n], failed)
	w.found(i, failed)
	if failed && i%compareEvery == 0 {
		if same, err := w.alone(ctx, m, probes[n-1].test); err != nil || same == "" {
			return fmt.Errorf("%s fails, compiled by itself no test does: %w", probes[n-1].query, err)
		}
	}
	return w.program.set(ctx, w.store, m, 0)
}

func (w *hunter) holds(ctx context.Context, p *probe) (bool, error) {
	q, ok := w.ready[p]
	if !ok {
		var err error
		if q, err = newQuery(w.program.compiler, w.store, p.query).PrepareForEval(ctx); err != nil {
			return false, err
		}
		w.ready[p] = q
	}
	rs, err := q.Eval(ctx)
	return err == nil && rs.Allowed(), ctx.Err()
}

func (h *hunt) found(i int, killed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.killed[i] = killed
}
