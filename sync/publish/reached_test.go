package publish

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// A digest that is revoked of files that are refused before the registry is known is revoked by itself.
// What only it reaches follows as soon as that is known: from the registry alone, or with the mended files,
// also while those are held back.
func TestWhatARevokedDigestReachesFollowsWhenItIsKnown(t *testing.T) {
	whole := tagged("1.0.0", "1.1.0") // images with a layer each of their own, and one of both
	for _, tag := range []string{"1.0.0", "1.1.0"} {
		whole.Repositories["acme/app"].Manifests[catalog.DigestOf(tag)] = &catalog.Manifest{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Created: catalog.Always, Layers: []string{catalog.DigestOf("layer of " + tag), catalog.DigestOf("base")},
		}
	}
	for name, both := range map[string]*catalog.Catalog{"indexes": imagesOf("1.0.0", "1.1.0"), "images": whole} {
		for _, mended := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, mended: %t", name, mended), func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "default")
				p, e := newPublisher(t, func(c *Config) {
					c.Bundles[0].Approve, c.Bundles[0].History = carefully, &History{Dir: dir}
				})
				if err := errors.Join(p.SetCatalog(t.Context(), "main", both), p.SetLicenses(t.Context(), vendorFiles(t), nil)); err != nil {
					t.Fatal(err)
				}
				cfg := p.cfg
				cfg.Registerer = nil
				second := New(cfg)
				if err := errors.Join(second.Restore(t.Context(), nil), second.SetRefused(t.Context(), vendorFiles(t, indexRevoked...), false)); err != nil {
					t.Fatal(err)
				}
				want := candidates(t, compiledOf(t, vendorFiles(t, indexRevoked...), both))
				if got := e.last(t, 3); revokedIn(t, got, "1.1.0") == license.Never || candidates(t, got) == want {
					t.Fatal("the digest is not revoked, or all is already")
				}
				if mended {
					second.refused = nil // so that the registry alone says nothing
				}
				if err := second.SetCatalog(t.Context(), "main", both); err != nil {
					t.Fatal(err)
				}
				if mended {
					if err := second.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, indexRevoked)...), nil); err != nil || len(second.Held()) != 1 {
						t.Fatal(err, second.Held())
					}
				}
				if got := candidates(t, e.last(t, 4)); got != want {
					t.Errorf("index:\n%s\nwant\n%s", got, want)
				}
				if r := second.Revoked(); len(r) != 1 || !slices.Equal(r[0].What, []string{everyRevoked4[1], "what only revoked digests reach of acme/app in registry main"}) {
					t.Errorf("told: %+v", r)
				}
				// That is all of it, also when the registry has more.
				more := imagesOf("1.0.0", "1.1.0", "1.2.0")
				for digest, m := range both.Repositories["acme/app"].Manifests {
					more.Repositories["acme/app"].Manifests[digest] = m
				}
				if err := second.SetCatalog(t.Context(), "main", more); err != nil {
					t.Fatal(err)
				}
				e.last(t, 4)
			})
		}
	}
}

// What is learned of the catalogs alone says the same of every way to a digest as a full compile.
func TestWhatIsReachedIsWhatACompileSays(t *testing.T) {
	const plain = "repositories: [acme/app]"
	for name, repositories := range map[string]string{
		"plain":       "name: App\n" + plain,
		"variants":    "variants: [alpine*]\n" + plain,
		"a chart":     "repositories: [{name: acme/app, type: chart}]",
		"no versions": "repositories: [{name: acme/app, versions: none}]",
	} {
		t.Run(name, func(t *testing.T) {
			whole := imagesOf("1.0.0", "1.1.0", "1.1.0-alpine", "1.2.0_build.3", "latest", "edge")
			r := whole.Repositories["acme/app"]
			r.Tags["latest"] = r.Tags["1.1.0"]
			r.History = map[string][]catalog.Past{"1.0.0": {{Digest: catalog.DigestOf("1.1.0"), Until: 4000000000}}}
			r.Manifests[catalog.DigestOf("edge")].Annotations = map[string]string{"org.opencontainers.image.version": "1.3.0"}
			stated := vendorFiles(t, slices.Concat([]string{plain, repositories}, indexRevoked)...)
			p, _ := newPublisher(t)
			if err := errors.Join(p.SetCatalog(t.Context(), "main", whole), p.SetLicenses(t.Context(), vendorFiles(t, plain, repositories), nil)); err != nil {
				t.Fatal(err)
			}
			known, err := p.outlets[0].reached(nil, stated)
			if err != nil {
				t.Fatal(err)
			}
			full, err := index.Open(compiledOf(t, stated, whole).File(bundle.IndexPath))
			if err != nil {
				t.Fatal(err)
			}
			got, want := ways(known), ways(full)
			if got != want || !strings.Contains(want, "latest") {
				t.Errorf("of the catalog:\n%s\ncompiled:\n%s", got, want)
			}
		})
	}
}

