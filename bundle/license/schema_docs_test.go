package license

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const docs = "../../docs/licenses.md"

// table is a shape's part of docs/licenses.md: a row for each field, and for those of objects in
// it but of shapes that have a table of their own.
func (w *writer) table(t reflect.Type, own []reflect.Type) string {
	var b strings.Builder
	b.WriteString("| field | left out | meaning |\n|---|---|---|\n")
	var rows func(t reflect.Type, path string)
	var below func(t reflect.Type, path string)
	rows = func(t reflect.Type, path string) {
		for _, f := range w.fields(t) {
			if path == "" && t != reflect.TypeFor[documentShape]() && (f.name == "kind" || f.name == "id") && isKind(t) {
				continue
			}
			absence := f.absence()
			if f.required() {
				absence = "required"
			}
			text := f.comment
			for _, c := range choices(f.typ) {
				text += fmt.Sprintf(" `%s`: %s.", c.word, c.meaning)
			}
			fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", path, f.name, absence, strings.ReplaceAll(text, "|", `\|`))
			below(f.typ, path+f.name)
		}
	}
	below = func(t reflect.Type, path string) {
		for _, a := range alternatives(t) {
			below(a, path)
		}
		switch {
		case t.Kind() == reflect.Slice:
			below(t.Elem(), path+"[]")
		case t.Kind() == reflect.Struct && alternatives(t) == nil && t != reflect.TypeFor[freeObject]() && !slices.Contains(own, t):
			rows(t, path+".")
		}
	}
	rows(t, "")
	return b.String()
}

func TestSchemaTablesOfTheDocumentAreCurrent(t *testing.T) {
	w := newWriter(t)
	data, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text, tables := string(data), 0
	own := []reflect.Type{reflect.TypeFor[documentShape](), reflect.TypeFor[grantShape]()}
	for _, s := range shapes {
		if t := reflect.TypeOf(s); t != reflect.TypeFor[planShape]() { // its fields are a license's
			own = append(own, t)
		}
	}
	for _, shape := range own {
		name := strings.TrimSuffix(shape.Name(), "Shape")
		if isKind(shape) {
			name = kindOf(shape)
		}
		block := regexp.MustCompile(`(?s)(<!-- made by a test: ` + name + ` -->\n)(.*?)(<!-- end -->)`)
		m := block.FindStringSubmatchIndex(text)
		if m == nil {
			t.Errorf("%s has no table of %s", docs, name)
			continue
		}
		tables++
		if want := w.table(shape, own); text[m[4]:m[5]] != want {
			if !*update {
				t.Errorf("%s: the table of %s is not what the shapes say: go test ./bundle/license -run Schema -update", docs, name)
			}
			text = text[:m[4]] + want + text[m[5]:]
		}
	}
	if *update && text != string(data) {
		if err := os.WriteFile(docs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, shape := range w.shapesBelow() {
		for _, f := range w.fields(shape) {
			if !regexp.MustCompile("[`.]" + f.name + "`").MatchString(text) {
				t.Errorf("%s has no row for %s of %s", docs, f.name, shape.Name())
			}
		}
	}
	t.Logf("%d tables", tables)
}

// The sets in the document, which are executed, together have every field in every form, and the
// schema accepts them.
func TestSchemaFieldsAllHaveAnExampleInTheDocument(t *testing.T) {
	data, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	v, w := newValidator(t), newWriter(t)
	shown := make(map[string]bool)
	for _, m := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```$").FindAllStringSubmatch(string(data), -1) {
		if err := v.whole([]byte(m[1])); err != nil {
			t.Errorf("%v\n%s", err, m[1])
		}
		nodes, _ := readYAML([]byte(m[1]))
		for _, n := range nodes {
			doc := asJSON(n).(map[string]any)
			s := sample{doc, reflect.TypeOf(shapes[slices.Index(kinds, doc["kind"].(string))])}
			for _, p := range w.of(s) {
				fields, _ := p.value.(map[string]any)
				for name := range fields {
					shown[p.typ.Name()+"."+name] = true
				}
				shown[fmt.Sprint(p.field, p.typ)] = true
			}
		}
	}
	for _, shape := range w.shapesBelow() {
		for _, f := range w.fields(shape) {
			if shape == reflect.TypeFor[planShape]() && shown["licenseShape."+f.name] {
				continue // the same field
			}
			if !shown[shape.Name()+"."+f.name] {
				t.Errorf("no example in %s has %s of %s", docs, f.name, shape.Name())
			}
			for _, a := range alternatives(f.typ) {
				if (a.Kind() == reflect.Struct || a.Kind() == reflect.Slice) && !shown[fmt.Sprint(f.typ, a)] {
					t.Errorf("no example in %s has %s of %s as %s", docs, f.name, shape.Name(), a)
				}
			}
		}
	}
}
