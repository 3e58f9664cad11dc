package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"weak"

	"pgregory.net/rapid"
)

// equal compares an Object that was read densely with one of the same text.
func equal(t interface{ Fatalf(string, ...any) }, got, want *Object) {
	if !bytes.Equal(got.Bytes(), want.Bytes()) || !got.Equal(want) || !want.Equal(got) {
		t.Fatalf("another text")
	}
	if got.Size() != want.Size() || got.Len() != want.Len() {
		t.Fatalf("size %d of %d members, want %d of %d", got.Size(), got.Len(), want.Size(), want.Len())
	}
	list := want.List(nil)
	for i, m := range got.List(nil) {
		if m.Name != list[i].Name || !bytes.Equal(m.Value, list[i].Value) {
			t.Fatalf("member %q, want %q", m.Name, list[i].Name)
		}
		p, ok := got.Find(m.Name)
		if !ok || !bytes.Equal(p.Value(), m.Value) || p.Sum() != sha256.Sum256(m.Value) || !bytes.Equal(got.Get(m.Name), m.Value) {
			t.Fatalf("member %q is not found", m.Name)
		}
		if _, ok := got.Find(m.Name + "0"); ok != (want.Get(m.Name+"0") != nil) {
			t.Fatalf("member %q0", m.Name)
		}
	}
}

// However much of a text is seen at a time and whatever it is like, an Object that is read densely is
// that of the text, a text that is none is refused, and what is hashed is the text. What is the same as
// in the one that was read before is shared.
func TestAnObjectReadDenselyIsThatOfItsText(t *testing.T) {
	shared, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.OneOf(rapid.StringMatching(`[a-f][0-9]`), rapid.StringMatching(`[<é"]?[a-c]`))
		var plain, like *Object
		for range 3 {
			var changes []Member
			for _, n := range rapid.SliceOfNDistinct(name, 0, 20, rapid.ID[string]).Draw(t, "names") {
				m := Member{Name: n}
				if rapid.IntRange(0, 3).Draw(t, "gone") > 0 {
					m.Value = fmt.Appendf(nil, "%q", strings.Repeat("xy", rapid.SampledFrom([]int{1, 1, 10, 10, 500, 500, 500, 5_000, 15_000, 60_000, maxSection / 3}).Draw(t, "length")))
				}
				if rapid.IntRange(0, 5).Draw(t, "number") == 0 {
					m.Value = fmt.Append(nil, rapid.IntRange(1, 12).Draw(t, "n"))
				}
				changes = append(changes, m)
			}
			var err error
			if plain, err = plain.Edit(changes); err != nil {
				t.Fatal(err)
			}
			text := plain.Bytes()
			if rapid.IntRange(0, 5).Draw(t, "broken") == 0 {
				i := rapid.IntRange(0, len(text)-1).Draw(t, "at")
				text[i] = rapid.SampledFrom([]byte(`{}",:1x `)).Draw(t, "is")
			}
			if rapid.IntRange(0, 9).Draw(t, "more") == 0 {
				text = append(text, "}"...)
			}
			want, wantErr := NewObject(bytes.Clone(text))
			h := sha256.New()
			window := rapid.SampledFrom([]int64{1, 10, 1000, 100_000, windowSize}).Draw(t, "window")
			if rapid.Bool().Draw(t, "alone") {
				like = nil
			}
			got, bad, err := readDenselyIn(window, iotest.HalfReader(bytes.NewReader(text)), int64(len(text)), h, like)
			if err != nil {
				t.Fatal(err)
			}
			if sum := sha256.Sum256(text); !bytes.Equal(h.Sum(nil), sum[:]) {
				t.Fatalf("not all of the text is hashed")
			}
			if (bad == nil) != (wantErr == nil) {
				t.Fatalf("%v, want %v", bad, wantErr)
			}
			if bad != nil {
				refused++
				continue
			}
			clear(text) // it keeps nothing of it
			equal(t, got, want)
			for _, s := range got.Sections() {
				if slices.Contains(like.Sections(), s) {
					shared++
				}
			}
			like = got
		}
		// An edit of one that was read densely is an edit of its text.
		if like != nil {
			whole, err := NewObject(like.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			edit := []Member{{name.Draw(t, "edited"), []byte(`"edited"`)}}
			got, err := like.Edit(edit)
			if err != nil {
				t.Fatal(err)
			}
			if whole, err = whole.Edit(edit); err != nil {
				t.Fatal(err)
			}
			equal(t, got, whole)
		}
	})
	if t.Logf("%d sections are shared, %d texts refused", shared, refused); shared == 0 || refused == 0 {
		t.Error("nothing is shared, or nothing refused")
	}
}

// A source that breaks off is its own error, not one of the text.
func TestASourceOfAnObjectMayBreakOff(t *testing.T) {
	text := []byte(`{"a":"` + strings.Repeat("x", 1000) + `","b":1}`)
	for n := range len(text) {
		o, bad, err := readDenselyIn(10, bytes.NewReader(text[:n]), int64(len(text)), sha256.New(), nil)
		if o != nil || bad != nil || !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
			t.Fatalf("%d bytes: %v, %v, %v", n, o, bad, err)
		}
	}
}

