package policies_test

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/pullgate/pullgate/policies"
)

// What OPA's compiler does with a negated expression: fires says that the rule does what whoever
// wrote it means when what it reads is absent, the others skip the rule in silence. Check refuses
// those. Where it refuses one that fires, the part that may be undefined happens not to be.
func TestNegationsThatSkipTheRuleAreRefused(t *testing.T) {
	const fires, skips = true, false
	for _, tt := range []struct {
		body    string
		want    bool
		refused bool
	}{
		{`not input.resource.tag`, fires, false},
		{`not input.subject.claims.a.b`, fires, false},
		{`not data.pullgate.customer.labels.eu`, fires, false},
		{`not _absent`, fires, false},
		{`not _is(1)`, fires, false},
		{`not input.resource.tag == "a"`, fires, false},
		{`not "a" == input.resource.tag`, fires, false},
		{`not input.resource.tag = "a"`, fires, false},
		{`not (input.resource.tag == "a")`, fires, false},
		{`not input.resource.tag == input.resource.repository`, fires, false},
		{`not _absent == "a"`, fires, false},
		{`not input.subject.claims.a == null`, fires, false},
		{`not input.resource.candidates[0].tag == "a"`, fires, false},
		{`x := "a"; not _is(x)`, fires, false},
		{`x := "a"; not startswith(x, "b")`, fires, false},
		{`x := "a"; not x in {"b", "c"}`, fires, false},
		{`x := "a"; not x != "a"`, fires, false},
		{`x := "a"; not x == input.resource.tag`, fires, false},
		{`x := "a"; y := {"b": 1}; not y[x]`, fires, false},
		{`x := "a"; not startswith(lower(x), "b")`, fires, false},
		{`x := {"a"}; not count(x) > 3`, fires, false},
		{`not startswith(lower("A"), "b")`, fires, false},
		{`not count([1 | input.resource.tag == "a"]) == 1`, fires, false},
		{`not count({c | some c in input.resource.candidates}) > 3`, fires, false},
		{`not [1 | input.resource.tag] == [1]`, fires, false},
		{"not $`{input.resource.tag}` == `a`", fires, false},
		{`count([1 | not input.resource.tag == "a"]) == 1`, fires, false},
		{`every x in ["a"] { not input.resource.tag == x }`, fires, false},
		{`every x in [input.subject] { not x.customer }`, fires, false},
		{`x := input.subject; not x.customer == "a"`, fires, false},

		{`not input.resource.tag != "a"`, skips, true},
		{`not input.time < input.subject.claims.a`, skips, true},
		{`not input.subject.claims.a < 1`, skips, true},
		{`not input.resource.tag in {"a", "b"}`, skips, true},
		{`not "a" in input.subject.claims.roles`, skips, true},
		{`not ("a" in input.subject.claims.roles)`, skips, true},
		{`not startswith(input.resource.tag, "a")`, skips, true},
		{`not net.cidr_contains("10.0.0.0/8", input.request.address)`, skips, true},
		{`not regex.match("a", input.resource.tag)`, skips, true},
		{`not count(input.resource.candidates) > 3`, skips, true},
		{`not _is(input.resource.tag)`, skips, true},
		{`not data.vendor.a._is(input.resource.tag)`, skips, true},
		{`not _is(_absent)`, skips, true},
		{`not _is([input.resource.tag])`, skips, true},
		{`not _is(concat("", [input.resource.tag]))`, skips, true},
		{`not _same(input.resource.tag) == "a"`, skips, true},
		{`not _is("a") == true`, skips, true},
		{`not startswith(lower(input.resource.tag), "b")`, skips, true},
		{`not concat("", [input.resource.tag]) == "b"`, skips, true},
		{`not -input.subject.claims.a > 1`, skips, true},
		{`not [input.resource.tag] == ["a"]`, skips, true},
		{`not {"a": input.resource.tag} == {"a": "b"}`, skips, true},
		{`not {input.resource.tag} == {"a"}`, skips, true},
		{`not [input.resource.tag]`, skips, true},
		{`not _editions[input.resource.tag]`, skips, true},
		{`not _editions[input.resource.tag] == "a"`, skips, true},
		{`not _editions[_same(input.resource.tag)]`, skips, true},
		{`not _editions[_only("a")]`, skips, true},
		{`not input.subject.claims[input.resource.tag]`, skips, true},
		{`not object.get(input.subject.claims.a, "x", 0) == 1`, skips, true},
		{`x := set(); not max(x) > 3`, skips, true},
		{`x := input.subject; not startswith(x.customer, "a")`, skips, true},
		{`x := input.subject; not x.customer in {"a"}`, skips, true},
		{`x := input.subject; not _is(x.customer)`, skips, true},
		{`some x in [input.subject]; not startswith(x.customer, "a")`, skips, true},
		{`count([1 | not startswith(input.resource.tag, "a")]) == 1`, skips, true},
		{`every x in ["a"] { not startswith(input.resource.tag, x) }`, skips, true},
		{`every x in [input.subject] { not startswith(x.customer, "a") }`, skips, true},

		{`not input.resource.candidates[_zero].tag == "a"`, fires, false},
		{`not _is(_zero)`, fires, false},
		{`not _is(_region)`, fires, false},
		{`not _editions[_region]`, fires, false},
		{`not _region in {"a", "b"}`, fires, false},
		{`not _level(_region) > 3`, fires, false},
		{`not count(_tags) > 3`, fires, false},
		{`not _is(_tags)`, fires, false},
		{`not _is([_region, _zero, _tags])`, fires, false},

		{`not _any.a`, fires, false},
		{`not _is(_any.a)`, skips, true},
		{`not _level(input.resource.tag) > 3`, skips, true},
		{`not _is(_either)`, skips, true},
		{`not _same("a") == "b"`, fires, true},
	} {
		source := "package vendor.a\n\ndeny contains {\"code\": \"x\", \"message\": \"No.\"} if {\n" + tt.body + "\n}\n" + `
_absent := input.resource.tag

_is(x) if x == input.subject.claims.never

_same(x) := x

_only(x) := x if x == input.subject.claims.never

_zero := 0

default _region := "eu"

_region := input.resource.tag

default _any := {}

_any := input.subject.claims.any

default _level(_) := 1

_level(x) := 2 if x == input.resource.tag

_tags contains input.resource.tag

_either := 1 if input.resource.tag

_either := 2 if input.resource.digest

_editions := {"a": "b"}

boundary contains "never"
`
		c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
		m, err := ast.ParseModuleWithOpts("a.rego", source, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatalf("%s: %v", tt.body, err)
		}
		if c.Compile(map[string]*ast.Module{"a.rego": m}); c.Failed() {
			t.Fatalf("%s: %v", tt.body, c.Errors)
		}
		input := map[string]any{"time": 1, "action": "pull", "subject": map[string]any{"via": "anonymous"}, "resource": map[string]any{}, "request": map[string]any{}}
		rs, err := rego.New(rego.Compiler(c), rego.Query("count(data.vendor.a.deny) == 1"), rego.Input(input), rego.StrictBuiltinErrors(true)).Eval(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", tt.body, err)
		}
		if fired := rs.Allowed(); fired != tt.want {
			t.Errorf("%s: fires %v", tt.body, fired)
		}
		refused := false
		for _, e := range ruleErrors(t, policies.Check(map[string][]byte{"a.rego": []byte(source)})) {
			if strings.Contains(e.Msg, "skips the rule in silence") {
				refused = e.Line > 3 && e.Line < 6
			} else {
				t.Errorf("%s: %v", tt.body, e)
			}
		}
		if refused != tt.refused {
			t.Errorf("%s: refused %v", tt.body, refused)
		}
	}
}

