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
