package bundle

import (
	"bytes"
	"crypto/ecdsa"
	"flag"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func signer(t testing.TB, k *ecdsa.PrivateKey) *Signer {
	t.Helper()
	s, err := NewSigner(k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func ring(t testing.TB, keys ...*ecdsa.PrivateKey) *KeyRing {
	t.Helper()
	var pub []*ecdsa.PublicKey
	for _, k := range keys {
		pub = append(pub, &k.PublicKey)
	}
	r, err := NewKeyRing(pub...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// update rewrites golden files.
var update = flag.Bool("update", false, "rewrite golden files")

// sample is a small content with a file of every kind.
func sample() *Content {
	return &Content{
		Serial: 7, IssuedAt: 1767225600, NotAfter: 1767484800,
		Files: map[string][]byte{
			"pullgate/customers/data.json": []byte(`{"acme":{"ends":"never","name":"ACME <&> Gm\u2028bH ü","nodes":1.50,"starts":-62135596800}}`),
			"pullgate/keys/data.json":      []byte(`{}`),
			"pullgate/decision.rego":       []byte("package pullgate\n\ndecision := {\"allow\": false}\n"),
			"vendor/region.rego":           []byte("package vendor.region\n\ndeny := false\n"),
			"index.bin":                    []byte("PGINDEX\x00\x01"),
		},
	}
}

func write(t testing.TB, c *Content, s *Signer) ([]byte, *Bundle) {
	t.Helper()
	var buf bytes.Buffer
	b, err := Write(&buf, c, s)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), b
}

func TestReadReturnsWhatWasWritten(t *testing.T) {
	k := key(t)
	data, wrote := write(t, sample(), signer(t, k))
	read, err := Read(bytes.NewReader(data), ring(t, k), ReadOptions{Name: "default", MinSerial: 7})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wrote, read, cmp.AllowUnexported(Bundle{}, body{}, Object{}, Section{})); diff != "" {
		t.Error(diff)
	}
	if read.KeyID() == "" || read.Serial() != 7 || read.Revision() == "" {
		t.Errorf("%+v", read.manifest)
	}
}
