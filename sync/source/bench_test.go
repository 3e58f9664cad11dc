package source

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

// large is a directory with a file for each customer, of three licenses each.
func large(b *testing.B, customers int) Dir {
	dir := b.TempDir()
	if err := os.WriteFile(dir+"/base.yaml", []byte(base+"---\nkind: Product\nid: app\nrepositories: [acme/app]\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	for i := range customers {
		if i%1000 == 0 {
			if err := os.Mkdir(fmt.Sprintf("%s/%03d", dir, i/1000), 0o755); err != nil {
				b.Fatal(err)
			}
		}
		if err := os.WriteFile(file(dir, i), licensee(i, "2026-12-31"), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	return Dir{Path: dir}
}

func file(dir string, i int) string {
	return filepath.Join(dir, fmt.Sprintf("%03d/c%06d.yaml", i/1000, i))
}

func licensee(i int, ends string) []byte {
	text := fmt.Appendf(nil, "kind: Customer\nid: c%d\nzone: Europe/Berlin\nkeys: [{id: ci, hash: \"sha256:%064x\"}]\n", i, i)
	for _, l := range []string{"a", "b", "c"} {
		text = fmt.Appendf(text, "---\nkind: License\nid: c%d-%s\ncustomer: c%d\ntype: subscription\nstarts: 2026-01-01\nends: %s\ngrants: [{product: app, versions: \">=1.0.0 <2.0.0\"}]\n", i, l, i, ends)
	}
	return text
}

// What an edit costs beside what reading everything costs, without the time that a directory must
// have rested.
func BenchmarkEdit(b *testing.B) {
	for _, customers := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			d := large(b, customers)
			var k kept
			seen := d.look()
			b.Run("everything", func(b *testing.B) {
				for b.Loop() {
					k = kept{}
					if _, err := k.load(b.Context(), d, seen); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("look", func(b *testing.B) {
				for b.Loop() {
					d.look()
				}
			})
			b.Run("edit", func(b *testing.B) {
				if k.set == nil {
					if _, err := k.load(b.Context(), d, seen); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					i++
					path := file(d.Path, i*7919%customers)
					if err := os.WriteFile(path, licensee(i*7919%customers, fmt.Sprintf("2027-12-%02d", 1+i%30)), 0o644); err != nil {
						b.Fatal(err)
					}
					now, ok := seen.touched([]string{path})
					snap, err := k.load(b.Context(), d, now)
					if !ok || err != nil || len(snap.Set.Licenses) != 3*customers {
						b.Fatal(ok, err)
					}
					seen = now
				}
				runtime.GC()
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				b.ReportMetric(float64(m.HeapAlloc), "heap-B")
			})
		})
	}
}
