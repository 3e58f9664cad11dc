package policies_test

import (
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// Every line of the library is evaluated by its Rego tests.
func TestEveryLineIsCovered(t *testing.T) {
	modules := parse(t, sources(t))
	coverage := cover.New()
	results, err := tester.NewRunner().SetCompiler(compiler()).SetStore(inmem.New()).SetModules(modules).
		SetCoverageQueryTracer(coverage).SetTimeout(time.Minute).Filter("test_every_case|message|warning|visible_to|text|without|absent|holds_nothing|is_visible|are_visible|cut|told|exactly|rule|list_agrees|list_stands|header").RunTests(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for r := range results {
		if !r.Pass() {
			t.Errorf("%s.%s fails", r.Package, r.Name)
		}
	}
	shipped := map[string]*ast.Module{}
	for path := range library() {
		shipped[path] = modules[path]
	}
	report := coverage.Report(shipped)
	for path := range shipped {
		file := report.Files[path]
		if file == nil {
			t.Errorf("%s is not covered at all", path)
			continue
		}
		for _, r := range file.NotCovered {
			t.Errorf("%s:%d–%d is not covered", path, r.Start.Row, r.End.Row)
		}
	}
	if report.CoveredLines < 150 {
		t.Errorf("only %d lines are covered", report.CoveredLines)
	}
}
