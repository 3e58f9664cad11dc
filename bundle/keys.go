package bundle

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"slices"
)

const (
	privateBlock = "PRIVATE KEY" // PKCS#8
	publicBlock  = "PUBLIC KEY"  // SPKI
)

// GenerateKey makes a signing key (P-256).
func GenerateKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// KeyID is the kid of a key: the first 16 hex digits of the SHA-256 of its SPKI.
func KeyID(key *ecdsa.PublicKey) (string, error) {
	if key == nil || key.Curve != elliptic.P256() {
		return "", errors.New("key is not an ECDSA key on P-256")
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(spki)
	return hex.EncodeToString(sum[:8]), nil
}

// MarshalPrivate writes a private key as PKCS#8 PEM.
func MarshalPrivate(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: privateBlock, Bytes: der}), nil
}

// MarshalPublic writes a public key as SPKI PEM.
func MarshalPublic(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: publicBlock, Bytes: der}), nil
}

// ParsePrivate reads the one private key in a PKCS#8 PEM file.
func ParsePrivate(data []byte) (*ecdsa.PrivateKey, error) {
	block, rest := pem.Decode(data)
	switch {
	case block == nil:
		return nil, errors.New("no PEM block; want a PKCS#8 private key as `pullgate bundle keygen` writes it")
	case block.Type != privateBlock:
		return nil, fmt.Errorf("PEM block is %q; want %q (PKCS#8), as `pullgate bundle keygen` writes it", block.Type, privateBlock)
	}
	if next, _ := pem.Decode(rest); next != nil {
		return nil, errors.New("more than one PEM block; want one private key")
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	ec, ok := key.(*ecdsa.PrivateKey)
	if !ok || ec.Curve != elliptic.P256() {
		return nil, errors.New("private key is not an ECDSA key on P-256")
	}
	return ec, nil
}

// ParsePublic reads the public keys in an SPKI PEM file, one or more.
func ParsePublic(data []byte) ([]*ecdsa.PublicKey, error) {
	var keys []*ecdsa.PublicKey
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != publicBlock {
			return nil, fmt.Errorf("PEM block is %q; want %q (SPKI), as `pullgate bundle keygen` writes it", block.Type, publicBlock)
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("public key: %w", err)
		}
		ec, ok := key.(*ecdsa.PublicKey)
		if !ok || ec.Curve != elliptic.P256() {
			return nil, errors.New("public key is not an ECDSA key on P-256")
		}
		keys = append(keys, ec)
		data = rest
	}
	if len(keys) == 0 {
		return nil, errors.New("no PEM block; want an SPKI public key as `pullgate bundle keygen` writes it")
	}
	return keys, nil
}

// KeyRing holds the public keys that may vouch for a bundle; several allow rotation. A nil ring
// is empty. It is immutable and safe for concurrent use.
type KeyRing struct {
	keys map[string]*ecdsa.PublicKey
}

// NewKeyRing makes a ring of P-256 keys.
func NewKeyRing(keys ...*ecdsa.PublicKey) (*KeyRing, error) {
	r := &KeyRing{keys: map[string]*ecdsa.PublicKey{}}
	for _, k := range keys {
		id, err := KeyID(k)
		if err != nil {
			return nil, err
		}
		r.keys[id] = k
	}
	return r, nil
}

// ParseKeyRing makes a ring of all keys in some SPKI PEM files.
func ParseKeyRing(files ...[]byte) (*KeyRing, error) {
	var all []*ecdsa.PublicKey
	for _, f := range files {
		keys, err := ParsePublic(f)
		if err != nil {
			return nil, err
		}
		all = append(all, keys...)
	}
	return NewKeyRing(all...)
}

// KeyIDs returns the ids of the ring's keys, sorted.
func (r *KeyRing) KeyIDs() []string {
	if r == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(r.keys))
}

func (r *KeyRing) key(id string) *ecdsa.PublicKey {
	if r == nil {
		return nil
	}
	return r.keys[id]
}
