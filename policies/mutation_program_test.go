package policies_test

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// program is the library with its tests and many mutants, compiled once: a rule that is mutated
// stands there as it is and once for each of its mutants, and of these the one holds whose number
// is at data.variant[<rule>], 0 for the rule as it is. Compiling takes as long as hundreds of
// cases; this way it is done for all mutants together.
type program struct {
	compiler *ast.Compiler
	mutants  []mutant
	invalid  map[int]bool // those that do not compile, by index
}

func newProgram(modules map[string]*ast.Module, mutants []mutant) (*program, error) {
	p := &program{mutants: mutants, invalid: map[int]bool{}}
	for {
		p.compiler = ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1).SetErrorLimit(0)
		if p.compiler.Compile(p.modules(modules)); !p.compiler.Failed() {
			return p, nil
		}
		known := len(p.invalid)
		for _, err := range p.compiler.Errors {
			if n, ok := strings.CutPrefix(err.Location.File, mutantFile); ok {
				i, _ := strconv.Atoi(n)
				p.invalid[i] = true
			}
		}
		if len(p.invalid) == known {
			return nil, p.compiler.Errors
		}
	}
}

// mutantFile and its index is the file of a mutant's locations: by it its errors are told.
const mutantFile = "mutant "

// modules are modules with the mutants beside their rules. Those of defaults are left out: a
// default has no body that could say when it holds.
func (p *program) modules(modules map[string]*ast.Module) map[string]*ast.Module {
	of := map[string][]int{}
	for i := range p.mutants {
		of[p.mutants[i].variant()] = append(of[p.mutants[i].variant()], i)
	}
	out := maps.Clone(modules)
	for path := range modules {
		mod := modules[path].Copy()
		rules := mod.Rules
		mod.Rules = nil
		for n, r := range rules {
			name := variant(path, n)
			if r.Default || len(of[name]) == 0 {
				mod.Rules = append(mod.Rules, r)
				continue
			}
			for _, i := range of[name] {
				if p.mutants[i].edit == nil || p.invalid[i] {
					continue
				}
				mutated := r.Copy()
				p.mutants[i].edit(mutated)
				relocate(mutated, mutantFile+strconv.Itoa(i))
				mod.Rules = append(mod.Rules, guarded(mutated, name, i+1))
			}
			mod.Rules = append(mod.Rules, guarded(r, name, 0))
		}
		out[path] = mod
	}
	return out
}

// store is one in which every rule is as it is.
func (p *program) store() storage.Store {
	variants := map[string]any{}
	for i := range p.mutants {
		variants[p.mutants[i].variant()] = 0
	}
	return inmem.NewFromObjectWithOpts(map[string]any{"variant": variants}, inmem.OptReturnASTValuesOnRead(true))
}

// set says which of a mutant's rule holds: 0 for the rule as it is, the mutant's index and 1 for it.
func (p *program) set(ctx context.Context, s storage.Store, m *mutant, number int) error {
	return storage.WriteOne(ctx, s, storage.ReplaceOp, storage.Path{"variant", m.variant()}, number)
}

// variant names a rule below data.variant.
func variant(path string, rule int) string { return fmt.Sprintf("%s %d", path, rule) }

func (m *mutant) variant() string { return variant(m.path, m.rule) }

// guarded lets a rule hold where data.variant has this number for it.
func guarded(r *ast.Rule, name string, number int) *ast.Rule {
	for branch := r; branch != nil; branch = branch.Else {
		guard := ast.Equal.Expr(ast.RefTerm(ast.DefaultRootDocument, ast.StringTerm("variant"), ast.StringTerm(name)), ast.IntNumberTerm(number))
		ast.WalkNodes(guard, func(n ast.Node) bool { n.SetLoc(branch.Location); return false })
		body := ast.NewBody(guard)
		for _, e := range branch.Body {
			body.Append(e)
		}
		branch.Body = body
	}
	return r
}

// relocate gives a rule's nodes another file.
func relocate(r *ast.Rule, file string) {
	ast.WalkNodes(r, func(n ast.Node) bool {
		if loc := n.Loc(); loc != nil {
			moved := *loc
			moved.File = file
			n.SetLoc(&moved)
		}
		return false
	})
}
