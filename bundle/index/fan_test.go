package index

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
)

func TestNodesWithUnevenDigestsAreFound(t *testing.T) {
	for name, make := range map[string]func(i int) Digest{
		"even":       func(i int) Digest { return digest(fmt.Sprint(i)) },
		"one prefix": func(i int) Digest { return Digest{30: byte(i >> 8), 31: byte(i)} },
		"low":        func(i int) Digest { return Digest{6: byte(i >> 8), 7: byte(i)} },
		"high":       func(i int) Digest { return Digest{0: 255, 1: 255, 30: byte(i >> 8), 31: byte(i)} },
		"powers": func(i int) Digest {
			var d Digest
			d[i/8%32] = 1 << (i % 8)
			d[31] = byte(i)
			d[30] = byte(i >> 8)
			return d
		},
	} {
		all := map[Digest]bool{}
		for i := range 4096 {
			all[make(i)] = true
		}
		sorted := slices.SortedFunc(maps.Keys(all), func(a, b Digest) int { return bytes.Compare(a[:], b[:]) })
		var flat []byte
		for _, d := range sorted {
			flat = append(append(flat, d[:]...), 0, 0, 0, 0)
		}
		f := newFan(flat)
		for i, d := range sorted {
			if got, ok := f.find(flat, &d); !ok || got != i {
				t.Fatalf("%s: digest %d found at %d, %v", name, i, got, ok)
			}
			d[31] ^= 0x80
			if _, ok := f.find(flat, &d); ok != all[d] {
				t.Fatalf("%s: %x: %v", name, d, ok)
			}
		}
	}
}
