package bundle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"math/big"
	"strings"
	"testing"
)

// TestSignatureIsRFC6979 uses the P-256 vector of RFC 6979 A.2.5, whose s is the higher one.
func TestSignatureIsRFC6979(t *testing.T) {
	d, _ := hex.DecodeString("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
	k, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), d)
	if err != nil {
		t.Fatal(err)
	}
	got, err := signer(t, k).sign([]byte("sample"))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := new(big.Int).SetString("EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716", 16)
	s, _ := new(big.Int).SetString("F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8", 16)
	if g := new(big.Int).SetBytes(got[:32]); g.Cmp(r) != 0 {
		t.Errorf("r = %x, want %x", g, r)
	}
	low := new(big.Int).Sub(order, s)
	if g := new(big.Int).SetBytes(got[32:]); g.Cmp(low) != 0 {
		t.Errorf("s = %x, want %x", g, low)
	}
}

func TestVerifyTakesOneSignatureOnly(t *testing.T) {
	k := key(t)
	for i := range 32 {
		message := []byte{byte(i)}
		raw, err := signer(t, k).sign(message)
		if err != nil {
			t.Fatal(err)
		}
		if !verify(&k.PublicKey, message, raw) {
			t.Fatal("own signature refused")
		}
		s := new(big.Int).SetBytes(raw[32:])
		if s.Cmp(halfOrder) > 0 {
			t.Fatal("s is the higher one")
		}
		sum := sha256.Sum256(message)
		high := new(big.Int).Sub(order, s)
		if !ecdsa.Verify(&k.PublicKey, sum[:], new(big.Int).SetBytes(raw[:32]), high) {
			t.Fatal("the other s should verify as plain ECDSA")
		}
		high.FillBytes(raw[32:])
		if verify(&k.PublicKey, message, raw) {
			t.Fatal("the other s is taken")
		}
	}
	if verify(&k.PublicKey, nil, make([]byte, 64)) || verify(&k.PublicKey, nil, nil) {
		t.Error("nonsense is taken")
	}
}

func TestKeysRoundTripAsPEM(t *testing.T) {
	a, b := key(t), key(t)
	private, err := MarshalPrivate(a)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(private), "-----BEGIN PRIVATE KEY-----\n") {
		t.Errorf("%s", private)
	}
	again, err := ParsePrivate(private)
	if err != nil || !again.Equal(a) {
		t.Errorf("%v, %v", again, err)
	}
	var files [][]byte
	for _, k := range []*ecdsa.PrivateKey{a, b} {
		public, err := MarshalPublic(&k.PublicKey)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, public)
	}
	keys, err := ParsePublic(append(files[0], files[1]...))
	if err != nil || len(keys) != 2 || !keys[0].Equal(&a.PublicKey) || !keys[1].Equal(&b.PublicKey) {
		t.Errorf("%v, %v", keys, err)
	}
	ring, err := ParseKeyRing(files...)
	if err != nil || len(ring.KeyIDs()) != 2 {
		t.Errorf("%v, %v", ring.KeyIDs(), err)
	}
	if s, err := ParseSigner(private); err != nil || !kidPattern.MatchString(s.KeyID()) || ring.key(s.KeyID()) == nil {
		t.Errorf("%v, %v", s, err)
	}
}

func TestParseRefusesOtherKeys(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := MarshalPrivate(p384)
	public, _ := MarshalPublic(&p384.PublicKey)
	good, _ := MarshalPrivate(key(t))
	for _, data := range [][]byte{nil, []byte("key"), private, public, append(append([]byte(nil), good...), good...), []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")} {
		if _, err := ParsePrivate(data); err == nil {
			t.Errorf("private key read from %q", data)
		}
	}
	for _, data := range [][]byte{nil, []byte("key"), private, public, good, []byte("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")} {
		if _, err := ParsePublic(data); err == nil {
			t.Errorf("public key read from %q", data)
		}
	}
	if _, err := NewSigner(p384); err == nil {
		t.Error("P-384 signs")
	}
	if _, err := NewSigner(nil); err == nil {
		t.Error("nil signs")
	}
	if _, err := NewKeyRing(&p384.PublicKey); err == nil {
		t.Error("P-384 in a ring")
	}
}
