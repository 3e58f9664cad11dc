package index

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// exercise makes every lookup over all entries.
func exercise(t testing.TB, x *Index) {
	t.Helper()
	registries := map[string]bool{"": true}
	for _, r := range x.repo {
		registries[r.registry] = true
	}
	for registry := range registries {
		for r := range x.Repositories(registry) {
			if again, ok := x.Repository(r.Registry(), r.Name()); !ok || again != r {
				t.Fatalf("repository %q is not found by its name", r.Name())
			}
			r.Chart()
			r.Facts()
			x.Product(r.Product())
			for e := range r.Tags() {
				if again, ok := r.Tag(e.Name); !ok || again != e {
					t.Fatalf("tag %q is not found by its name", e.Name)
				}
				x.Release(r.Product(), e.Name)
				x.Set(e.Set)
				x.SetHash(e.Set)
				r.Node(e.Digest)
			}
			for e := range r.Nodes() {
				if again, ok := r.Node(e.Digest); !ok || again != e {
					t.Fatalf("node %x is not found", e.Digest)
				}
				x.Set(e.Set)
				r.Referrers(e.Digest)
			}
			r.Node(Digest{})
			r.Tag("")
			r.Referrers(Digest{})
		}
	}
	for i := range x.count(secSubjects) {
		for r := range x.Repositories("main") {
			r.Referrers(Digest(x.entry(secSubjects, i)[:digestLen]))
		}
	}
	for i := range x.Sets() {
		x.Set(SetID(i))
		x.SetHash(SetID(i))
	}
	for i := range x.count(secReleases) {
		e := x.entry(secReleases, i)
		if _, ok := x.Release(x.text(u32(e, 0)), x.text(u32(e, 4))); !ok {
			t.Fatalf("release %d is not found", i)
		}
	}
	for i := range x.count(secProducts) {
		if _, ok := x.Product(x.text(u32(x.entry(secProducts, i), 0))); !ok {
			t.Fatalf("product %d is not found", i)
		}
	}
}

func TestEveryLookupOfASample(t *testing.T) { exercise(t, sample().open(t)) }

// TestOpenOfDamagedFiles is FuzzOpen's invariant over every byte of a real file.
func TestOpenOfDamagedFiles(t *testing.T) {
	data := sample().bytes(t)
	for n := range data {
		if x, err := Open(data[:n]); err == nil {
			t.Errorf("cut to %d of %d bytes: opened", n, len(data))
			exercise(t, x)
		}
	}
	if _, err := Open(append(slices.Clone(data), make([]byte, 8)...)); err == nil {
		t.Error("longer: opened")
	}
	for i := range data {
		for _, v := range []byte{data[i] + 1, data[i] - 1, ^data[i], 0, 0xff} {
			old := data[i]
			data[i] = v
			if x, err := Open(data); err == nil {
				exercise(t, x)
			}
			data[i] = old
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		damaged := slices.Clone(data)
		for range 1 + rng.IntN(3) {
			binary.LittleEndian.PutUint32(damaged[rng.IntN(len(data)/4)*4:], []uint32{0, 1, uint32(len(data)), 1 << 31, 1<<32 - 1, rng.Uint32N(64)}[rng.IntN(6)])
		}
		if x, err := Open(damaged); err == nil {
			exercise(t, x)
		}
	}
}

// TestSectionsOfTheFuture: an unknown section is skipped, unless it says that it must be known.
func TestSectionsOfTheFuture(t *testing.T) {
	data := sample().bytes(t)
	with := func(id, flags uint32, content []byte) []byte {
		n := int(u32(data, 12))
		out := slices.Clone(data[:headerLen])
		binary.LittleEndian.PutUint32(out[12:], uint32(n+1))
		for i := range n {
			e := slices.Clone(data[headerLen+i*tableEntry:][:tableEntry])
			binary.LittleEndian.PutUint64(e[8:], uint64(i64(e, 8))+tableEntry)
			out = append(out, e...)
		}
		body := data[headerLen+n*tableEntry:]
		end := align(len(data) + tableEntry)
		out = put64(put32(out, id, flags), int64(end), int64(len(content)))
		out = append(out, body...)
		out = append(out, make([]byte, end-len(out))...)
		return append(out, content...)
	}
	x, err := Open(with(16, 0, []byte("later")))
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, x)
	for name, data := range map[string][]byte{
		"must be known": with(16, flagRequired, []byte("later")),
		"unknown flag":  with(16, 2, nil),
		"id used twice": with(15, flagRequired, nil),
	} {
		if _, err := Open(data); err == nil {
			t.Errorf("%s: opened", name)
		}
	}
	newer := slices.Clone(data)
	newer[8] = 2
	if _, err := Open(newer); err == nil {
		t.Error("version 2: opened")
	}
}

// FuzzOpen: Open either refuses the bytes or every lookup over all entries ends without a panic
// and finds what iteration shows.
func FuzzOpen(f *testing.F) {
	f.Add(sample().bytes(f))
	f.Add((&content{}).bytes(f))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		if x, err := Open(data); err == nil {
			exercise(t, x)
		}
	})
}
