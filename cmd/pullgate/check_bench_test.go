package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkCheck checks a directory on disk with a file for each customer, who has a key and three
// licenses.
func BenchmarkCheck(b *testing.B) {
	const files = 1000
	b.Run(fmt.Sprintf("files=%d", files), func(b *testing.B) {
		dir := b.TempDir()
		write := func(name, text string) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		write("vendor.yaml", "kind: Registry\nid: main\nhosts: [registry.acme.example]\nupstream: https://harbor.internal\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n"+
			"---\nkind: Plan\nid: gold\ntype: subscription\nterm: P1Y\ngrace: P14D\ngrants: [{product: app, versions: \">=1.0.0 <2.0.0\"}]\n")
		for i := range files - 1 {
			write(fmt.Sprintf("c%d.yaml", i), fmt.Sprintf("kind: Customer\nid: c%d\nzone: Europe/Berlin\nkeys: [{id: ci, hash: \"sha256:%064x\", expires: 2099-12-31}]\n", i, i)+
				fmt.Sprintf("---\nkind: License\nid: c%d-a\ncustomer: c%d\nplan: gold\nstarts: 2026-01-01\nrenews: {every: P1Y, notice: P30D}\n", i, i)+
				fmt.Sprintf("---\nkind: License\nid: c%d-b\ncustomer: c%d\nplan: gold\nstarts: 2026-02-01\nends: 2098-12-31\n", i, i)+
				fmt.Sprintf("---\nkind: License\nid: c%d-c\ncustomer: c%d\ntype: perpetual\nends: never\nupdates: forever\ngrants: [{repository: acme/tools/*, tags: [\"1.4\", \"1.4.*\", stable]}]\n", i, i))
		}
		args := []string{"check", "--data", b.TempDir(), dir}
		for b.Loop() {
			var out, errs bytes.Buffer
			if code := run(b.Context(), args, nil, &out, &errs); code != exitYes || errs.Len() > 0 {
				b.Fatalf("exit code %d: %s%s", code, out.String(), errs.String())
			}
		}
	})
}