// What a refused negation is to be replaced with is accepted as it stands in the message.
func TestTheHelperOfARefusedNegationIsAccepted(t *testing.T) {
	for _, body := range []string{
		`not startswith(input.resource.tag, "v")`,
		`not input.resource.tag in {"a", "b"}`,
		"some candidate in input.resource.candidates\n\tnot startswith(candidate.tag, \"v\")",
		"some candidate in input.resource.candidates\n\tsome n in [0, 1]\n\tnot candidate.order[n] < data.pullgate.customer.labels.major",
		`not net.cidr_contains("10.0.0.0/8", input.request.address)`,
		`not count(input.resource.candidates) > 3`,
	} {
		source := "package vendor.a\n\ndeny contains {\"code\": \"x\", \"message\": \"No.\"} if {\n\t" + body + "\n}\n"
		list := ruleErrors(t, policies.Check(map[string][]byte{"a.rego": []byte(source)}))
		if len(list) != 1 {
			t.Fatalf("%s: %v", body, list)
		}
		parts := strings.Split(list[0].Msg, "`") // …, `written` …: write `not helper`, and a rule `helper if written`
		if len(parts) < 7 {
			t.Fatalf("%s", list[0].Msg)
		}
		fixed := strings.Replace(source, parts[1], parts[3], 1) + "\n" + parts[5] + "\n"
		if err := policies.Check(map[string][]byte{"a.rego": []byte(fixed)}); err != nil || fixed == source {
			t.Errorf("%s\n%v", fixed, err)
		}
	}
}
