package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/policies"
)

// regoTimeout bounds one Rego test.
const regoTimeout = 10 * time.Second

// regoTests are the Rego tests of one directory with the modules they run with.
type regoTests struct {
	dir     string
	modules map[string]*ast.Module // by file; the library's by their path in a bundle
	rules   map[string][]byte      // vendor rules, by file
	tests   []regoTest
	shared  *authztest.Shared
}

type regoTest struct {
	file string
	line int
	name string // data.vendor.region_test.test_north
}

// regoDir runs the Rego tests of a directory: a suite for each package.
func (t *tests) regoDir(ctx context.Context, dir string, cov *coverage) []testSuite {
	start := time.Now()
	var r *regoTests
	var err error
	t.shared.Compile(func() { r, err = readRegoTests(dir) })
	if err != nil {
		return []testSuite{{name: dir, err: err}}
	}
	selected := slices.DeleteFunc(slices.Clone(r.tests), func(x regoTest) bool { return !t.selects(x.file, x.line, x.name) })
	if len(selected) == 0 {
		return []testSuite{{name: dir, notRun: len(r.tests)}}
	}
	r.shared = &t.shared
	cases, err := r.run(ctx, selected, cov)
	if err != nil {
		return []testSuite{{name: dir, err: err}}
	}
	var suites []testSuite
	for _, c := range cases { // sorted by file: packages keep together
		pkg := strings.TrimPrefix(c.text[:strings.LastIndex(c.text, ".")], "data.")
		if len(suites) == 0 || suites[len(suites)-1].name != pkg {
			suites = append(suites, testSuite{name: pkg})
		}
		s := &suites[len(suites)-1]
		s.cases = append(s.cases, c)
		s.took += c.took
	}
	suites[0].notRun = len(r.tests) - len(cases)
	suites[0].took += max(0, time.Since(start)-sumOf(suites))
	return suites
}

func sumOf(suites []testSuite) (sum time.Duration) {
	for _, s := range suites {
		sum += s.took
	}
	return sum
}

// readRegoTests reads a directory's modules, the vendor rules beside it, and the library. The
// error has a line for everything that is wrong.
func readRegoTests(dir string) (*regoTests, error) {
	r := &regoTests{dir: dir, modules: maps.Clone(library()), rules: map[string][]byte{}}
	var files []string
	for _, pattern := range []string{"*.rego", "rules/*.rego", "../rules/*.rego"} {
		list, err := filepath.Glob(filepath.Join(escapeGlob(dir), pattern))
		if err != nil {
			return nil, err
		}
		for _, file := range list {
			if file = filepath.Clean(file); pattern == "*.rego" || isRuleFile(file) {
				files = append(files, file)
			}
		}
	}
	slices.Sort(files)
	var errs []error
	for _, file := range slices.Compact(files) {
		text, err := os.ReadFile(file)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if isRuleFile(file) {
			r.rules[file] = text
		}
		m, err := ast.ParseModuleWithOpts(file, string(text), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		switch {
		case err != nil && r.rules[file] == nil: // those of rules are policies.Check's to say
			errs = append(errs, regoErrors(err))
		case m != nil:
			r.modules[file] = m
			if strings.HasSuffix(file, "_test.rego") {
				r.addTests(file, m)
			}
		}
	}
	return r, errors.Join(append(errs, policies.Check(r.rules))...)
}

// library is the policy library, parsed.
var library = sync.OnceValue(func() map[string]*ast.Module {
	modules := map[string]*ast.Module{}
	for name, text := range policies.Modules() {
		modules[name] = ast.MustParseModuleWithOpts(string(text), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
	}
	return modules
})

var globSpecial = regexp.MustCompile(`[\\*?\[]`)

func escapeGlob(dir string) string { return globSpecial.ReplaceAllString(dir, `\$0`) }

// addTests notes the tests of a module, as OPA's tester finds them.
func (r *regoTests) addTests(file string, m *ast.Module) {
	for _, rule := range m.Rules {
		var ref ast.Ref
		for _, term := range rule.Head.Ref().GroundPrefix() {
			ref = ref.Append(term)
			name := strings.Trim(term.Value.String(), `"`)
			if strings.HasPrefix(name, tester.TestPrefix) || strings.HasPrefix(name, tester.SkipTestPrefix) {
				r.tests = append(r.tests, regoTest{file, rule.Loc().Row, m.Package.Path.Extend(ref).String()})
				break
			}
		}
	}
}

// regoErrors has a line file:line:column: message for each error of OPA's parser or compiler.
func regoErrors(err error) error {
	var list ast.Errors
	if !errors.As(err, &list) {
		return err
	}
	var lines []error
	for _, e := range list {
		msg := e.Message
		if e.Details != nil {
			msg += ": " + strings.Join(e.Details.Lines(), " ")
		}
		msg = strings.Join(strings.Fields(msg), " ")
		if at := e.Location; at != nil {
			lines = append(lines, fmt.Errorf("%s:%d:%d: %s", at.File, at.Row, max(1, at.Col), msg))
		} else {
			lines = append(lines, errors.New(msg))
		}
	}
	return errors.Join(lines...)
}

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
