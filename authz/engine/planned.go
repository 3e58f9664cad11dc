package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	opametrics "github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/pullgate/pullgate/authz/plan"
)

// compareEvery is which of the answers by plan are given by topdown too, to compare: one of so many.
const compareEvery = 1024

// planned is what a question to a generation is answered with: by the plan of its policy, which is
// fast, or by topdown, OPA's own evaluator, which is right by definition. Whatever the plan does not answer,
// topdown is asked. Of the answers that it gives some are compared; a policy whose plan gives
// another than topdown is evaluated by topdown alone from then on.
func (g *generation) planned(ctx context.Context, query string, input *ast.Term, b *budget, topdown func() (ast.Value, error)) (ast.Value, error) {
	p, entrypoints := g.policy.plan, g.entrypoints(query)
	if p == nil || entrypoints == nil || g.engine.tracer != nil || g.policy.distrusted.Load() {
		return topdown()
	}
	// Steps and time of its own: topdown gets all of its budget, whatever was tried before.
	own := newBudget(ctx, b.limit, b.time)
	own.start()
	defer own.stop()
	terms, err := p.Eval(ctx, &plan.Question{Entrypoints: entrypoints, Input: input, Data: dirNode{g.store, ""}, Cancel: own})
	if err != nil {
		g.engine.metrics.plan.WithLabelValues("declined").Inc()
		return topdown()
	}
	b.steps = own.steps
	v := terms[0].Value
	if len(terms) > 1 {
		v = ast.NewArray(terms...)
	}
	if n := uint64(g.engine.compare); g.engine.answered.Add(1)%n != 1%n {
		g.engine.metrics.plan.WithLabelValues("answered").Inc()
		return v, nil
	}
	return g.compared(ctx, query, v, topdown)
}

// compared returns what topdown says.
func (g *generation) compared(ctx context.Context, query string, v ast.Value, topdown func() (ast.Value, error)) (ast.Value, error) {
	other, err := topdown()
	switch {
	case errors.Is(err, errSteps), errors.Is(err, errTime), err != nil && ctx.Err() != nil:
		// Topdown did not come to an end. That it takes longer is why there is a plan.
		g.engine.metrics.plan.WithLabelValues("answered").Inc()
		return v, nil
	case err == nil && ast.ValueEqual(v, other):
		g.engine.metrics.plan.WithLabelValues("compared").Inc()
		return v, nil
	}
	g.policy.distrusted.Store(true)
	g.engine.metrics.plan.WithLabelValues("differed").Inc()
	g.engine.log.Error("the plan of the policy and its evaluation differ: the plan is not used any more", "query", query, "policy", g.policy.digest, "evaluation", err)
	if g.engine.compare == 1 { // who has everything compared wants to know
		return nil, errDiffers
	}
	return other, err
}

var errDiffers = errors.New("the plan of the policy and its evaluation differ")

// entrypoints are those of a query that there is a plan for, nil for others.
func (g *generation) entrypoints(query string) []string {
	switch {
	case query == decisionQuery:
		return []string{decisionQuery}
	case query == visibleQuery && len(g.policy.rules) == 0:
		return []string{visibleQuery}
	case query == visibleQuery:
		return []string{visibleQuery, visibleUntilQuery}
	}
	return nil
}

// evaluate asks topdown.
func (g *generation) evaluate(ctx context.Context, name string, query *rego.PreparedEvalQuery, input *ast.Term, b *budget) (ast.Value, error) {
	b.start()
	defer b.stop()
	options := []rego.EvalOption{rego.EvalParsedInput(input.Value), rego.EvalExternalCancel(b), rego.EvalMetrics(opametrics.NoOp())}
	if g.engine.tracer != nil {
		options = append(options, rego.EvalQueryTracer(g.engine.tracer()))
	}
	rs, err := query.Eval(ctx, options...)
	switch {
	case b.err != nil:
		return nil, b.err
	case err != nil:
		return nil, g.blame(err)
	}
	return valueOf(name, rs)
}

// errWhole is why a document is not there as a whole: it would be everybody's.
var errWhole = errors.New("not read as a whole")

// dirNode is a path of data with documents below it, as a plan reads it.
type dirNode struct {
	store *store
	path  string
}

func (n dirNode) Term() (*ast.Term, error) { return nil, errWhole }

func (n dirNode) Member(at string) (*ast.Term, error) {
	s := n.store
	if n.path == customersDir {
		c, err := s.customer(at)
		if err != nil || c == nil {
			return nil, err
		}
		return c.term, nil
	}
	if n.path != "" {
		at = n.path + "/" + at
	}
	d, isDocument := s.docs[at]
	switch isDir := at == customersDir || s.above[at]; {
	case isDir && isDocument:
		return nil, fmt.Errorf("%s is both a document and above one", at)
	case isDir:
		return plan.NodeTerm(dirNode{s, at}), nil
	case isDocument:
		return d.term()
	}
	return nil, nil
}
