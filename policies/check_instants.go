package policies

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// mayBeNever are the instants of licenses, grants and candidates that may be the text "never".
// The others, such as starts and released, are always numbers.
var mayBeNever = []string{
	"ends", "updates", "grace", "terminates", "revoked", "replaced", "expiring_from",
	"withdrawn_at", "retires_at", "revoked_at",
}

// computes are the builtins that fail for a text.
var computes = []string{"plus", "minus", "mul", "div", "rem", "abs", "ceil", "floor", "round", "format_int"}

// instants refuses to compute with an instant that may be "never" where nothing has been asked
// about it before: it would be an error, and nothing decided. What a function is handed cannot be
// told, nor what an earlier condition means: any that "never" may not meet is believed.
func (c *checker) instants(file string, rule *ast.Rule) {
	call := func(terms []*ast.Term, s *scope) {
		if !slices.Contains(computes, terms[0].String()) {
			return
		}
		for _, t := range terms[1:] {
			if ref := s.path(t); neverMay(ref) && !s.asked(ref) {
				fix := "ask `is_number(%[1]s)` in the body before it"
				if wildcard(ref) {
					fix = "write `%[2]s := %[1]s` and `is_number(%[2]s)` in the body before it, and %[2]s here"
				}
				c.refuse(file, t.Loc(), "%[1]s may be \"never\", which is a text, and computing with a text is an error that refuses everything: "+fix, oneLine(t.Loc()), nameFor(ref))
			}
		}
	}
	inScope(rule, func(x any, s *scope) {
		switch x := x.(type) {
		case *ast.Expr:
			if terms, ok := x.Terms.([]*ast.Term); ok {
				call(terms, s)
			}
		case ast.Call:
			call(x, s)
		}
	})
}

// neverMay reports whether a path is to an instant that may be "never".
func neverMay(ref ast.Ref) bool {
	words := words(ref)
	switch {
	case len(words) > 3 && words[0] == "data" && words[1] == "pullgate" && words[2] == "customer" && slices.Contains([]string{"licenses", "products", "repositories"}, words[3]):
	case len(words) > 2 && words[0] == "input" && words[1] == "resource" && words[2] == "candidates":
	default:
		return false
	}
	field := func(t *ast.Term) bool {
		s, ok := t.Value.(ast.String)
		return ok && slices.Contains(mayBeNever, string(s))
	}
	return field(ref[len(ref)-1]) || len(ref) > 1 && ref[len(ref)-2].Equal(ast.StringTerm("suspended"))
}

// asked reports whether a condition that is evaluated before is about an instant, or about the
// type of its license.
func (s *scope) asked(instant ast.Ref) bool {
	for around := s; around != nil; around = around.outer {
		for _, expr := range around.body[:around.at] {
			if s.asks(expr, instant) {
				return true
			}
		}
	}
	return false
}

// asks reports whether an expression is a condition about an instant that "never", which is
// greater than every number, may not meet.
func (s *scope) asks(expr *ast.Expr, instant ast.Ref) bool {
	if expr.IsAssignment() {
		return false
	}
	if terms, ok := expr.Terms.([]*ast.Term); ok && len(terms) == 3 {
		is := func(t *ast.Term) bool { return instant.Equal(s.path(t)) }
		switch terms[0].String() {
		case "lt", "lte":
			if is(terms[1]) || is(terms[2]) {
				return is(terms[1]) != expr.Negated
			}
		case "gt", "gte":
			if is(terms[1]) || is(terms[2]) {
				return is(terms[2]) != expr.Negated
			}
		}
	}
	found := false
	ast.WalkTerms(expr, func(t *ast.Term) bool {
		if ref := s.path(t); len(ref) > 0 && !found {
			last := len(ref) - 1
			found = ref.Equal(instant) || ref[last].Equal(ast.StringTerm("type")) && instant.HasPrefix(ref[:last])
		}
		return found
	})
	return found
}
