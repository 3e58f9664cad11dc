// Package token makes and reads the bearer tokens that customers' clients may log in with
// (docs/design/bearer-tokens.md).
//
// A token is a JWT (RFC 7519) signed with Ed25519 (RFC 8037). It says whose key it was given for
// and for which host, and no more: every request is decided anew, by the same policy, as if the key
// itself had come with it. So a token ends with its key, and what its "access" lists is only what
// the client asked for. There are no refresh tokens.
package token

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/authz"
)

// Limits of Config.TTL. Clients take less than a minute for a minute.
const (
	DefaultTTL = 300 * time.Second
	MinTTL     = time.Minute
	MaxTTL     = time.Hour
)

// maxToken is the longest token that is made or read, in bytes.
const maxToken = 6144

// early is by how much a token is good before it was made, for processes with the same keys
// whose clocks differ.
const early = 10

// issuer is the claim "iss".
const issuer = "pullgate"

// Config is the input of New. Keys is required.
type Config struct {
	// Keys are those that tokens may be signed with. The first one signs.
	Keys []ed25519.PrivateKey
	TTL  time.Duration // 0 is DefaultTTL; whole seconds

	Registerer prometheus.Registerer // nil registers nothing
}

// Issuer makes and reads tokens. It is safe for concurrent use.
type Issuer struct {
	key     ed25519.PrivateKey
	header  string // of that key, encoded
	readers map[string]ed25519.PublicKey
	ttl     time.Duration
	seen    *seen
	metrics *metrics
}

// New returns an Issuer. Two that share a key read each other's tokens.
func New(cfg Config) (*Issuer, error) {
	if cfg.TTL == 0 {
		cfg.TTL = DefaultTTL
	}
	switch {
	case len(cfg.Keys) == 0:
		return nil, errors.New("no key to sign tokens with: `pullgate token keygen` makes one")
	case cfg.TTL < MinTTL || cfg.TTL > MaxTTL || cfg.TTL%time.Second != 0:
		return nil, fmt.Errorf("tokens for %s: want whole seconds from %s to %s", cfg.TTL, MinTTL, MaxTTL)
	}
	i := &Issuer{key: cfg.Keys[0], readers: map[string]ed25519.PublicKey{}, ttl: cfg.TTL, seen: newSeen(), metrics: newMetrics(cfg.Registerer)}
	for n, key := range cfg.Keys {
		if len(key) != ed25519.PrivateKeySize {
			return nil, fmt.Errorf("key %d is no Ed25519 key", n+1)
		}
		public := ed25519.PublicKey(key[ed25519.PrivateKeySize-ed25519.PublicKeySize:])
		id, err := KeyID(public)
		if err != nil {
			return nil, err
		}
		header := encode([]byte(`{"alg":"EdDSA","kid":"` + id + `","typ":"JWT"}`))
		if i.readers[header] != nil {
			return nil, fmt.Errorf("key %s is there twice", id)
		}
		i.readers[header] = public
		if n == 0 {
			i.header = header
		}
	}
	return i, nil
}

// claims are what a token says.
type claims struct {
	Issuer    string   `json:"iss"`
	Subject   string   `json:"sub"` // the customer, or authz.Anybody
	Audience  string   `json:"aud"` // the host
	Expires   int64    `json:"exp"`
	NotBefore int64    `json:"nbf"`
	IssuedAt  int64    `json:"iat"`
	ID        string   `json:"jti"`           // the id of the decision to give it
	Key       string   `json:"key,omitempty"` // SHA-256 of the customer's key
	Access    []access `json:"access"`
}

// access is what a client asked for, as it expects to be told.
type access struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// sign makes a token.
func (i *Issuer) sign(c *claims) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	signed := i.header + "." + encode(body)
	return signed + "." + encode(ed25519.Sign(i.key, []byte(signed))), nil
}

// Read implements classify.Tokens: it takes a token that one of the keys has signed apart and
// reports false for any other. Nothing that a token says is believed before: its header must be, byte
// for byte, the one that this package writes for a configured key, so that no algorithm, key or address
// of one can be named in it. One with such a header that the key has not signed is CredentialForgedToken. Whether it is good now, here, and for whom is the Gate's to decide.
func (i *Issuer) Read(token string) (authz.Credential, bool) {
	if len(token) > maxToken {
		i.metrics.read.WithLabelValues("invalid").Inc()
		return authz.Credential{}, false
	}
	sum := sha256.Sum256([]byte(token))
	c, known := i.seen.get(&sum)
	if !known {
		var ok bool
		if c, ok = i.read(token); !ok {
			i.metrics.read.WithLabelValues("invalid").Inc()
			if c.Kind == authz.CredentialForgedToken {
				c.Hash = sum
			}
			return c, false
		}
		i.seen.put(&sum, &c)
	}
	i.metrics.read.WithLabelValues("valid").Inc()
	return c, true
}

func (i *Issuer) read(token string) (authz.Credential, bool) {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return authz.Credential{}, false
	}
	signed := token[:dot]
	header, payload, _ := strings.Cut(signed, ".")
	key := i.readers[header]
	if key == nil {
		return authz.Credential{}, false
	}
	signature, err := encoding.DecodeString(token[dot+1:])
	if err != nil || strings.ContainsAny(token, "\r\n") || !ed25519.Verify(key, []byte(signed), signature) {
		return authz.Credential{Kind: authz.CredentialForgedToken}, false
	}
	body, err := encoding.DecodeString(payload)
	if err != nil {
		return authz.Credential{}, false
	}
	var c claims
	if json.Unmarshal(body, &c) != nil || c.Issuer != issuer || c.Subject == "" || c.Audience == "" {
		return authz.Credential{}, false // signed, but not as a token of pullgate
	}
	out := authz.Credential{Kind: authz.CredentialToken, Token: authz.Token{
		Customer: c.Subject, Audience: c.Audience, NotBefore: c.NotBefore, Expires: c.Expires,
	}}
	hash, err := encoding.DecodeString(c.Key)
	if c.Subject == authz.Anybody {
		return out, c.Key == ""
	}
	if err != nil || len(hash) != len(out.Hash) {
		return authz.Credential{}, false
	}
	copy(out.Hash[:], hash)
	return out, true
}

// encoding is strict: spare bits are zero, so that no two texts are the same token.
var encoding = base64.RawURLEncoding.Strict()

func encode(b []byte) string { return encoding.EncodeToString(b) }
