package plan

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// loader makes a Program of OPA's plan.
type loader struct {
	strings  []*ast.Term
	numbers  map[int]*ast.Term
	builtins map[string]*builtin
	funcs    map[string]*function
	params   map[string]int // how many arguments each function takes
	memoized int

	fn      *function         // the one that is loaded,
	claimed map[ir.Stmt]bool  // what its literals and comprehensions are made of,
	wild    map[ir.Local]bool // and locals into which something else is put too
}

func load(p *ir.Policy, entrypoints []string) (*Program, error) {
	l := &loader{numbers: map[int]*ast.Term{}, builtins: map[string]*builtin{}, funcs: map[string]*function{}, params: map[string]int{}}
	for _, s := range p.Static.Strings {
		l.strings = append(l.strings, ast.StringTerm(s.Value))
	}
	for _, b := range p.Static.BuiltinFuncs {
		decl := ast.BuiltinMap[b.Name]
		fn := topdown.GetBuiltin(b.Name)
		if decl == nil || fn == nil || decl.Relation || decl.Nondeterministic {
			return nil, fmt.Errorf("plan: builtin %s", b.Name)
		}
		l.builtins[b.Name] = &builtin{name: b.Name, fn: fn, void: decl.Decl.Result() == nil}
	}
	out := &Program{entries: map[string]*function{}, mapping: &mapping{}}
	for _, f := range p.Funcs.Funcs {
		fn := &function{name: f.Name}
		l.funcs[f.Name], l.params[f.Name] = fn, len(f.Params)
		out.mapping.add(f.Path, fn)
	}
	for _, f := range p.Funcs.Funcs {
		if err := l.function(f); err != nil {
			return nil, fmt.Errorf("plan: %s: %w", f.Name, err)
		}
	}
	for _, e := range entrypoints {
		fn := l.funcs["g0."+e]
		if fn == nil || len(fn.params) != 2 {
			return nil, fmt.Errorf("plan: %s is no rule", e)
		}
		out.entries[e] = fn
	}
	out.memoized = l.memoized
	return out, nil
}

func (m *mapping) add(path []string, fn *function) {
	for _, name := range path {
		if m.next == nil {
			m.next = map[string]*mapping{}
		}
		if m.next[name] == nil {
			m.next[name] = &mapping{}
		}
		m = m.next[name]
	}
	m.fn = fn
}

var (
	errBreak  = errors.New("a break that leaves a loop, a negation or a replacement")
	errArray  = errors.New("an array that is read while it grows")
	errShared = errors.New("a value that grows and is somebody else's")
	errParams = errors.New("a function that is not given input and data first")
)

func (l *loader) function(f *ir.Func) error {
	fn := l.funcs[f.Name]
	if len(f.Params) < 2 || f.Params[0] != ir.Input || f.Params[1] != ir.Data {
		return errParams
	}
	for _, p := range f.Params {
		fn.params = append(fn.params, int(p))
	}
	if len(f.Params) == 2 {
		l.memoized++
		fn.memo = l.memoized
	}
	fn.result = int(f.Return)
	l.fn = fn
	most := f.Return
	for _, p := range f.Params {
		most = max(most, p)
	}
	for _, b := range f.Blocks {
		walk(b, func(s ir.Stmt) {
			for _, local := range targets(s) {
				most = max(most, local)
			}
		})
	}
	fn.locals = int(most) + 1
	fn.early = sameConstant(f)
	if err := l.claim(f); err != nil {
		return err
	}
	var err error
	fn.blocks, err = l.blocks(f.Blocks, 0)
	return err
}

// sameConstant reports whether all that is ever a function's result is `true`. With a default or an
// else that says something else it is not.
func sameConstant(f *ir.Func) bool {
	same, direct := true, 0
	from := map[ir.Local]bool{f.Return: true}
	for _, b := range f.Blocks { // the local between a rule's body and the result
		walk(b, func(s ir.Stmt) {
			if once, ok := s.(*ir.AssignVarOnceStmt); ok && once.Target == f.Return {
				if local, ok := once.Source.Value.(ir.Local); ok {
					from[local] = true
				}
			}
		})
	}
	for _, b := range f.Blocks {
		walk(b, func(s ir.Stmt) {
			once, ok := s.(*ir.AssignVarOnceStmt)
			switch {
			case ok && from[once.Target]:
				if local, ok := once.Source.Value.(ir.Local); ok {
					same = same && from[local] && once.Target == f.Return && local != f.Return
				} else {
					direct++
					same = same && once.Source.Value == ir.Bool(true)
				}
			default:
				if _, reset := s.(*ir.ResetLocalStmt); !reset {
					same = same && !slices.ContainsFunc(targets(s), func(t ir.Local) bool { return from[t] })
				}
			}
		})
	}
	return same && direct > 0
}

// blocks loads blocks that stand depth blocks deep in the nearest loop, negation, replacement or function.
func (l *loader) blocks(list []*ir.Block, depth int) ([]block, error) {
	out := make([]block, len(list))
	for i, b := range list {
		var err error
		if out[i], err = l.block(b, depth); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (l *loader) operand(o ir.Operand) operand {
	switch v := o.Value.(type) {
	case ir.Local:
		return operand{local: int(v)}
	case ir.StringIndex:
		return operand{constant: l.strings[v]}
	case ir.Bool:
		return operand{constant: ast.InternedTerm(bool(v))}
	}
	panic(fmt.Sprintf("operand %T", o.Value)) // there is no other
}

func (l *loader) operands(list []ir.Operand) []operand {
	out := make([]operand, len(list))
	for i, o := range list {
		out[i] = l.operand(o)
	}
	return out
}

func (l *loader) number(index int) *ast.Term {
	if l.numbers[index] == nil {
		l.numbers[index] = ast.NumberTerm(json.Number(l.strings[index].Value.(ast.String)))
	}
	return l.numbers[index]
}
