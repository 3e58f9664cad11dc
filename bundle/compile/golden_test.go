package compile

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
)

var update = flag.Bool("update", false, "write the golden files")

func goldenInput(t testing.TB) *Input {
	t.Helper()
	text, err := os.ReadFile("testdata/small/licenses.yaml")
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{
		Set: parse(t, map[string]string{"licenses.yaml": string(text)}), Modules: library,
		Name: "default", Serial: 7, IssuedAt: day(5, 1), NotAfter: day(5, 4),
	}
	for _, r := range []Repository{
		{
			Name: "acme/app", Tags: tags{"1.4.1": at("Leaked150"), "1.5.0": at("I"), "latest": at("I")},
			History: history{"latest": {{"Leaked150", day(4, 1)}, {"Older", day(3, 1)}}},
			Manifests: manifests{
				"I": list4("M"), "M": image("Base", "L", "L2"), "Leaked150": image("Base"),
				"Sbom": {Created: always, Subject: "I", ArtifactType: "application/vnd.example.sbom", Size: 512, Annotations: map[string]string{"a": "b"}},
			},
		},
		{Name: "acme/charts/app", Tags: tags{"1.4.0_b1": at("Chart")}, Manifests: manifests{"Chart": image("Tgz")}},
		{Name: "acme/nightly", Tags: tags{"1.0.0": at("N")}},
		{
			Name: "acme/tools/cli", Tags: tags{"1.0.0": at("T"), "1.1.0": {Digest: "T", Seen: day(3, 1)}, "1.2.0": {Digest: "T", Seen: day(2, 1)}},
			History: history{"0.9.0": {{"Old", day(2, 2)}}, "0.8.0": {{"Old", day(1, 1)}}},
		},
		{Name: "acme/tools/ui", Tags: tags{"1.4.2": at("U")}},
		{Name: "acme/docs", Tags: tags{"latest": at("D")}},
		{Name: "acme/docs/guide", Tags: tags{"latest": at("G")}},
	} {
		in.Catalog = append(in.Catalog, named(r))
	}
	return in
}

func TestDataFilesAreAsTheGoldenOnes(t *testing.T) {
	content, warnings, err := Compile(goldenInput(t))
	if err != nil {
		t.Fatal(err)
	}
	for p, got := range content.All() {
		if path.Base(p) != "data.json" {
			continue
		}
		if err := bundle.CheckCanonical(got); err != nil {
			t.Errorf("%s: %v", p, err)
		}
		golden(t, "testdata/small/"+strings.Split(p, "/")[1]+".json", got)
	}
	for _, w := range warnings {
		if w.Kind != warnTag { // the grants are about tags that are still to come
			t.Errorf("warning: %s", w)
		}
	}
}

// golden compares JSON with a golden file, which is indented to be read.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	var indented bytes.Buffer
	if err := json.Indent(&indented, got, "", "  "); err != nil {
		t.Fatal(err)
	}
	indented.WriteByte('\n')
	if *update {
		if err := os.WriteFile(file, indented.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), indented.String()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func TestDocumentsEncodeCanonically(t *testing.T) {
	// Every field set: the order of the fields is that of their names.
	constraint := "*"
	for _, doc := range []any{
		customerDoc{Hash: "x"},
		licenseDoc{PublicReason: "x"},
		grantDoc{
			Channels: []string{}, Constraint: &constraint, Patterns: []string{}, Ranges: ranges(nil), Tags: map[string]bool{},
		},
		keyDoc{Addresses: []string{}, Repositories: []string{}},
		publicDoc{},
		registryDoc{},
		identitiesDoc{},
		jwtDoc{},
		mtlsDoc{},
	} {
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := bundle.CheckCanonical(text); err != nil {
			t.Errorf("%T: %v: %s", doc, err, text)
		}
	}
}

func TestABundleHoldsTheContent(t *testing.T) {
	content, _, err := Compile(goldenInput(t))
	if err != nil {
		t.Fatal(err)
	}
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := bundle.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := bundle.NewKeyRing(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	var file bytes.Buffer
	if _, err := bundle.Write(&file, content, signer); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Read(&file, ring, bundle.ReadOptions{Name: "default"})
	if err != nil {
		t.Fatal(err)
	}
	for p, text := range content.All() {
		if !bytes.Equal(b.File(p), text) {
			t.Errorf("%s is not what was compiled", p)
		}
	}
	x, err := index.Open(b.File("index.bin"))
	if err != nil {
		t.Fatal(err)
	}
	r, ok := x.Repository("main", "acme/app")
	if !ok || r.Product() != "app" || r.Chart() {
		t.Errorf("acme/app: known %v, product %q, chart %v", ok, r.Product(), r.Chart())
	}
	if r, ok := x.Repository("main", "acme/nightly"); !ok || r.Product() != "" {
		t.Errorf("acme/nightly: known %v, product %q; its tags are not versions", ok, r.Product())
	}
	if r, ok := x.Repository("main", "acme/charts/app"); !ok || !r.Chart() {
		t.Errorf("acme/charts/app: known %v; it has charts", ok)
	}
	d, _ := parseDigest(digest("I"))
	want := []index.Descriptor{{
		MediaType: mediaTypeManifest, Size: 512, ArtifactType: "application/vnd.example.sbom", Annotations: map[string]string{"a": "b"},
	}}
	want[0].Digest, _ = parseDigest(digest("Sbom"))
	if diff := cmp.Diff(want, r0(x).Referrers(d)); diff != "" {
		t.Errorf("referrers (-want +got):\n%s", diff)
	}
}

func r0(x *index.Index) index.Repo {
	r, _ := x.Repository("main", "acme/app")
	return r
}

func TestVersionsAreKnownByTheirText(t *testing.T) {
	x := openIndex(t, goldenInput(t))
	for _, want := range []index.Release{
		{ // its document
			Product: "app", Version: "1.4.1", Channel: "lts", Released: 1778403600, CountsFrom: day(2, 1), WithdrawnAt: day(6, 1),
			Except: []string{"acme"}, Requires: []string{"beta-terms", "sso"},
		},
		{ // its tag; build metadata does not distinguish
			Product: "app", Version: "1.4.0", Channel: "stable", Released: license.Always, CountsFrom: license.Always,
			WithdrawnAt: license.Never, Requires: []string{"sso"},
		},
	} {
		got, ok := x.Release("app", want.Version)
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%s: known %v (-want +got):\n%s", want.Version, ok, diff)
		}
	}
	if r, ok := x.Release("app", "1.0.0"); ok {
		t.Errorf("a nightly tag is a version: %v", r)
	}
}
