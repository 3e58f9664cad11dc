package license

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// says is what a set says, without where.
func says(t *testing.T, s *Set) *Set {
	t.Helper()
	c := *s
	c.shared = nil
	forget(reflect.ValueOf(&c).Elem())
	return &c
}

// forget clears every Position below v.
func forget(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[Position]() {
			v.SetZero()
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				forget(v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			forget(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			forget(v.Elem())
		}
	}
}

func files(text map[string][]byte) fstest.MapFS {
	out := fstest.MapFS{}
	for name, data := range text {
		out[name] = &fstest.MapFile{Data: data}
	}
	return out
}

// Documents that leave their files mean the same, and come back as they were.
func TestRawDocumentsSayWhatTheirFilesSay(t *testing.T) {
	all := append(scripts(t, "../../testdata/decisions"), script{path: "whole", files: map[string][]byte{"whole.yaml": []byte(whole)}})
	if _, err := os.Stat(corpus); err == nil {
		all = append(all, scripts(t, corpus)...)
	}
	sets := 0
	for _, s := range all {
		name := s.path
		want, err := Parse(s.files)
		if err != nil || len(s.files) == 0 {
			continue
		}
		sets++
		docs, err := LoadRaw(files(s.files))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for i := range docs {
			id, _ := docs[i].Get("id")
			kind, _ := docs[i].Get("kind")
			docs[i].Place = kind.(string) + "/" + id.(string)
		}
		set, err := ParseParts(RawParts(docs))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !reflect.DeepEqual(says(t, want), says(t, set)) {
			t.Errorf("%s: %+v\nbecame %+v", name, want, set)
		}
		var written []byte
		for _, doc := range docs {
			written = doc.AppendYAML(append(written, "---\n"...))
		}
		again, err := LoadRaw(files(map[string][]byte{"a.yaml": written}))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, written)
		}
		for i := range again {
			again[i].Place = docs[i].Place
		}
		if !reflect.DeepEqual(docs, again) {
			t.Errorf("%s: written\n%s\nread %v\nwant %v", name, written, again, docs)
		}
	}
	if t.Logf("%d sets", sets); sets < 15 {
		t.Error("too few to show anything")
	}
}

// An error of a document in no file names its place and field.
func TestErrorsOfRawDocumentsNameTheirPlace(t *testing.T) {
	deep := any("x")
	for range 40 {
		deep = []any{deep}
	}
	hash := "sha256:" + strings.Repeat("a", 64)
	_, err := ParseParts(RawParts([]Raw{
		{Place: "customers/acme", Fields: []RawField{
			{"kind", "Customer"},
			{"id", "acme"},
			{"zone", "Nowhere"},
			{"labels", map[string]any{"deep": deep, "none": nil}},
			{"keys", []any{
				Raw{Place: "keys/acme/a", Fields: []RawField{{"id", "a"}, {"hash", hash}}},
				Raw{Place: "keys/acme/b", Fields: []RawField{{"id", "b"}, {"hash", hash}}},
			}},
		}},
		{Place: "licenses/l", Fields: []RawField{
			{"kind", "License"},
			{"id", "l"},
			{"customer", "acme"},
			{"type", "subscription"},
			{"ends", "2026-13-01"},
			{"keep_versions", "yes"},
			{"grants", []any{map[string]any{"product": "app", "versions": json.Number("1.40")}}},
		}},
		{Place: "licenses/m", Fields: []RawField{{"kind", "License"}, {"id", "m"}}},
	}))
	for _, want := range []string{
		`customers/acme: zone: unknown zone "Nowhere"`,
		"customers/acme: nested more than 32 deep",
		"customers/acme: labels.none: is empty",
		"keys/acme/b: keys[1].hash: the same key is at keys/acme/a already",
		`licenses/l: ends: "2026-13-01" is no day of the calendar`,
		`licenses/l: keep_versions: is "yes", it must be true or false`,
		"licenses/l: grants[0].versions: is the number 1.40 where text is meant",
		"licenses/m: customer: is missing",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("not said: %s\nin %v", want, err)
		}
	}
}

// Whatever text, number or name a document holds, a file can say it.
func TestAnyRawDocumentCanBeWritten(t *testing.T) {
	text := rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"", " ", "~", "null", "Yes", "off", "1.40", "0x1f", "1_0", ".inf", "2026-01-01", "12:30", "<<", "=", "- a", "a: b", "a #b", "\u0085\u2028\ufeff\x7f", "a\nb\n", `\"'`, "!!str", "@", "`", "&a", "*a", "%x", "...", "---", "?", "|", ">"}),
		rapid.StringMatching(`[a-z0-9.+-]{1,12}`),
		rapid.Custom(func(t *rapid.T) string { return strings.Repeat("long ", rapid.IntRange(100, 900).Draw(t, "times")) }),
	)
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			choice := rapid.IntRange(0, 6).Draw(t, "kind")
			if depth > 3 {
				choice %= 5
			}
			switch choice {
			case 0:
				return rapid.Bool().Draw(t, "bool")
			case 1:
				return json.Number(rapid.SampledFrom([]string{"0", "-1", "12345678901234567", "1.5", "1.40", "1e3", "-0.25"}).Draw(t, "number"))
			case 5:
				return rapid.SliceOfN(value(depth+1), 0, 3).Draw(t, "list")
			case 6:
				r := Raw{Fields: []RawField{}}
				for _, name := range rapid.SliceOfNDistinct(text, 0, 3, rapid.ID[string]).Draw(t, "names") {
					r.Fields = append(r.Fields, RawField{name, value(depth+1).Draw(t, "value")})
				}
				return r
			}
			return text.Draw(t, "text")
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		doc := Raw{Place: "a.yaml", Fields: []RawField{{"kind", "Customer"}, {"x", value(0).Draw(t, "x")}, {"y", value(0).Draw(t, "y")}}}
		written := doc.AppendYAML(nil)
		again, err := LoadRaw(files(map[string][]byte{"a.yaml": written}))
		if err != nil {
			t.Fatalf("%v\n%s", err, written)
		}
		if len(again) != 1 || !reflect.DeepEqual(again[0], doc) {
			t.Fatalf("read %#v\nwant %#v\n%s", again, doc, written)
		}
	})
}
