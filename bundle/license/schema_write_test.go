package license

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// member and object are a JSON object that keeps its order: editors offer fields in it.
type (
	member struct {
		name  string
		value any
	}
	jsonObject []member
)

func (o jsonObject) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, m := range o {
		b.WriteByte("{,"[min(i, 1)])
		name, _ := json.Marshal(m.name)
		value, err := marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	if len(o) == 0 {
		b.WriteByte('{')
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func (o *jsonObject) add(name string, value any) { *o = append(*o, member{name, value}) }

// shapeField is a field of a shape, with what its tags and its comment say.
type shapeField struct {
	name, comment, fallback, unset, example string
	typ                                     reflect.Type
	is                                      []string
}

// required is whether the field must be there in every document.
func (f shapeField) required() bool { return slices.Contains(f.is, "required") }

// absence says what counts when the field is left out: "" for a required field.
func (f shapeField) absence() string {
	switch {
	case f.fallback != "":
		return "`" + f.fallback + "`"
	default:
		return quoted.ReplaceAllString(f.unset, "$1`$2`")
	}
}

// quoted are names in tags, which cannot have backticks.
var quoted = regexp.MustCompile(`(^|[^a-z])'([^' ]+)'`)

// writer writes the schema of the shapes.
type writer struct {
	comments map[string]string // of "type" and "type.Field"
	defs     map[string]any    // $defs by name
}

func newWriter(t testing.TB) *writer {
	t.Helper()
	w := &writer{comments: make(map[string]string), defs: make(map[string]any)}
	files, err := filepath.Glob("shape*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no shapes: %v", err)
	}
	for _, file := range files {
		tree, err := goparser.ParseFile(token.NewFileSet(), file, nil, goparser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range tree.Decls {
			types, ok := decl.(*ast.GenDecl)
			if !ok || types.Tok != token.TYPE {
				continue
			}
			for _, spec := range types.Specs {
				spec := spec.(*ast.TypeSpec)
				w.comments[spec.Name.Name] = oneLine(types.Doc)
				if s, ok := spec.Type.(*ast.StructType); ok {
					for _, f := range s.Fields.List {
						for _, name := range f.Names {
							w.comments[spec.Name.Name+"."+name.Name] = oneLine(f.Doc)
						}
					}
				}
			}
		}
	}
	return w
}

func oneLine(doc *ast.CommentGroup) string { return strings.Join(strings.Fields(doc.Text()), " ") }

// fields are those of a shape, in order, embedded ones where they stand.
func (w *writer) fields(t reflect.Type) []shapeField {
	var out []shapeField
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Anonymous {
			out = append(out, w.fields(f.Type)...)
			continue
		}
		out = append(out, shapeField{
			name: f.Tag.Get("yaml"), comment: w.comments[t.Name()+"."+f.Name], typ: f.Type,
			fallback: f.Tag.Get("default"), unset: f.Tag.Get("unset"), example: f.Tag.Get("example"),
			is: strings.Fields(f.Tag.Get("is")),
		})
	}
	return out
}

// schema is the whole schema, as it is shipped.
func (w *writer) schema() ([]byte, error) {
	root := w.fields(reflect.TypeFor[documentShape]())
	names, meanings := []string{}, []string{}
	rules := []any{}
	for _, s := range shapes {
		t := reflect.TypeOf(s)
		names, meanings = append(names, kindOf(t)), append(meanings, w.comments[t.Name()])
		rules = append(rules, jsonObject{
			{"if", jsonObject{{"properties", jsonObject{{"kind", jsonObject{{"const", kindOf(t)}}}}}, {"required", []string{"kind"}}}},
			{"then", w.reference(t)},
		})
	}
	properties := jsonObject{
		{"kind", jsonObject{{"description", w.description(root[0])}, {"enum", names}, {"enumDescriptions", meanings}}},
		{"id", w.property(root[1])},
	}
	whole := jsonObject{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"$comment", "One document of a license file of pullgate. Written from the shapes in bundle/license."},
		{"type", "object"},
		{"properties", properties},
		{"required", []string{"kind", "id"}},
		{"allOf", rules},
		{"$defs", w.defs},
	}
	text, err := marshal(whole)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	err = json.Indent(&out, text, "", "  ")
	out.WriteByte('\n')
	return out.Bytes(), err
}

func kindOf(t reflect.Type) string {
	name := strings.TrimSuffix(t.Name(), "Shape")
	return strings.ToUpper(name[:1]) + name[1:]
}

// reference is a reference to the definition of a type, which it makes once.
func (w *writer) reference(t reflect.Type) jsonObject {
	name := strings.TrimSuffix(strings.TrimSuffix(t.Name(), "Text"), "Shape")
	if isKind(t) {
		name = kindOf(t)
	}
	if _, ok := w.defs[name]; !ok {
		w.defs[name] = nil // it may refer to itself
		w.defs[name] = w.definition(t)
	}
	return jsonObject{{"$ref", "#/$defs/" + name}}
}

func isKind(t reflect.Type) bool {
	return slices.ContainsFunc(shapes, func(s any) bool { return reflect.TypeOf(s) == t })
}

