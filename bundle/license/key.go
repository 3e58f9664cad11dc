package license

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// keyPrefix marks a customer's key for people and for scanners of leaked secrets.
const keyPrefix = "pg_"

// crockford is Crockford's base32 in lower case, without padding: no i, l, o and u.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// ErrNotKey is wrapped by every error of HashKey.
var ErrNotKey = errors.New("not a key")

// NewKey makes a customer's key from 32 bytes of random and returns it with its hash, as the
// license file keeps it: "sha256:" and 64 hexadecimal digits. It panics when random fails,
// which crypto/rand.Reader never does.
func NewKey(random io.Reader) (secret, hash string) {
	var b [32]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		panic(fmt.Sprintf("license: no randomness for a key: %v", err))
	}
	body := keyPrefix + crockford.EncodeToString(b[:])
	secret = fmt.Sprintf("%s_%08x", body, crc32.ChecksumIEEE([]byte(body)))
	return secret, hashOf(secret)
}

// HashKey returns the hash of a key, "sha256:" and 64 hexadecimal digits of the whole text. A
// text of another form or with a wrong checksum is refused, so that a typing error is found
// before anything is looked up; such errors wrap ErrNotKey and do not repeat the text.
func HashKey(secret string) (string, error) {
	i := strings.LastIndexByte(secret, '_')
	if !strings.HasPrefix(secret, keyPrefix) || i < len(keyPrefix) {
		return "", fmt.Errorf("%w: it begins with pg_ and ends with _ and a checksum", ErrNotKey)
	}
	body, sum := secret[:i], secret[i+1:]
	if b, err := crockford.DecodeString(body[len(keyPrefix):]); err != nil || len(b) != 32 || len(body) != len(keyPrefix)+52 {
		return "", fmt.Errorf("%w: it has 52 of 0-9 and a-z without i, l, o and u after pg_", ErrNotKey)
	}
	if sum != fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) {
		return "", fmt.Errorf("%w: the checksum at its end is wrong, a character is mistyped or missing", ErrNotKey)
	}
	return hashOf(secret), nil
}

func hashOf(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return "sha256:" + hex.EncodeToString(sum[:])
}
