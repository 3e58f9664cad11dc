package plan

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// claim finds out which statements are parts of literals and comprehensions, and makes sure that nothing
// grows but what was made for that in the same rule.
func (l *loader) claim(f *ir.Func) error {
	l.claimed, l.wild = map[ir.Stmt]bool{}, map[ir.Local]bool{}
	every(f.Blocks, func(b *ir.Block) {
		for i, s := range b.Stmts {
			if _, parts, ok := l.literal(b.Stmts, i); ok {
				for _, at := range parts {
					l.claimed[b.Stmts[at]] = true
				}
			} else if made, ok := s.(*ir.MakeArrayStmt); ok && i+1 < len(b.Stmts) && l.growsOnlyIn(made.Target, b.Stmts[i+1:]) {
				walk(&ir.Block{Stmts: b.Stmts[i+1 : i+2]}, func(s ir.Stmt) {
					if into, ok := growing(s); ok && into == made.Target {
						l.claimed[s] = true
					}
				})
			}
		}
	})
	foreign := false
	for _, b := range bodies(f) {
		foreign = l.origins(b).foreign || foreign
	}
	for _, b := range bodies(f) {
		if err := l.own(b, foreign); err != nil {
			return err
		}
	}
	return nil
}

// origins is where the locals of one rule have their values from.
type origins struct {
	made  map[ir.Local]bool // a new collection
	found map[ir.Local]bool // a part of the rule's result, or of a part
	given map[ir.Local]bool // anything else
	// foreign says that the rule's result gets parts that are no new collections, and may be anybody's.
	foreign bool
}

func (l *loader) origins(b *ir.Block) *origins {
	o := &origins{made: map[ir.Local]bool{}, found: map[ir.Local]bool{}, given: map[ir.Local]bool{}}
	result := ir.Local(l.fn.result)
	walk(b, func(s ir.Stmt) {
		for _, local := range targets(s) {
			switch s := s.(type) {
			case *ir.MakeArrayStmt, *ir.MakeObjectStmt, *ir.MakeSetStmt:
				o.made[local] = true
			case *ir.ResetLocalStmt:
			case *ir.DotStmt:
				if part := localOf(s.Source); part == result || o.found[part] && o.made[part] {
					o.found[local] = true
				} else {
					o.given[local] = true
				}
			default:
				o.given[local] = true
			}
		}
	})
	walk(b, func(s ir.Stmt) {
		switch s := s.(type) {
		case *ir.ObjectInsertOnceStmt:
			o.foreign = true
		case *ir.ObjectInsertStmt:
			part := localOf(s.Value)
			o.foreign = o.foreign || !l.claimed[s] && !(o.made[part] && o.found[part])
		}
	})
	return o
}

// own makes sure that what grows in a rule is a collection that it has made. What is found in the rule's
// result is, when nothing foreign is in there.
func (l *loader) own(b *ir.Block, foreign bool) (err error) {
	o := l.origins(b)
	walk(b, func(s ir.Stmt) {
		into, ok := growing(s)
		if !ok {
			return
		}
		if !l.claimed[s] {
			l.wild[into] = true
		}
		if _, isAppend := s.(*ir.ArrayAppendStmt); isAppend && !l.claimed[s] {
			err = errArray
		}
		if int(into) != l.fn.result && !o.made[into] || o.given[into] || o.found[into] && foreign {
			err = errShared
		}
	})
	return err
}

// localOf is the local that an operand is, -1 for a constant.
func localOf(o ir.Operand) ir.Local {
	if local, ok := o.Value.(ir.Local); ok {
		return local
	}
	return -1
}

