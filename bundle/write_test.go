package bundle

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestWriteRefusesContent(t *testing.T) {
	for name, change := range map[string]func(*Content){
		"deadline before issue":  func(c *Content) { c.NotAfter = c.IssuedAt },
		"no deadline":            func(c *Content) { c.NotAfter = 0 },
		"negative serial":        func(c *Content) { c.Serial = -1 },
		"name":                   func(c *Content) { c.Name = "ACME" },
		"policy digest":          func(c *Content) { c.PolicyDigest = "x" },
		"manifest":               func(c *Content) { c.Files[ManifestPath] = []byte(`{}`) },
		"signature":              func(c *Content) { c.Files[SignaturesPath] = []byte(`{}`) },
		"path":                   func(c *Content) { c.Files["pullgate/x.txt"] = nil },
		"space in a path":        func(c *Content) { c.Files["pullgate/a b.rego"] = nil },
		"long path":              func(c *Content) { c.Files["vendor/"+strings.Repeat("a", 100)+".rego"] = nil },
		"JSON that is not":       func(c *Content) { c.Files["pullgate/keys/data.json"] = []byte(`{} `) },
		"JSON that is no object": func(c *Content) { c.Files["pullgate/keys/data.json"] = []byte(`1`) },
		"empty JSON file":        func(c *Content) { c.Files["pullgate/keys/data.json"] = nil },
		"an object as Rego":      func(c *Content) { c.Objects = map[string]*Object{"vendor/a.rego": nil} },
		"an object elsewhere":    func(c *Content) { c.Objects = map[string]*Object{"data.json": nil} },
		"an object and a file":   func(c *Content) { c.Objects = map[string]*Object{"pullgate/customers/data.json": nil} },
	} {
		c := sample()
		change(c)
		if _, err := Write(io.Discard, c, nil); !isFormatError(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := errors.New("disk full")
	if _, err := Write(writerFunc(func([]byte) (int, error) { return 0, full }), sample(), nil); !errors.Is(err, full) {
		t.Errorf("failing writer: %v", err)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestWriteIsDeterministic(t *testing.T) {
	k := key(t)
	first, _ := write(t, sample(), signer(t, k))
	for range 16 {
		c := sample()
		paths := slices.Collect(maps.Keys(c.Files))
		rand.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		shuffled := map[string][]byte{}
		for _, p := range paths {
			shuffled[p] = c.Files[p]
		}
		c.Files = shuffled
		if again, _ := write(t, c, signer(t, k)); !bytes.Equal(first, again) {
			t.Fatal("other bytes for the same content")
		}
	}
	objects := sample()
	objects.Objects = map[string]*Object{}
	for p, text := range objects.Files {
		if structured(p) {
			o, err := NewObject(text)
			if err != nil {
				t.Fatal(err)
			}
			objects.Objects[p] = o
			delete(objects.Files, p)
		}
	}
	if again, _ := write(t, objects, signer(t, k)); len(objects.Objects) == 0 || !bytes.Equal(first, again) {
		t.Error("other bytes of objects")
	}
}

func TestRevisionIsOfTheContentAlone(t *testing.T) {
	k := key(t)
	_, a := write(t, sample(), signer(t, k))
	later := sample()
	later.Serial, later.IssuedAt, later.NotAfter, later.Name = 8, 1767225601, Never, "acme"
	if _, b := write(t, later, nil); b.Revision() != a.Revision() {
		t.Error("serial, times, name or signature change the revision")
	}
	other := sample()
	other.Files["index.bin"] = []byte("other")
	_, b := write(t, other, nil)
	if b.Revision() == a.Revision() {
		t.Error("content does not change the revision")
	}
	if b.PolicyDigest() != a.PolicyDigest() {
		t.Error("data changes the policy digest")
	}
	rule := sample()
	rule.Files["vendor/region.rego"] = []byte("package vendor.region\n")
	if _, c := write(t, rule, nil); c.PolicyDigest() == a.PolicyDigest() || c.PolicyDigest() != PolicyDigest(rule.Files) {
		t.Error("a rule does not change the policy digest")
	}
}

// contents draws bundles of any JSON, modules and side files.
func contents() *rapid.Generator[*Content] {
	return rapid.Custom(func(t *rapid.T) *Content {
		c := &Content{
			Name: rapid.SampledFrom([]string{"", "default", "acme"}).Draw(t, "name"), Serial: rapid.Int64Range(0, Never).Draw(t, "serial"),
			IssuedAt: rapid.Int64Range(-62135596800, 1<<40).Draw(t, "issued"), Files: map[string][]byte{},
		}
		c.NotAfter = rapid.OneOf(rapid.Just(Never), rapid.Int64Range(c.IssuedAt+1, Never)).Draw(t, "not after")
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`[a-z][a-z0-9_]{0,8}`), rapid.ID).Draw(t, "files") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				data, err := CanonicalJSON(map[string]any{"x": jsonValue().Draw(t, "value")})
				if err != nil {
					t.Fatal(err)
				}
				c.Files["pullgate/"+name+"/data.json"] = data
			case 1:
				c.Files["pullgate/lib/"+name+".rego"] = []byte("package pullgate.lib." + name + "_\n\n# " + name + "\n")
			case 2:
				c.Files["vendor/"+name+".rego"] = []byte("package vendor." + name + "_\n")
			default:
				c.Files[name+".bin"] = rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")
			}
		}
		return c
	})
}

func TestAnyContentRoundTrips(t *testing.T) {
	k := key(t)
	s, keys := signer(t, k), ring(t, k)
	rapid.Check(t, func(t *rapid.T) {
		c := contents().Draw(t, "content")
		var buf bytes.Buffer
		wrote, err := Write(&buf, c, s)
		if err != nil {
			t.Fatal(err)
		}
		read, err := Read(&buf, keys, ReadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if read.manifest != wrote.manifest || !slices.Equal(read.Paths(), wrote.Paths()) {
			t.Fatalf("%+v became %+v", wrote.manifest, read.manifest)
		}
		for p, data := range c.Files {
			if !bytes.Equal(read.File(p), data) {
				t.Fatalf("%s changed", p)
			}
		}
	})
}

// TestFormatIsUnchanged compares with a tar written earlier, whose key was thrown away: the same
// content must give the same files up to the signature. `go test -update` accepts a new one.
func TestFormatIsUnchanged(t *testing.T) {
	const golden = "testdata/bundle.tar"
	data, _ := write(t, sample(), nil)
	tar := untar(t, data)
	if *update {
		if err := os.WriteFile(golden, tar, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(tar, want) {
		t.Error("the tar differs from " + golden)
	}
}
