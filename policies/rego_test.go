package policies_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
)

// runRego runs the Rego tests of compiled modules and returns those that did not pass.
func runRego(ctx context.Context, c *ast.Compiler, modules map[string]*ast.Module) ([]string, error) {
	store := inmem.New()
	results, err := tester.NewRunner().SetCompiler(c).SetStore(store).SetModules(modules).
		RaiseBuiltinErrors(true).CapturePrintOutput(true).SetTimeout(time.Minute).RunTests(ctx, nil)
	if err != nil {
		return nil, err
	}
	var failed []string
	n := 0
	for r := range results {
		n++
		if !r.Pass() {
			failed = append(failed, fmt.Sprintf("%s.%s %v\n%s", r.Package, r.Name, r.Error, r.Output))
		}
	}
	if n == 0 {
		return nil, fmt.Errorf("no Rego test was run")
	}
	return failed, nil
}

func TestRego(t *testing.T) {
	modules := parse(t, sources(t))
	c := compiler().WithEnablePrintStatements(true)
	failed, err := runRego(t.Context(), c, modules)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range failed {
		t.Error(f)
	}
}