// ways are all ways to the digests of a repository, and from when each is revoked.
func ways(x *index.Index) string {
	var out strings.Builder
	r, _ := x.Repository("main", "acme/app")
	say := func(what string, set index.SetID) {
		var lines []string
		for _, c := range x.Set(set) {
			lines = append(lines, fmt.Sprintf("%s by %s as %s %s: %d\n", what, c.Tag, c.Product, c.Version, c.RevokedAt))
		}
		slices.Sort(lines)
		out.WriteString(strings.Join(slices.Compact(lines), ""))
	}
	for tag := range r.Tags() {
		say(tag.Name, tag.Set)
	}
	for n := range r.Nodes() {
		say(fmt.Sprintf("%x", n.Digest[:4]), n.Set)
	}
	return out.String()
}

// movedTag is a catalog with a tag at an image; the second one it moved to from the first, of which it has the
// first layer.
func movedTag(second, history bool) *catalog.Catalog {
	c := tagged("1.1.0")
	r := c.Repositories["acme/app"]
	image := func(name string) {
		r.Manifests[catalog.DigestOf(name)] = &catalog.Manifest{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Created: catalog.Always, Layers: []string{catalog.DigestOf("base"), catalog.DigestOf("layer of " + name)},
		}
	}
	if !second || history {
		image("1.1.0")
	}
	if second {
		image("second")
		r.Tags["1.1.0"] = catalog.Tag{Digest: catalog.DigestOf("second"), Seen: catalog.Always}
	}
	if second && history {
		r.History = map[string][]catalog.Past{"1.1.0": {{Digest: catalog.DigestOf("1.1.0"), Until: 4000000000}}}
	}
	return c
}

// A catalog that was kept before a tag moved does not say what the image shares that the tag is at now: that stays
// allowed. What only the revoked image has follows when the registry has been read.
func TestCatalogThatIsOlderThanTheBundleTakesNothingOfMovedTags(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, e := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	now := movedTag(true, true)
	if err := errors.Join(p.SetCatalog(t.Context(), "main", now), p.SetLicenses(t.Context(), vendorFiles(t), nil)); err != nil {
		t.Fatal(err)
	}
	cfg := p.cfg
	cfg.Registerer = nil
	second := New(cfg)
	if err := errors.Join(second.Restore(t.Context(), nil), second.SetCatalog(t.Context(), "main", movedTag(false, false)), second.SetRefused(t.Context(), vendorFiles(t, indexRevoked...), false)); err != nil {
		t.Fatal(err)
	}
	got := e.last(t, 3)
	for name, want := range map[string]bool{"1.1.0": true, "second": false, "base": false, "layer of second": false} {
		if revoked := allRevoked(t, got, name); revoked != want {
			t.Errorf("%s: revoked: %t", name, revoked)
		}
	}
	if err := second.SetCatalog(t.Context(), "main", now); err != nil {
		t.Fatal(err)
	}
	if got, want := candidates(t, e.last(t, 4)), candidates(t, compiledOf(t, vendorFiles(t, indexRevoked...), now)); got != want {
		t.Errorf("with the registry read:\n%s\nwant\n%s", got, want)
	}
}

