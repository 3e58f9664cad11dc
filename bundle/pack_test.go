package bundle

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// The file depends on what is in it alone: what was compressed before, as a part of another bundle, is
// what a bundle that was never written gives.
func TestPackedFileIsThatOfItsContent(t *testing.T) {
	k := key(t)
	s, keys := signer(t, k), ring(t, k)
	packed := 0
	rapid.Check(t, func(t *rapid.T) {
		var o *Object
		for range 3 {
			var changes []Member
			for _, n := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-f][0-9]`), 0, 10, rapid.ID[string]).Draw(t, "names") {
				m := Member{Name: n}
				if rapid.IntRange(0, 3).Draw(t, "gone") > 0 {
					m.Value = fmt.Appendf(nil, "%q", strings.Repeat(n, rapid.SampledFrom([]int{1, 20_000}).Draw(t, "length")))
				}
				changes = append(changes, m)
			}
			var err error
			if o, err = o.Edit(changes); err != nil {
				t.Fatal(err)
			}
			for _, s := range o.Sections() {
				if s.packed.Load() != nil {
					packed++
				}
			}
			side := bytes.Repeat([]byte{'x'}, rapid.SampledFrom([]int{0, 10, plainSize - 700, plainSize, 2*plainSize + 1}).Draw(t, "index"))
			file := func(objects map[string]*Object, files map[string][]byte) []byte {
				var out bytes.Buffer
				files[IndexPath] = side
				if _, err := Write(&out, &Content{IssuedAt: 1, NotAfter: 2, Files: files, Objects: objects}, s); err != nil {
					t.Fatal(err)
				}
				return out.Bytes()
			}
			const path = "pullgate/customers/data.json"
			got := file(map[string]*Object{path: o}, map[string][]byte{})
			if want := file(nil, map[string][]byte{path: o.Bytes()}); !bytes.Equal(got, want) {
				t.Fatal("the file depends on what was compressed before")
			}
			b, err := Read(bytes.NewReader(got), keys, ReadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b.File(path), o.Bytes()) || !bytes.Equal(b.File(IndexPath), side) {
				t.Fatal("other content")
			}
		}
	})
	if packed == 0 {
		t.Error("nothing was compressed before")
	}
}

// Others unpack it, too, and it is about as small as if it were compressed as a whole.
func TestPackedFileIsGzip(t *testing.T) {
	c := customers(2_000)
	file, _ := write(t, c, signer(t, key(t)))
	gz, err := gzip.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	to, _ := gzip.NewWriterLevel(&whole, gzip.BestSpeed)
	_, _ = to.Write(plain)
	_ = to.Close()
	if len(file) > whole.Len()+whole.Len()/10 {
		t.Errorf("%d bytes, %d as a whole", len(file), whole.Len())
	}
	if h := whole.Bytes(); !bytes.Equal(file[:10], h[:10]) {
		t.Errorf("header %x, want %x", file[:10], h[:10])
	}
}

// What does not take the file is told of, wherever it ends.
func TestPackerTellsOfErrors(t *testing.T) {
	c := customers(2_000)
	s := signer(t, key(t))
	file, _ := write(t, c, s)
	full := errors.New("full")
	for _, room := range []int{0, 9, 10, 500, len(file) / 2, len(file) - 5} {
		if _, err := Write(&narrow{room, full}, c, s); !errors.Is(err, full) {
			t.Errorf("after %d bytes: %v", room, err)
		}
	}
}

// narrow has room for some bytes.
type narrow struct {
	room int
	err  error
}

func (n *narrow) Write(b []byte) (int, error) {
	if n.room -= len(b); n.room < 0 {
		return 0, n.err
	}
	return len(b), nil
}
