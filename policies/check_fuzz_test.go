package policies_test

import (
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/policies"
)

// A stand-in for the library: it reads nothing of data, so that whatever of data is read is read
// by the rules.
var nothing = map[string]string{"pullgate.rego": "package pullgate\n\ncustomer := {\"labels\": input.subject.claims, \"licenses\": {}, \"products\": input.subject.claims, \"repositories\": input.subject.claims, \"banned\": false}\n"}

// Check never panics, whatever the bytes. Rules that it accepts compile in the engine, what they
// read can be told, and it is nothing of data: no rule mentions data.pullgate.customers, nor a
// document above it.
func FuzzCheck(f *testing.F) {
	for _, rules := range vendorCases(f) {
		for _, text := range rules {
			f.Add(text)
		}
	}
	for _, text := range []string{
		"package vendor.a\n\nimport data as d\n\ndeny contains {\"code\": \"x\", \"message\": \"x\"} if d.pullgate.customers[_].banned",
		"package vendor.a\n\nimport data.pullgate\n\np := pullgate",
		"package vendor.a\n\np := object.get(data, [\"pullgate\", \"customers\"], {})",
		"package vendor.a\n\np contains x if some x in data.pullgate.customers",
		"package vendor.a\n\np[data.pullgate.customers.a.name] := 1",
		"package vendor.a\n\nf(x) := data.pullgate.customers[x]",
		"package vendor.a\n\ndefault p := false\n\np := true if { input.time } else := data.pullgate.customers",
		"package vendor.a\n\np := $`{data.pullgate.customers}`",
		"package vendor.a\n\np if every x in data.pullgate.customers { x.banned }",
		"package vendor.a\n\np := 1 with input as data.pullgate.customers",
		"package vendor.a\n\np := rego.metadata.chain()",
		"package vendor[\"a\"]\n\np := {data.pullgate.customers.a: 1, 2: [data]}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		rules := map[string][]byte{"rules/a.rego": text}
		if policies.Check(rules) != nil {
			return
		}
		c, err := compiled(nothing, rules)
		if err != nil {
			t.Fatalf("accepted, and does not compile: %v\n%s", err, text)
		}
		m := c.Modules["rules rules/a.rego"]
		for _, rule := range m.Rules {
			if len(rule.Head.Args) > 0 {
				continue
			}
			refs, err := readBy(c, rule.Ref().GroundPrefix().String())
			if err != nil {
				t.Fatalf("accepted, and what it reads cannot be told: %v\n%s", err, text)
			}
			for _, ref := range refs {
				if ref.HasPrefix(ast.DefaultRootRef) {
					t.Fatalf("accepted, and reads %s\n%s", ref, text)
				}
			}
		}
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if s := ref.ConstantPrefix().String(); s == "data" || s == "data.pullgate" || strings.HasPrefix(s+".", "data.pullgate.customers.") {
				t.Fatalf("accepted, and mentions %s\n%s", ref, text)
			}
			return false
		})
	})
}
