package compile

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/bundle/index"
)

func TestFactsOfAVersionComeFromItsDocumentThenFromItsImage(t *testing.T) {
	const documents = `---
kind: Release
id: base
product: app
version: 1.4.0
released: 2026-02-01
counts_from: 2026-01-01
---
kind: Release
id: own
product: app
version: 1.4.0-slim
channel: slim
requires: [tiny]
withdrawn: {at: 2026-06-01, reason: CVE-2026-1234, except: [bakery, acme]}
---
kind: Customer
id: acme
---
kind: Customer
id: bakery
`
	none := index.Candidate{WithdrawnAt: index.Never, RetiresAt: index.Never, RevokedAt: index.Never}
	app := func(c index.Candidate) index.Candidate {
		c.Product, c.RetiresAt, c.RevokedAt = "app", index.Never, index.Never
		if c.Requires == nil {
			c.Requires = []string{"sso"}
		}
		return c
	}
	built := day(3, 1)
	tests := []struct {
		name, repo, tag string
		want            index.Candidate
	}{
		{"its document", "acme/app", "1.4.0", app(index.Candidate{
			Version: "1.4.0", Order: "[1,4,0,{}]", Tag: "1.4.0", Channel: "stable", Released: day(2, 1), CountsFrom: day(1, 1), WithdrawnAt: index.Never,
		})},
		{"a variant without a document: that of its base", "acme/app", "1.4.0-alpine3", app(index.Candidate{
			Version: "1.4.0", Order: "[1,4,0,{}]", Tag: "1.4.0-alpine3", Channel: "stable", Released: day(2, 1), CountsFrom: day(1, 1), WithdrawnAt: index.Never,
		})},
		{"a variant with one: that and nothing else", "acme/app", "1.4.0-slim", app(index.Candidate{
			Version: "1.4.0", Order: "[1,4,0,{}]", Tag: "1.4.0-slim", Channel: "slim", Released: built, CountsFrom: built, WithdrawnAt: day(6, 1),
			Except: []string{"acme", "bakery"}, Requires: []string{"sso", "tiny"},
		})},
		{"no document: the image", "acme/app", "v2.0.0-RC.1", app(index.Candidate{
			Version: "2.0.0-RC.1", Order: `[2,0,0,["RC",1]]`, Tag: "v2.0.0-RC.1", Channel: "rc", Released: built, CountsFrom: built, WithdrawnAt: index.Never,
		})},
		{"a chart: the same version", "acme/charts/app", "1.4.0_b1", app(index.Candidate{
			Version: "1.4.0", Order: "[1,4,0,{}]", Tag: "1.4.0_b1", Channel: "stable", Released: day(2, 1), CountsFrom: day(1, 1), WithdrawnAt: index.Never,
		})},
		{"not a chart: no version, and nothing required", "acme/app", "1.4.0_b1", func() index.Candidate {
			c := none
			c.Tag, c.Released, c.CountsFrom = "1.4.0_b1", built, built
			return c
		}()},
		{"versions: none", "acme/nightly", "1.4.0", func() index.Candidate {
			c := none
			c.Tag, c.Released, c.CountsFrom = "1.4.0", built, built
			return c
		}()},
	}
	var repos []Repository
	for _, name := range []string{"acme/app", "acme/charts/app", "acme/nightly"} {
		r := Repository{Name: name, Tags: tags{}, Manifests: manifests{}}
		for _, tt := range tests {
			if tt.repo == name {
				r.Tags[tt.tag] = at(tt.tag)
				r.Manifests[tt.tag] = &Manifest{Created: built}
			}
		}
		repos = append(repos, r)
	}
	x, _ := compileIndex(t, vendor+documents, repos...)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := x.Repository("main", tt.repo)
			tag, _ := r.Tag(tt.tag)
			if diff := cmp.Diff([]index.Candidate{tt.want}, x.Set(tag.Set)); diff != "" {
				t.Errorf("candidates (-want +got):\n%s", diff)
			}
		})
	}
	for version, released := range map[string]int64{"1.4.0": day(2, 1), "1.4.0-alpine3": day(2, 1), "1.4.0-slim": built, "2.0.0-RC.1": built} {
		if r, ok := x.Release("app", version); !ok || r.Released != released {
			t.Errorf("version %s by its text: known %v, released %d, want %d", version, ok, r.Released, released)
		}
	}
}

func TestReferrersAreThoseThatCanBePulled(t *testing.T) {
	repo := Repository{
		Name: "acme/app",
		Tags: tags{"1.0.0": at("M"), "sha256-@M": at("Fallback"), "sha256-@M.sig": at("Signature")},
		Manifests: manifests{
			"M": image(), "R1": about("M"), "R2": about("R1"), "R3": about("R2"), "R4": about("R3"),
			"Fallback": list4("Plain", "Elsewhere", "Gone"), "Plain": list4("Child"), "Elsewhere": about("Other"),
			"Signature": list4("Layer"), "Layer": image(),
		},
	}
	// The registry's own list tells of one that names no subject, of one that both other ways lead to
	// as well, and of some that are none.
	repo.Manifests["Listed"] = image("LL")
	repo.Manifests["Listed"].ArtifactType, repo.Manifests["Listed"].Size = "application/vnd.example.listed", 7
	repo.Manifests["Listed"].Annotations = map[string]string{"a": "b"}
	repo.Referrers = map[string][]string{"M": {"Listed", "Listed", "R1", "Plain", "Elsewhere", "Unknown", "M"}, "Other": {"Plain"}}
	repo.Manifests["R1"].MediaType = "application/vnd.docker.distribution.manifest.v2+json"
	x, _ := compileIndex(t, vendor, repo)
	r, _ := x.Repository("main", "acme/app")
	names := map[index.Digest]string{}
	for _, n := range namesIn(repo) {
		d, _ := parseDigest(digest(n))
		names[d] = n
	}
	got := map[string]map[string]string{}
	for d, n := range names {
		for _, referrer := range r.Referrers(d) {
			if got[n] == nil {
				got[n] = map[string]string{}
			}
			got[n][names[referrer.Digest]] = referrer.MediaType
		}
	}
	want := map[string]map[string]string{
		"M":  {"R1": repo.Manifests["R1"].MediaType, "Plain": mediaTypeIndex, "Listed": mediaTypeManifest}, // Plain by the tag schema
		"R1": {"R2": mediaTypeManifest},
		"R2": {"R3": mediaTypeManifest},
		// R4 is four below M: unknown, so R3 has none to tell of.
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("referrers by subject (-want +got):\n%s", diff)
	}
	m, _ := parseDigest(digest("M"))
	listed, _ := parseDigest(digest("Listed"))
	if n := len(r.Referrers(m)); n != 3 {
		t.Errorf("%d descriptors, want each referrer once", n)
	}
	for _, d := range r.Referrers(m) {
		want := index.Descriptor{MediaType: mediaTypeManifest, Digest: listed, Size: 7, ArtifactType: "application/vnd.example.listed", Annotations: map[string]string{"a": "b"}}
		if diff := cmp.Diff(want, d); d.Digest == listed && diff != "" {
			t.Errorf("descriptor (-want +got):\n%s", diff)
		}
	}
	if got := nodes(t, x, "acme/app", namesIn(repo)...)["LL*"]; got != "1.0.0=1.0.0" {
		t.Errorf("the layer of a listed referrer is reached by %q", got)
	}
}
