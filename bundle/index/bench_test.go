package index

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// large has a million digests: 100 repositories with 100 versions of 100 digests, of which 10 are
// shared with the 10 versions around them.
func large() *content {
	c := &content{products: []Product{{ID: "app"}}}
	number := uint64(0)
	next := func() (d Digest) {
		number++
		rng := rand.New(rand.NewPCG(number, 0))
		for i := 0; i < len(d); i += 8 {
			binary.LittleEndian.PutUint64(d[i:], rng.Uint64())
		}
		return d
	}
	for r := range 100 {
		repo := Repository{Registry: "main", Name: fmt.Sprintf("acme/app-%d", r), Product: "app"}
		var window []Candidate
		for v := range 100 {
			version := fmt.Sprintf("%d.%d.0", r, v)
			own := []Candidate{candidate(version)}
			window = append(window, own[0])
			shared := window[max(0, len(window)-10):]
			for n := range 100 {
				node := Node{Digest: next(), Kind: Blob, Candidates: own}
				if n < 10 {
					node.Candidates = shared
				}
				repo.Nodes = append(repo.Nodes, node)
			}
			repo.Tags = append(repo.Tags, Tag{Name: version, Digest: repo.Nodes[len(repo.Nodes)-1].Digest, Candidates: own})
		}
		c.repos = append(c.repos, repo)
	}
	return c
}

func BenchmarkBuild(b *testing.B) {
	b.Run("digests=1M", func(b *testing.B) {
		c := large()
		b.ReportAllocs()
		for b.Loop() {
			c.bytes(b)
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	b.Run("digests=1M", func(b *testing.B) {
		data := large().bytes(b)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		x, err := Open(data)
		if err != nil {
			b.Fatal(err)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		resident := float64(len(data)) + float64(after.HeapAlloc) - float64(before.HeapAlloc)
		for b.Loop() {
			if _, err := Open(data); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(resident/1e6, "B/digest")
		runtime.KeepAlive(x)
	})
}

// question is a digest of a repository.
type question struct {
	name   string
	digest Digest
}

func everyDigest(c *content) (all []question) {
	for i := range c.repos {
		for _, n := range c.repos[i].Nodes {
			all = append(all, question{c.repos[i].Name, n.Digest})
		}
	}
	return all
}

// BenchmarkLookup looks up every digest once and in random order, so that nothing is in the
// processor's caches but by chance.
func BenchmarkLookup(b *testing.B) {
	b.Run("digests=1M", func(b *testing.B) {
		c := large()
		x := c.open(b)
		questions := everyDigest(c)
		rand.New(rand.NewPCG(3, 4)).Shuffle(len(questions), func(i, j int) { questions[i], questions[j] = questions[j], questions[i] })
		c = nil
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			q := &questions[i%len(questions)]
			i++
			r, _ := x.Repository("main", q.name)
			if _, ok := r.Node(q.digest); !ok {
				b.Fatal("not found")
			}
		}
	})
	b.Run("digests=1M/repositories=1", func(b *testing.B) {
		c := large()
		one := Repository{Name: "a"}
		for _, r := range c.repos {
			for _, n := range r.Nodes {
				n.Candidates = nil
				one.Nodes = append(one.Nodes, n)
			}
		}
		c.repos = []Repository{one}
		x := c.open(b)
		r, _ := x.Repository("", "a")
		rng := rand.New(rand.NewPCG(3, 4))
		questions := make([]Digest, 1<<16)
		for i := range questions {
			questions[i] = one.Nodes[rng.IntN(len(one.Nodes))].Digest
		}
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			i++
			if _, ok := r.Node(questions[i%len(questions)]); !ok {
				b.Fatal("not found")
			}
		}
	})
}

func BenchmarkSet(b *testing.B) {
	x := sample().open(b)
	r, _ := x.Repository("main", "acme/app")
	e, _ := r.Tag("1.4.0")
	b.ReportAllocs()
	for b.Loop() {
		x.Set(e.Set)
	}
}

func TestLookupsOfARequestDoNotAllocate(t *testing.T) {
	x := sample().open(t)
	d := digest("B1")
	if n := testing.AllocsPerRun(100, func() {
		r, _ := x.Repository("main", "acme/app")
		e, _ := r.Tag("1.4.0")
		n, _ := r.Node(d)
		_, _, _ = r.Product(), r.Facts(), x.SetHash(e.Set)
		_ = x.SetHash(n.Set)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
