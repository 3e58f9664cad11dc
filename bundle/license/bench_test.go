package license

import (
	"fmt"
	"strings"
	"testing"
)

// large is a set of customers with a key and three licenses each, two of them by plan, in
// files of a thousand.
func large(customers int) map[string][]byte {
	files := map[string][]byte{"base.yaml": []byte(base)}
	for from := 0; from < customers; from += 1000 {
		var b strings.Builder
		for i := from; i < min(from+1000, customers); i++ {
			fmt.Fprintf(&b, "---\nkind: Customer\nid: c%d\nzone: Europe/Berlin\nkeys: [{id: ci, hash: \"sha256:%064x\"}]\n", i, i)
			fmt.Fprintf(&b, "---\nkind: License\nid: c%d-a\ncustomer: c%d\nplan: gold\nstarts: 2026-01-01\nrenews: {every: P1Y, notice: P30D}\n", i, i)
			fmt.Fprintf(&b, "---\nkind: License\nid: c%d-b\ncustomer: c%d\nplan: gold\nstarts: 2026-01-01\nends: 2026-12-31\n", i, i)
			fmt.Fprintf(&b, "---\nkind: License\nid: c%d-c\ncustomer: c%d\ntype: perpetual\nends: never\nupdates: {until: 2026-12-31}\n"+
				"grants: [{repository: acme/tools/*, tags: [\"1.4\", \"1.4.*\", stable]}]\n", i, i)
		}
		files[fmt.Sprintf("c%06d.yaml", from)] = []byte(b.String())
	}
	return files
}

func BenchmarkParse(b *testing.B) {
	for _, customers := range []int{1_000, 100_000} {
		files := large(customers)
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				set, err := Parse(files)
				if err != nil || len(set.Licenses) != 3*customers {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkWarnings(b *testing.B) {
	const customers = 100_000
	set, err := Parse(large(customers))
	if err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			set.Warnings(1_800_000_000)
		}
	})
}

func BenchmarkSchedule(b *testing.B) {
	set, err := Parse(large(1))
	if err != nil {
		b.Fatal(err)
	}
	for _, id := range []string{"c0-a", "c0-b", "c0-c"} {
		l := set.License(id)
		b.Run("license="+id, func(b *testing.B) {
			for b.Loop() {
				l.Schedule(1_800_000_000)
			}
		})
	}
}
