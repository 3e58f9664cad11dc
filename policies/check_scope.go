package policies

import "github.com/open-policy-agent/opa/v1/ast"

// scope is where something stands in a rule: a body, how far it has been evaluated there, and
// the bodies around it.
type scope struct {
	outer    *scope
	body     ast.Body
	at       int // of the expression in body; len(body) in what is made of the whole body
	declared map[ast.Var]declaration
}

// inScope calls visit with each part of a rule and where that stands. The scope is only good
// during the call.
func inScope(rule *ast.Rule, visit func(x any, s *scope)) {
	var s *scope
	declared := declarations(rule)
	v := ast.NewGenericVisitor(nil)
	within := func(body ast.Body, made ...*ast.Term) {
		s = &scope{outer: s, body: body, at: len(body), declared: declared}
		for _, t := range made {
			v.Walk(t)
		}
		for i, expr := range body {
			s.at = i
			v.Walk(expr)
		}
		s = s.outer
	}
	v = ast.NewGenericVisitor(func(x any) bool {
		visit(x, s)
		switch x := x.(type) {
		case *ast.ArrayComprehension:
			within(x.Body, x.Term)
		case *ast.SetComprehension:
			within(x.Body, x.Term)
		case *ast.ObjectComprehension:
			within(x.Body, x.Key, x.Value)
		case *ast.Every:
			v.Walk(x.Domain)
			within(x.Body)
		default:
			return false
		}
		return true
	})
	for branch := rule; branch != nil; branch = branch.Else {
		made := append([]*ast.Term{}, branch.Head.Ref()[1:]...)
		made = append(made, branch.Head.Args...)
		for _, t := range []*ast.Term{branch.Head.Key, branch.Head.Value} {
			if t != nil {
				made = append(made, t)
			}
		}
		within(branch.Body, made...)
	}
}

// declaration is where a variable is declared.
type declaration struct {
	places int       // in the whole rule
	in     *ast.Expr // the last of them: an assignment, `some … in` or `every`; nil for others
}

// declarations are those of a rule's variables.
func declarations(rule *ast.Rule) map[ast.Var]declaration {
	all := map[ast.Var]declaration{}
	declare := func(in *ast.Expr, terms ...*ast.Term) {
		for _, t := range terms {
			if t == nil {
				continue
			}
			ast.WalkVars(t, func(v ast.Var) bool {
				all[v] = declaration{all[v].places + 1, in}
				return false
			})
		}
	}
	walk(rule, ast.NewGenericVisitor(func(x any) bool {
		switch x := x.(type) {
		case ast.Args:
			declare(nil, x...)
		case *ast.Expr:
			switch terms := x.Terms.(type) {
			case []*ast.Term:
				if x.IsAssignment() {
					declare(x, x.Operand(0))
				}
			case *ast.SomeDecl:
				for _, t := range terms.Symbols {
					if call, ok := t.Value.(ast.Call); ok { // some k, v in list
						declare(x, call[1:len(call)-1]...)
					} else {
						declare(nil, t)
					}
				}
			case *ast.Every:
				declare(x, terms.Key, terms.Value)
			}
		}
		return false
	}))
	return all
}

// declaredBy is what declares a variable that stands here, when it is declared nowhere else in
// the rule; else nil.
func (s *scope) declaredBy(v ast.Var) *ast.Expr {
	d := s.declared[v]
	if d.places != 1 || d.in == nil {
		return nil
	}
	for ; s != nil; s = s.outer {
		if d.in.Index < len(s.body) && s.body[d.in.Index] == d.in {
			return d.in
		}
	}
	return nil
}

// mostNames bounds how many variables stand for one another.
const mostNames = 10

// meant is what a variable stands for, as far as it is given another term by `:=`; else the term
// itself.
func (s *scope) meant(t *ast.Term) *ast.Term {
	for range mostNames {
		v, ok := t.Value.(ast.Var)
		if !ok {
			break
		}
		by := s.declaredBy(v)
		if by == nil || !by.IsAssignment() || by.Operand(0).Value.Compare(v) != 0 {
			break
		}
		t = by.Operand(1)
	}
	return t
}

// written is a term with what its variables stand for: of a variable, and of those in a list.
func (s *scope) written(t *ast.Term) *ast.Term {
	t = s.meant(t)
	list, ok := t.Value.(*ast.Array)
	if !ok {
		return t
	}
	out := make([]*ast.Term, list.Len())
	for i := range out {
		out[i] = s.meant(list.Elem(i))
	}
	return ast.ArrayTerm(out...)
}

// path is the reference into data or input that a term stands for, such as
// data.pullgate.customer.licenses[license].ends for license.ends after
// `some license in data.pullgate.customer.licenses`; nil when that cannot be told.
func (s *scope) path(t *ast.Term) ast.Ref { return s.pathWithin(t, mostNames) }

func (s *scope) pathWithin(t *ast.Term, names int) ast.Ref {
	if names == 0 {
		return nil
	}
	t = s.meant(t)
	if root, ref := rootOf(t); root != "" {
		return ref
	}
	switch v := t.Value.(type) {
	case ast.Ref:
		if of := s.pathWithin(v[0], names-1); of != nil {
			return of.Concat(v[1:])
		}
	case ast.Var:
		if list, key := elementOf(s.declaredBy(v), t); list != nil {
			if of := s.pathWithin(list, names-1); of != nil {
				return of.Append(key)
			}
		}
	}
	return nil
}

// elementOf is the list or object of which a variable is declared to be an element, and which.
func elementOf(by *ast.Expr, v *ast.Term) (list, key *ast.Term) {
	if by == nil {
		return nil, nil
	}
	switch terms := by.Terms.(type) {
	case *ast.SomeDecl:
		call := terms.Symbols[0].Value.(ast.Call)
		if n := len(call); call[n-2].Equal(v) {
			return call[n-1], v
		}
	case *ast.Every:
		if terms.Value.Equal(v) {
			return terms.Domain, v
		}
	case []*ast.Term:
		if names, ok := by.Operand(0).Value.(*ast.Array); ok {
			for i := range names.Len() {
				if names.Elem(i).Equal(v) {
					return by.Operand(1), ast.InternedTerm(i)
				}
			}
		}
	}
	return nil, nil
}
