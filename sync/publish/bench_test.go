package publish

import (
	"context"
	"fmt"
	"maps"
	"testing"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// large is a catalog of about a million digests: 100 repositories with 600 tags of two platforms,
// each with a config and six layers.
func large() (*catalog.Catalog, string) {
	c := &catalog.Catalog{Registry: "main", Repositories: map[string]*catalog.Repository{}}
	products := "kind: Registry\nid: main\nhosts: [registry.example]\nupstream: https://upstream.example\n"
	for r := range 100 {
		repo := &catalog.Repository{Tags: map[string]catalog.Tag{}, Manifests: map[string]*catalog.Manifest{}}
		for v := range 600 {
			id := fmt.Sprintf("%d %d ", r, v)
			top := &catalog.Manifest{Created: catalog.Always}
			for _, platform := range []string{"amd64", "arm64"} {
				m := &catalog.Manifest{Created: catalog.Always, Config: catalog.DigestOf(id + platform + "config")}
				for l := range 6 {
					m.Layers = append(m.Layers, catalog.DigestOf(fmt.Sprint(id, platform, l)))
				}
				d := catalog.DigestOf(id + platform)
				repo.Manifests[d] = m
				top.Index = append(top.Index, d)
			}
			repo.Manifests[catalog.DigestOf(id)] = top
			repo.Tags[fmt.Sprintf("1.%d.0", v)] = catalog.Tag{Digest: catalog.DigestOf(id), Seen: catalog.Always}
		}
		name := fmt.Sprintf("acme/app-%d", r)
		c.Repositories[name] = repo
		products += fmt.Sprintf("---\nkind: Product\nid: app-%d\nrepositories: [%s]\n", r, name)
	}
	return c, products
}

// BenchmarkOneTag publishes a catalog in which one tag of one repository has moved.
func BenchmarkOneTag(b *testing.B) {
	b.Run("digests=1M", func(b *testing.B) {
		c, text := large()
		set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text)})
		if err != nil {
			b.Fatal(err)
		}
		key, err := bundle.GenerateKey()
		if err != nil {
			b.Fatal(err)
		}
		signer, err := bundle.NewSigner(key)
		if err != nil {
			b.Fatal(err)
		}
		ring, err := bundle.NewKeyRing(signer.Public())
		if err != nil {
			b.Fatal(err)
		}
		p := New(Config{Signer: signer, Ring: ring, Bundles: []Bundle{{Deliver: func(context.Context, *Issue) error { return nil }}}})
		if err := p.SetLicenses(b.Context(), set, nil); err != nil {
			b.Fatal(err)
		}
		if err := p.SetCatalog(b.Context(), "main", c); err != nil {
			b.Fatal(err)
		}
		i := 0
		for b.Loop() {
			was := c.Repositories["acme/app-7"]
			repo := *was
			repo.Tags = maps.Clone(was.Tags)
			i++
			repo.Tags["latest"] = catalog.Tag{Digest: was.Tags[fmt.Sprintf("1.%d.0", i%600)].Digest, Seen: catalog.Always}
			c = &catalog.Catalog{Registry: "main", Repositories: maps.Clone(c.Repositories)}
			c.Repositories["acme/app-7"] = &repo
			if err := p.SetCatalog(b.Context(), "main", c); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// licensed are the license files of customers with a key and three licenses each, a file for each.
func licensed(i int, ends string) license.Part {
	text := fmt.Appendf(nil, "kind: Customer\nid: c%d\nname: Customer %d GmbH\nzone: Europe/Berlin\nlabels: {region: eu, tier: gold}\nkeys: [{id: ci, hash: \"sha256:%064x\"}]\n", i, i, i)
	text = fmt.Appendf(text, "---\nkind: License\nid: c%d-a\ncustomer: c%d\ntype: subscription\ngrace: P14D\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, notice: P30D}\ngrants: [{product: app-1, versions: \">=1.0.0 <3.0.0\"}]\n", i, i)
	text = fmt.Appendf(text, "---\nkind: License\nid: c%d-b\ncustomer: c%d\ntype: subscription\nstarts: 2026-01-01\nends: %s\nfeatures: {sso: true, nodes: 10}\ngrants: [{product: app-2, versions: \">=1.0.0 <3.0.0\"}]\n", i, i, ends)
	text = fmt.Appendf(text, "---\nkind: License\nid: c%d-c\ncustomer: c%d\ntype: perpetual\nends: never\nupdates: {until: 2026-12-31}\ngrants: [{repository: acme/app-3, tags: [\"1.4.0\", \"1.4.*\"]}]\n", i, i)
	return license.FilePart(fmt.Sprintf("c%06d.yaml", i), text)
}

// BenchmarkOneLicense publishes a set in which one license of one customer has changed.
func BenchmarkOneLicense(b *testing.B) {
	for _, local := range []bool{true, false} {
		b.Run(fmt.Sprintf("customers=100k/local=%v", local), func(b *testing.B) {
			c, text := large()
			parts := []license.Part{license.FilePart("base.yaml", []byte(text))}
			for i := range 100_000 {
				parts = append(parts, licensed(i, "2026-12-31"))
			}
			set, err := license.ParseParts(parts)
			if err != nil {
				b.Fatal(err)
			}
			parts = nil
			key, err := bundle.GenerateKey()
			if err != nil {
				b.Fatal(err)
			}
			signer, err := bundle.NewSigner(key)
			if err != nil {
				b.Fatal(err)
			}
			ring, err := bundle.NewKeyRing(signer.Public())
			if err != nil {
				b.Fatal(err)
			}
			p := New(Config{Signer: signer, Ring: ring, Bundles: []Bundle{{Local: local, Deliver: func(context.Context, *Issue) error { return nil }}}})
			if err := p.SetCatalog(b.Context(), "main", c); err != nil {
				b.Fatal(err)
			}
			if err := p.SetLicenses(b.Context(), set, nil); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				if set = set.Edited([]license.Part{licensed(i*7919%100_000, fmt.Sprintf("2027-12-%02d", 1+i%30))}, nil); set == nil {
					b.Fatal("not edited")
				}
				if err := p.SetLicenses(b.Context(), set, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