// Bundles that are read densely are those that are read otherwise, and take less memory.
func TestABundleMayBeReadDensely(t *testing.T) {
	k := key(t)
	s, keys := signer(t, k), ring(t, k)
	const path = "pullgate/customers/data.json"
	file, made := write(t, customers(2_000), s)
	plain, err := Read(bytes.NewReader(file), keys, ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read(bytes.NewReader(file), keys, ReadOptions{Dense: 1})
	if err != nil {
		t.Fatal(err)
	}
	if b.Revision() != made.Revision() {
		t.Error("another revision")
	}
	equal(t, b.Object(path), plain.Object(path))
	held := 0
	for _, s := range b.Object(path).Sections() {
		if s.dense == nil {
			t.Fatal("a section that is not dense")
		}
		held += len(s.dense.data)
	}
	if text := b.Object(path).Size(); held > text/5 {
		t.Errorf("%d bytes of a text of %d", held, text)
	}
	again, err := Read(bytes.NewReader(file), keys, ReadOptions{Dense: 1, Like: b.Objects()})
	if err != nil || !slices.Equal(again.Object(path).Sections(), b.Object(path).Sections()) {
		t.Error("sections that are the same are not shared", err)
	}
	// It can be written as any other.
	var out bytes.Buffer
	if _, err := Write(&out, &Content{IssuedAt: 1, NotAfter: 2, Objects: map[string]*Object{path: b.Object(path)}}, s); err != nil || !bytes.Equal(out.Bytes(), file) {
		t.Error("another file", err)
	}
}

// Of a section in which one member has changed the others are taken as they are kept, with their sums.
func TestMembersThatAreTheSameAreTakenOver(t *testing.T) {
	text := customers(500).Files["pullgate/customers/data.json"]
	read := func(text []byte, like *Object) *Object {
		o, bad, err := readDensely(bytes.NewReader(text), int64(len(text)), sha256.New(), like)
		if bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		return o
	}
	like := read(text, nil)
	if like.Sections()[0].sums.Load() != nil {
		t.Fatal("there are sums that nobody wanted")
	}
	if read(bytes.Replace(text, []byte("Customer GmbH"), []byte("Customer AG"), 1), like).Sections()[0].sums.Load() != nil {
		t.Error("sums are made that nobody wanted")
	}
	marked := [sha256.Size]byte{1} // in place of a sum
	for _, s := range like.Sections() {
		sums := s.Sums()
		for i := range sums {
			sums[i] = marked
		}
	}
	got := read(bytes.Replace(text, []byte("Customer GmbH"), []byte("Customer AG"), 1), like)
	if !slices.Equal(got.Sections()[1:], like.Sections()[1:]) {
		t.Error("sections that are the same are not shared")
	}
	first, before := got.Sections()[0], like.Sections()[0]
	if first == before || first.dense.dict != before.dense.dict {
		t.Fatal("the section that has changed is the same, or has a dictionary of its own")
	}
	for i, sum := range first.Sums() {
		switch {
		case i == 0 && sum != sha256.Sum256(first.value(0)):
			t.Error("the sum of what has changed is another")
		case i > 0 && (sum != marked || !bytes.Equal(first.dense.packed(i), before.dense.packed(i))):
			t.Fatalf("member %d is not taken over", i)
		}
	}
}

// A value that begins like the one before is another.
func TestAValueThatGoesOnIsAnother(t *testing.T) {
	var like *Object
	for _, text := range []string{`{"a":1,"b":1}`, `{"a":12,"b":1}`, `{"a":1,"b":12}`} {
		o, bad, err := readDensely(strings.NewReader(text), int64(len(text)), sha256.New(), like)
		if bad != nil || err != nil || string(o.Bytes()) != text {
			t.Fatal(text, bad, err)
		}
		like = o
	}
}

// An Object keeps nothing of the one that it was read like but the sections it has of it.
func TestAnObjectReadDenselyFreesTheOneBefore(t *testing.T) {
	object := func(value string, like *Object) *Object {
		var text strings.Builder
		for n := range 2_000 {
			fmt.Fprintf(&text, `,"c%05d":"%s %d"`, n, strings.Repeat(value, 30), n)
		}
		o, bad, err := readDensely(strings.NewReader("{"+text.String()[1:]+"}"), int64(text.Len()+1), sha256.New(), like)
		if bad != nil || err != nil {
			t.Fatal(bad, err)
		}
		return o
	}
	before := object("x", nil)
	section := weak.Make(before.Sections()[0])
	now := object("y", before)
	runtime.KeepAlive(before)
	runtime.GC()
	if section.Value() != nil {
		t.Error("the object before is kept")
	}
	runtime.KeepAlive(now)
}
