package bundle

import (
	"errors"
	"fmt"
	"strings"
)

// A statement is a short text about a bundle that is signed with a bundle's key but is none: a
// compact JWS of canonical JSON. Its header names its kind, which the header of a bundle's signature
// has no room for, so that neither can be taken for the other, nor one kind for another.
type statementHeader struct {
	Alg string `json:"alg"`
	Kid string `json:"kid"`
	Typ string `json:"typ"`
}

// MaxStatement is the size of the longest statement, in bytes.
const MaxStatement = 4096

// What is wrong with a statement. ErrForeignKey is told from the others by who may not know all keys.
var (
	ErrForeignKey = errors.New("signed with a key that is not configured")

	errForged    = errors.New("signature is wrong")
	errStatement = errors.New("not in the form that is written")
)

// state signs claims as a statement of a kind.
func (s *Signer) state(kind string, claims any) (string, error) {
	h, err := CanonicalJSON(statementHeader{Alg: joseAlgorithm, Kid: s.id, Typ: kind})
	if err != nil {
		return "", err
	}
	payload, err := CanonicalJSON(claims)
	if err != nil {
		return "", err
	}
	signed := b64.EncodeToString(h) + "." + b64.EncodeToString(payload)
	sig, err := s.sign([]byte(signed))
	if err != nil {
		return "", err
	}
	text := signed + "." + b64.EncodeToString(sig)
	if len(text) > MaxStatement {
		return "", fmt.Errorf("a statement of %d bytes; want at most %d", len(text), MaxStatement)
	}
	return text, nil
}

// readStatement verifies a statement of a kind and decodes its claims. Errors: ErrForeignKey, or
// that it is forged or none.
func readStatement[T any](ring *KeyRing, text, kind string, claims *T) error {
	if len(text) > MaxStatement {
		return errStatement
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return errStatement
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = b64.DecodeString(p); err != nil {
			return errStatement
		}
	}
	var h statementHeader
	if err := decodeExact(raw[0], &h); err != nil || h.Alg != joseAlgorithm || h.Typ != kind || !kidPattern.MatchString(h.Kid) {
		return errStatement
	}
	key := ring.key(h.Kid)
	if key == nil {
		return fmt.Errorf("%w: key id %s", ErrForeignKey, h.Kid)
	}
	if !verify(key, []byte(parts[0]+"."+parts[1]), raw[2]) {
		return errForged
	}
	if err := decodeExact(raw[1], claims); err != nil {
		return errStatement
	}
	return nil
}
