package compile

import (
	"fmt"
	"testing"

	"github.com/pullgate/pullgate/bundle/license"
)

// benchmarkInput has customers with three licenses each, and images of two platforms with
// six layers each, of which versions share four.
func benchmarkInput(b *testing.B, customers, images int) *Input {
	in := &Input{
		Set: parse(b, map[string]string{"a.yaml": vendor + `---
kind: License
id: one
customer: acme
type: subscription
starts: 2026-01-01
ends: 2026-12-31
features: {sso: true, nodes: 10}
grants: [{product: app, versions: ">=1.0.0 <2.0.0"}, {repository: acme/tools/*, tags: ["1.4", "1.4.*"]}]
---
kind: Customer
id: acme
`}), Modules: library, IssuedAt: day(1, 1), NotAfter: license.Never,
	}
	l := in.Set.Licenses[0]
	in.Set.Customers, in.Set.Licenses = nil, nil
	for i := range customers {
		c := license.Customer{ID: fmt.Sprintf("customer-%d", i), Name: "Customer"}
		in.Set.Customers = append(in.Set.Customers, c)
		for n := range 3 {
			l := l
			l.ID, l.Customer = fmt.Sprintf("%s-%d", c.ID, n), c.ID
			in.Set.Licenses = append(in.Set.Licenses, l)
		}
	}
	for r := range max(1, images/100) {
		repo := Repository{Name: fmt.Sprintf("acme/tools/t%d", r), Tags: tags{}, Manifests: manifests{}}
		if r == 0 {
			repo.Name = "acme/app"
		}
		for i := range min(images, 100) {
			name := fmt.Sprintf("%d-%d-", r, i)
			repo.Tags[fmt.Sprintf("1.%d.0", i)] = at(name)
			repo.Manifests[name] = list4(name+"amd", name+"arm")
			for _, p := range []string{"amd", "arm"} {
				m := image(name+p+"l1", name+p+"l2")
				for s := range 4 {
					m.Layers = append(m.Layers, fmt.Sprintf("%d-%s-base%d", r, p, s))
				}
				m.Config = name + p + "c"
				repo.Manifests[name+p] = m
			}
		}
		in.Catalog = append(in.Catalog, named(repo))
	}
	return in
}

func BenchmarkCompile(b *testing.B) {
	for _, size := range []struct{ customers, images int }{{10_000, 100}, {100_000, 100}, {100, 10_000}} {
		b.Run(fmt.Sprintf("customers=%d/images=%d", size.customers, size.images), func(b *testing.B) {
			in := benchmarkInput(b, size.customers, size.images)
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := Compile(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
