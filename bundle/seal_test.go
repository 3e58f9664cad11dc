package bundle

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// What is sealed is what a reader makes of the file.
func TestSealedIsWhatReadGives(t *testing.T) {
	k := key(t)
	s, keys := signer(t, k), ring(t, k)
	rapid.Check(t, func(t *rapid.T) {
		c := contents().Draw(t, "content")
		sealed, err := Seal(c, s, keys, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var file bytes.Buffer
		if _, err := Write(&file, c, s); err != nil {
			t.Fatal(err)
		}
		read, err := Read(&file, keys, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if sealed.manifest != read.manifest || sealed.keyID != read.keyID || !slices.Equal(sealed.paths, read.paths) {
			t.Fatalf("%+v, want %+v", sealed.manifest, read.manifest)
		}
		for _, p := range read.paths {
			if string(sealed.File(p)) != string(read.File(p)) || (sealed.Object(p) == nil) != (read.Object(p) == nil) {
				t.Fatalf("%s is another", p)
			}
		}
	})
}

// Seal takes nothing that Read would not.
func TestSealRefuses(t *testing.T) {
	k, other := key(t), key(t)
	for name, c := range map[string]struct {
		signer *Signer
		change func(*Content)
		opts   ReadOptions
		want   error
	}{
		"unsigned":         {nil, nil, ReadOptions{}, ErrUnsigned},
		"a key not listed": {signer(t, other), nil, ReadOptions{}, ErrUnknownKey},
		"another name":     {signer(t, k), nil, ReadOptions{Name: "acme"}, ErrWrongName},
		"an older serial":  {signer(t, k), nil, ReadOptions{MinSerial: 8}, ErrRollback},
		"content":          {signer(t, k), func(c *Content) { c.Files["pullgate/x.txt"] = nil }, ReadOptions{}, nil},
	} {
		content := sample()
		content.Serial = 7
		if c.change != nil {
			c.change(content)
		}
		b, err := Seal(content, c.signer, ring(t, k), c.opts)
		if b != nil || err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, %v; want %v", name, b, err, c.want)
		}
	}
	// Nor what was changed after it was hashed.
	made, sums, err := assemble(sample(), signer(t, k))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range made.paths[2:] {
		was := sums[p]
		sums[p] = [32]byte{}
		b := &Bundle{files: map[string]body{}}
		if err := b.read(&sealed{b: made, sums: sums, at: -1}, ring(t, k), ReadOptions{}); !isFormatError(err) {
			t.Errorf("%s with another hash: %v", p, err)
		}
		sums[p] = was
	}
}
