package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/pullgate/pullgate/policies"
)

// runRegoTests runs the tests of each directory with the modules beside them and the policy
// library. What does not pass is printed to out.
func runRegoTests(ctx context.Context, dirs []string, out io.Writer) (passed, failed int, err error) {
	for _, dir := range dirs {
		modules := map[string]*ast.Module{}
		add := func(name string, data []byte) error {
			m, err := ast.ParseModuleWithOpts(name, string(data), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
			if err != nil {
				return err
			}
			modules[name] = m
			return nil
		}
		for name, data := range policies.Modules() {
			if err := add(name, data); err != nil {
				return 0, 0, err
			}
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.rego"))
		if err != nil {
			return 0, 0, err
		}
		for _, path := range files {
			data, err := os.ReadFile(path)
			if err != nil {
				return 0, 0, err
			}
			if err := add(path, data); err != nil {
				return 0, 0, err
			}
		}
		ch, err := tester.NewRunner().SetStore(inmem.New()).SetModules(modules).
			SetTimeout(10*time.Second).CapturePrintOutput(true).RunTests(ctx, nil)
		if err != nil {
			return 0, 0, fmt.Errorf("%s: %w", dir, err)
		}
		for r := range ch {
			if r.Skip { // neither: a test named todo_
				continue
			}
			if r.Pass() {
				passed++
				continue
			}
			failed++
			why := "failed"
			if r.Error != nil {
				why = r.Error.Error()
			}
			fmt.Fprintf(out, "%s: %s.%s: %s %s\n", r.Location, r.Package, r.Name, why, strings.TrimSpace(string(r.Output)))
		}
	}
	return passed, failed, nil
}
