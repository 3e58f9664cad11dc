package policies_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/pullgate/pullgate/policies/version"
)

// versionTable is what the policy needs of the one table of versions.
type versionTable struct {
	Ascending   []string
	Constraints []memberTable
	Lists       []memberTable
	TagPatterns []struct {
		Pattern string
		Yes, No []string
	} `json:"tag_patterns"`
}

type memberTable struct {
	Ranges  [][2]string
	Yes, No []string
}

func readVersionTable(t *testing.T) (f versionTable) {
	t.Helper()
	data, err := os.ReadFile("version/testdata/versions.json")
	if err == nil {
		err = json.Unmarshal(data, &f)
	}
	if err != nil || len(f.Ascending)*len(f.Constraints)*len(f.TagPatterns) == 0 {
		t.Fatalf("the table cannot be read: %v", err)
	}
	return f
}

// The library, and nothing but Rego's own operators, orders and finds versions as the table says.
func TestRegoReadsVersionsAsTheTableSays(t *testing.T) {
	f := readVersionTable(t)
	ask := prepare(t, `{
		"sorted": [1 | sort(input.orders) == input.orders],
		"in": [i | some i; data.pullgate.check.in_ranges({"ranges": input.cases[i].ranges}, {"order": input.cases[i].order})],
		"right": [i | some i; data.pullgate.check.version_right(object.union(input.grant, {"ranges": input.cases[i].ranges}), object.union(input.candidate, {"order": input.cases[i].order}), 2, 1)],
		"matches": [i | some i; data.pullgate.check.matches(input.texts[i].pattern, input.texts[i].tag)],
	}`)

	type question struct {
		name string
		want bool
	}
	var inRange, text []question
	cases, texts := []any{}, []any{}
	for _, m := range append(f.Constraints, f.Lists...) {
		ranges := []any{}
		for _, r := range m.Ranges {
			ranges = append(ranges, []any{json.RawMessage(r[0]), json.RawMessage(r[1])})
		}
		for want, list := range map[bool][]string{true: m.Yes, false: m.No} {
			for _, s := range list {
				inRange = append(inRange, question{s, want})
				cases = append(cases, map[string]any{"ranges": ranges, "order": order(t, s)})
			}
		}
	}
	for _, p := range f.TagPatterns {
		if version.ValidTagPattern(p.Pattern) != nil {
			continue // never compiled
		}
		for want, list := range map[bool][]string{true: p.Yes, false: p.No} {
			for _, s := range list {
				text = append(text, question{p.Pattern + " and " + s, want})
				texts = append(texts, map[string]string{"pattern": p.Pattern, "tag": s})
			}
		}
	}
	orders := []any{}
	for _, s := range f.Ascending {
		orders = append(orders, order(t, s))
	}
	candidate := map[string]any{
		"product": "app", "channel": "stable", "released": 0, "counts_from": 0, "withdrawn_at": "never", "retires_at": "never", "revoked_at": "never",
	}
	var got struct {
		Sorted, In, Right, Matches []int
	}
	ask(map[string]any{
		"resource": map[string]any{"product": "app"}, "orders": orders, "cases": cases, "texts": texts,
		"grant": map[string]any{"channels": []string{"stable"}}, "candidate": candidate,
	}, &got)

	if len(got.Sorted) != 1 {
		t.Error("Rego sorts the versions otherwise")
	}
	check := func(what string, yes []int, questions []question) {
		held := map[int]bool{}
		for _, i := range yes {
			held[i] = true
		}
		for i, q := range questions {
			if held[i] != q.want {
				t.Errorf("%s: %s: %v (case %d)", what, q.name, held[i], i)
			}
		}
	}
	check("in_ranges", got.In, inRange)
	check("version_right", got.Right, inRange)
	check("matches", got.Matches, text)
	if len(inRange) < 100 || len(text) < 15 {
		t.Errorf("only %d members and %d tags", len(inRange), len(text))
	}
}

func order(t *testing.T, s string) json.RawMessage {
	t.Helper()
	v, err := version.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return json.RawMessage(v.Order())
}

// prepare compiles a query with the library and returns how to ask it.
func prepare(t *testing.T, query string) func(input, answer any) {
	t.Helper()
	q, err := rego.New(
		rego.Query("answer := "+strings.ReplaceAll(query, "\n", " ")), rego.Compiler(ast.MustCompileModulesWithOpts(library(), ast.CompileOpts{
			ParserOptions: ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true},
		})),
	).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return func(input, answer any) {
		t.Helper()
		b, err := json.Marshal(input)
		if err != nil {
			t.Fatal(err)
		}
		value, err := ast.ValueFromReader(strings.NewReader(string(b)))
		if err != nil {
			t.Fatal(err)
		}
		rs, err := q.Eval(t.Context(), rego.EvalParsedInput(value))
		if err != nil || len(rs) != 1 {
			t.Fatalf("%v, %v", rs, err)
		}
		if b, err = json.Marshal(rs[0].Bindings["answer"]); err == nil {
			err = json.Unmarshal(b, answer)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
