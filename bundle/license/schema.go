package license

import (
	"bytes"
	_ "embed"
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (draft 2020-12) of one document of a license file, for editors and
// other tools. What it accepts may still have mistakes that no schema can see, such as unknown
// customers; what it refuses, Parse refuses.
func Schema() []byte { return bytes.Clone(schema) }
