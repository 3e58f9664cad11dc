package index

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// mapped is a file of an index in memory that cannot be written to.
func mapped(t testing.TB, data []byte) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "index.bin")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := syscall.Mmap(int(f.Fd()), 0, len(data), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Munmap(m) })
	return m
}

// Neither Open nor any lookup writes to the file: a write to this one would be a fault.
func TestEveryLookupOfAMappedFile(t *testing.T) {
	x, err := Open(mapped(t, sample().bytes(t)))
	if err != nil {
		t.Fatal(err)
	}
	exercise(t, x)
}

// BenchmarkLookupMapped looks up a million digests of a mapped file, each once and in random order,
// from pages that the process has given back before.
func BenchmarkLookupMapped(b *testing.B) {
	b.Run("digests=1M", func(b *testing.B) {
		c := large()
		m := mapped(b, c.bytes(b))
		x, err := Open(m)
		if err != nil {
			b.Fatal(err)
		}
		questions := everyDigest(c)
		rand.New(rand.NewPCG(3, 4)).Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
		c = nil
		i := 0
		for b.Loop() {
			if i%len(questions) == 0 {
				b.StopTimer()
				if err := syscall.Madvise(m, syscall.MADV_DONTNEED); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
			q := &questions[i%len(questions)]
			i++
			r, _ := x.Repository("main", q.name)
			if _, ok := r.Node(q.digest); !ok {
				b.Fatal("not found")
			}
		}
	})
}
