package bundle

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCheckCanonicalRefusesOtherSpellings(t *testing.T) {
	tests := []struct{ name, json string }{
		{"nothing", ``},
		{"white space before", ` {}`},
		{"white space after", "{}\n"},
		{"white space inside", `{"a": 1}`},
		{"two values", `{}{}`},
		{"unsorted keys", `{"b":1,"a":1}`},
		{"duplicate keys", `{"a":1,"a":1}`},
		{"duplicate keys, spelt differently", `{"\n":1,"\u000a":1}`},
		{"keys sorted by their spelling only", `{"\"":1,"!":1}`},
		{"HTML escaped", `"\u003c"`},
		{"solidus escaped", `"\/"`},
		{"letter escaped", `"\u0061"`},
		{"upper-case hex", `"\u001F"`},
		{"long form of a short escape", `"\u000a"`},
		{"raw line separator", "\"\u2028\""},
		{"escaped replacement character", `"\ufffd"`},
		{"surrogate pair escaped", `"\ud83d\ude00"`},
		{"control character", "\"\x01\""},
		{"NUL", "\"\x00\""},
		{"not UTF-8", "\"\xff\""},
		{"UTF-8 of a surrogate", "\"\xed\xa0\x80\""},
		{"unterminated text", `"a`},
		{"unterminated escape", `"\u00`},
		{"unterminated object", `{"a":1`},
		{"unterminated array", `[1`},
		{"comma at the end", `[1,]`},
		{"comma at the start", `[,1]`},
		{"no colon", `{"a"1}`},
		{"key that is no text", `{1:1}`},
		{"leading zero", `01`},
		{"plus", `+1`},
		{"no digits", `-`},
		{"no fraction", `1.`},
		{"no exponent", `1e`},
		{"word", `nul`},
		{"byte order mark", "\ufeff{}"},
		{"deep", strings.Repeat("[", maxDepth+2) + strings.Repeat("]", maxDepth+2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := CheckCanonical([]byte(tt.json)); err == nil {
				t.Errorf("%q counts as canonical", tt.json)
			}
		})
	}
}

func TestCanonicalJSON(t *testing.T) {
	type inner struct {
		Z int
		A json.RawMessage
	}
	tests := []struct {
		name string
		in   any
		want string
	}{
		{"struct fields sorted", inner{1, json.RawMessage(` { "b" : 1 , "a" : [ ] } `)}, `{"A":{"a":[],"b":1},"Z":1}`},
		{"map", map[string]any{"b": nil, "a": true}, `{"a":true,"b":null}`},
		{"keys by bytes", map[string]int{"a": 1, "B": 1, "é": 1, "\n": 1, "": 1}, `{"":1,"\n":1,"B":1,"a":1,"é":1}`},
		{"no HTML escaping", "<&>", `"<&>"`},
		{"escapes", "\x00\b\f\n\r\t\x1f\x7f\"\\/\u2028\u2029😀", "\"\\u0000\\b\\f\\n\\r\\t\\u001f\x7f\\\"\\\\/\\u2028\\u2029😀\""},
		{"not UTF-8", "\xff", "\"\ufffd\""},
		{"surrogates", json.RawMessage(`"\ud83d\ude00"`), `"😀"`},
		{"numbers as written", []any{json.Number("1.50"), json.Number("1E+2"), int64(-62135596800), 9007199254740993}, `[1.50,1E+2,-62135596800,9007199254740993]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CanonicalJSON(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestCanonicalJSONRefusesDeepNesting(t *testing.T) {
	var v any
	for range maxDepth + 2 {
		v = []any{v}
	}
	if _, err := CanonicalJSON(v); err == nil {
		t.Error("accepted")
	}
}

// canonical is the definition: decoding and encoding again changes nothing.
func canonical(data []byte) bool {
	var v any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return false
	}
	again, err := marshal(v)
	return err == nil && bytes.Equal(again, data)
}

// jsonValue draws trees with the texts and numbers that encodings differ about.
func jsonValue() *rapid.Generator[any] {
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "b", "\"", "!", "\n", "\x1f", "<", "\u2028", "\ufffd", "\\u0061"}))
	number := rapid.Map(rapid.SampledFrom([]string{"0", "-0", "1.50", "1e9", "-62135596800", "9007199254740993"}), func(s string) any { return json.Number(s) })
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		leaf := []*rapid.Generator[any]{text.AsAny(), number, rapid.Bool().AsAny(), rapid.Just[any](nil)}
		if depth == 0 {
			return rapid.OneOf(leaf...)
		}
		return rapid.OneOf(append(leaf,
			rapid.SliceOfN(value(depth-1), 0, 4).AsAny(), rapid.MapOfN(text, value(depth-1), 0, 4).AsAny())...)
	}
	return value(3)
}

func TestCanonicalJSONIsAFixedPoint(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		data, err := CanonicalJSON(jsonValue().Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		if !canonical(data) {
			t.Fatalf("not canonical: %s", data)
		}
		again, err := CanonicalJSON(json.RawMessage(data))
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("%s became %s, %v", data, again, err)
		}
	})
}

// FuzzCheckCanonical: CheckCanonical says of any bytes what decoding and encoding them again says.
func FuzzCheckCanonical(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5e-3,"\u2028é\n"],"b":{"":null}}`, `{"\n":1,"!":2}`, `"\u000a"`, `[`, `-0`, "\"\xff\"", ` 1`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > maxDepth {
			return // nesting has a limit of its own
		}
		if got, want := CheckCanonical(data) == nil, canonical(data); got != want {
			t.Errorf("CheckCanonical(%q) = %v, want %v", data, got, want)
		}
	})
}
