package bundle

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// Signer signs bundles with one key. It is immutable and safe for concurrent use.
type Signer struct {
	key *ecdsa.PrivateKey
	id  string
}

// NewSigner makes a signer of a P-256 key.
func NewSigner(key *ecdsa.PrivateKey) (*Signer, error) {
	if key == nil {
		return nil, fmt.Errorf("no signing key")
	}
	id, err := KeyID(&key.PublicKey)
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, id: id}, nil
}

// ParseSigner makes a signer of a PKCS#8 PEM file.
func ParseSigner(pem []byte) (*Signer, error) {
	key, err := ParsePrivate(pem)
	if err != nil {
		return nil, err
	}
	return NewSigner(key)
}

// KeyID is the kid in the signatures.
func (s *Signer) KeyID() string { return s.id }

// Public is the key that verifies the signatures.
func (s *Signer) Public() *ecdsa.PublicKey { return &s.key.PublicKey }

// The parts of .signatures.json (OPA, management-bundles, "Signing"): one compact JWS. Field
// order is alphabetical, so that the encodings are canonical.
type (
	signatures struct {
		Signatures []string `json:"signatures"`
	}
	header struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	claims struct {
		Files []fileClaim `json:"files"`
		Scope string      `json:"scope"`
	}
	fileClaim struct {
		Algorithm string `json:"algorithm"`
		Hash      string `json:"hash"`
		Name      string `json:"name"`
	}
)

const (
	joseAlgorithm = "ES256"
	hashAlgorithm = "SHA-256"
)

var (
	b64        = base64.RawURLEncoding.Strict()
	kidPattern = regexp.MustCompile(`^[0-9a-f]{16}$`)
	sumPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

	order     = elliptic.P256().Params().N
	halfOrder = new(big.Int).Rsh(order, 1)
)

// signatureFile makes .signatures.json for files with these SHA-256 sums, the manifest included.
func (s *Signer) signatureFile(scope string, sums map[string][sha256.Size]byte) ([]byte, error) {
	c := claims{Scope: scope, Files: []fileClaim{}}
	for _, p := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[p]
		c.Files = append(c.Files, fileClaim{Algorithm: hashAlgorithm, Hash: hex.EncodeToString(sum[:]), Name: p})
	}
	h, err := CanonicalJSON(header{Alg: joseAlgorithm, Kid: s.id})
	if err != nil {
		return nil, err
	}
	payload, err := CanonicalJSON(c)
	if err != nil {
		return nil, err
	}
	signed := b64.EncodeToString(h) + "." + b64.EncodeToString(payload)
	sig, err := s.sign([]byte(signed))
	if err != nil {
		return nil, err
	}
	return CanonicalJSON(signatures{Signatures: []string{signed + "." + b64.EncodeToString(sig)}})
}

// sign returns r and s, 32 bytes each, of the deterministic signature of RFC 6979. Of the two
// values of s that verify it is the lower one, so that nobody can make a second signature of one.
func (s *Signer) sign(message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	der, err := s.key.Sign(nil, sum[:], crypto.SHA256) // without a random source: RFC 6979
	if err != nil {
		return nil, fmt.Errorf("sign bundle: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(der, &sig); err != nil {
		return nil, fmt.Errorf("sign bundle: %w", err)
	}
	if sig.S.Cmp(halfOrder) > 0 {
		sig.S.Sub(order, sig.S)
	}
	raw := make([]byte, 64)
	sig.R.FillBytes(raw[:32])
	sig.S.FillBytes(raw[32:])
	return raw, nil
}

func verify(key *ecdsa.PublicKey, message, raw []byte) bool {
	if len(raw) != 64 {
		return false
	}
	r, s := new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])
	if s.Cmp(halfOrder) > 0 {
		return false
	}
	sum := sha256.Sum256(message)
	return ecdsa.Verify(key, sum[:], r, s)
}

// signed is what .signatures.json says.
type signed struct {
	kid   string
	scope string
	sums  map[string][sha256.Size]byte
}

// readSignature decodes .signatures.json. With check it verifies the signature with the key of
// the ring that kid names.
func readSignature(data []byte, ring *KeyRing, check bool) (*signed, error) {
	fail := func(problem string, args ...any) (*signed, error) {
		return nil, formatError(SignaturesPath, problem, args...)
	}
	var outer signatures
	if err := decodeExact(data, &outer); err != nil {
		return fail("%v", err)
	}
	if len(outer.Signatures) != 1 {
		return fail("%d signatures; want one", len(outer.Signatures))
	}
	parts := strings.Split(outer.Signatures[0], ".")
	if len(parts) != 3 {
		return fail("not a compact JWS")
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = b64.DecodeString(p); err != nil {
			return fail("not a compact JWS")
		}
	}
	var h header
	if err := decodeExact(raw[0], &h); err != nil {
		return fail("header: %v", err)
	}
	if h.Alg != joseAlgorithm || !kidPattern.MatchString(h.Kid) {
		return fail("algorithm %q, key id %q; want %s and 16 hex digits", h.Alg, h.Kid, joseAlgorithm)
	}
	if check {
		key := ring.key(h.Kid)
		if key == nil {
			return nil, fmt.Errorf("%w: key id %s", ErrUnknownKey, h.Kid)
		}
		if !verify(key, []byte(parts[0]+"."+parts[1]), raw[2]) {
			return nil, ErrBadSignature
		}
	}
	var c claims
	if err := decodeExact(raw[1], &c); err != nil {
		return fail("claims: %v", err)
	}
	out := &signed{kid: h.Kid, scope: c.Scope, sums: make(map[string][sha256.Size]byte, len(c.Files))}
	last := ""
	for _, f := range c.Files {
		if f.Name <= last || f.Algorithm != hashAlgorithm || !sumPattern.MatchString(f.Hash) {
			return fail("claim for %q is not as it should be", f.Name)
		}
		var sum [sha256.Size]byte
		if _, err := hex.Decode(sum[:], []byte(f.Hash)); err != nil {
			return fail("claim for %q is not as it should be", f.Name)
		}
		out.sums[f.Name] = sum
		last = f.Name
	}
	return out, nil
}

// decodeExact decodes data into v and checks that data is v's canonical encoding.
func decodeExact[T any](data []byte, v *T) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("not JSON of the expected shape")
	}
	again, err := CanonicalJSON(v)
	if err != nil {
		return err
	}
	if string(again) != string(data) {
		return fmt.Errorf("not in the form that is written")
	}
	return nil
}
