package policies_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// mutant is one change of one rule of the library.
type mutant struct {
	name    string
	path    string          // of its module
	rule    int             // which of the module's rules
	noticed meeting         // without it nothing is likely to notice the mutant
	edit    func(*ast.Rule) // changes a copy of the rule; nil takes the rule away
}

// alone are modules with the mutant in place of its rule.
func (m *mutant) alone(modules map[string]*ast.Module) map[string]*ast.Module {
	out := maps.Clone(modules)
	mod := modules[m.path].Copy()
	if m.edit == nil {
		mod.Rules = slices.Delete(mod.Rules, m.rule, m.rule+1)
	} else {
		m.edit(mod.Rules[m.rule])
	}
	out[m.path] = mod
	return out
}

// mutants finds what can be changed.
func mutants(modules map[string]*ast.Module, paths []string) []mutant {
	var out []mutant
	for _, path := range paths {
		for i, r := range modules[path].Rules {
			add := func(at *ast.Location, noticed topdown.Op, text string, edit func(*ast.Rule)) {
				out = append(out, mutant{fmt.Sprintf("%s:%d %s", path, at.Row, text), path, i, meetingOf(noticed, at), edit})
			}
			add(r.Loc(), topdown.ExitOp, "without rule "+firstLine(r), nil)
			for depth, e := 0, r; e.Else != nil; depth, e = depth+1, e.Else {
				add(e.Else.Loc(), topdown.ExitOp, "without branch "+firstLine(e.Else), func(r *ast.Rule) {
					for range depth {
						r = r.Else
					}
					r.Else = r.Else.Else
				})
			}
			for b, body := range bodies(r) {
				for e, expr := range *body {
					if !isCondition(expr) {
						continue
					}
					text := fmt.Sprintf("%s: %s", r.Head.Name, firstLine(expr))
					add(expr.Loc(), topdown.FailOp, text+", removed", func(r *ast.Rule) {
						body := *bodies(r)[b]
						body[e] = ast.NewExpr(ast.BooleanTerm(true))
						body[e].Index = e
						body[e].SetLocation(expr.Loc())
					})
					add(expr.Loc(), topdown.EvalOp, text+", turned round", func(r *ast.Rule) {
						body := *bodies(r)[b]
						body[e] = body[e].Complement()
					})
					if s, ok := shift[operator(expr)]; ok {
						add(expr.Loc(), s.noticed, text+", shifted to "+s.to, func(r *ast.Rule) {
							(*bodies(r)[b])[e].SetOperator(ast.RefTerm(ast.VarTerm(s.to)))
						})
					}
				}
			}
		}
	}
	return out
}

// shift moves a bound by one. What then holds more often is noticed where it did not hold.
var shift = map[string]struct {
	to      string
	noticed topdown.Op
}{
	"lt": {"lte", topdown.FailOp}, "lte": {"lt", topdown.EvalOp},
	"gt": {"gte", topdown.FailOp}, "gte": {"gt", topdown.EvalOp},
}

func operator(e *ast.Expr) string {
	if !e.IsCall() {
		return ""
	}
	return e.Operator().String()
}

// isCondition says that an expression does not only bind variables.
func isCondition(e *ast.Expr) bool {
	if _, ok := e.Terms.(*ast.SomeDecl); ok || e.IsAssignment() || e.Generated {
		return false
	}
	if t, ok := e.Terms.(*ast.Term); ok {
		return !t.Equal(ast.BooleanTerm(true))
	}
	return true
}

// bodies are those of a rule, its branches, its comprehensions and its every, in an order that a
// copy of the rule shares.
func bodies(r *ast.Rule) []*ast.Body {
	var out []*ast.Body
	ast.WalkNodes(r, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Rule:
			out = append(out, &n.Body)
		case *ast.Term:
			switch v := n.Value.(type) {
			case *ast.ArrayComprehension:
				out = append(out, &v.Body)
			case *ast.SetComprehension:
				out = append(out, &v.Body)
			case *ast.ObjectComprehension:
				out = append(out, &v.Body)
			}
		case *ast.Expr:
			if every, ok := n.Terms.(*ast.Every); ok {
				out = append(out, &every.Body)
			}
		}
		return false
	})
	return out
}

func firstLine(n ast.Node) string {
	line, _, _ := strings.Cut(string(n.Loc().Text), "\n")
	return line
}
