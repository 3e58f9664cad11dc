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
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"golang.org/x/sync/errgroup"
)

// equivalent lists the mutants that change no answer, with the reason: text that occurs in a
// mutant's name. An entry that no surviving mutant needs is an error.
var equivalent = map[string]string{
	"without rule open_to(candidate, _, time)":                    "the short way of the general rule below it",
	"without rule holds_required(candidate, _)":                   "the same",
	"without rule matches":                                        "the same",
	`passing: input.action == "list", removed`:                    "is_list asks again; here it ends the evaluation of a pull a step earlier",
	"_let_through: _lenient, removed":                             "spares the nearest misses where every license enforces",
	"_lenient: miss.lets_through(grant), removed":                 "the same",
	"decision: data.pullgate.rules != {}, removed":                "spares looking for rules where there are none",
	"_let_through: count(indexes & _covered) == 0, removed":       "spares the nearest miss of what is allowed",
	"_rules_are_asked: customer.banned == false, removed":         "spares a decision about each tag, which is the same for nobody and somebody banned",
	"refusal: data.pullgate.rules != {}, removed":                 "spares looking for rules where there are none",
	"decision: vendor.fault, removed":                             "names what the branch needs: its value is undefined without",
	"decision: vendor.grant, removed":                             "the same",
	"_public: data.pullgate.public[input.resource.repository], r": "spares a look at each candidate",
	"_resource: input.resource.repository, removed":               "names the field that the branch needs: its value is undefined without",
	"_resource: input.resource.product, removed":                  "the same",
	"_asked: candidate.version, removed":                          "the same",
	"_asked: candidate.tag, removed":                              "the same",
	"_covers: grant.constraint, removed":                          "the same",
	"_asked: not level in {level |":                               "spares the checks of a license for each candidate",
}

// mutant is one change of the library.
type mutant struct {
	name  string
	apply func(map[string]*ast.Module) // on copies
}

