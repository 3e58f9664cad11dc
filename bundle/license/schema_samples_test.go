package license

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// more has the forms of fields that `whole` does not have.
const more = `
kind: Plan
id: silver
type: subscription
zone: Europe/Berlin
starts: 2026-01-01
aligned: {fiscal_year_ends: 06-30}
minimum_term: P3M
renews: {every: P1Y, notice: P30D, cancelled: 2026-11-20T10:00:00Z}
grace: P14D
updates: {period: P1Y}
terminates: 2029-12-31
keep_versions: true
enforcement: observe
grants: []
features: {sso: true}
---
kind: Plan
id: bronze
ends: 2026-12-31
---
kind: Customer
id: initech
keys:
---
kind: License
id: initech-term
customer: initech
type: subscription
status: active
starts: 2026-01-01
term: P1Y
updates: with-term
renews: {every: P1Y}
grants: [{repository: acme/x, tags: {current: {}}}]
---
kind: License
id: initech-revoked
customer: initech
type: perpetual
status: {revoked: {at: 2026-06-01, reason: fraud, public_reason: call us}}
starts: 2026-01-01
ends: never
updates: {period: P2Y}
grants: [{product: app, versions: all}]
---
kind: License
id: initech-aligned
customer: initech
type: subscription
starts: 2026-01-01
aligned: calendar-year
minimum_term: P3M
updates: forever
terminates: P60D
grants: []
---
kind: License
id: initech-silver
customer: initech
plan: silver
renews: {cancelled: 2026-10-01T00:00:00Z}
`

// sample is a document with what it is made of.
type sample struct {
	doc   map[string]any
	shape reflect.Type
}

// samples are documents that together have every field in every form.
type samples struct {
	all   []sample
	files map[string][]byte // what others refer to, each document as a file of its own
}

// readSamples fails unless both sides accept all of them.
func readSamples(t *testing.T, v validator) samples {
	t.Helper()
	text := []byte(whole + "---" + more)
	if _, err := Parse(map[string][]byte{"x.yaml": text}); err != nil {
		t.Fatal(err)
	}
	if err := v.whole(text); err != nil {
		t.Fatal(err)
	}
	docs, _ := readYAML(text)
	out := samples{files: make(map[string][]byte)}
	for i, n := range docs {
		doc := asJSON(n).(map[string]any)
		out.all = append(out.all, sample{doc, reflect.TypeOf(shapes[slices.Index(kinds, doc["kind"].(string))])})
		if kind := doc["kind"]; kind != "License" && kind != "Public" || doc["id"] == "acme-app-2025" {
			out.files[fmt.Sprint(i)] = asText(t, doc)
		}
	}
	return out
}

// asText is a document as JSON, which is YAML too.
func asText(t *testing.T, doc any) []byte {
	t.Helper()
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// refusals are the parser's errors in the n-th document, when it is another one.
func (s samples) refusals(t *testing.T, n int, doc any) (out Errors) {
	t.Helper()
	files := maps.Clone(s.files)
	name := fmt.Sprint(n)
	files[name] = asText(t, doc)
	_, err := Parse(files)
	var wrong Errors
	errors.As(err, &wrong)
	for _, e := range wrong {
		if e.Pos.File == name {
			out = append(out, e)
		}
	}
	return out
}

// place is a value in a document: a field, an item, or the document itself.
type place struct {
	path  string // as errors have it
	value any
	field reflect.Type // of the field, with all its forms
	typ   reflect.Type // the form that the value has
	with  func(any) any
}

// index is a part of a path that does not matter for what a field is.
var index = regexp.MustCompile(`\[\d+\]`)

// gone stands for a field that is left out.
type gone struct{}

// places are a value and everything in it that has a shape; whole builds the document around it.
func (w *writer) places(path string, value any, field reflect.Type, whole func(any) any) []place {
	t := field
	for _, a := range alternatives(t) {
		_, isObject := value.(map[string]any)
		_, isList := value.([]any)
		if isObject == (a.Kind() == reflect.Struct) && isList == (a.Kind() == reflect.Slice) {
			t = a
			break
		}
	}
	out := []place{{path, value, field, t, whole}}
	switch v := value.(type) {
	case []any:
		for i, item := range v {
			out = append(out, w.places(fmt.Sprintf("%s[%d]", path, i), item, t.Elem(), func(x any) any {
				items := slices.Clone(v)
				items[i] = x
				return whole(items)
			})...)
		}
	case map[string]any:
		if t == reflect.TypeFor[freeObject]() {
			break
		}
		for _, f := range w.fields(t) {
			value, ok := v[f.name]
			if !ok || f.typ == reflect.TypeFor[kindWord]() {
				continue
			}
			out = append(out, w.places(strings.TrimPrefix(path+"."+f.name, "."), value, f.typ, func(x any) any {
				fields := maps.Clone(v)
				fields[f.name] = x
				if x == any(gone{}) {
					delete(fields, f.name)
				}
				return whole(fields)
			})...)
		}
	}
	return out
}

func (w *writer) of(s sample) []place {
	return w.places("", s.doc, s.shape, func(x any) any { return x })
}

// shapesBelow are all shapes of objects that documents are made of.
func (w *writer) shapesBelow() []reflect.Type {
	var out []reflect.Type
	var visit func(t reflect.Type)
	visit = func(t reflect.Type) {
		if types := alternatives(t); types != nil {
			for _, a := range types {
				visit(a)
			}
			return
		}
		if t.Kind() == reflect.Slice {
			visit(t.Elem())
			return
		}
		if t.Kind() != reflect.Struct || t == reflect.TypeFor[freeObject]() || slices.Contains(out, t) {
			return
		}
		out = append(out, t)
		for _, f := range w.fields(t) {
			visit(f.typ)
		}
	}
	for _, s := range shapes {
		visit(reflect.TypeOf(s))
	}
	return out
}
