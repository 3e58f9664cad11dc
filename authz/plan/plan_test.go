package plan

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/pullgate/pullgate/policies"
)

// compiled plans one module of package p.
func compiled(t testing.TB, text string) (*Program, error) {
	t.Helper()
	m, err := ast.ParseModuleWithOpts("p.rego", "package p\n\n"+text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		t.Fatal(err)
	}
	c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	var program *Program
	policies.Alone(func() {
		if c.Compile(map[string]*ast.Module{"p": m}); !c.Failed() {
			program, err = New(context.Background(), c, "data.p.x")
		}
	})
	if c.Failed() {
		t.Fatal(c.Errors)
	}
	return program, err
}

func ask(p *Program, input, data string, cancel topdown.Cancel) (string, error) {
	q := &Question{Entrypoints: []string{"data.p.x"}, Data: objectNode{ast.MustParseTerm(data).Value.(ast.Object)}, Cancel: cancel}
	if input != "" {
		q.Input = ast.MustParseTerm(input)
	}
	values, err := p.Eval(context.Background(), q)
	if err != nil {
		return "", err
	}
	return values[0].String(), nil
}

type counter struct{ n, limit int }

func (c *counter) Cancel() {}
func (c *counter) Cancelled() bool {
	c.n++
	return c.limit > 0 && c.n > c.limit
}

// What the plan must leave to topdown, when it is made or when it is asked.
func TestWhatThePlanDeclines(t *testing.T) {
	for _, tt := range []struct{ name, rules, planned, asked string }{
		{"rules that conflict", "x := 1 if input.a\nx := 2 if input.a", "", "rules conflict"},
		{"solutions that conflict", "x := v if some v in input.list", "", "rules conflict"},
		{"members that conflict", "x := {\"k\": v | some v in input.list}", "", "members conflict"},
		{"members of rules that conflict", "x[k] := v if { some k in [\"a\", \"b\"]; some v in input.list }", "", "members conflict"},
		{"a builtin that fails", "x := 1 / input.zero", "", "div fails"},
		{"a builtin that does not take this", "x := count(input.zero)", "", "count fails"},
		{"no answer", "x := 1 if input.none", "", "data.p.x is undefined"},
		{"a key that is no text", "x := data.doc.obj[1]", "", "a key that is no text"},
		{"a text as an index", "x := data.doc.list[\"0\"]", "", "a text as an index"},
		{"the clock", "x := time.now_ns()", "builtin time.now_ns", ""},
		{"chance", "x := rand.intn(\"a\", 5)", "builtin rand.intn", ""},
		{"a relation", "x contains v if walk(input, [_, v])", "builtin walk", ""},
		{"other data", "x := v if v := y with data.doc as 1\ny := data.doc", "a replacement below local 1", ""},
		{"all of a package and data", "x := data.p.q\nq.a := 1\nq.b := data.q", "statement *ir.ObjectMergeStmt", ""},
		{"parts that are somebody else's", "x[k] := v if some k, v in input.obj\nx[k][l] := 1 if { some k in input.list; some l in input.list }", "somebody else's", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := compiled(t, tt.rules)
			if err != nil {
				if tt.planned == "" || !strings.Contains(err.Error(), tt.planned) {
					t.Fatal(err)
				}
				return
			}
			if tt.planned != "" {
				t.Fatalf("planned, want %q", tt.planned)
			}
			v, err := ask(p, `{"a": true, "zero": 0, "list": [1, 2], "obj": {"a": {"b": 1}}}`, `{"doc": {"obj": {"1": "one"}, "list": ["first"]}}`, nil)
			if !errors.Is(err, ErrDeclined) || !strings.Contains(err.Error(), tt.asked) {
				t.Fatalf("%s, %v, want %q", v, err, tt.asked)
			}
			// What was given up leaves nothing behind.
			if v, err := ask(p, `{"list": [1], "zero": [7], "none": 1}`, `{"doc": {"obj": {}, "list": []}}`, nil); err == nil {
				t.Log("then", v)
			}
		})
	}
}

