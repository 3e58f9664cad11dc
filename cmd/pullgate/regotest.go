package main

import (
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
	"github.com/open-policy-agent/opa/v1/tester"
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
