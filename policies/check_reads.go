package policies

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// walk walks a rule, with the parts of its head's reference.
func walk(rule *ast.Rule, v *ast.GenericVisitor) {
	v.Walk(rule)
	for _, t := range rule.Head.Ref()[1:] {
		v.Walk(t)
	}
}

// references calls f with each reference of a rule into data and input, but for what it replaces.
func references(rule *ast.Rule, f func(root string, at *ast.Location, ref ast.Ref)) {
	v := ast.NewGenericVisitor(nil)
	v = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.With:
			v.Walk(x.Value)
			return true
		case *ast.Term:
			root, ref := rootOf(x)
			if root == "" {
				return false
			}
			f(root, x.Loc(), ref)
			for _, t := range ref[1:] {
				v.Walk(t)
			}
			return true
		}
		return false
	})
	walk(rule, v)
}

// reads refuses what a rule must not read or replace: other customers' data, the insides of the
// library, the input as a whole unless that is permitted, and anything by `with`.
func (c *checker) reads(file string, rule *ast.Rule, permitted bool) {
	references(rule, func(root string, at *ast.Location, ref ast.Ref) {
		if root == "data" {
			c.data(file, at, ref)
		} else if part := whole(ref); part != "" && !permitted {
			c.wholes[at] = true
			c.refuse(file, at, "%s as a whole holds the digest and the path, so every layer of an image would be decided by itself: read the fields that count, such as %s. "+
				"If it must be, write `# METADATA` and `# custom: {uncacheable: true}` above the rule: then no answer is kept", part, exampleOf[part])
		}
	})
	walk(rule, ast.NewGenericVisitor(func(x any) bool {
		if with, ok := x.(*ast.With); ok {
			c.refuse(file, with.Loc(), "`with %s` replaces what the rule is asked about, which is for tests: write a function that is handed the value, such as `_inside(address) if …`", with.Target)
		}
		return false
	}))
}

// rootOf returns data or input when a term is a reference into it, with the reference.
func rootOf(t *ast.Term) (string, ast.Ref) {
	ref, ok := t.Value.(ast.Ref)
	if !ok {
		ref = ast.Ref{t}
	}
	if len(ref) == 0 {
		return "", nil
	}
	if v, ok := ref[0].Value.(ast.Var); ok && (v == "data" || v == "input") {
		return string(v), ref
	}
	return "", nil
}

// exampleOf is a field of a part of the input.
var exampleOf = map[string]string{
	"input": "input.subject.via", "input.resource": "input.resource.repository", "input.request": "input.request.address",
}

// whole is the part that a reference reads as a whole, or by a name that is not written there:
// input, input.resource or input.request; else "".
func whole(ref ast.Ref) string {
	switch words := words(ref); {
	case len(words) == 1:
		return "input"
	case len(words) == 2 && (words[1] == "resource" || words[1] == "request"):
		return "input." + words[1]
	}
	return ""
}

// data refuses references into data, but for the customer who asks and vendor's rules by name.
func (c *checker) data(file string, at *ast.Location, ref ast.Ref) {
	words := words(ref)
	switch {
	case len(words) > 2 && words[1] == "pullgate" && words[2] == "customer":
		return
	case len(words) > 3 && words[1] == "vendor":
		name := strings.Join(words[:4], ".")
		if c.rules[name] == nil && !c.broken {
			c.refuse(file, at, "there is no rule %s: spell package and rule as they are written, or write the rule", name)
		}
		return
	case len(words) > 1 && words[1] == "vendor":
		c.refuse(file, at, "%s: name the package and the rule, such as data.vendor.region.inside", ref)
	case len(words) == 1, len(words) == 2 && words[1] == "pullgate", len(words) > 2 && words[1] == "pullgate" && words[2] == "customers":
		c.refuse(file, at, "%s: a rule sees its own customer only: write data.pullgate.customer", ref)
	case words[1] == "pullgate":
		c.refuse(file, at, "%s: the rest of the library is not for rules and may change: a rule may read data.pullgate.customer, and data.vendor.NAME.RULE", ref)
	default:
		c.refuse(file, at, "%s: there is no such data: write the list into the rule, or into labels of customers, which are data.pullgate.customer.labels", ref)
	}
	c.reaches = true
}
