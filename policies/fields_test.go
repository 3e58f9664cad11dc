package policies_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pullgate/pullgate/policies"
)

// schemaFile is schemas/NAME.json.
func schemaFile(t testing.TB, name string) map[string]any {
	t.Helper()
	b, err := fs.ReadFile(policies.FS, "schemas/"+name+".json")
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

// definition returns the properties of one of a schema's $defs.
func definition(t testing.TB, file, name string) map[string]bool {
	t.Helper()
	def := schemaFile(t, file)["$defs"].(map[string]any)[name].(map[string]any)
	out := map[string]bool{}
	for property := range def["properties"].(map[string]any) {
		out[property] = true
	}
	return out
}

// The type checker does not know what is handed to a function. The library names such things
// alike everywhere; a field that it reads of a grant, a candidate or a Public entry is one
// that the schema has.
func TestFieldsReadOfVariablesAreInTheSchema(t *testing.T) {
	grant := definition(t, "data", "grant")
	known := map[string]map[string]bool{
		"grant": grant, "candidate": definition(t, "input", "candidate"), "entry": definition(t, "data", "open"),
		"clocks": definition(t, "data", "license"),
	}
	clocks := map[string]bool{}
	data := schemaFile(t, "data")["$defs"].(map[string]any)["grant"].(map[string]any)["properties"].(map[string]any)
	for name := range data["clocks"].(map[string]any)["properties"].(map[string]any) {
		clocks[name] = true
	}
	read := 0
	for path, m := range parse(t, library()) {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			v, ok := ref[0].Value.(ast.Var)
			if !ok || known[string(v)] == nil || len(ref) < 2 {
				return false
			}
			field, ok := ref[1].Value.(ast.String)
			if !ok || !known[string(v)][string(field)] {
				t.Errorf("%s:%d: %s is not in the schema", path, ref[0].Loc().Row, ref)
			}
			if field == "clocks" && len(ref) > 2 {
				if clock, ok := ref[2].Value.(ast.String); !ok || !clocks[string(clock)] {
					t.Errorf("%s:%d: %s is not in the schema", path, ref[0].Loc().Row, ref)
				}
			}
			read++
			return false
		})
	}
	if read < 40 {
		t.Errorf("only %d fields are read of variables", read)
	}
}

// The documents of the Rego tests, and what is decided about them, are what the schemas say;
// each code has a case.
func TestSchemasDescribeTheCases(t *testing.T) {
	schemas := map[string]*jsonschema.Schema{}
	compiler := jsonschema.NewCompiler()
	for _, name := range []string{"input", "data", "decision"} {
		b, err := fs.ReadFile(policies.FS, "schemas/"+name+".json")
		if err != nil {
			t.Fatal(err)
		}
		doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(name, doc); err != nil {
			t.Fatal(err)
		}
		if schemas[name], err = compiler.Compile(name); err != nil {
			t.Fatal(err)
		}
	}
	c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	if c.Compile(parse(t, sources(t))); c.Failed() {
		t.Fatal(c.Errors)
	}
	rs, err := rego.New(rego.Compiler(c), rego.Store(inmem.New()), rego.Query(`documents = {name: {"input": i, "data": d, "decision": v} |
		some name, case in data.pullgate_test.cases
		world := data.pullgate_test.world(case)
		i := data.pullgate_test.question(world)
		d := {"customers": data.pullgate_test.customers(world), "public": world.public}
		v := data.pullgate_test.decision(case)
	}`)).Eval(t.Context())
	if err != nil || len(rs) != 1 {
		t.Fatalf("%v %v", rs, err)
	}
	documents := rs[0].Bindings["documents"].(map[string]any)
	if len(documents) < 150 {
		t.Errorf("only %d cases", len(documents))
	}
	codes := map[string]bool{"internal_error": true} // of questions that no schema describes
	for _, name := range slices.Sorted(maps.Keys(documents)) {
		codes[documents[name].(map[string]any)["decision"].(map[string]any)["code"].(string)] = true
		for part, document := range documents[name].(map[string]any) {
			if err := schemas[part].Validate(document); err != nil {
				t.Errorf("case %q: %s: %v", name, part, err)
			}
		}
	}
	for _, code := range policies.Codes() {
		if code.Kind != policies.CodeWarning && !codes[code.Code] {
			t.Errorf("no case is decided with %s", code.Code)
		}
		delete(codes, code.Code)
	}
	for code := range codes {
		if strings.HasPrefix(code, "vendor.fixture.") { // of the tests' own rules
			continue
		}
		t.Errorf("code %s is not described", code)
	}
}
