package engine

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/pullgate/pullgate/authz/plan"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies"
)

// The questions asked of a policy, the last one only where there are vendor rules.
const (
	decisionQuery     = policies.Entrypoint
	visibleQuery      = policies.VisibleEntrypoint
	visibleUntilQuery = policies.VisibleUntilEntrypoint
)

// policy is a bundle's Rego, compiled, with what it reads. It is immutable and safe for
// concurrent use, so that bundles with the same Rego share it: an edit of a license does not
// compile a library again.
type policy struct {
	digest   string
	modules  map[string][]byte
	compiler *ast.Compiler
	refs     []ast.Ref // base documents that a decision reads
	listRefs []ast.Ref // and those that what is visible reads
	allData  string    // a ref to everybody's licenses, "" when there is none
	rules    []string  // packages of vendor rules, sorted
	headers  []string  // upstream headers that vendor rules may set, lower case
	grants   bool      // a vendor rule may grant

	plan       *plan.Program // nil: evaluated by topdown alone,
	unplanned  string        // and why
	distrusted atomic.Bool   // the plan has given another answer than topdown
}

// newPolicy compiles a bundle's Rego, or returns last when it is of the same.
func newPolicy(modules map[string][]byte, last *policy) (*policy, error) {
	p := &policy{digest: bundle.PolicyDigest(modules), modules: modules}
	if last != nil && last.digest == p.digest {
		return last, nil
	}
	rules := map[string][]byte{}
	for path, text := range modules {
		if strings.HasPrefix(path, policies.RulesDir) {
			rules[path] = text
		}
	}
	if err := policies.Check(rules); err != nil {
		return nil, fmt.Errorf("vendor rules: %w", err)
	}
	var err error
	if p.rules, err = policies.RulePackages(rules); err != nil {
		return nil, fmt.Errorf("vendor rules: %w", err)
	}
	p.headers, p.grants = policies.UpstreamHeaders(rules), policies.RulesGrant(rules)
	if p.compiler, err = compileModules(modules); err != nil {
		return nil, fmt.Errorf("compile policy: %w", err)
	}
	if p.refs, err = baseRefs(p.compiler, decisionQuery); err == nil {
		p.listRefs, err = baseRefs(p.compiler, visibleQuery, visibleUntilQuery)
	}
	if err != nil {
		return nil, fmt.Errorf("analyse policy: %w", err)
	}
	p.allData = allData(p.compiler)
	policies.Alone(func() {
		p.plan, err = plan.New(context.Background(), p.compiler, decisionQuery, visibleQuery, visibleUntilQuery)
	})
	if err != nil {
		p.plan, p.unplanned = nil, err.Error()
	}
	return p, nil
}

// compileModules compiles a bundle's Rego, strictly and with nothing but the builtins a policy may use.
func compileModules(modules map[string][]byte) (*ast.Compiler, error) {
	parsed := make(map[string]*ast.Module, len(modules))
	capabilities := policies.Capabilities()
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		m, err := ast.ParseModuleWithOpts(name, string(modules[name]), ast.ParserOptions{
			RegoVersion: ast.RegoV1, Capabilities: capabilities,
		})
		if err != nil {
			return nil, err
		}
		if m == nil {
			continue // empty file
		}
		parsed[name] = m
	}
	c := ast.NewCompiler().WithCapabilities(capabilities).WithStrict(true).WithDefaultRegoVersion(ast.RegoV1)
	if policies.Alone(func() { c.Compile(parsed) }); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}

// visibleQuery asks what is visible, with vendor rules for [visible, until], so that the second
// answer costs nothing.
func (p *policy) visibleQuery() string {
	if len(p.rules) == 0 {
		return visibleQuery
	}
	return "[" + visibleQuery + ", " + visibleUntilQuery + "]"
}

// prepare makes a query ready whose results are terms: nothing is converted that is not read.
func prepare(ctx context.Context, c *ast.Compiler, s *store, query string) (rego.PreparedEvalQuery, error) {
	var q rego.PreparedEvalQuery
	var err error
	r := rego.New(
		rego.Compiler(c),
		rego.Store(s),
		rego.Query(query),
		rego.SetRegoVersion(ast.RegoV1),
		rego.StrictBuiltinErrors(true),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }),
	)
	if policies.Alone(func() { q, err = r.PrepareForEval(ctx) }); err != nil {
		return q, fmt.Errorf("prepare %s: %w", query, err)
	}
	return q, nil
}

// valueOf is the one value of a query's result.
func valueOf(query string, rs rego.ResultSet) (ast.Value, error) {
	if len(rs) != 1 || len(rs[0].Expressions) != 1 {
		return nil, fmt.Errorf("%s is undefined", query)
	}
	t, ok := rs[0].Expressions[0].Value.(*ast.Term)
	if !ok {
		return nil, fmt.Errorf("%s is no term", query)
	}
	return t.Value, nil
}