// literal joins a composite value that is made of what is known in the same block: what has to be put into it
// until it is used otherwise. parts are the statements that do so.
func (l *loader) literal(stmts []ir.Stmt, i int) (out stmt, parts []int, ok bool) {
	var of ir.Local
	switch s := stmts[i].(type) {
	case *ir.MakeArrayStmt:
		out.op, of = opArray, s.Target
	case *ir.MakeObjectStmt:
		out.op, of = opObject, s.Target
	case *ir.MakeSetStmt:
		out.op, of = opSet, s.Target
	default:
		return out, nil, false
	}
	constant := true
	var values []ir.Local // in out
	for at := i + 1; at < len(stmts); at++ {
		if !mentions(stmts[at], of) {
			for _, local := range values {
				if sets(stmts[at], local) {
					return out, nil, false // it would be another value by then
				}
			}
			continue
		}
		key, value, into := l.put(stmts[at])
		if into != of || value.Value == of {
			break
		}
		if out.op == opObject && (key == nil || slices.ContainsFunc(out.keys, key.Equal)) {
			return out, nil, false
		}
		v := l.operand(value)
		if local, isLocal := value.Value.(ir.Local); isLocal {
			if v.constant = l.constant(stmts[i:at], local); v.constant == nil {
				values = append(values, local)
			}
		}
		constant = constant && v.constant != nil
		out.args, out.keys, parts = append(out.args, v), append(out.keys, key), append(parts, at)
	}
	// What is a rule's result is made in one block and grows in others.
	if int(of) == l.fn.result || grows(stmts[i+1:], of) != len(parts) {
		return out, nil, false
	}
	out.target = int(of)
	if constant && !l.wild[of] { // nobody changes it, so that all evaluations may share it
		out = stmt{op: opAssign, target: int(of), a: operand{constant: compose(&out, func(o operand) *ast.Term { return o.constant })}}
	}
	return out, parts, true
}

// put is what a statement puts where. The key is nil when it is not a constant string.
func (l *loader) put(s ir.Stmt) (key *ast.Term, value ir.Operand, into ir.Local) {
	switch s := s.(type) {
	case *ir.ArrayAppendStmt:
		return nil, s.Value, s.Array
	case *ir.SetAddStmt:
		return nil, s.Value, s.Set
	case *ir.ObjectInsertStmt:
		if name, ok := s.Key.Value.(ir.StringIndex); ok {
			key = l.strings[name]
		}
		return key, s.Value, s.Object
	}
	return nil, ir.Operand{}, -1
}

// constant is what a local has been given by the last of these statements that gives it something, nil
// when that is not a number or null.
func (l *loader) constant(stmts []ir.Stmt, local ir.Local) *ast.Term {
	for _, s := range slices.Backward(stmts) {
		if !sets(s, local) {
			continue
		}
		switch s := s.(type) {
		case *ir.MakeNumberRefStmt:
			return l.number(s.Index)
		case *ir.MakeNullStmt:
			return ast.InternedNullTerm
		}
		return nil
	}
	return nil
}

// growsOnlyIn says that an array gets all its elements in the first of these statements, which has no other
// use for it.
func (l *loader) growsOnlyIn(array ir.Local, in []ir.Stmt) bool {
	other := int(array) == l.fn.result
	walk(&ir.Block{Stmts: in[:1]}, func(s ir.Stmt) {
		if into, ok := growing(s); ok && into == array {
			_, isAppend := s.(*ir.ArrayAppendStmt)
			other = other || !isAppend || slices.ContainsFunc(operandsOf(s), func(v ir.Operand) bool { return v.Value == array })
		} else {
			other = other || touches(s, array)
		}
	})
	return !other && grows(in[:1], array) == grows(in, array)
}

// compose makes the value of a literal.
func compose(s *stmt, value func(operand) *ast.Term) *ast.Term {
	switch s.op {
	case opArray:
		terms := make([]*ast.Term, len(s.args))
		for i, o := range s.args {
			terms[i] = value(o)
		}
		return ast.ArrayTerm(terms...)
	case opSet:
		terms := make([]*ast.Term, len(s.args))
		for i, o := range s.args {
			terms[i] = value(o)
		}
		return ast.SetTerm(terms...)
	case opObject:
		members := make([][2]*ast.Term, len(s.args))
		for i, o := range s.args {
			members[i] = [2]*ast.Term{s.keys[i], value(o)}
		}
		return ast.ObjectTerm(members...)
	}
	panic(fmt.Sprintf("literal %d", s.op))
}
