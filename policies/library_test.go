package policies_test

import (
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/format"

	"github.com/pullgate/pullgate/policies"
)

// sources are the library's files and its tests by path.
func sources(t testing.TB) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := fs.WalkDir(policies.FS, "pullgate", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := fs.ReadFile(policies.FS, path)
		out[path] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// parse parses files with their annotations.
func parse(t testing.TB, files map[string]string) map[string]*ast.Module {
	t.Helper()
	out := map[string]*ast.Module{}
	for path, text := range files {
		m, err := ast.ParseModuleWithOpts(path, text, ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		out[path] = m
	}
	return out
}

// compiler is as strict as it gets: strict mode, schemas, and no builtin that a policy may not use.
func compiler() *ast.Compiler {
	return ast.NewCompiler().WithStrict(true).WithSchemas(policies.Schemas()).WithUseTypeCheckAnnotations(true).
		WithCapabilities(policies.Capabilities()).WithDefaultRegoVersion(ast.RegoV1)
}

// library is what a bundle ships.
func library() map[string]string {
	out := map[string]string{}
	for path, b := range policies.Modules() {
		out[path] = string(b)
	}
	return out
}

func TestModulesAreFormatted(t *testing.T) {
	for path, text := range sources(t) {
		got, err := format.SourceWithOpts(path, []byte(text), format.Opts{RegoVersion: ast.RegoV1})
		if err != nil {
			t.Errorf("%s: %v", path, err)
		} else if string(got) != text {
			t.Errorf("%s is not as opa fmt writes it", path)
		}
	}
}

func TestModulesCompileStrictlyWithSchemas(t *testing.T) {
	c := compiler()
	if c.Compile(parse(t, library())); c.Failed() {
		t.Fatal(c.Errors)
	}
}

func TestPackagesAreDirectories(t *testing.T) {
	for path, m := range parse(t, sources(t)) {
		want := "data." + strings.ReplaceAll(path[:strings.LastIndex(path, "/")], "/", ".")
		if path == "pullgate/rules_test.rego" { // the rules of a vendor, for the tests of the library
			continue
		}
		if strings.HasSuffix(path, "_test.rego") {
			want += "_test"
		}
		if got := m.Package.Path.String(); got != want {
			t.Errorf("%s is package %s, want %s", path, got, want)
		}
	}
}

func TestBundlesShipNoTests(t *testing.T) {
	for path := range policies.Modules() {
		if !strings.HasPrefix(path, "pullgate/") || !strings.HasSuffix(path, ".rego") || strings.HasSuffix(path, "_test.rego") {
			t.Errorf("bundle path %s", path)
		}
	}
}

// A misspelt field must not be undefined in silence: the type checker finds it where it knows
// the document, the test below where a field is read from a variable.
func TestMisspeltFieldsDoNotCompile(t *testing.T) {
	for _, tt := range []struct{ old, new string }{
		{"input.resource.product", "input.resource.produkt"},
		{"input.time", "input.tiem"},
		{"input.subject.customer", "input.subject.custommer"},
		{"input.action", "input.actoin"},
		{"customer.banned", "customer.baned"},
	} {
		files := library()
		found := false
		for _, path := range slices.Sorted(maps.Keys(files)) {
			changed := strings.Replace(files[path], tt.old, tt.new, 1)
			if !found && changed != files[path] {
				files[path], found = changed, true
			}
		}
		c := compiler()
		if c.Compile(parse(t, files)); !found || !c.Failed() {
			t.Errorf("%s compiles (found %v)", tt.new, found)
		}
	}
}
