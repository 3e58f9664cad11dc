package plan

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ir"
)

// What the statements of a plan have to do with locals.

// growing is the local that a statement puts something into.
func growing(s ir.Stmt) (ir.Local, bool) {
	switch s := s.(type) {
	case *ir.ArrayAppendStmt:
		return s.Array, true
	case *ir.SetAddStmt:
		return s.Set, true
	case *ir.ObjectInsertStmt:
		return s.Object, true
	case *ir.ObjectInsertOnceStmt:
		return s.Object, true
	}
	return 0, false
}

// mentions says that a statement, or one within it, has to do with a local.
func mentions(s ir.Stmt, local ir.Local) (found bool) {
	walk(&ir.Block{Stmts: []ir.Stmt{s}}, func(s ir.Stmt) { found = found || touches(s, local) })
	return found
}

// touches is mentions of the statement alone.
func touches(s ir.Stmt, local ir.Local) bool {
	into, ok := growing(s)
	return ok && into == local || slices.Contains(targets(s), local) || slices.Contains(sources(s), local) ||
		slices.ContainsFunc(operandsOf(s), func(o ir.Operand) bool { return o.Value == local })
}

// sources are the locals that a statement reads other than through operands.
func sources(s ir.Stmt) []ir.Local {
	switch s := s.(type) {
	case *ir.CallDynamicStmt:
		return s.Args
	case *ir.ScanStmt:
		return []ir.Local{s.Source}
	case *ir.IsDefinedStmt:
		return []ir.Local{s.Source}
	case *ir.IsUndefinedStmt:
		return []ir.Local{s.Source}
	case *ir.ReturnLocalStmt:
		return []ir.Local{s.Source}
	case *ir.ObjectMergeStmt:
		return []ir.Local{s.A, s.B}
	case *ir.ResultSetAddStmt:
		return []ir.Local{s.Value}
	}
	return nil
}

func operandsOf(s ir.Stmt) []ir.Operand {
	switch s := s.(type) {
	case *ir.CallStmt:
		return s.Args
	case *ir.CallDynamicStmt:
		return s.Path
	case *ir.DotStmt:
		return []ir.Operand{s.Source, s.Key}
	case *ir.LenStmt:
		return []ir.Operand{s.Source}
	case *ir.AssignVarStmt:
		return []ir.Operand{s.Source}
	case *ir.AssignVarOnceStmt:
		return []ir.Operand{s.Source}
	case *ir.EqualStmt:
		return []ir.Operand{s.A, s.B}
	case *ir.NotEqualStmt:
		return []ir.Operand{s.A, s.B}
	case *ir.IsArrayStmt:
		return []ir.Operand{s.Source}
	case *ir.IsObjectStmt:
		return []ir.Operand{s.Source}
	case *ir.IsSetStmt:
		return []ir.Operand{s.Source}
	case *ir.ArrayAppendStmt:
		return []ir.Operand{s.Value}
	case *ir.ObjectInsertStmt:
		return []ir.Operand{s.Key, s.Value}
	case *ir.ObjectInsertOnceStmt:
		return []ir.Operand{s.Key, s.Value}
	case *ir.SetAddStmt:
		return []ir.Operand{s.Value}
	case *ir.WithStmt:
		return []ir.Operand{s.Value}
	}
	return nil
}

// walk visits all statements of a block.
func walk(b *ir.Block, visit func(ir.Stmt)) {
	for _, s := range b.Stmts {
		visit(s)
		for _, inner := range nested(s) {
			walk(inner, visit)
		}
	}
}

func nested(s ir.Stmt) []*ir.Block {
	switch s := s.(type) {
	case *ir.BlockStmt:
		return s.Blocks
	case *ir.ScanStmt:
		return []*ir.Block{s.Block}
	case *ir.NotStmt:
		return []*ir.Block{s.Block}
	case *ir.WithStmt:
		return []*ir.Block{s.Block}
	}
	return nil
}

// targets are the locals to which a statement gives a value.
func targets(s ir.Stmt) []ir.Local {
	switch s := s.(type) {
	case *ir.CallStmt:
		return []ir.Local{s.Result}
	case *ir.CallDynamicStmt:
		return []ir.Local{s.Result}
	case *ir.DotStmt:
		return []ir.Local{s.Target}
	case *ir.LenStmt:
		return []ir.Local{s.Target}
	case *ir.ScanStmt:
		return []ir.Local{s.Key, s.Value}
	case *ir.AssignIntStmt:
		return []ir.Local{s.Target}
	case *ir.AssignVarStmt:
		return []ir.Local{s.Target}
	case *ir.AssignVarOnceStmt:
		return []ir.Local{s.Target}
	case *ir.ResetLocalStmt:
		return []ir.Local{s.Target}
	case *ir.MakeNullStmt:
		return []ir.Local{s.Target}
	case *ir.MakeNumberIntStmt:
		return []ir.Local{s.Target}
	case *ir.MakeNumberRefStmt:
		return []ir.Local{s.Target}
	case *ir.MakeArrayStmt:
		return []ir.Local{s.Target}
	case *ir.MakeObjectStmt:
		return []ir.Local{s.Target}
	case *ir.MakeSetStmt:
		return []ir.Local{s.Target}
	case *ir.WithStmt:
		return []ir.Local{s.Local}
	}
	return nil
}

// bodies are the blocks of a function that are one rule's each. Locals stand for something else in every one.
func bodies(f *ir.Func) (list []*ir.Block) {
	for _, b := range f.Blocks {
		if len(b.Stmts) == 1 {
			if ordered, ok := b.Stmts[0].(*ir.BlockStmt); ok { // a rule and its else
				list = append(list, ordered.Blocks...)
				continue
			}
		}
		list = append(list, b)
	}
	return list
}

// every visits blocks and those within.
func every(blocks []*ir.Block, visit func(*ir.Block)) {
	for _, b := range blocks {
		visit(b)
		for _, s := range b.Stmts {
			every(nested(s), visit)
		}
	}
}

// sets says that a statement, or one within it, gives a local a value.
func sets(s ir.Stmt, local ir.Local) (found bool) {
	walk(&ir.Block{Stmts: []ir.Stmt{s}}, func(s ir.Stmt) { found = found || slices.Contains(targets(s), local) })
	return found
}

// grows counts the statements that put something into a local.
func grows(stmts []ir.Stmt, local ir.Local) (n int) {
	walk(&ir.Block{Stmts: stmts}, func(s ir.Stmt) {
		if into, ok := growing(s); ok && into == local {
			n++
		}
	})
	return n
}
