package catalog

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestReadResolvesNamesToDigests(t *testing.T) {
	got, err := Read("catalog.yaml", []byte(`
kind: Catalog                        # a registry index written by hand
repositories:
  acme/app:
    tags: {1.4.0: I1, 1.10: "@I1", latest: I1, sha256-@I1.sig: S1, sha256-@I1: R1}
    history: {1.4.0: [{digest: I0, until: 2026-01-10T00:00:00Z}]}
    seen: {latest: 2026-01-10T00:00:00+01:00}
    manifests:
      I1: {index: [M1, M2], created: 2026-02-01T00:00:00Z, annotations: {org.opencontainers.image.version: 1.4.0}}
      M1: {config: C1, layers: [B, F]}
      S1: {subject: I1, artifact_type: application/vnd.example.sbom, media_type: text/x, size: 7}
`))
	if err != nil {
		t.Fatal(err)
	}
	hex := strings.TrimPrefix(DigestOf("I1"), "sha256:")
	want := []*Catalog{{Repositories: map[string]*Repository{"acme/app": {
		Tags: map[string]Tag{
			"1.4.0": {DigestOf("I1"), Always}, "1.10": {DigestOf("I1"), Always},
			"latest":                 {DigestOf("I1"), 1767999600},
			"sha256-" + hex:          {DigestOf("R1"), Always},
			"sha256-" + hex + ".sig": {DigestOf("S1"), Always},
		},
		History: map[string][]Past{"1.4.0": {{DigestOf("I0"), 1768003200}}},
		Manifests: map[string]*Manifest{
			DigestOf("I0"): {Created: Always},
			DigestOf("R1"): {Created: Always},
			DigestOf("I1"): {
				Created: 1769904000, Index: []string{DigestOf("M1"), DigestOf("M2")},
				Annotations: map[string]string{"org.opencontainers.image.version": "1.4.0"},
			},
			DigestOf("M1"): {Created: Always, Config: DigestOf("C1"), Layers: []string{DigestOf("B"), DigestOf("F")}},
			DigestOf("S1"): {Created: Always, Subject: DigestOf("I1"), ArtifactType: "application/vnd.example.sbom", MediaType: "text/x", Size: 7},
		},
	}}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

func TestReadMergesDocumentsByRegistry(t *testing.T) {
	got, err := Read("c.yaml", []byte("kind: Catalog\nregistry: b\nrepositories: {x/y: {}}\n---\nkind: Catalog\nregistry: a\nrepositories: {}\n---\nkind: Catalog\nregistry: b\nrepositories: {x/z: {}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Registry != "a" || got[1].Registry != "b" || len(got[1].Repositories) != 2 {
		t.Fatalf("got %+v", got)
	}
}

func TestReadRefusesWithPosition(t *testing.T) {
	head := "kind: Catalog\nrepositories:\n"
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", "c.yaml:1:1: no document"},
		{"kind missing", "repositories: {}\n", "c.yaml:1:1: kind: missing"},
		{"other kind", "kind: License\nrepositories: {}\n", `c.yaml:1:7: kind: "License" is not`},
		{"id", "kind: Catalog\nid: x\nrepositories: {}\n", "c.yaml:2:1: id: unknown field"},
		{"repositories missing", "kind: Catalog\n", "c.yaml:1:1: repositories: missing"},
		{"repositories null", "kind: Catalog\nrepositories:\n", "repositories: no value; wants a mapping"},
		{"repository grammar", head + "  Acme/App: {}\n", "c.yaml:3:3: repositories.Acme/App: not a repository name"},
		{"repository twice", head + "  a: {}\n  a: {}\n", "c.yaml:4:3: repositories.a: written twice"},
		{"repository in two documents", head + "  a: {}\n---\n" + head + "  a: {}\n", "c.yaml:7:3: repositories.a: written twice"},
		{"unknown field", head + "  a: {tag: {}}\n", "c.yaml:3:7: repositories.a.tag: unknown field; known here: tags"},
		{"tag grammar", head + "  a: {tags: {.x: I}}\n", "repositories.a.tags..x: not a tag"},
		{"tag twice", head + "  a: {tags: {x: I, x: J}}\n", "repositories.a.tags.x: written twice"},
		{"digest tag name", head + "  a: {tags: {sha256-@: I}}\n", "after sha256-@ comes a name"},
		{"digest", head + "  a: {tags: {x: sha256:abc}}\n", `repositories.a.tags.x: "sha256:abc" is neither`},
		{"digest list", head + "  a: {tags: {x: [I]}}\n", "repositories.a.tags.x: wants text"},
		{"seen of unknown tag", head + "  a: {seen: {x: 2026-01-10T00:00:00Z}}\n", "repositories.a.seen.x: the tag is not under tags"},
		{"date without offset", head + "  a: {manifests: {I: {created: 2026-01-10}}}\n", `repositories.a.manifests.I.created: "2026-01-10" is not an instant`},
		{"history without until", head + "  a: {history: {x: [{digest: I}]}}\n", "repositories.a.history.x[0]: wants both"},
		{"manifest twice", head + "  a: {manifests: {I: {}, \"@I\": {}}}\n", "written twice"},
		{"index and layers", head + "  a: {manifests: {I: {index: [M], layers: [B]}}}\n", "an index has no config or layers"},
		{"size", head + "  a: {manifests: {I: {size: -1}}}\n", `"-1" is not a number of bytes`},
		{"anchor", head + "  a: &x {}\n", "anchors are refused"},
		{"alias", head + "  a: &x {}\n  b: *x\n", "aliases are refused"},
		{"merge key", head + "  a: {<<: {tags: {}}}\n", "merge keys"},
		{"syntax", "kind: Catalog\nrepositories: {\n", "not YAML"},
		{"not YAML", "\x00\x01", "not YAML"},
		{"a list", "- 1\n", "c.yaml:1:1: wants a mapping"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Read("c.yaml", []byte(c.in))
			if got != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v; want an error with %q", got, err, c.want)
			}
			if _, ok := errors.AsType[Errors](err); !ok {
				t.Fatalf("%T is not Errors", err)
			}
		})
	}
}

func TestReadReportsEverythingAtOnce(t *testing.T) {
	_, err := Read("c.yaml", []byte("kind: Catalog\nx: 1\nrepositories: {a: {tags: {.y: I}}, B: {}}\n"))
	if es, ok := errors.AsType[Errors](err); !ok || len(es) != 3 {
		t.Fatalf("got %v", err)
	}
}

func TestWriteRoundTrips(t *testing.T) {
	digest := rapid.Custom(func(t *rapid.T) string { return DigestOf(rapid.StringMatching(`[a-z]{1,3}`).Draw(t, "name")) })
	instant := rapid.Int64Range(Always, 253402300799)
	manifest := rapid.Custom(func(t *rapid.T) *Manifest {
		m := &Manifest{
			MediaType: rapid.String().Draw(t, "media"), ArtifactType: rapid.String().Draw(t, "artifact"),
			Size: rapid.Int64Range(0, 1<<40).Draw(t, "size"), Created: instant.Draw(t, "created"),
		}
		if a := rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(t, "annotations"); len(a) > 0 {
			m.Annotations = a
		}
		list := func(name string) (out []string) {
			if l := rapid.SliceOfN(digest, 0, 3).Draw(t, name); len(l) > 0 {
				out = l
			}
			return out
		}
		if rapid.Bool().Draw(t, "index") {
			m.Index = list("children")
		} else {
			m.Config, m.Layers = digest.Draw(t, "config"), list("layers")
		}
		if rapid.Bool().Draw(t, "subject") {
			m.Subject = digest.Draw(t, "subject")
		}
		return m
	})
	tag := rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9._-]{0,6}`)
	repository := rapid.Custom(func(t *rapid.T) *Repository {
		r := &Repository{
			Tags: rapid.MapOfN(tag, rapid.Custom(func(t *rapid.T) Tag {
				return Tag{digest.Draw(t, "digest"), instant.Draw(t, "seen")}
			}), 0, 4).Draw(t, "tags"),
			History:   map[string][]Past{},
			Manifests: rapid.MapOfN(digest, manifest, 0, 4).Draw(t, "manifests"),
		}
		for _, name := range rapid.SliceOfN(tag, 0, 3).Draw(t, "past") {
			until := instant.Draw(t, "until")
			r.History[name] = []Past{{digest.Draw(t, "then"), until}, {digest.Draw(t, "later"), until}}
		}
		r.complete()
		return r
	})
	rapid.Check(t, func(t *rapid.T) {
		want := &Catalog{
			Registry:     rapid.StringMatching(`([a-z0-9][a-z0-9._-]{0,5})?`).Draw(t, "registry"),
			Repositories: rapid.MapOfN(rapid.StringMatching(`[a-z0-9]{1,3}(/[a-z0-9]{1,3})?`), repository, 0, 3).Draw(t, "repositories"),
		}
		var first, second bytes.Buffer
		if err := Write(&first, want); err != nil {
			t.Fatal(err)
		}
		got, err := Read("c.yaml", first.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, first.String())
		}
		if diff := cmp.Diff([]*Catalog{want}, got); diff != "" {
			t.Fatalf("%s\n%s", diff, first.String())
		}
		if err := Write(&second, got...); err != nil || !bytes.Equal(first.Bytes(), second.Bytes()) {
			t.Fatalf("a second Write differs: %v", err)
		}
	})
}

// FuzzRead: whatever the bytes, Read returns catalogs that Write and Read carry unchanged, or Errors.
func FuzzRead(f *testing.F) {
	f.Add([]byte("kind: Catalog\nrepositories:\n  acme/app:\n    tags: {1.4.0: I1}\n    manifests: {I1: {index: [M1]}}\n"))
	f.Add([]byte("kind: Catalog\nregistry: x\nrepositories: {a: {history: {t: [{digest: A, until: 2026-01-01T00:00:00Z}]}}}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Read("c.yaml", data)
		if err != nil {
			if _, ok := errors.AsType[Errors](err); !ok {
				t.Fatalf("%T", err)
			}
			return
		}
		var b bytes.Buffer
		if err := Write(&b, got...); err != nil {
			t.Fatal(err)
		}
		again, err := Read("c.yaml", b.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, b.String())
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Fatalf("%s\n%s", diff, b.String())
		}
	})
}
