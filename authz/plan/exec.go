package plan

import (
	"github.com/open-policy-agent/opa/v1/ast"
)

// exec executes a block up to its first statement that is undefined.
func (r *run) exec(fn *function, frame []*ast.Term, b block) int {
	for i := range b {
		s := &b[i]
		switch s.op {
		case opAssign:
			frame[s.target] = value(&s.a, frame)
		case opDot:
			of := s.a.constant
			if of == nil {
				if of = frame[s.a.local]; of == nil && s.a.local == fn.params[0] {
					return 0 // there is no input
				}
			}
			found := member(of, value(&s.b, frame))
			if frame[s.target] = found; found == nil {
				return 0
			}
		case opHolds:
			if !compare(s.n, value(&s.a, frame), value(&s.b, frame)) {
				return 0
			}
			frame[s.target] = ast.InternedTerm(true)
		case opCall:
			out := r.call(s.fn, frame[s.args[0].local], frame[s.args[1].local], s.args[2:], frame)
			if frame[s.target] = out; out == nil {
				return 0
			}
		case opNotEqual:
			if same(value(&s.a, frame), value(&s.b, frame)) {
				return 0
			}
		case opEqual:
			if !same(value(&s.a, frame), value(&s.b, frame)) {
				return 0
			}
		case opScan:
			if r.scan(fn, frame, s) == returned {
				return returned
			}
		case opBlocks:
			for j := range s.blocks {
				switch left := r.exec(fn, frame, s.blocks[j]); {
				case left == returned:
					return returned
				case left > 0:
					return left - 1
				}
			}
		case opOnce:
			v := value(&s.a, frame)
			if was := frame[s.target]; was != nil && !same(was, v) {
				panic(declined{"rules conflict"})
			}
			frame[s.target] = v
			if fn.early && s.a.constant != nil { // the others would say the same
				frame[fn.result] = v
				return returned
			}
		case opReset:
			frame[s.target] = nil
		case opDefined:
			if frame[s.a.local] == nil {
				return 0
			}
		case opUndefined:
			if frame[s.a.local] != nil {
				return 0
			}
		case opNot:
			switch r.exec(fn, frame, s.blocks[0]) {
			case done:
				return 0
			case returned:
				return returned
			}
		case opReturn:
			return returned
		case opBreak:
			return s.n
		default:
			if left := r.rare(fn, frame, s); left != done {
				return left
			}
		}
	}
	return done
}

// rare executes one of the other statements.
func (r *run) rare(fn *function, frame []*ast.Term, s *stmt) int {
	switch s.op {
	case opCompare:
		frame[s.target] = ast.InternedTerm(compare(s.n, value(&s.a, frame), value(&s.b, frame)))
	case opIsArray:
		if _, ok := whole(value(&s.a, frame)).Value.(*ast.Array); !ok {
			return 0
		}
	case opIsObject:
		if _, ok := whole(value(&s.a, frame)).Value.(ast.Object); !ok {
			return 0
		}
	case opIsSet:
		if _, ok := whole(value(&s.a, frame)).Value.(ast.Set); !ok {
			return 0
		}
	case opLen:
		frame[s.target] = length(whole(value(&s.a, frame)))
	case opReplace:
		return r.replace(fn, frame, s)
	case opBuiltin:
		out := r.builtin(s, frame)
		if s.call.void {
			break
		}
		if frame[s.target] = out; out == nil {
			return 0
		}
	case opDispatch:
		fn := r.dispatch(frame, s)
		if fn == nil {
			return 0
		}
		out := r.call(fn, value(&s.a, frame), value(&s.b, frame), nil, frame)
		if frame[s.target] = out; out == nil {
			return 3 // there is a rule, and what it says counts
		}
	case opArray, opObject, opSet:
		frame[s.target] = compose(s, func(o operand) *ast.Term { return whole(value(&o, frame)) })
	case opBeginArray:
		r.arrays = append(r.arrays, nil)
		frame[s.target] = nil
	case opAppend:
		last := len(r.arrays) - 1
		r.arrays[last] = append(r.arrays[last], whole(value(&s.a, frame)))
	case opEndArray:
		last := len(r.arrays) - 1
		frame[s.target] = ast.ArrayTerm(r.arrays[last]...)
		r.arrays[last] = nil
		r.arrays = r.arrays[:last]
	case opNewObject:
		frame[s.target] = ast.ObjectTerm()
	case opInsert:
		into := value(&operand{local: s.target}, frame).Value.(ast.Object)
		k, v := whole(value(&s.a, frame)), whole(value(&s.b, frame))
		if was := into.Get(k); was != nil && !was.Equal(v) {
			panic(declined{"members conflict"})
		}
		into.Insert(k, v)
	case opNewSet:
		frame[s.target] = ast.NewTerm(ast.NewSet())
	case opAdd:
		value(&operand{local: s.target}, frame).Value.(ast.Set).Add(whole(value(&s.a, frame)))
	default:
		panic(declined{"a statement without a meaning"})
	}
	return done
}

// compare says whether two values compare as asked, by the order and the equality that topdown's builtins
// have.
func compare(how int, a, b *ast.Term) bool {
	a, b = whole(a), whole(b)
	switch how {
	case less:
		return a.Value.Compare(b.Value) < 0
	case lessOrEqual:
		return a.Value.Compare(b.Value) <= 0
	case greater:
		return a.Value.Compare(b.Value) > 0
	case greaterOrEqual:
		return a.Value.Compare(b.Value) >= 0
	case equal:
		return a.Equal(b)
	case notEqual:
		return !a.Equal(b)
	}
	panic(declined{"a comparison without a meaning"})
}

// same says whether two values are equal. A document of data is an object, and never equal to a scalar.
func same(a, b *ast.Term) bool {
	if a == b {
		return true
	}
	_, isPlace := a.Value.(place)
	_, isPlace2 := b.Value.(place)
	if isPlace || isPlace2 {
		if isPlace && ast.IsScalar(b.Value) || isPlace2 && ast.IsScalar(a.Value) {
			return false
		}
		a, b = whole(a), whole(b)
	}
	return a.Equal(b)
}

// length is that of a collection.
func length(t *ast.Term) *ast.Term {
	switch v := t.Value.(type) {
	case *ast.Array:
		return ast.InternedTerm(v.Len())
	case ast.Object:
		return ast.InternedTerm(v.Len())
	case ast.Set:
		return ast.InternedTerm(v.Len())
	}
	panic(declined{"length of a scalar"})
}
