package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/policies"
)

// contributed asks each vendor package for each kind of contribution by itself, as a decision
// would. It returns those that are well formed, by package and kind, and what is wrong with the
// rules that fail or contribute something else.
func (g *generation) contributed(ctx context.Context, in *authz.Input, candidates *ast.Term) (ast.Object, []authz.RuleFault, error) {
	all := ast.NewObject()
	var faults []authz.RuleFault
	for _, name := range g.policy.rules {
		byKind := ast.NewObject()
		for _, kind := range policies.ContributionKinds() {
			fault := func(why string) {
				faults = append(faults, authz.RuleFault{Rule: fmt.Sprintf("vendor.%s.%s", name, kind), Why: why})
			}
			steps, t := g.engine.limits.decision(len(in.Target.Candidates) * (g.grants(in) + len(g.policy.rules)))
			v, err := g.explained(ctx, fmt.Sprintf("%s(%q, %q)", policies.ExplainContributed, name, kind), in, candidates, newBudget(ctx, steps, t))
			var failed *ruleError
			switch {
			case errors.As(err, &failed), errors.Is(err, errSteps), errors.Is(err, errTime):
				fault(why(err))
				continue
			case err != nil:
				return nil, nil, err
			}
			said, ok := v.(ast.Object)
			if !ok {
				return nil, nil, fmt.Errorf("%s is no object", policies.ExplainContributed)
			}
			if values := said.Get(ast.InternedTerm("values")); values != nil {
				byKind.Insert(ast.StringTerm(kind), values)
			}
			if list, ok := member(said, "faults").(*ast.Array); ok {
				list.Foreach(func(t *ast.Term) {
					if text, ok := t.Value.(ast.String); ok {
						fault(string(text))
					}
				})
			}
		}
		all.Insert(ast.StringTerm(name), ast.NewTerm(byKind))
	}
	return all, faults, nil
}

// withFailed adds the vendor rule that the policy failed in to those that fail: about a list it is
// asked for each tag, and may fail for one of them alone.
func withFailed(faults []authz.RuleFault, err error) []authz.RuleFault {
	var failed *ruleError
	if !errors.As(err, &failed) {
		return faults
	}
	rule, isVendors := strings.CutPrefix(failed.rule, "data.vendor.")
	known := func(f authz.RuleFault) bool { return f.Rule == "vendor."+rule }
	if !isVendors || slices.ContainsFunc(faults, known) {
		return faults
	}
	return append(faults, authz.RuleFault{Rule: "vendor." + rule, Why: why(err)})
}

// why says where an evaluation failed and by what, with the values.
func why(err error) string {
	var failed *ruleError
	if !errors.As(err, &failed) {
		text := err.Error()
		if _, cause, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(text, "evaluate ") {
			text = cause
		}
		return text
	}
	at := failed.cause.Location
	file := at.File
	if name, ok := strings.CutPrefix(file, policies.RulesDir); ok {
		file = "rules/" + name // as the vendor has it
	}
	return fmt.Sprintf("%s:%d: %s", file, at.Row, failed.cause.Message)
}

// whole says why there is no verdict, with the values.
func whole(err error) string {
	var failed *ruleError
	if errors.As(err, &failed) && failed.rule != "" {
		return strings.TrimPrefix(failed.rule, "data.") + " fails: " + why(err)
	}
	return why(err)
}
