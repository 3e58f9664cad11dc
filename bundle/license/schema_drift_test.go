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
	files map[string][]byte // each document as a file of its own
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
		out.files[fmt.Sprint(i)] = asText(t, doc)
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

// For every object of license files: the fields that the parser knows, as its message about an
// unknown one lists them, are those of the shape, no more and no less.
func TestSchemaAndParserKnowTheSameFields(t *testing.T) {
	w, set := newWriter(t), readSamples(t, newValidator(t))
	known := make(map[reflect.Type]map[string]bool)
	for n, s := range set.all {
		for _, p := range w.of(s) {
			fields, ok := p.value.(map[string]any)
			if !ok || p.typ == reflect.TypeFor[freeObject]() {
				continue
			}
			if known[p.typ] == nil {
				known[p.typ] = make(map[string]bool)
			}
			more := maps.Clone(fields)
			more["zzz"] = "x"
			for _, probe := range []any{more, map[string]any{"zzz": "x"}} {
				for _, e := range set.refusals(t, n, p.with(probe)) {
					if _, list, ok := strings.Cut(e.Msg, "known here: "); ok && e.Path == strings.TrimPrefix(p.path+".zzz", ".") {
						for name := range strings.SplitSeq(list, ", ") {
							known[p.typ][name] = true
						}
					}
				}
			}
		}
	}
	names := 0
	for _, shape := range w.shapesBelow() {
		var want []string
		for _, f := range w.fields(shape) {
			want = append(want, f.name)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(known[shape])); !slices.Equal(got, want) {
			t.Errorf("%s: the parser knows %v, the shape has %v", shape.Name(), got, want)
		}
		names += len(want)
	}
	t.Logf("%d fields of %d objects", names, len(known))
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

// Every field, every form and every item of the samples is left out, or replaced by something of
// another type: both sides accept it or both refuse it.
func TestSchemaAndParserAgreeOnTypes(t *testing.T) {
	v := newValidator(t)
	w, set := newWriter(t), readSamples(t, v)
	probes := []any{gone{}, 1.4, true, nil, []any{}, []any{1.4}, map[string]any{}, map[string]any{"zzz": 1.4}, "", "two\nlines"}
	n, seen, done := 0, make(map[reflect.Type]bool), make(map[string]bool)
	for i, s := range set.all {
		for _, p := range w.of(s) {
			seen[p.typ] = true
			same := fmt.Sprint(s.shape, index.ReplaceAllString(p.path, ""), p.typ)
			if done[same] {
				continue
			}
			done[same] = true
			for _, probe := range probes {
				if p.path == "" && (probe == nil || probe == any(gone{})) || probe == any(gone{}) && strings.HasSuffix(p.path, "]") {
					continue // no document, and an item less
				}
				n++
				doc := p.with(probe)
				wrong := set.refusals(t, i, doc)
				problem := v.schema.Validate(doc)
				if s.doc["plan"] != nil && problem == nil && planned(wrong) {
					continue
				}
				if (problem != nil) != (len(wrong) > 0) {
					t.Errorf("%s %s: %s is %T %v:\nschema: %v\nparser: %v", s.shape.Name(), s.doc["id"], p.path, probe, probe, problem, wrong)
				}
			}
		}
	}
	for _, shape := range w.shapesBelow() {
		if !seen[shape] {
			t.Errorf("no sample has a %s", shape.Name())
		}
	}
	t.Logf("%d documents", n)
}

// planned is whether a license only lacks what its plan could have given.
func planned(wrong Errors) bool {
	return !slices.ContainsFunc(wrong, func(e *FieldError) bool {
		return !strings.HasPrefix(e.Msg, "is missing") && !strings.HasPrefix(e.Msg, "needs `")
	})
}

// A text of every type is replaced by others, right and wrong ones: the schema refuses none that
// the parser accepts, and most of what the parser refuses.
func TestSchemaRefusesNoTextThatTheParserAccepts(t *testing.T) {
	texts := []string{
		"x", "acme", "Acme", "a b", "key", "never", "always", "all", "active", "banned", "forever", "with-term", "calendar-year", "listed", "trial", "perpetual",
		"2026-07-01", "2026-1-9", "2026-02-30", "2024-02-29", "2026-07-01T00:00:00Z", "2026-07-01T00:00:00.5+01:00", "2026-07-01T00:00:00", "2026-07-01 00:00:00Z", "0000-01-01",
		"06-30", "02-29", "06-31", "P1Y", "P0D", "P", "PT", "P1YT", "PT24H", "P1Y2M3W4DT5H6M7S", "-P1D", "P1.5D", "p1y", "P9999999Y", "1y",
		"Europe/Berlin", "UTC", "Local", "Etc/GMT+1", "../x", "EST5EDT", "Mars", "GB-Eire",
		"r.example", "R.example:5000", "r.example:", "r.example:0", "[2001:db8::1]:443", "2001:db8::9", "https://r.example", "u@r", "a..b", "-a",
		"https://x.internal:8080/", "HTTP://x", "https://x/y", "https://u:p@x", "ftp://x", "https://", "https://x?y", "https://[::1]",
		"10.0.0.0/8", "10.0.0.0/33", "10.0.0.7", "10.0.0.7/8", "::/0", "2001:db8::/32", "2001:db8::/129", "::ffff:10.0.0.0/104", "10.0.0.0/08", "fe80::%eth0/64",
		"sha256:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("A", 64), "sha256:abc", "sha512:" + strings.Repeat("0", 64), "pg_x",
		"acme/app", "acme/*", "acme/**/x", "*", "**", "***", "acme/app-*", "acme//app", "a__b/c--d.e", "a___b", "r.example:5000/a", strings.Repeat("a/", 127) + "a", strings.Repeat("a/", 128) + "a",
		"1.4", "1.4.*", "-x", ".x", "a?", "_", strings.Repeat("a", 128), strings.Repeat("a", 129), "stable", "RC", "rc-1", "1rc",
		"1.4.0", "v1.4.0-rc.1+b.01", "01.4.0", "1.4.0-01", "1.4.0-", "1.4.0+", "1.4.0-0a.-", "1.4.0.0",
		">=1.0.0 <2.0.0", ">= 1.0.0, < 2.0.0 || ~3", "1.2 - 1.4", "1.2.x", "^1", "!=1.0.0", "=>1", "~>1.2", ">>1", "1 &", "latest", "*", "x || X", "",
		"ünïcode", "\U0001F600", "a\u2028b", "a\tb",
	}
	v := newValidator(t)
	w, set := newWriter(t), readSamples(t, v)
	n, both, parserOnly, done := 0, 0, 0, make(map[reflect.Type]bool)
	for i, s := range set.all {
		for _, p := range w.of(s) {
			if _, ok := p.value.(string); !ok || done[p.field] {
				continue
			}
			done[p.field] = true
			for _, text := range texts {
				n++
				doc := p.with(text)
				wrong := set.refusals(t, i, doc)
				switch problem := v.schema.Validate(doc); {
				case problem != nil && len(wrong) == 0:
					t.Errorf("%s %s: %s is %q: the parser accepts what the schema refuses: %v", s.shape.Name(), s.doc["id"], p.path, text, problem)
				case problem != nil:
					both++
				case len(wrong) > 0:
					parserOnly++
				}
			}
		}
	}
	t.Logf("of %d documents the parser refuses %d, and of those the schema %d", n, both+parserOnly, both)
	if both*10 < (both+parserOnly)*7 {
		t.Error("the schema sees less than it did")
	}
}
