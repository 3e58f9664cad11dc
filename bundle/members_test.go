package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Members and elements are those that a decoder finds, whatever is in them.
func TestMembersAreThoseOfADecoder(t *testing.T) {
	text := rapid.OneOf(rapid.StringMatching(`[a-z"\\{}\[\],:]{0,6}`), rapid.String())
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			kind := rapid.IntRange(0, 6).Draw(t, "kind")
			switch {
			case kind == 0:
				return nil
			case kind == 1:
				return rapid.Bool().Draw(t, "bool")
			case kind == 2:
				return rapid.Int64().Draw(t, "number")
			case kind <= 4 || depth == 0:
				return text.Draw(t, "text")
			case kind == 5:
				return rapid.SliceOfN(value(depth-1), 0, 4).Draw(t, "list")
			}
			return rapid.MapOfN(text, value(depth-1), 0, 4).Draw(t, "object")
		})
	}
	objects := rapid.MapOfN(text, value(3), 0, 6)
	rapid.Check(t, func(t *rapid.T) {
		object := objects.Draw(t, "object")
		data, err := CanonicalJSON(object)
		if err != nil {
			t.Fatal(err)
		}
		var like []Member
		if rapid.Bool().Draw(t, "like another") {
			other := map[string]any{}
			for name, v := range object {
				if rapid.Bool().Draw(t, "keep "+name) {
					other[name] = v
				}
			}
			other[text.Draw(t, "more")] = value(1).Draw(t, "value")
			text, err := CanonicalJSON(other)
			if err != nil {
				t.Fatal(err)
			}
			if like, err = Members(text); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Members(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		whole, err := NewObject(data)
		if err != nil {
			t.Fatalf("%s: %v", data, err)
		}
		sameMember := func(a, b Member) bool { return a.Name == b.Name && bytes.Equal(a.Value, b.Value) }
		if list := whole.List(like); !slices.EqualFunc(got, list, sameMember) {
			t.Fatalf("%s: %v is listed", data, list)
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatal(err)
		}
		if len(got) != len(want) {
			t.Fatalf("%s has %d members, found %d", data, len(want), len(got))
		}
		for i, m := range got {
			if !bytes.Equal(m.Value, want[m.Name]) {
				t.Fatalf("%s: %q is %s, want %s", data, m.Name, m.Value, want[m.Name])
			}
			if i > 0 && got[i-1].Name >= m.Name {
				t.Fatalf("%s: %q before %q", data, got[i-1].Name, m.Name)
			}
			if m.Value[0] != '[' {
				continue
			}
			var elements []json.RawMessage
			if err := json.Unmarshal(m.Value, &elements); err != nil {
				t.Fatal(err)
			}
			found, err := Elements(m.Value)
			if err != nil || fmt.Sprintf("%s", found) != fmt.Sprintf("%s", elements) {
				t.Fatalf("%s: %s, want %s (%v)", m.Value, found, elements, err)
			}
		}
	})
}

// What is equal is what the other text has, so that it can be told without comparing again.
func TestListSharesWhatIsEqual(t *testing.T) {
	var lists [2][]Member
	for i, text := range []string{`{"a":{"x":1},"b":2,"d":"e"}`, `{"a":{"x":1},"aa":1,"b":22,"d":"e"}`} {
		o, err := NewObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		lists[i] = o.List(lists[0])
	}
	one, two := lists[0], lists[1]
	if len(two) != 4 || &two[0].Value[0] != &one[0].Value[0] || &two[3].Value[0] != &one[2].Value[0] || string(two[2].Value) != "22" {
		t.Errorf("%s", two)
	}
}

// Broken text is an error or something else, but no panic: it may come from a file that nobody vouches for.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":{}`, `{"a":1,}`, `{"a"}`, `{"a":"\"}`, `{"\`, `[1,[2],"]"]`, `[`, `[[]`, `{"a":}`, `{,}`, `[,]`, `{"a":1]`, `{"a":[}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = Members(data)
		if _, err := Elements(data); err == nil && data[0] != '[' {
			t.Errorf("%q has elements", data)
		}
	})
}

func BenchmarkMembers(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{`)
	for i := range 10_000 {
		if i > 0 {
			text.WriteString(",")
		}
		fmt.Fprintf(&text, `"customer-%05d":{"banned":false,"licenses":{"one":{"ends":1798761600,"features":{"nodes":10,"sso":true},"suspended":["never","never"]}},"products":%s}`,
			i, strings.Repeat(`{"app":[{"boundaries":[1767225600,1798761600],"channels":["stable"],"constraint":">=1.0.0 <2.0.0","ranges":[[[1,0,0,{}],[2,0,0,[0]]]]}]}`, 15))
	}
	data := []byte(strings.ReplaceAll(text.String(), "}{", "},{") + "}")
	data = bytes.ReplaceAll(data, []byte(`"products":{"app"`), []byte(`"products":[{"app"`))
	data = bytes.ReplaceAll(data, []byte(`]}},"customer`), []byte(`]}]},"customer`))
	data = append(bytes.TrimSuffix(data, []byte("}}")), "]}}"...)
	if !json.Valid(data) {
		b.Fatal("not JSON")
	}
	b.Run("customers=10k", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		for b.Loop() {
			if _, err := Members(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