// What a rule builds is new each time: neither constants nor what the rules were given change.
func TestThePlanChangesNothingItWasGiven(t *testing.T) {
	p, err := compiled(t, `
x := [list, set, obj, leaves, y, z]
list := [v | some v in input.list]
set contains v if some v in input.list
set contains "constant"
obj[k] := v if some k, v in input.obj
leaves[k] contains v if { some k in ["a", "b"]; some v in input.list }
leaves[k] contains "constant" if some k in ["a"]
y := object.union({"c": 1}, input.obj)
z := v if v := w with input.list as array.concat(input.list, ["more"]) with input.new as set()
w := [input.list, input.obj, input.new]`)
	if err != nil {
		t.Fatal(err)
	}
	const want = `[[1, 2], {"constant", 1, 2}, {"k": {"deep": 1}}, {"a": {"constant", 1, 2}, "b": {1, 2}}, {"c": 1, "k": {"deep": 1}}, [[1, 2, "more"], {"k": {"deep": 1}}, set()]]`
	input := ast.MustParseTerm(`{"list": [1, 2], "obj": {"k": {"deep": 1}}}`)
	text, hash := input.String(), input.Hash()
	data := objectNode{ast.NewObject()}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 50 {
				v, err := p.Eval(context.Background(), &Question{Entrypoints: []string{"data.p.x"}, Input: input, Data: data})
				if err != nil || !v[0].Equal(ast.MustParseTerm(want)) || v[0].Hash() != ast.MustParseTerm(want).Hash() {
					t.Error(v, err)
					return
				}
			}
		})
	}
	all.Wait()
	if input.String() != text || input.Hash() != hash {
		t.Errorf("the input is now %s", input)
	}
}

// Each call and each member that is looked at is a step, so that nothing goes on for ever.
func TestThePlanCanBeStopped(t *testing.T) {
	p, err := compiled(t, "x := [v | some i in input.list; some j in input.list; v := f(i, j)]\nf(i, j) := i + j")
	if err != nil {
		t.Fatal(err)
	}
	input := "{\"list\": [" + strings.Repeat("1, ", 99) + "1]}"
	c := &counter{}
	if _, err := ask(p, input, "{}", c); err != nil || c.n < 20_000 {
		t.Errorf("%d steps of 10,000 calls; %v", c.n, err)
	}
	c = &counter{limit: 500}
	if _, err := ask(p, input, "{}", c); !errors.Is(err, ErrDeclined) || c.n != 501 {
		t.Errorf("%d steps of 500; %v", c.n, err)
	}
}

// Where all rules say the same constant the first that holds is enough: of many candidates one is.
func TestTheFirstOfEqualAnswersIsEnough(t *testing.T) {
	for rules, most := range map[string]int{
		"x := y if y\ny if some v in input.list; v > 0\ny if some w in input.list; w > 5":              8,
		"x := y if y\ny := true if { some v in input.list; v > 0 }\ndefault y := false":                210,
		"x := y if y\ny := v > 0 if some v in input.list":                                              210,
		"x := [f(v) | some v in [1]]\nf(v) if some w in input.list; w == v\nf(v) if v == 2":            8,
		"x := y if y\ny if { some v in input.list; not z with input.list as [v] }\nz if input.list[1]": 8,
	} {
		rules = strings.ReplaceAll(strings.ReplaceAll(rules, "if some v in input.list; v > 0\n", "if { some v in input.list; v > 0 }\n"), "if some w in input.list; w > 5", "if { some w in input.list; w > 5 }")
		rules = strings.ReplaceAll(rules, "if some w in input.list; w == v", "if { some w in input.list; w == v }")
		p, err := compiled(t, rules)
		if err != nil {
			t.Fatal(err)
		}
		c := &counter{}
		v, err := ask(p, "{\"list\": ["+strings.Repeat("1, ", 99)+"1]}", "{}", c)
		if err != nil || v != "true" && v != "[true]" || c.n > most {
			t.Errorf("%s: %s after %d steps, want at most %d; %v", rules, v, c.n, most, err)
		}
	}
}

// failing is data that cannot be read.
type failing struct{ panics bool }

func (f failing) Term() (*ast.Term, error) { return nil, errors.New("broken") }
func (f failing) Member(string) (*ast.Term, error) {
	if f.panics {
		panic("broken")
	}
	return nil, errors.New("broken")
}

func TestDataThatCannotBeReadIsNoAnswer(t *testing.T) {
	for rules, data := range map[string]Node{
		"x := 1 if not data.doc":          failing{},
		"x := 1 if not data.doc.a":        failing{panics: true},
		"x := count(data.doc)":            failing{},
		"x := [v | some v in data.doc]":   failing{},
		"x := 1 if { some k; data[k].a }": failing{},
	} {
		p, err := compiled(t, rules)
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.Eval(context.Background(), &Question{Entrypoints: []string{"data.p.x"}, Data: data})
		if !errors.Is(err, ErrDeclined) {
			t.Errorf("%s: %v, %v", rules, v, err)
		}
	}
}
