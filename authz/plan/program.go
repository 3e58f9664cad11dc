package plan

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/ir"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Program is the plan of some entry points. It is immutable and safe for concurrent use.
type Program struct {
	entries  map[string]*function
	mapping  *mapping
	memoized int // functions whose value is kept while their input and data stay the same
	runs     runs
}

// function is a planned rule, or several of one name: ir.Func.
type function struct {
	name   string
	params []int // locals that take the arguments; the first two are input and data
	result int
	locals int
	blocks []block
	memo   int // 1 + place among the memoized ones, 0 when it is none
	// early says that all of its rules give the same constant, so that the first one that holds is
	// enough: what topdown calls early exit.
	early bool
}

// A block is executed until a statement is undefined or breaks out of it.
type block []stmt

// stmt is one statement of ir, made ready. Which fields are set depends on op.
type stmt struct {
	op     op
	target int
	a, b   operand
	n      int // levels of a break, or how to compare
	key    int // local for keys of a scan
	blocks []block
	args   []operand
	keys   []*ast.Term // of an object, beside args
	path   []*ast.Term // of a replacement
	fn     *function
	call   *builtin
}

// operand is a constant, or else a local.
type operand struct {
	constant *ast.Term
	local    int
}

type builtin struct {
	name string
	fn   topdown.BuiltinFunc
	void bool // it has no result
}

// mapping finds functions by path, for calls whose path is not constant.
type mapping struct {
	fn   *function
	next map[string]*mapping
}

// target is under which name OPA knows this way to evaluate.
const target = "pullgate"

// planner gets at the plan that rego makes for a target of somebody else's, which is what rego has
// target plugins for. It keeps nothing.
type planner struct{}

// OPA has no other way to say this, and reads its table of targets without a lock.
func init() { rego.RegisterPlugin(target, planner{}) }

func (planner) IsTarget(name string) bool { return name == target }

type planKey struct{}

// PrepareForEval hands the plan to the caller of New, through the context.
func (planner) PrepareForEval(ctx context.Context, p *ir.Policy, _ ...rego.PrepareOption) (rego.TargetPluginEval, error) {
	if to, ok := ctx.Value(planKey{}).(**ir.Policy); ok {
		*to = p
	}
	return nil, nil
}

// New plans compiled rules for entry points, references like data.a.b to rules without arguments. Nobody
// else in the process may compile Rego meanwhile. An error means that this policy is one for topdown.
func New(ctx context.Context, c *ast.Compiler, entrypoints ...string) (*Program, error) {
	// Rego switches the compiler over for good.
	defer c.WithEvalMode(ast.EvalModeTopdown)
	var policy *ir.Policy
	_, err := rego.New(
		rego.Compiler(c), rego.Target(target), rego.SetRegoVersion(ast.RegoV1),
		rego.Query("["+strings.Join(entrypoints, ", ")+"]"),
	).PrepareForEval(context.WithValue(ctx, planKey{}, &policy))
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if policy == nil {
		return nil, errors.New("plan: none was made")
	}
	return load(policy, entrypoints)
}
