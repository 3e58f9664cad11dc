package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	opa "github.com/open-policy-agent/opa/v1/bundle"
	"pgregory.net/rapid"
)

// readAsOPA reads and verifies a bundle with OPA's own code, as a stock OPA with this key configured does.
func readAsOPA(t testing.TB, data []byte, scope string, keys ...*ecdsa.PrivateKey) (opa.Bundle, error) {
	t.Helper()
	configured := map[string]*opa.KeyConfig{}
	for _, k := range keys {
		pem, err := MarshalPublic(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		id, err := KeyID(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		configured[id] = &opa.KeyConfig{Key: string(pem), Algorithm: "ES256"}
	}
	return opa.NewCustomReader(opa.NewTarballLoader(bytes.NewReader(data))).
		WithBundleVerificationConfig(opa.NewVerificationConfig(configured, "", scope, nil)).
		WithRegoVersion(ast.RegoV1).Read()
}

func TestOPAReadsABundle(t *testing.T) {
	k := key(t)
	data, wrote := write(t, sample(), signer(t, k))
	b, err := readAsOPA(t, data, DefaultName, key(t), k)
	if err != nil {
		t.Fatal(err)
	}
	if b.Manifest.Revision != wrote.Revision() || !slices.Equal(*b.Manifest.Roots, roots) || *b.Manifest.RegoVersion != 1 {
		t.Errorf("manifest %+v", b.Manifest)
	}
	if b.Manifest.Metadata["serial"] != json.Number("7") || b.Manifest.Metadata["name"] != "default" {
		t.Errorf("metadata %v", b.Manifest.Metadata)
	}
	customers := b.Data["pullgate"].(map[string]any)["customers"].(map[string]any)
	acme := customers["acme"].(map[string]any)
	if acme["name"] != "ACME <&> Gm\u2028bH ü" || acme["starts"] != json.Number("-62135596800") || acme["ends"] != "never" {
		t.Errorf("data %v", acme)
	}
	if len(b.Modules) != 2 {
		t.Errorf("%d modules", len(b.Modules))
	}
}

func TestOPARefusesWhatWeRefuse(t *testing.T) {
	k := key(t)
	data, _ := write(t, sample(), signer(t, k))
	unsigned, _ := write(t, sample(), nil)
	for name, read := range map[string]func() (opa.Bundle, error){
		"another key":   func() (opa.Bundle, error) { return readAsOPA(t, data, DefaultName, key(t)) },
		"another scope": func() (opa.Bundle, error) { return readAsOPA(t, data, "acme", k) },
		"no signature":  func() (opa.Bundle, error) { return readAsOPA(t, unsigned, DefaultName, k) },
	} {
		if _, err := read(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestOPARefusesEveryChangeOfContent changes every bit of every file but the signature, whose
// framing OPA reads laxly, and of the signature's own three parts one byte each.
func TestOPARefusesEveryChangeOfContent(t *testing.T) {
	k := key(t)
	_, b := write(t, sample(), signer(t, k))
	files := filesOf(b)
	refused := func(what string, changed []file) {
		if _, err := readAsOPA(t, packed(tarOf(changed)), DefaultName, k); err == nil {
			t.Errorf("%s: taken", what)
		}
	}
	for i, f := range files {
		changed := slices.Clone(files)
		if f.path == SignaturesPath {
			for part := range 3 {
				at := len(`{"signatures":["`)
				for range part {
					at += strings.IndexByte(f.data[at:], '.') + 1
				}
				changed[i].data = f.data[:at+9] + string(f.data[at+9]^1) + f.data[at+10:]
				refused("signature part", changed)
			}
			continue
		}
		for bit := range len(f.data) * 8 {
			data := []byte(f.data)
			data[bit/8] ^= 1 << (bit % 8)
			changed[i].data = string(data)
			refused(f.path, changed)
		}
		refused(f.path+" removed", slices.Delete(slices.Clone(files), i, i+1))
	}
	refused("file added", append(slices.Clone(files), file{"vendor/z.rego", "package vendor.z\n"}))
	refused("side file added", append(slices.Clone(files), file{"z.bin", ""}))
}

func TestOPAReadsAnyContent(t *testing.T) {
	k := key(t)
	s := signer(t, k)
	rapid.Check(t, func(rt *rapid.T) {
		c := contents().Draw(rt, "content")
		var buf bytes.Buffer
		wrote, err := Write(&buf, c, s)
		if err != nil {
			rt.Fatal(err)
		}
		b, err := readAsOPA(t, buf.Bytes(), wrote.Name(), k)
		if err != nil {
			rt.Fatal(err)
		}
		modules := map[string]string{}
		for _, m := range b.Modules {
			modules[strings.TrimPrefix(m.Path, "/")] = string(m.Raw)
		}
		for p := range maps.Keys(c.Files) {
			if strings.HasSuffix(p, ".rego") && modules[p] != string(c.Files[p]) {
				rt.Fatalf("module %s differs", p)
			}
		}
	})
}

// TestStructuredFilesAreTheOnesOPAParses: only their JSON must be canonical.
func TestStructuredFilesAreTheOnesOPAParses(t *testing.T) {
	for _, p := range []string{ManifestPath, "pullgate/data.json", "pullgate/a/data.json", "index.bin", "vendor/a.rego", "pullgate/a.json"} {
		if structured(p) != opa.IsStructuredDoc(p) {
			t.Errorf("%s: %v", p, structured(p))
		}
	}
}