// A draft in which a tag has moved to a digest that is revoked takes nothing of what is published, which has the
// tag where it was, also when the registry has forgotten that.
func TestDraftWithAMovedTagTakesNothingThatIsPublished(t *testing.T) {
	for _, history := range []bool{true, false} {
		p, e := newPublisher(t, func(c *Config) { c.Bundles[0].Approve = carefully })
		if err := errors.Join(p.SetCatalog(t.Context(), "main", movedTag(false, false)), p.SetLicenses(t.Context(), vendorFiles(t), nil)); err != nil {
			t.Fatal(err)
		}
		before := candidates(t, e.last(t, 1))
		revoked := strings.ReplaceAll(indexRevoked[1], catalog.DigestOf("1.1.0"), catalog.DigestOf("second"))
		if err := p.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, []string{indexRevoked[0], revoked})...), nil); err != nil {
			t.Fatal(err)
		}
		if err := p.SetCatalog(t.Context(), "main", movedTag(true, history)); err != nil || len(p.Held()) != 1 {
			t.Fatal(err, p.Held())
		}
		if got := candidates(t, e.got[len(e.got)-1]); got != before {
			t.Errorf("history: %t:\n%s\nwas\n%s\ntold: %+v", history, got, before, p.Revoked())
		}
	}
}

// allRevoked says whether every way to the digest of a name is revoked.
func allRevoked(t *testing.T, b *bundle.Bundle, name string) bool {
	t.Helper()
	x, err := index.Open(b.File(bundle.IndexPath))
	if err != nil {
		t.Fatal(err)
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(catalog.DigestOf(name), "sha256:"))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := x.Repository("main", "acme/app")
	n, ok := r.Node(index.Digest(digest))
	if !ok {
		t.Fatalf("no %s", name)
	}
	return !slices.ContainsFunc(x.Set(n.Set), func(c index.Candidate) bool { return c.RevokedAt == license.Never })
}

// What is learned of the catalogs is kept until a set can be compiled: asked again, only what differs is compiled,
// which changes nothing in what is said.
func TestWhatIsReachedIsLearnedOnce(t *testing.T) {
	var tags []string
	for i := range 200 {
		tags = append(tags, fmt.Sprintf("1.%d.0", i))
	}
	p, _ := newPublisher(t)
	if err := errors.Join(p.SetCatalog(t.Context(), "main", imagesOf(tags...)), p.SetLicenses(t.Context(), vendorFiles(t), nil)); err != nil {
		t.Fatal(err)
	}
	o := p.outlets[0]
	ask := func(revoked []string) string {
		t.Helper()
		known, err := o.reached(nil, vendorFiles(t, revoked...))
		if err != nil {
			t.Fatal(err)
		}
		return ways(known)
	}
	another := []string{indexRevoked[0], strings.ReplaceAll(indexRevoked[1], catalog.DigestOf("1.1.0"), catalog.DigestOf("1.2.0"))}
	first := ask(indexRevoked)
	second := ask(another)
	o.reaching = compile.Kept{}
	if fresh := ask(another); second != fresh || first == fresh {
		t.Errorf("after another set:\n%s\nof itself\n%s", second, fresh)
	}
	stated := vendorFiles(t, indexRevoked...)
	allocations := func(fresh bool) float64 {
		return testing.AllocsPerRun(3, func() {
			if fresh {
				o.reaching = compile.Kept{}
			}
			if _, err := o.reached(nil, stated); err != nil {
				t.Fatal(err)
			}
		})
	}
	if fresh, again := allocations(true), allocations(false); again > fresh/2 {
		t.Errorf("%v allocations, then %v", fresh, again)
	}
	if err := p.SetLicenses(t.Context(), stated, nil); err != nil || !reflect.ValueOf(o.reaching).IsZero() {
		t.Errorf("%v; it is kept although a set was compiled: %t", err, !reflect.ValueOf(o.reaching).IsZero())
	}
}
