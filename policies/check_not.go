package policies

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// negations refuses a negated expression of which OPA's compiler takes a part out and evaluates
// it before the negation: with a field that is absent the part is undefined, and so is the whole
// expression, where whoever wrote `not` meant true. A test holds what is refused against what
// the compiler does.
func (c *checker) negations(file string, rule *ast.Rule) {
	walk(rule, ast.NewGenericVisitor(func(x any) bool {
		if expr, ok := x.(*ast.Expr); ok && expr.Negated {
			if absent := c.takenOut(expr); absent != nil {
				c.refuse(file, expr.Loc(), "%s", negationMsg(expr, absent))
			}
		}
		return false
	}))
}

// takenOut is a part of a negated expression that is evaluated before the negation and may be
// undefined: nil when there is none.
func (c *checker) takenOut(expr *ast.Expr) *ast.Term {
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		return c.insideOf(terms)
	case []*ast.Term:
		// Unification takes references as they are; every other call is handed values.
		unifies := terms[0].Value.Compare(ast.Equality.Ref()) == 0 || terms[0].Value.Compare(ast.Equal.Ref()) == 0
		for _, t := range terms[1:] {
			part := c.operand(t)
			if unifies {
				part = c.insideOf(t)
			}
			if part != nil {
				return part
			}
		}
	}
	return nil
}

// negationMsg says what is wrong with a negation, and how its helper is written.
func negationMsg(expr *ast.Expr, absent *ast.Term) string {
	written := strings.TrimSpace(strings.TrimPrefix(oneLine(expr.Loc()), "not"))
	helper := "_matches"
	if args := locals(expr); len(args) > 0 {
		helper += "(" + strings.Join(args, ", ") + ")"
	}
	return fmt.Sprintf("where %s has no value, `not %s` is not true but skips the rule in silence: write `not %s`, and a rule `%s if %s`",
		oneLine(absent.Loc()), written, helper, helper, written)
}

// oneLine is the source at a place, on one line, cut when it is long.
func oneLine(at *ast.Location) string {
	text := strings.Join(strings.Fields(string(at.Text)), " ")
	if len(text) > 80 {
		text = text[:77] + "..."
	}
	return text
}

// locals are the variables of an expression, in the order in which they are written, without
// those of its comprehensions.
func locals(expr *ast.Expr) []string {
	var out []string
	seen := map[ast.Var]bool{"data": true, "input": true}
	v := ast.NewGenericVisitor(nil)
	v = ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
			return true
		case ast.Call:
			for _, t := range x[1:] {
				v.Walk(t)
			}
			return true
		case ast.Var:
			if !seen[x] && !x.IsWildcard() {
				out = append(out, string(x))
			}
			seen[x] = true
		}
		return false
	})
	switch terms := expr.Terms.(type) {
	case *ast.Term:
		v.Walk(terms)
	case []*ast.Term:
		for _, t := range terms[1:] {
			v.Walk(t)
		}
	}
	return out
}
