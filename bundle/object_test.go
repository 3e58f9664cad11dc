package bundle

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// same compares two Objects, sections included.
func same(t interface{ Fatalf(string, ...any) }, got, want *Object) {
	if !bytes.Equal(got.Bytes(), want.Bytes()) {
		t.Fatalf("another text")
	}
	if got.Size() != want.Size() || got.Len() != want.Len() {
		t.Fatalf("size %d of %d members, want %d of %d", got.Size(), got.Len(), want.Size(), want.Len())
	}
	if len(got.Sections()) != len(want.Sections()) {
		t.Fatalf("%d sections, want %d", len(got.Sections()), len(want.Sections()))
	}
	for i, s := range got.Sections() {
		w := want.Sections()[i]
		if !bytes.Equal(s.plain, w.plain) || s.forced != w.forced || len(s.members) != len(w.members) {
			t.Fatalf("section %d: %d bytes, %d members, forced %v; want %d, %d, %v", i, len(s.plain), len(s.members), s.forced, len(w.plain), len(w.members), w.forced)
		}
		for j, m := range s.members {
			if m.Name != w.members[j].Name || !bytes.Equal(m.Value, w.members[j].Value) {
				t.Fatalf("section %d: member %q, want %q", i, m.Name, w.members[j].Name)
			}
		}
	}
}

// However an object has come about, it has the sections that its text alone gives it.
func TestEditedObjectIsThatOfItsText(t *testing.T) {
	shared, sections := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var o *Object
		members := map[string]string{}
		name := rapid.OneOf(rapid.StringMatching(`[a-f][0-9]`), rapid.StringMatching(`[<é"]?[a-c]`))
		for range 5 {
			changes := map[string][]byte{}
			for _, n := range rapid.SliceOfNDistinct(name, 0, 25, rapid.ID[string]).Draw(t, "names") {
				if rapid.IntRange(0, 2).Draw(t, "gone") == 0 {
					delete(members, n)
					changes[n] = nil
					continue
				}
				length := rapid.SampledFrom([]int{1, 1_000, 30_000, 60_000, 120_000, 400_000, maxSection + 1}).Draw(t, "length")
				members[n] = strings.Repeat("x", length)
				changes[n] = []byte(`"` + members[n] + `"`)
			}
			var list []Member
			for n, v := range changes {
				list = append(list, Member{n, v})
			}
			before := o
			var err error
			if o, err = o.Edit(list); err != nil {
				t.Fatal(err)
			}
			text, err := CanonicalJSON(members)
			if err != nil {
				t.Fatal(err)
			}
			want, err := NewObject(text)
			if err != nil {
				t.Fatal(err)
			}
			same(t, o, want)
			if !o.Equal(want) || len(changes) > 0 && o.Equal(before) && !bytes.Equal(o.Bytes(), before.Bytes()) {
				t.Fatal("not equal, or equal to another")
			}
			for _, s := range o.Sections() {
				sections++
				if slices.Contains(before.Sections(), s) {
					shared++
				}
			}
			for n, v := range o.Members() {
				if string(v) != `"`+members[n]+`"` || !bytes.Equal(o.Get(n), v) {
					t.Fatalf("member %q", n)
				}
			}
			if o.Get("zz") != nil || o.Get("") != nil {
				t.Fatal("a member that is not there")
			}
		}
	})
	if t.Logf("%d sections, %d of them shared", sections, shared); shared == 0 {
		t.Error("nothing is shared")
	}
}

// One edit among many leaves all sections alone but one, or those beside it.
func TestEditSharesSections(t *testing.T) {
	members := map[string]string{}
	for i := range 20_000 {
		members[fmt.Sprintf("customer-%05d", i)] = strings.Repeat("x", 500)
	}
	text, err := CanonicalJSON(members)
	if err != nil {
		t.Fatal(err)
	}
	o, err := NewObject(text)
	if err != nil {
		t.Fatal(err)
	}
	mean := len(text) / len(o.Sections())
	if mean < sectionSize/2 || mean > sectionSize*2 {
		t.Errorf("sections of %d bytes", mean)
	}
	for _, change := range []Member{
		{"customer-10000", []byte(`"other"`)}, {"customer-10000x", []byte(`1`)}, {"customer-10000", nil}, {"a", []byte(`2`)}, {"z", []byte(`3`)},
	} {
		edited, err := o.Edit([]Member{change})
		if err != nil {
			t.Fatal(err)
		}
		others := slices.DeleteFunc(slices.Clone(edited.Sections()), func(s *Section) bool { return slices.Contains(o.Sections(), s) })
		if len(others) > 2 {
			t.Errorf("%s: %d sections are others", change.Name, len(others))
		}
		o = edited
	}
}

func TestObjectRefuses(t *testing.T) {
	for _, text := range []string{``, `[]`, `{} `, `{"b":1,"a":2}`, `{"a":1,"a":2}`, `{"a": 1}`, `{"a":1`, `{"a":}`} {
		if _, err := NewObject([]byte(text)); err == nil {
			t.Errorf("%s is an object", text)
		}
	}
	deep := []byte(strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth))
	for name, changes := range map[string][]Member{
		"not canonical": {{"a", []byte(`{ }`)}},
		"nothing":       {{"a", []byte{}}},
		"no name":       {{"\xff", []byte(`1`)}},
		"twice":         {{"a", []byte(`1`)}, {"b", nil}, {"a", []byte(`2`)}},
		"too deep":      {{"a", append(append([]byte(`[`), deep...), ']')}},
	} {
		var o *Object
		if _, err := o.Edit(changes); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	var o *Object
	if string(o.Bytes()) != "{}" || o.Len() != 0 || o.Size() != 2 || len(maps.Collect(o.Members())) != 0 {
		t.Error("an object without members is another")
	}
}
