package plan

import (
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
)

// stmt loads one statement. What is not here makes the whole policy one for topdown.
func (l *loader) stmt(s ir.Stmt, depth int) (out stmt, err error) {
	switch s := s.(type) {
	case *ir.AssignVarStmt:
		return stmt{op: opAssign, a: l.operand(s.Source), target: int(s.Target)}, nil
	case *ir.AssignVarOnceStmt:
		return stmt{op: opOnce, a: l.operand(s.Source), target: int(s.Target)}, nil
	case *ir.ResetLocalStmt:
		return stmt{op: opReset, target: int(s.Target)}, nil
	case *ir.AssignIntStmt:
		return stmt{op: opAssign, a: operand{constant: ast.InternedTerm(s.Value)}, target: int(s.Target)}, nil
	case *ir.MakeNumberIntStmt:
		return stmt{op: opAssign, a: operand{constant: ast.InternedTerm(s.Value)}, target: int(s.Target)}, nil
	case *ir.MakeNumberRefStmt:
		return stmt{op: opAssign, a: operand{constant: l.number(s.Index)}, target: int(s.Target)}, nil
	case *ir.MakeNullStmt:
		return stmt{op: opAssign, a: operand{constant: ast.InternedNullTerm}, target: int(s.Target)}, nil
	case *ir.DotStmt:
		return stmt{op: opDot, a: l.operand(s.Source), b: l.operand(s.Key), target: int(s.Target)}, nil
	case *ir.LenStmt:
		return stmt{op: opLen, a: l.operand(s.Source), target: int(s.Target)}, nil
	case *ir.EqualStmt:
		return stmt{op: opEqual, a: l.operand(s.A), b: l.operand(s.B)}, nil
	case *ir.NotEqualStmt:
		return stmt{op: opNotEqual, a: l.operand(s.A), b: l.operand(s.B)}, nil
	case *ir.IsArrayStmt:
		return stmt{op: opIsArray, a: l.operand(s.Source)}, nil
	case *ir.IsObjectStmt:
		return stmt{op: opIsObject, a: l.operand(s.Source)}, nil
	case *ir.IsSetStmt:
		return stmt{op: opIsSet, a: l.operand(s.Source)}, nil
	case *ir.IsDefinedStmt:
		return stmt{op: opDefined, a: operand{local: int(s.Source)}}, nil
	case *ir.IsUndefinedStmt:
		return stmt{op: opUndefined, a: operand{local: int(s.Source)}}, nil
	case *ir.MakeObjectStmt:
		return stmt{op: opNewObject, target: int(s.Target)}, nil
	case *ir.MakeSetStmt:
		return stmt{op: opNewSet, target: int(s.Target)}, nil
	case *ir.ArrayAppendStmt:
		return stmt{op: opAppend, a: l.operand(s.Value), target: int(s.Array)}, nil
	case *ir.ObjectInsertStmt:
		return stmt{op: opInsert, a: l.operand(s.Key), b: l.operand(s.Value), target: int(s.Object)}, nil
	case *ir.ObjectInsertOnceStmt:
		return stmt{op: opInsert, a: l.operand(s.Key), b: l.operand(s.Value), target: int(s.Object)}, nil
	case *ir.SetAddStmt:
		return stmt{op: opAdd, a: l.operand(s.Value), target: int(s.Set)}, nil
	case *ir.ReturnLocalStmt:
		if int(s.Source) != l.fn.result {
			return out, fmt.Errorf("a function that returns local %d", s.Source)
		}
		return stmt{op: opReturn}, nil
	case *ir.BreakStmt:
		return stmt{op: opBreak, n: int(s.Index)}, breaks(int(s.Index), depth)
	case *ir.BlockStmt:
		out.op = opBlocks
		out.blocks, err = l.blocks(s.Blocks, depth+1)
		return out, err
	case *ir.ScanStmt:
		out = stmt{op: opScan, a: operand{local: int(s.Source)}, key: int(s.Key), target: int(s.Value)}
		out.blocks, err = l.blocks([]*ir.Block{s.Block}, 0)
		return out, err
	case *ir.NotStmt:
		out.op = opNot
		out.blocks, err = l.blocks([]*ir.Block{s.Block}, 0)
		return out, err
	case *ir.WithStmt:
		return l.replacement(s)
	case *ir.CallStmt:
		return l.callStmt(s)
	case *ir.CallDynamicStmt:
		if len(s.Args) != 2 {
			return out, fmt.Errorf("a dispatch with %d arguments", len(s.Args))
		}
		out = stmt{op: opDispatch, args: l.operands(s.Path), a: operand{local: int(s.Args[0])}, b: operand{local: int(s.Args[1])}, target: int(s.Result)}
		return out, breaks(3, depth) // how it ends when what it calls is undefined
	}
	return out, fmt.Errorf("statement %T", s)
}

// breaks makes sure that a break of so many levels stays within what is depth blocks deep.
func breaks(levels, depth int) error {
	if levels > depth {
		return errBreak
	}
	return nil
}

func (l *loader) replacement(s *ir.WithStmt) (out stmt, err error) {
	if s.Local != ir.Input && s.Local != ir.Data || s.Local == ir.Data && len(s.Path) > 0 {
		return out, fmt.Errorf("a replacement below local %d", s.Local)
	}
	out = stmt{op: opReplace, target: int(s.Local), b: l.operand(s.Value)}
	for _, name := range s.Path {
		out.path = append(out.path, l.strings[name])
	}
	out.blocks, err = l.blocks([]*ir.Block{s.Block}, 0)
	return out, err
}

func (l *loader) callStmt(s *ir.CallStmt) (stmt, error) {
	out := stmt{args: l.operands(s.Args), target: int(s.Result)}
	if fn := l.funcs[s.Func]; fn != nil {
		// OPA plans a look at all of a package as a call of its functions too, without arguments.
		if l.params[s.Func] != len(s.Args) {
			return stmt{op: opDecline}, nil
		}
		for i, first := range []ir.Local{ir.Input, ir.Data} {
			if s.Args[i].Value != first {
				return out, errParams
			}
		}
		out.op, out.fn = opCall, fn
		return out, nil
	}
	b := l.builtins[s.Func]
	if b == nil {
		return out, fmt.Errorf("function %s", s.Func)
	}
	if how, ok := comparisons[s.Func]; ok && len(s.Args) == 2 {
		return stmt{op: opCompare, n: how, a: out.args[0], b: out.args[1], target: out.target}, nil
	}
	out.op, out.call = opBuiltin, b
	return out, nil
}
