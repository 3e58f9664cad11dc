package plan

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

type op uint8

const (
	opAssign     op = iota
	opOnce          // a conflict when there is another value
	opReset         // to undefined
	opDot           // target := a[b], undefined when there is none
	opEqual         // undefined unless a == b
	opNotEqual      // undefined unless a != b
	opCompare       // target := whether a and b compare as n says
	opHolds         // the same, undefined unless they do
	opIsArray       //
	opIsObject      //
	opIsSet         //
	opDefined       //
	opUndefined     //
	opLen           //
	opBlocks        //
	opBreak         // n blocks beyond this one
	opScan          // key, target := each member of a
	opNot           //
	opReplace       // target := target with b at path, for one block
	opCall          //
	opBuiltin       //
	opDispatch      // a call of what the mapping has at args
	opArray         // target := an array of args
	opBeginArray    // target grows from here
	opAppend        //
	opEndArray      // and is one from here
	opObject        // target := an object of keys and args
	opNewObject     // target is changed from here on
	opInsert        // target[a] := b, a conflict when there is another value
	opSet           // target := a set of args
	opNewSet        // target is changed from here on
	opAdd           //
	opReturn        //
	opDecline       // cannot be executed, and hardly ever is
)

// How opCompare compares.
const (
	less = iota
	lessOrEqual
	greater
	greaterOrEqual
	equal
	notEqual
)

var comparisons = map[string]int{
	ast.LessThan.Name: less, ast.LessThanEq.Name: lessOrEqual, ast.GreaterThan.Name: greater, ast.GreaterThanEq.Name: greaterOrEqual,
	ast.Equal.Name: equal, ast.NotEqual.Name: notEqual,
}

// block loads one block. Literals, which the plan makes member by member, are made at once.
func (l *loader) block(b *ir.Block, depth int) (block, error) {
	var out block
	literals, skip := map[int]stmt{}, map[int]bool{}
	for i, s := range b.Stmts {
		if skip[i] {
			if lit, ok := literals[i]; ok {
				out = append(out, lit)
			}
			continue
		}
		if lit, parts, ok := l.literal(b.Stmts, i); ok {
			for _, at := range parts {
				skip[at] = true
			}
			if len(parts) == 0 {
				out = append(out, lit)
			} else {
				literals[parts[len(parts)-1]] = lit
			}
			continue
		}
		if made, ok := s.(*ir.MakeArrayStmt); ok { // of a comprehension, which is the next statement
			if i+1 == len(b.Stmts) || !l.growsOnlyIn(made.Target, b.Stmts[i+1:]) {
				return nil, errArray
			}
			inner, err := l.stmt(b.Stmts[i+1], depth)
			if err != nil {
				return nil, err
			}
			out = append(out, stmt{op: opBeginArray, target: int(made.Target)}, inner, stmt{op: opEndArray, target: int(made.Target)})
			skip[i+1] = true
			continue
		}
		if fused, ok := l.holds(s, b.Stmts[i+1:]); ok {
			out = append(out, fused)
			skip[i+1] = true
			continue
		}
		made, err := l.stmt(s, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// holds joins a comparison with the question whether it is true.
func (l *loader) holds(s ir.Stmt, after []ir.Stmt) (stmt, bool) {
	call, ok := s.(*ir.CallStmt)
	if !ok || len(after) == 0 {
		return stmt{}, false
	}
	how, ok := comparisons[call.Func]
	test, ok2 := after[0].(*ir.NotEqualStmt)
	if !ok || !ok2 || l.builtins[call.Func] == nil || len(call.Args) != 2 || test.A.Value != call.Result || test.B.Value != ir.Bool(false) {
		return stmt{}, false
	}
	return stmt{op: opHolds, n: how, a: l.operand(call.Args[0]), b: l.operand(call.Args[1]), target: int(call.Result)}, true
}
