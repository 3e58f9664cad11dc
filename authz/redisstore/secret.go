package redisstore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
)

const (
	minSecret = 32 // characters
	tagSize   = 16 // of the MAC in a value
	nameSize  = 18 // of the MAC that is a key in Redis; 24 characters of base64
)

// ErrNotAuthentic is a value that no configured secret has sealed for its key: somebody else's, or
// one that was moved or changed.
var ErrNotAuthentic = errors.New("not authentic")

// secret seals values for keys (docs/design/sealed-verdicts.md): a synthetic IV (RFC 5297) with
// HMAC-SHA-256 as the MAC and AES-256 in counter mode. All it does depends on the program, so that
// two versions of it never read each other's values. Safe for concurrent use.
type secret struct {
	names, tags *macs
	block       cipher.Block
}

// newSecret derives the keys of a secret text.
func newSecret(text, program string) (*secret, error) {
	keys, err := hkdf.Key(sha256.New, []byte(text), nil, "pullgate verdicts in redis 1\n"+program, 3*32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(keys[64:])
	if err != nil {
		return nil, err
	}
	return &secret{names: newMACs(keys[:32]), tags: newMACs(keys[32:64]), block: block}, nil
}

// ParseSecrets returns the secrets of a file: one, or during a rotation two, a line each, of at least
// 32 characters. The first seals; both open.
func ParseSecrets(text string) ([]string, error) {
	var all []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			all = append(all, line)
		}
	}
	if len(all) == 0 || len(all) > 2 {
		return nil, fmt.Errorf("%d secrets: want one line, or two while the secret is being changed", len(all))
	}
	for i, s := range all {
		if len(s) < minSecret {
			return nil, fmt.Errorf("secret %d has %d characters: want at least %d random ones, such as `openssl rand -base64 32` prints", i+1, len(s), minSecret)
		}
	}
	if len(all) == 2 && all[0] == all[1] {
		return nil, errors.New("both secrets are the same")
	}
	return all, nil
}

// name is the key in Redis of a verdict's key. It tells nothing about it.
func (s *secret) name(key *[32]byte) string {
	var sum [sha256.Size]byte
	s.names.sum(&sum, key[:])
	return verdictPrefix + base64.RawURLEncoding.EncodeToString(sum[:nameSize])
}

// seal appends plain, sealed for a key, to b.
func (s *secret) seal(b []byte, key *[32]byte, plain []byte) []byte {
	var sum [sha256.Size]byte
	s.tags.sum(&sum, key[:], plain)
	b = append(b, sum[:tagSize]...)
	at := len(b)
	b = append(b, plain...)
	cipher.NewCTR(s.block, sum[:tagSize]).XORKeyStream(b[at:], b[at:])
	return b
}

// open returns what was sealed for a key. The error is ErrNotAuthentic.
func (s *secret) open(key *[32]byte, sealed []byte) ([]byte, error) {
	if len(sealed) < tagSize {
		return nil, ErrNotAuthentic
	}
	plain := make([]byte, len(sealed)-tagSize)
	cipher.NewCTR(s.block, sealed[:tagSize]).XORKeyStream(plain, sealed[tagSize:])
	var sum [sha256.Size]byte
	s.tags.sum(&sum, key[:], plain)
	if !hmac.Equal(sum[:tagSize], sealed[:tagSize]) {
		return nil, ErrNotAuthentic
	}
	return plain, nil
}

// macs are HMAC-SHA-256 with one key, made ready once.
type macs struct{ pool sync.Pool }

func newMACs(key []byte) *macs {
	return &macs{pool: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// sum writes the MAC of the parts, one after the other, to out.
func (m *macs) sum(out *[sha256.Size]byte, parts ...[]byte) {
	h := m.pool.Get().(hash.Hash)
	h.Reset()
	for _, p := range parts {
		h.Write(p)
	}
	h.Sum(out[:0])
	m.pool.Put(h)
}
