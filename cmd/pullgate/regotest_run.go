package main

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/pullgate/pullgate/policies"
)

// runner returns a runner of OPA's for the tests named, with the builtins that rules may use.
func (r *regoTests) runner(names []string) (*tester.Runner, error) {
	shipped, err := policies.RulePackages(r.rules)
	if err != nil {
		return nil, err
	}
	packages := map[string]any{}
	for _, name := range shipped {
		packages[name] = true
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = regexp.QuoteMeta(name)
	}
	compiler := ast.NewCompiler().WithCapabilities(policies.Capabilities()).
		WithEnablePrintStatements(true).WithDefaultRegoVersion(ast.RegoV1)
	// The library asks the rules that data.pullgate.rules names, here as in a bundle.
	store := inmem.NewFromObject(map[string]any{"pullgate": map[string]any{"rules": packages}})
	return tester.NewRunner().SetCompiler(compiler).SetStore(store).SetModules(r.modules).
		SetTimeout(regoTimeout).RaiseBuiltinErrors(true).CapturePrintOutput(true).
		Filter(`^(?:` + strings.Join(quoted, "|") + `)(?:#\d+)?$`), nil
}

// run runs the selected tests and explains those that fail. Cases come in the order of files
// and lines.
func (r *regoTests) run(ctx context.Context, selected []regoTest, cov *coverage) ([]testCase, error) {
	names := make([]string, len(selected))
	for i, s := range selected {
		names[i] = s.name
	}
	results, err := r.results(ctx, names, func(runner *tester.Runner) {
		if cov == nil {
			return
		}
		for file := range r.rules {
			cov.add(file)
		}
		runner.SetCoverageQueryTracer(cov.ofRego())
	})
	if err != nil {
		return nil, err
	}
	var failed []string
	var cases []testCase
	for _, x := range results {
		c := testCase{file: x.Location.File, line: x.Location.Row, text: x.Package + "." + x.Name, took: x.Duration, outcome: casePassed}
		// Of tests of one name, --run may select one.
		if !slices.ContainsFunc(selected, func(s regoTest) bool { return s.file == c.file && s.line == c.line }) {
			continue
		}
		switch {
		case x.Skip:
			c.outcome = caseSkipped
		case !x.Pass():
			c.outcome, c.output = caseFailed, string(x.Output)
			failed = append(failed, c.text)
		}
		cases = append(cases, c)
	}
	if len(failed) > 0 {
		if err := r.explain(ctx, failed, cases); err != nil {
			return nil, err
		}
	}
	return cases, nil
}

// results runs the tests named once.
func (r *regoTests) results(ctx context.Context, names []string, configure func(*tester.Runner)) ([]*tester.Result, error) {
	runner, err := r.runner(names)
	if err != nil {
		return nil, err
	}
	configure(runner)
	var all []*tester.Result
	r.shared.Compile(func() { // and the queries of its tests
		var ch chan *tester.Result
		if ch, err = runner.RunTests(ctx, nil); err != nil {
			return
		}
		for x := range ch {
			all = append(all, x)
		}
	})
	if err != nil {
		return nil, regoErrors(err)
	}
	slices.SortFunc(all, func(a, b *tester.Result) int {
		return cmp.Or(strings.Compare(a.Location.File, b.Location.File), a.Location.Row-b.Location.Row, strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// explain runs failed tests once more, traced, and says of each which line did not hold.
func (r *regoTests) explain(ctx context.Context, failed []string, cases []testCase) error {
	for i, name := range failed {
		failed[i] = regexp.MustCompile(`#\d+$`).ReplaceAllString(name, "")
	}
	results, err := r.results(ctx, failed, func(runner *tester.Runner) { runner.EnableTracing(true) })
	if err != nil {
		return err
	}
	for _, x := range results {
		for i := range cases {
			if c := &cases[i]; c.outcome == caseFailed && c.file == x.Location.File && c.line == x.Location.Row && c.text == x.Package+"."+x.Name {
				c.details = regoFailure(x, c.output)
			}
		}
	}
	return nil
}

// regoFailure says why a test did not pass, and what it printed.
func regoFailure(x *tester.Result, output string) []string {
	var b block
	switch at := lastFailed(x.Trace, x.Location.File); {
	case x.Error != nil:
		b.add("error", x.Error.Error())
	case len(x.SubResults) > 0:
		for name, sub := range x.SubResults.Iter {
			if sub.Fail && len(sub.SubResults) == 0 {
				b.add("failed", strings.Join(name, " / "))
			}
		}
	case at != nil:
		b.add("failed", fmt.Sprintf("%s:%d: false or undefined: %s", at.File, at.Row, strings.Join(strings.Fields(string(at.Text)), " ")))
	default:
		b.add("failed", "false or undefined")
	}
	if output = strings.TrimSpace(output); output != "" {
		b.add("printed", output)
	}
	return b.lines()
}

// lastFailed is the place of the last expression in a file that was false or undefined.
func lastFailed(trace []*topdown.Event, file string) *ast.Location {
	for _, e := range slices.Backward(trace) {
		if expr, ok := e.Node.(*ast.Expr); ok && e.Op == topdown.FailOp && expr.Location != nil && expr.Location.File == file {
			return expr.Location
		}
	}
	return nil
}