func (w *writer) definition(t reflect.Type) any {
	comment := w.comments[t.Name()]
	if comment == "" {
		panic("no comment: " + t.Name())
	}
	if t == reflect.TypeFor[freeObject]() {
		items := jsonObject{{"$ref", "#/$defs/value"}}
		w.defs["value"] = jsonObject{
			{"$comment", "Anything but an empty value."},
			{"type", []string{"string", "number", "boolean", "array", "object"}},
			{"items", items},
			{"propertyNames", jsonObject{{"minLength", 1}}},
			{"additionalProperties", items},
		}
		return jsonObject{{"$comment", comment}, {"type", "object"}, {"propertyNames", jsonObject{{"minLength", 1}}}, {"additionalProperties", items}}
	}
	if v, ok := reflect.Zero(t).Interface().(interface{ limits() limits }); ok {
		l := v.limits()
		out := jsonObject{{"$comment", comment}, {"type", "string"}, {"pattern", l.pattern}}
		if l.longest > 0 {
			out.add("maxLength", l.longest)
		}
		if l.also != "" {
			out.add("allOf", []any{jsonObject{{"pattern", l.also}, {"errorMessage", l.message}}})
		}
		if l.except != nil { // editors show no message of their own for `not`
			out.add("if", jsonObject{{"enum", l.except}})
			out.add("then", jsonObject{{"pattern", "^$"}, {"errorMessage", "reserved: " + strings.Join(l.except, ", ")}})
		}
		out.add("errorMessage", l.message)
		return out
	}
	out := jsonObject{{"$comment", comment}, {"type", "object"}} // a description would hide those of fields
	properties, required := jsonObject{}, []string{}
	for _, f := range w.fields(t) {
		if f.typ == reflect.TypeFor[kindWord]() {
			properties.add(f.name, jsonObject{{"const", kindOf(t)}})
		} else {
			properties.add(f.name, w.property(f))
		}
		if f.required() {
			required = append(required, f.name)
		}
	}
	out.add("properties", properties)
	if len(required) > 0 {
		out.add("required", required)
	}
	out.add("additionalProperties", false)
	if v, ok := reflect.Zero(t).Interface().(interface{ rules() []string }); ok {
		rules := []any{}
		for _, r := range v.rules() {
			rules = append(rules, json.RawMessage(r))
		}
		out.add("allOf", rules)
	}
	return out
}

func (w *writer) property(f shapeField) jsonObject {
	out := jsonObject{{"description", w.description(f)}}
	out = append(out, w.form(f.typ, f.is)...)
	if f.fallback != "" {
		out.add("default", fromYAML(f.fallback))
	}
	if f.example != "" && !strings.HasPrefix(f.example, "{") {
		out.add("examples", []any{fromYAML(f.example)}) // editors offer them
	}
	return out
}

// description is what an editor shows: the comment, the words of fields that have other forms
// too, what counts when the field is left out, and an example that is an object, because
// editors cannot offer those.
func (w *writer) description(f shapeField) string {
	text := f.comment
	if text == "" {
		panic("no comment: " + f.name)
	}
	if alternatives(f.typ) != nil {
		for _, c := range choices(f.typ) {
			text += fmt.Sprintf(" `%s`: %s.", c.word, c.meaning)
		}
	}
	switch absence := f.absence(); {
	case absence == "":
	case regexp.MustCompile(`^(required|one of|see|not|does) ?`).MatchString(absence):
		text += " " + strings.ToUpper(absence[:1]) + absence[1:] + "."
	default:
		text += " Default: " + absence + "."
	}
	if strings.HasPrefix(f.example, "{") {
		text += " Example: `" + f.example + "`."
	}
	return text
}

// alternatives are the forms of a field that has several, else nil.
func alternatives(t reflect.Type) []reflect.Type {
	if _, ok := reflect.Zero(t).Interface().(interface{ either() }); !ok {
		return nil
	}
	var out []reflect.Type
	for i := range t.NumField() {
		out = append(out, t.Field(i).Type)
	}
	return out
}

// choices are the words of a field, also among other forms.
func choices(t reflect.Type) []choice {
	if v, ok := reflect.Zero(t).Interface().(interface{ choices() []choice }); ok {
		return v.choices()
	}
	var out []choice
	for _, a := range alternatives(t) {
		out = append(out, choices(a)...)
	}
	return out
}

// form is the schema of a type.
func (w *writer) form(t reflect.Type, is []string) jsonObject {
	if types := alternatives(t); types != nil {
		forms := []any{}
		for _, a := range types {
			forms = append(forms, w.form(a, nil))
		}
		return jsonObject{{"anyOf", forms}}
	}
	if words := choices(t); words != nil {
		if len(words) == 1 {
			return jsonObject{{"const", words[0].word}}
		}
		names, meanings := []string{}, []string{}
		for _, c := range words {
			names, meanings = append(names, c.word), append(meanings, c.meaning)
		}
		return jsonObject{{"enum", names}, {"enumDescriptions", meanings}}
	}
	switch {
	case t.Kind() == reflect.Bool:
		return jsonObject{{"type", "boolean"}}
	case t.Kind() == reflect.Slice:
		out := jsonObject{{"type", "array"}}
		if slices.Contains(is, "empty") {
			out = jsonObject{{"type", []string{"array", "null"}}}
		}
		out.add("items", w.form(t.Elem(), nil))
		if slices.Contains(is, "filled") {
			out.add("minItems", 1)
		}
		if slices.Contains(is, "unique") || t == reflect.TypeFor[tagPatterns]() {
			out.add("uniqueItems", true)
		}
		return out
	}
	return w.reference(t)
}

// fromYAML is a value of a tag.
func fromYAML(text string) any {
	docs, err := readYAML([]byte(text))
	if err != nil || len(docs) != 1 {
		panic(fmt.Sprintf("no value: %s: %v", text, err))
	}
	return asJSON(docs[0])
}
