package policies_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/pullgate/pullgate/policies"
)

// evaluated is the value of a query about rules alone, with everything absent that may be.
func evaluated(t *testing.T, source, query string, customer map[string]any) (any, error) {
	t.Helper()
	c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	m, err := ast.ParseModuleWithOpts("a.rego", source, ast.ParserOptions{RegoVersion: ast.RegoV1})
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	library := ast.MustParseModuleWithOpts("package pullgate\n\ncustomer := input.customer", ast.ParserOptions{RegoVersion: ast.RegoV1})
	if c.Compile(map[string]*ast.Module{"a.rego": m, "library": library}); c.Failed() {
		t.Fatalf("%v\n%s", c.Errors, source)
	}
	input := map[string]any{
		"time": 1, "action": "pull", "subject": map[string]any{"via": "key", "claims": map[string]any{}}, "request": map[string]any{},
		"resource": map[string]any{"candidates": []any{map[string]any{
			"released": 1, "counts_from": 1, "withdrawn_at": "never", "retires_at": "never", "revoked_at": "never", "boundaries": []any{},
		}}},
		"customer": customer,
	}
	rs, err := rego.New(rego.Compiler(c), rego.Query("x := "+query), rego.Input(input), rego.StrictBuiltinErrors(true)).Eval(t.Context())
	if err != nil || len(rs) == 0 {
		return nil, err
	}
	return rs[0].Bindings["x"], nil
}

var nobody = map[string]any{"labels": map[string]any{}, "licenses": map[string]any{}, "products": map[string]any{}}

// With what a message reads absent, a rule denies all the same or is refused. What is to be
// written instead is accepted as it stands in the refusal, and denies.
func TestMessagesThatSkipTheRuleAreRefused(t *testing.T) {
	const fires, skips = true, false
	for _, tt := range []struct {
		body, message string
		want, refused bool
	}{
		{``, `"No."`, fires, false},
		{`x := "a"`, `x`, fires, false},
		{`some candidate in input.resource.candidates`, `sprintf("%v", [candidate])`, fires, false},
		{`x := object.get(data.pullgate.customer.labels, "region", "none")`, `sprintf("Not from %s.", [x])`, fires, false},
		{``, `_text`, fires, false},
		{``, `data.vendor.a._text`, fires, false},
		{``, `_region`, fires, false},
		{``, `sprintf("%s %s", [upper(_region), concat(", ", sort(_tags))])`, fires, false},
		{``, `_level("1")`, fires, false},
		{``, `sprintf("%d", [count(_tags)])`, fires, false},
		{``, `concat(",", [tag | tag := input.resource.tag])`, fires, false},
		{``, `concat(",", {tag | tag := _absent})`, fires, false},
		{``, "$`{input.resource.tag} {_absent} {_same(1)} {max([])} {data.pullgate.customer.labels.region}`", fires, false},
		{`every x in ["a"] { input.time < 5; x != "" }`, `"No."`, fires, false},

		{``, `input.resource.tag`, skips, true},
		{``, `sprintf("%s", [input.resource.tag])`, skips, true},
		{``, `sprintf("%v", [{input.resource.tag: 1}])`, skips, true},
		{``, `sprintf("%v", [{input.resource.tag}])`, skips, true},
		{``, `concat("", ["a", lower(input.request.address)])`, skips, true},
		{``, `data.pullgate.customer.labels.region`, skips, true},
		{``, `data.pullgate.customer.labels["the region"]`, skips, true},
		{``, `data.pullgate.customer.labels.regions[0]`, skips, true},
		{`x := "region"`, `data.pullgate.customer.labels[x]`, skips, true},
		{`x := "region"`, `input.subject.claims[x]`, skips, true},
		{`customer := data.pullgate.customer`, `customer.labels.region`, skips, true},
		{`some candidate in input.resource.candidates`, `sprintf("Not %s.", [candidate.version])`, skips, true},
		{`x := "c"`, `_editions[x]`, skips, true},
		{``, `_editions[_text]`, skips, true},
		{``, `_absent`, skips, true},
		{``, `_same(1)`, skips, true},
		{``, `sprintf("%s", [_same(1)])`, skips, true},
		{``, `_level(input.resource.tag)`, skips, true},
		{``, `sprintf("%d", [max([x | x := _absent])])`, skips, true},
		{``, `_default.name`, skips, true},

		{`x := "a"`, `_editions[x]`, fires, true},
		{``, `data.pullgate.customer.labels`, fires, true},
		{``, `sprintf("%d", [input.time])`, fires, true},
	} {
		rule := "deny contains {\"code\": \"x\", \"message\": " + tt.message + "} if {\n\tinput.action == \"pull\"\n\t" + tt.body + "\n}\n"
		const helpers = `
_absent := input.resource.tag

_text := "No."

default _region := "eu"

_region := input.resource.tag

default _level(_) := "low"

_level(x) := "high" if x == input.resource.tag

default _default := {}

_default := data.pullgate.customer.labels.default

_tags contains input.resource.tag

_same(x) := x if input.resource.tag

_editions := {"a": "b"}

boundary contains "never"
`
		source := "package vendor.a\n\n" + rule + helpers
		if denied := denials(t, source); denied != tt.want {
			t.Errorf("%s: denies %v", tt.message, denied)
		}
		part, remedy := "", ""
		for _, e := range ruleErrors(t, policies.Check(map[string][]byte{"a.rego": []byte(source)})) {
			where, then, ok := strings.Cut(e.Msg, " has no value, this rule is skipped in silence and nothing is denied: ")
			if !ok || e.Line != 3 {
				t.Errorf("%s: %v", tt.message, e)
			}
			part, remedy = strings.TrimPrefix(where, "where "), then
		}
		if (remedy != "") != tt.refused {
			t.Errorf("%s: refused %v", tt.message, !tt.refused)
		}
		if remedy == "" {
			continue
		}
		mended := mend(t, source, part, remedy)
		if err := policies.Check(map[string][]byte{"a.rego": []byte(mended)}); err != nil {
			t.Errorf("%v\n%s", err, mended)
		}
		if !denials(t, mended) && !strings.Contains(remedy, "it is a condition") {
			t.Errorf("denies nothing:\n%s", mended)
		}
	}
}

// denials reports whether rules deny.
func denials(t *testing.T, source string) bool {
	t.Helper()
	n, err := evaluated(t, source, "count(data.vendor.a.deny)", nobody)
	if err != nil {
		t.Fatalf("%v\n%s", err, source)
	}
	return n != json.Number("0")
}

// mend does what a refusal says, to the first rule of a source.
func mend(t *testing.T, source, part, remedy string) string {
	t.Helper()
	first, rest, _ := strings.Cut(source, "\n}\n")
	if m := regexp.MustCompile(`, and (\w+) here$`).FindStringSubmatch(remedy); m != nil {
		head, body, _ := strings.Cut(first, "} if {")
		first = strings.Replace(head, part, m[1], 1) + "} if {" + body
	}
	code := regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(remedy, -1)
	if len(code) == 0 {
		t.Fatalf("no code in %q", remedy)
	}
	for _, m := range code {
		if strings.Contains(remedy, "in the body") {
			first += "\n\t" + m[1]
		} else {
			rest = "\n" + m[1] + "\n" + rest
		}
	}
	return first + "\n}\n" + rest
}
