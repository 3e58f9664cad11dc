package license

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	yaml "go.yaml.in/yaml/v4"
)

var update = flag.Bool("update", false, "write schema.json and the tables of docs/licenses.md anew")

// readYAML returns the values of a stream's documents, without those that have none.
func readYAML(data []byte) (docs []*yaml.Node, err error) {
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	for err == nil {
		var doc yaml.Node
		if err = loader.Load(&doc); err == nil && len(doc.Content) == 1 && doc.Content[0].ShortTag() != "!!null" {
			docs = append(docs, doc.Content[0])
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return docs, err
}

// asJSON is a value as an editor's YAML 1.2 parser hands it to a schema: dates are text.
func asJSON(n *yaml.Node) any {
	switch n.Kind {
	case yaml.SequenceNode:
		items := make([]any, len(n.Content))
		for i, item := range n.Content {
			items[i] = asJSON(item)
		}
		return items
	case yaml.MappingNode:
		fields := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			fields[n.Content[i].Value] = asJSON(n.Content[i+1])
		}
		return fields
	}
	switch n.ShortTag() {
	case "!!int", "!!float":
		var v float64
		if n.Decode(&v) == nil {
			return v
		}
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!null":
		return nil
	}
	return n.Value
}

// validator is the schema, compiled once for a test.
type validator struct{ schema *jsonschema.Schema }

func newValidator(t testing.TB) validator {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("schema.json") // also validates it against its metaschema
	if err != nil {
		t.Fatal(err)
	}
	return validator{s}
}

// check returns what the schema has against each document of a file, in order; nil means
// accepted.
func (v validator) check(data []byte) ([]error, error) {
	docs, err := readYAML(data)
	problems := make([]error, len(docs))
	for i, n := range docs {
		problems[i] = v.schema.Validate(asJSON(n))
	}
	return problems, err
}

// whole is what the schema has against a file, nil when it accepts every document.
func (v validator) whole(data []byte) error {
	problems, err := v.check(data)
	return errors.Join(append(problems, err)...)
}

func TestSchemaIsWrittenFromTheShapes(t *testing.T) {
	want, err := newWriter(t).schema()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("schema.json", want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(Schema(), want) {
		t.Error("schema.json is not what the shapes say: go test ./bundle/license -run Schema -update")
	}
	var names []string
	for _, s := range shapes {
		names = append(names, kindOf(reflect.TypeOf(s)))
	}
	if !slices.Equal(names, kinds) {
		t.Errorf("the shapes are of %v, the parser knows %v", names, kinds)
	}
}
