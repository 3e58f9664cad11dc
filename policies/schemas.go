package policies

import (
	"encoding/json"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Schemas returns the schemas that the library's `# schemas` annotations name, for a strict
// compile: schema.input (input.json) and schema.customer (a customer of data.json).
func Schemas() *ast.SchemaSet {
	set := ast.NewSchemaSet()
	set.Put(ast.MustParseRef("schema.input"), schema("input"))
	data := schema("data").(map[string]any)
	defs := data["$defs"].(map[string]any)
	customer := map[string]any{"$defs": defs}
	for key, value := range defs["customer"].(map[string]any) {
		customer[key] = value
	}
	set.Put(ast.MustParseRef("schema.customer"), customer)
	return set
}

// schema returns schemas/NAME.json. It is part of the program, so damage is a panic.
func schema(name string) any {
	b, err := FS.ReadFile("schemas/" + name + ".json")
	if err != nil {
		panic(fmt.Sprintf("policies: schema %s: %v", name, err))
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		panic(fmt.Sprintf("policies: schema %s: %v", name, err))
	}
	return v
}
