package bundle

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// Whatever it is like, an object is that of its text, sections included, and a text that is none is
// refused. What is shared is what the text has.
func TestObjectLikeAnotherIsThatOfItsText(t *testing.T) {
	shared, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.OneOf(rapid.StringMatching(`[a-f][0-9]`), rapid.StringMatching(`[<é"]?[a-c]`)), 0, 25, rapid.ID[string])
		value := func() []byte {
			if rapid.IntRange(0, 4).Draw(t, "number") == 0 {
				return fmt.Append(nil, rapid.IntRange(1, 12).Draw(t, "n"))
			}
			return fmt.Appendf(nil, "%q", strings.Repeat("x", rapid.SampledFrom([]int{1, 1_000, 30_000, 60_000, 120_000, 400_000, maxSection + 1}).Draw(t, "length")))
		}
		edit := func(o *Object) *Object {
			var changes []Member
			for _, n := range names.Draw(t, "names") {
				m := Member{Name: n}
				if rapid.IntRange(0, 2).Draw(t, "gone") > 0 {
					m.Value = value()
				}
				changes = append(changes, m)
			}
			o, err := o.Edit(changes)
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		like := edit(nil)
		text := edit(like).Bytes()
		if rapid.IntRange(0, 3).Draw(t, "broken") == 0 {
			i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
			text[i] = rapid.SampledFrom([]byte(`{}",:1x `)).Draw(t, "is")
		}
		want, wantErr := NewObject(bytes.Clone(text))
		got, err := NewObjectLike(text, like)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, want %v", err, wantErr)
		}
		if err != nil {
			refused++
			return
		}
		same(t, got, want)
		for _, s := range got.Sections() {
			if slices.Contains(like.Sections(), s) {
				shared++
			}
		}
		if like.Len() > 0 {
			clear(text) // it keeps nothing of it
			same(t, got, want)
		}
	})
	if t.Logf("%d sections are shared, %d texts refused", shared, refused); shared == 0 || refused == 0 {
		t.Error("nothing is shared, or nothing refused")
	}
}

// A bundle that is read shares with another one what is the same, and is no other bundle for it.
func TestReadSharesWithWhatItIsLike(t *testing.T) {
	k := key(t)
	s, keys := signer(t, k), ring(t, k)
	c := customers(2_000)
	const path = "pullgate/customers/data.json"
	whole, err := NewObject(c.Files[path])
	if err != nil {
		t.Fatal(err)
	}
	edited, err := whole.Edit([]Member{{"customer-001000", []byte(`{"id":"other"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	file, _ := write(t, &Content{IssuedAt: 1, NotAfter: 2, Files: map[string][]byte{}, Objects: map[string]*Object{path: edited}}, s)
	alone, err := Read(bytes.NewReader(file), keys, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read(bytes.NewReader(file), keys, ReadOptions{Like: map[string]*Object{path: whole}})
	if err != nil {
		t.Fatal(err)
	}
	if b.Revision() != alone.Revision() || !b.Object(path).Equal(alone.Object(path)) {
		t.Error("another bundle")
	}
	others := 0
	for _, s := range b.Object(path).Sections() {
		if !slices.Contains(whole.Sections(), s) {
			others++
		}
	}
	if n := len(whole.Sections()); n < 5 || others < 1 || others > 2 {
		t.Errorf("%d of %d sections are not shared", others, n)
	}
}

// A value that only begins as another one does is another one.
func TestObjectLikeAnotherComparesWholeValues(t *testing.T) {
	for like, text := range map[string]string{`{"a":1}`: `{"a":12}`, `{"a":12}`: `{"a":1}`, `{"b":1}`: `{"a":1,"b":1}`, `{"a":1,"b":1}`: `{"b":1}`} {
		o, err := NewObject([]byte(like))
		if err != nil {
			t.Fatal(err)
		}
		got, err := NewObjectLike([]byte(text), o)
		if err != nil || string(got.Bytes()) != text {
			t.Errorf("%s like %s: %s, %v", text, like, got.Bytes(), err)
		}
	}
	// Order is looked at where what is shared begins and ends.
	o, err := NewObject([]byte(`{"b":1}`))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{"b":1,"b":1}`, `{"b":1,"a":1}`, `{"c":1,"b":1}`, `{"b":1`, `{"b":1,`, `{"b":1}}`} {
		if _, err := NewObjectLike([]byte(text), o); err == nil {
			t.Errorf("%s is taken", text)
		}
	}
}
