package index

import (
	"crypto/sha256"
	"testing"
)

func digest(name string) Digest { return sha256.Sum256([]byte(name)) }

func sample() *Builder {
	c := Candidate{
		Product: "app", Version: "1.4.0", Order: "[1,4,0,{}]", Tag: "1.4.0", Channel: "stable",
		Released: 1, CountsFrom: 1, WithdrawnAt: Never, RetiresAt: Never, RevokedAt: Never,
	}
	var b Builder
	b.AddProduct(Product{ID: "app", Variants: []string{"slim", "alpine*"}, Requires: []string{"sso"}})
	b.AddRelease(Release{Product: "app", Version: "1.4.0", Channel: "stable", Released: 1, CountsFrom: 1, WithdrawnAt: Never})
	b.AddRepository(Repository{
		Registry: "main", Name: "acme/app", Product: "app", Facts: digest("facts"),
		Tags: []Tag{{Name: "1.4.0", Digest: digest("I1"), Candidates: []Candidate{c}}},
		Nodes: []Node{
			{Digest: digest("I1"), Kind: Manifest, Candidates: []Candidate{c}},
			{Digest: digest("B1"), Kind: Blob, Candidates: []Candidate{c}},
		},
		Referrers: map[Digest][]Descriptor{digest("I1"): {{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest("S1"), Size: 7,
			ArtifactType: "application/vnd.example.sbom", Annotations: map[string]string{"b": "2", "a": "1"},
		}}},
	})
	return &b
}

func TestIndexRoundTrip(t *testing.T) {
	data, err := sample().Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := x.Repository("main", "acme/app")
	if !ok {
		t.Fatal("no repository")
	}
	n, ok := r.Node(digest("B1"))
	if !ok || n.Kind != Blob {
		t.Fatalf("node %+v", n)
	}
	tag, ok := r.Tag("1.4.0")
	if !ok || tag.Digest != digest("I1") || tag.Set != n.Set {
		t.Fatalf("tag %+v", tag)
	}
	if cs := x.Set(tag.Set); len(cs) != 1 || cs[0].Order != "[1,4,0,{}]" {
		t.Fatalf("candidates %+v", cs)
	}
}
