package policies_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pullgate/pullgate/policies"
)

// vendorCases are the cases of testdata/rules: sources by file, by archive and directory.
func vendorCases(t testing.TB) map[string]map[string][]byte {
	t.Helper()
	archives, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	out := map[string]map[string][]byte{}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range archive.Files {
			dir, file, _ := strings.Cut(f.Name, "/")
			dir = filepath.Base(name) + " " + dir
			if out[dir] == nil {
				out[dir] = map[string][]byte{}
			}
			out[dir][file] = f.Data
		}
	}
	return out
}

// compiled compiles rules with a library as the engine does.
func compiled(library map[string]string, rules map[string][]byte) (*ast.Compiler, error) {
	modules := map[string]*ast.Module{}
	for path, text := range library {
		modules["library "+path] = ast.MustParseModuleWithOpts(text, ast.ParserOptions{RegoVersion: ast.RegoV1})
	}
	for file, text := range rules {
		m, err := ast.ParseModuleWithOpts(file, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1, Capabilities: policies.Capabilities()})
		if err != nil {
			return nil, err
		}
		modules["rules "+file] = m
	}
	c := ast.NewCompiler().WithCapabilities(policies.Capabilities()).WithStrict(true).WithDefaultRegoVersion(ast.RegoV1)
	if c.Compile(modules); c.Failed() {
		return nil, c.Errors
	}
	return c, nil
}

// readBy are the documents that a query reads, as the cache's keys are made of them.
func readBy(c *ast.Compiler, query string) (refs []ast.Ref, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return dependencies.Base(c, ast.MustParseBody("x = "+query))
}
