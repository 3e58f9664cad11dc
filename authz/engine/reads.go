package engine

import (
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/pullgate/pullgate/policies"
)

// baseRefs are the constant prefixes of all base documents that entry points read. The analysis
// panics on rules it does not understand; that is then an error of the bundle. What is only
// replaced (`with input.a as …`) or passed on is not read.
func baseRefs(c *ast.Compiler, entries ...string) (refs []ast.Ref, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("what the rules read cannot be told: %v", p)
		}
	}()
	for _, entry := range entries {
		body, err := ast.ParseBody("x = " + entry)
		if err != nil {
			return nil, err
		}
		var r []ast.Ref
		policies.Alone(func() { r, err = dependencies.Base(c, body) })
		if err != nil {
			return nil, err
		}
		refs = append(refs, r...)
	}
	read, passed := refsRead(c)
	return slices.DeleteFunc(refs, func(ref ast.Ref) bool {
		return ref[0].Equal(ast.InputRootDocument) && !slices.ContainsFunc(read, ref.HasPrefix) &&
			(slices.ContainsFunc(passed, func(r ast.Ref) bool { return r.Equal(ref) }) || !slices.ContainsFunc(read, func(r ast.Ref) bool { return r.HasPrefix(ref) }))
	}), nil
}

// refsRead are the constant prefixes of all refs into the input in any of the rules, but for
// the targets of `with` and for what is only passed on, which comes as the second result.
func refsRead(c *ast.Compiler) (read, passed []ast.Ref) {
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		replaced, handed := map[*ast.Term]bool{}, map[*ast.Term]bool{}
		ast.WalkWiths(c.Modules[name], func(w *ast.With) bool {
			replaced[w.Target] = true
			return false
		})
		ast.WalkRules(c.Modules[name], func(r *ast.Rule) bool {
			passedOn(r, handed)
			return false
		})
		ast.WalkTerms(c.Modules[name], func(t *ast.Term) bool {
			if replaced[t] {
				return true
			}
			if ref, ok := t.Value.(ast.Ref); ok && ref[0].Equal(ast.InputRootDocument) {
				if handed[t] {
					passed = append(passed, ref)
				} else {
					read = append(read, ref.ConstantPrefix())
				}
			}
			return false
		})
	}
	return read, passed
}

// passedOn collects the terms of a compiled rule that hand the input on, less some of its
// fields, to what is asked with it in place of the input:
//
//	… with input as json.remove(input, ["/a/b"])   which is compiled to
//	one = input; json.remove(one, ["/a/b"], other); … with input as other
//
// Every field keeps its name, so that whoever reads it is seen to read it.
func passedOn(r *ast.Rule, handed map[*ast.Term]bool) {
	occurrences, asInput, isInput := map[ast.Var]int{}, map[ast.Var]int{}, map[ast.Var]*ast.Term{}
	ast.WalkVars(r, func(v ast.Var) bool {
		occurrences[v]++
		return false
	})
	ast.WalkWiths(r, func(w *ast.With) bool {
		if v, ok := w.Value.Value.(ast.Var); ok && w.Target.Value.Compare(ast.InputRootRef) == 0 {
			asInput[v]++
		}
		return false
	})
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if v, ok := variable(e, 0); ok && e.IsEquality() && e.Operand(1).Value.Compare(ast.InputRootRef) == 0 {
			isInput[v] = e.Operand(1)
		}
		return false
	})
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if !e.IsCall() || !e.Operator().Equal(ast.JSONRemove.Ref()) || len(e.Operands()) != 3 || !e.Operand(1).IsGround() {
			return false
		}
		from, ok := variable(e, 0)
		to, ok2 := variable(e, 2)
		if ok && ok2 && isInput[from] != nil && occurrences[from] == 2 && asInput[to] > 0 && occurrences[to] == asInput[to]+1 {
			handed[isInput[from]] = true
		}
		return false
	})
}

// variable is an operand that is a variable.
func variable(e *ast.Expr, operand int) (ast.Var, bool) {
	t := e.Operand(operand)
	if t == nil {
		return "", false
	}
	v, ok := t.Value.(ast.Var)
	return v, ok
}
