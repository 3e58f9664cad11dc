package catalog

import (
	"fmt"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// largeStore has what a registry of about a million digests leaves: 100 repositories with 600 tags
// of two platforms, each with a config and six layers, of which versions share none.
func largeStore(b *testing.B, dir string) *Store {
	b.Helper()
	s, err := Open(dir, "main")
	if err != nil {
		b.Fatal(err)
	}
	now := at("2026-06-01T00:00:00Z").Unix()
	for r := range 100 {
		name := fmt.Sprintf("acme/app-%d", r)
		tags := map[string]string{}
		err := s.update(func(tx *bolt.Tx) error {
			manifests := tx.Bucket(bucketManifests)
			for v := range 600 {
				id := fmt.Sprintf("%d %d ", r, v)
				top := &record{MediaType: typeOCIIndex, Size: 700}
				for _, platform := range []string{"amd64", "arm64"} {
					m := &record{MediaType: typeOCIManifest, Size: 1500, Config: DigestOf(id + platform + "config"), ConfigType: typeOCIConfig}
					for l := range 6 {
						m.Layers = append(m.Layers, DigestOf(fmt.Sprint(id, platform, l)))
					}
					d := DigestOf(id + platform)
					if err := put(manifests, []byte(d), m); err != nil {
						return err
					}
					if err := put(tx.Bucket(bucketConfigs), []byte(m.Config), now); err != nil {
						return err
					}
					top.Children = append(top.Children, child{Digest: d, MediaType: typeOCIManifest})
				}
				tags[fmt.Sprintf("1.%d.0", v)] = DigestOf(id)
				if err := put(manifests, []byte(DigestOf(id)), top); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		if err := s.take(taking{name: name, tags: tags, now: now}); err != nil {
			b.Fatal(err)
		}
	}
	return s
}

// What a notification costs in a large registry: opening its store, and the repository that has
// changed; and what a whole crawl's end costs.
func BenchmarkStore(b *testing.B) {
	dir := b.TempDir()
	s := largeStore(b, dir)
	b.Run("digests=1M/open", func(b *testing.B) {
		s.Close()
		for b.Loop() {
			var err error
			if s, err = Open(dir, "main"); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			s.Close()
			b.StartTimer()
		}
		var err error
		if s, err = Open(dir, "main"); err != nil {
			b.Fatal(err)
		}
	})
	b.Run("digests=1M/reopen", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			s.Close()
			b.StartTimer()
			if err := s.Reopen(); err != nil {
				b.Fatal(err)
			}
		}
	})
	defer func() { s.Close() }()
	b.Run("digests=1M/snapshot/repository", func(b *testing.B) {
		for b.Loop() {
			if _, err := s.Snapshot("acme/app-7"); err != nil {
				b.Fatal(err)
			}
		}
	})
	var c *Catalog
	b.Run("digests=1M/snapshot", func(b *testing.B) {
		for b.Loop() {
			var err error
			if c, err = s.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("digests=1M/keep", func(b *testing.B) {
		for b.Loop() {
			if err := s.Keep(c); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("digests=1M/last", func(b *testing.B) {
		for b.Loop() {
			if _, err := Last(dir, "main"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
