package policies

import (
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// operand is the part of a value that may be undefined: a reference, the call of a rule, or one
// of these inside; nil when there is none. What stands in a comprehension or a template stays
// there.
func (c *checker) operand(t *ast.Term) *ast.Term {
	if ref, ok := t.Value.(ast.Ref); ok && !c.total(ref) {
		return t
	}
	return c.insideOf(t)
}

// insideOf is the part inside a value, but for a reference that is the value itself.
func (c *checker) insideOf(t *ast.Term) (part *ast.Term) {
	first := func(t *ast.Term) {
		if part == nil {
			part = c.operand(t)
		}
	}
	switch v := t.Value.(type) {
	case ast.Ref:
		for _, t := range v[1:] {
			first(t)
		}
	case *ast.Array:
		v.Foreach(first)
	case ast.Set:
		v.Foreach(first)
	case ast.Object:
		v.Foreach(func(k, v *ast.Term) {
			first(k)
			first(v)
		})
	case ast.Call:
		name := v[0].String()
		if strings.HasPrefix(name, "data.") && !c.total(v[0].Value.(ast.Ref)) || maybeUndefined[name] {
			return t
		}
		for _, t := range v[1:] {
			first(t)
		}
	}
	return part
}

// maybeUndefined are the builtins that have no value for some arguments, and say no error.
var maybeUndefined = map[string]bool{"max": true, "min": true, "uuid.parse": true}

// total reports whether a reference is to rules that have a value whatever is asked: with a
// default, a set, or a value that is written there without a condition. Of functions that is so
// for arguments that have a value.
func (c *checker) total(ref ast.Ref) bool {
	rules := c.rules[ref.String()]
	if c.broken && rules == nil && len(ref) == 4 && words(ref)[1] == "vendor" {
		return true // it may stand in the file that is missing
	}
	for _, rule := range rules {
		if len(rule.Head.Ref()) > 1 {
			return false
		}
	}
	for _, rule := range rules {
		if rule.Default || rule.Head.RuleKind() == ast.MultiValue || len(rule.Head.Args) == 0 && fixed(rule) != nil {
			return true
		}
	}
	return false
}

// fixed is the value that is written in a rule without a condition; nil when there is none.
func fixed(rule *ast.Rule) ast.Value {
	if rule.Default || rule.Head.Value == nil || !rule.Body.Equal(ast.NewBody(ast.NewExpr(ast.BooleanTerm(true)))) {
		return nil
	}
	if v := rule.Head.Value.Value; ast.IsConstant(v) {
		return v
	}
	return nil
}