// TestEveryConditionMatters takes away, turns round and shifts every condition of the library
// and takes away every rule, one at a time: some Rego test must fail each time. Conditions are
// found by walking the modules, so that a new one is tested when it is written.
func TestEveryConditionMatters(t *testing.T) {
	began := time.Now()
	all := parse(t, sources(t))
	shipped := slices.Sorted(maps.Keys(library()))
	tests := rulesOfTests(all)

	unchanged := mutant{"the library as it is", func(map[string]*ast.Module) {}}
	if killed, valid, err := try(t.Context(), unchanged, all, tests); killed || !valid || err != nil {
		t.Fatalf("the Rego tests do not pass (compiles: %v, error: %v)", valid, err)
	}

	var mu sync.Mutex
	survived := map[string]bool{}
	run, invalid := 0, 0
	var group errgroup.Group
	group.SetLimit(max(2, runtime.GOMAXPROCS(0)))
	for i, m := range mutants(all, shipped) {
		if i%everyMutant > 0 {
			continue
		}
		group.Go(func() error {
			killed, valid, err := try(t.Context(), m, all, tests)
			mu.Lock()
			defer mu.Unlock()
			run++
			switch {
			case err != nil:
				return fmt.Errorf("%s: %w", m.name, err)
			case !valid:
				invalid++
			case !killed:
				survived[m.name] = true
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	needed := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(survived)) {
		known := false
		for part := range equivalent {
			if strings.Contains(name, part) {
				known, needed[part] = true, true
			}
		}
		if !known {
			t.Errorf("no test fails after: %s", name)
		}
	}
	for part := range equivalent {
		if !needed[part] && everyMutant == 1 {
			t.Errorf("equivalent[%q] is not needed", part)
		}
	}
	t.Logf("%d mutants, %d of them bind variables or do not compile, %d known to change nothing, in %s",
		run, invalid, len(survived), time.Since(began).Round(time.Second))
	if run-invalid < 300/everyMutant {
		t.Errorf("only %d mutants were tried", run-invalid)
	}
}

// rulesOfTests are the names of the Rego tests, the table of cases first.
func rulesOfTests(modules map[string]*ast.Module) []string {
	names := map[string]bool{}
	for _, m := range modules {
		for _, r := range m.Rules {
			if name := r.Head.Ref()[0].Value.String(); strings.HasPrefix(strings.Trim(name, `"`), "test_") {
				names[m.Package.Path.String()+"."+name] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		cost := func(s string) int {
			switch {
			case strings.Contains(s, "every_case_holds"):
				return 1
			case strings.Contains(s, "agrees"), strings.Contains(s, "exactly_one"):
				return 3
			case strings.Contains(s, "is_explained"):
				return 4
			}
			return 2
		}
		return cost(a) - cost(b)
	})
}

// try reports whether a Rego test fails with the mutant, and whether the mutant compiles.
func try(ctx context.Context, m mutant, all map[string]*ast.Module, tests []string) (killed, valid bool, err error) {
	modules := maps.Clone(all)
	m.apply(modules)
	c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	if c.Compile(modules); c.Failed() {
		return false, false, nil
	}
	store := inmem.New()
	for _, test := range tests {
		rs, err := rego.New(rego.Compiler(c), rego.Store(store), rego.Query(test), rego.StrictBuiltinErrors(true)).Eval(ctx)
		if ctx.Err() != nil {
			return false, true, ctx.Err()
		}
		if err != nil || !rs.Allowed() {
			return true, true, nil
		}
	}
	return false, true, nil
}

// mutants finds what can be changed.
func mutants(all map[string]*ast.Module, shipped []string) []mutant {
	var out []mutant
	for _, path := range shipped {
		// change makes a mutant that edits a copy of the module.
		change := func(edit func(*ast.Module)) func(map[string]*ast.Module) {
			return func(modules map[string]*ast.Module) {
				m := modules[path].Copy()
				edit(m)
				modules[path] = m
			}
		}
		for i, r := range all[path].Rules {
			where := fmt.Sprintf("%s:%d", path, r.Loc().Row)
			out = append(out, mutant{
				name:  fmt.Sprintf("%s without rule %s", where, firstLine(r.Loc().Text)),
				apply: change(func(m *ast.Module) { m.Rules = slices.Delete(m.Rules, i, i+1) }),
			})
			for depth, e := 0, r; e.Else != nil; depth, e = depth+1, e.Else {
				out = append(out, mutant{
					name: fmt.Sprintf("%s:%d without branch %s", path, e.Else.Loc().Row, firstLine(e.Else.Loc().Text)),
					apply: change(func(m *ast.Module) {
						at := m.Rules[i]
						for range depth {
							at = at.Else
						}
						at.Else = at.Else.Else
					}),
				})
			}
		}
		for i, body := range bodies(all[path]) {
			for j, expr := range *body.exprs {
				text := fmt.Sprintf("%s:%d %s: %s", path, expr.Loc().Row, body.rule, firstLine(expr.Loc().Text))
				if !isCondition(expr) {
					continue
				}
				out = append(out,
					mutant{text + ", removed", change(func(m *ast.Module) {
						b := bodies(m)[i].exprs
						(*b)[j] = ast.NewExpr(ast.BooleanTerm(true))
						(*b)[j].Index = j
					})},
					mutant{text + ", turned round", change(func(m *ast.Module) {
						b := bodies(m)[i].exprs
						(*b)[j] = (*b)[j].Complement()
					})},
				)
				if shifted, ok := shift[operator(expr)]; ok {
					out = append(out, mutant{text + ", shifted to " + shifted, change(func(m *ast.Module) {
						b := bodies(m)[i].exprs
						(*b)[j].SetOperator(ast.RefTerm(ast.VarTerm(shifted)))
					})})
				}
			}
		}
	}
	return out
}

// shift moves a bound by one.
var shift = map[string]string{"lt": "lte", "lte": "lt", "gt": "gte", "gte": "gt"}

func operator(e *ast.Expr) string {
	if !e.IsCall() {
		return ""
	}
	return e.Operator().String()
}

// isCondition says that an expression does not only bind variables.
func isCondition(e *ast.Expr) bool {
	if _, ok := e.Terms.(*ast.SomeDecl); ok || e.IsAssignment() || e.Generated {
		return false
	}
	if t, ok := e.Terms.(*ast.Term); ok {
		return !t.Equal(ast.BooleanTerm(true))
	}
	return true
}

// body is a body of a rule, of a comprehension or of every.
type body struct {
	rule  string // in which it stands
	exprs *ast.Body
}

// bodies are a module's bodies in an order that a copy shares.
func bodies(m *ast.Module) []body {
	var out []body
	rule := ""
	add := func(exprs *ast.Body) { out = append(out, body{rule, exprs}) }
	ast.WalkNodes(m, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Rule:
			rule = string(n.Head.Name)
			add(&n.Body)
		case *ast.Term:
			switch v := n.Value.(type) {
			case *ast.ArrayComprehension:
				add(&v.Body)
			case *ast.SetComprehension:
				add(&v.Body)
			case *ast.ObjectComprehension:
				add(&v.Body)
			}
		case *ast.Expr:
			if every, ok := n.Terms.(*ast.Every); ok {
				add(&every.Body)
			}
		}
		return false
	})
	return out
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}
