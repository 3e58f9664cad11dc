package policies_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// probe is a question that is true of the library as it is: a Rego test, or one of those parts
// of it without which it fails.
type probe struct {
	query   string
	test    string // the test that it is or is part of
	cost    time.Duration
	looksUp map[*ast.TreeNode]bool // rules, whether one holds or not
	met     map[meeting]bool
}

// meeting is what happened to a rule or an expression.
type meeting struct {
	op       topdown.Op
	file     string
	row, col int
}

func meetingOf(op topdown.Op, at *ast.Location) meeting { return meeting{op, at.File, at.Row, at.Col} }

// tables are what tests are about that ask the same of every entry: they are asked about one at
// a time. The query is the test where none is written.
var tables = []struct{ test, table, query string }{
	{"test_every_case_holds", "cases", ""},
	{"test_every_decision_has_every_field", "cases", ""},
	{"test_a_message_is_there_when_and_only_when_refused", "cases", ""},
	{"test_exactly_one_of_right_and_miss_holds", "cases", ""},
	{"test_nearest_is_the_furthest_pair", "cases", ""},
	{"test_visible_agrees_with_every_single_decision", "cases", ""},
	{"test_every_case_is_explained", "cases", `contradicted("", "~") == {}`},
	{"test_parts_are_told", "told_cases", ""},
	{"test_words_are_told", "words", ""},
	{"test_a_list_agrees_with_every_pull", "listed_rules", "disagreements == {}"},
}

// probes are the Rego tests, in parts where they are about a table, with what they look up and
// meet in a program without a mutant.
func probes(ctx context.Context, p *program, tests []string) ([]*probe, error) {
	var out []*probe
	store := p.store()
	for _, t := range tables {
		table, query := "data.pullgate_test."+t.table, t.query
		if query == "" {
			query = t.test
		}
		rs, err := evaluate(ctx, p.compiler, store, fmt.Sprintf("[name | %s[name]]", table))
		if err != nil {
			return nil, err
		}
		entries, _ := rs[0].Expressions[0].Value.([]any)
		if len(entries) == 0 || !slices.ContainsFunc(tests, func(test string) bool { return strings.Contains(test, t.test) }) {
			return nil, fmt.Errorf("there is no %s, or nothing in %s", t.test, table)
		}
		for _, name := range entries {
			out = append(out, &probe{
				query: fmt.Sprintf("data.pullgate_test.%[1]s with %[2]s as {%[3]q: %[2]s[%[3]q]}", query, table, name),
				test:  t.test,
			})
		}
	}
	for _, test := range tests {
		if !slices.ContainsFunc(out, func(p *probe) bool { return strings.Contains(test, p.test) }) {
			out = append(out, &probe{query: test, test: test})
		}
	}
	wanted := map[meeting]bool{}
	for _, m := range p.mutants {
		wanted[m.noticed] = true
	}
	for _, pr := range out {
		began := time.Now()
		pr.looksUp, pr.met = map[*ast.TreeNode]bool{}, map[meeting]bool{}
		rs, err := evaluate(ctx, p.compiler, store, pr.query, rego.QueryTracer(&watcher{pr, p.compiler.RuleTree, wanted}))
		if err != nil || !rs.Allowed() {
			return nil, fmt.Errorf("%s is not true of the library as it is: %w", pr.query, err)
		}
		pr.cost = time.Since(began)
	}
	return out, nil
}

// rulesOfTests are the names of the Rego tests.
func rulesOfTests(modules map[string]*ast.Module) []string {
	names := map[string]bool{}
	for _, m := range modules {
		for _, r := range m.Rules {
			if name := r.Head.Ref()[0].Value.String(); strings.HasPrefix(strings.Trim(name, `"`), "test_") {
				names[m.Package.Path.String()+"."+name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func newQuery(c *ast.Compiler, s storage.Store, query string, more ...func(*rego.Rego)) *rego.Rego {
	return rego.New(append(more, rego.Compiler(c), rego.Store(s), rego.Query(query), rego.StrictBuiltinErrors(true))...)
}

func evaluate(ctx context.Context, c *ast.Compiler, s storage.Store, query string, more ...func(*rego.Rego)) (rego.ResultSet, error) {
	return newQuery(c, s, query, more...).Eval(ctx)
}

// watcher is a tracer that notes what a probe looks up, and which of the wanted it meets.
type watcher struct {
	*probe
	rules  *ast.TreeNode
	wanted map[meeting]bool
}

func (*watcher) Enabled() bool { return true }

func (*watcher) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

func (w *watcher) TraceEvent(e topdown.Event) {
	switch {
	case e.Op == topdown.IndexOp && e.Ref != nil:
		w.looksUp[nodeOf(w.rules, *e.Ref)] = true
	case e.Location == nil:
	case e.Op == topdown.ExitOp, e.Op == topdown.EvalOp, e.Op == topdown.FailOp:
		if m := meetingOf(e.Op, e.Location); w.wanted[m] {
			w.met[m] = true
		}
	}
}

// nodeOf is where the rules of a reference stand.
func nodeOf(node *ast.TreeNode, ref ast.Ref) *ast.TreeNode {
	for _, t := range ref {
		child := node.Child(t.Value)
		if child == nil {
			break
		}
		node = child
	}
	return node
}
