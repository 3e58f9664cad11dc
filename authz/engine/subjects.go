package engine

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/policies/version"
)

// subjects knows who has a key or an identity.
type subjects struct {
	keys map[[32]byte]authz.Key
	jwt  map[[2]string]string // issuer and subject → customer
	san  map[string]string
}

// expiry is an instant in a bundle: an integer or "never".
type expiry int64

func (e *expiry) UnmarshalJSON(b []byte) error {
	if string(b) == `"never"` {
		*e = expiry(authz.Never)
		return nil
	}
	var n int64
	if err := json.Unmarshal(b, &n); err != nil {
		return errNoInstant
	}
	*e = expiry(n)
	return nil
}

// readSubjects reads data.pullgate.keys and data.pullgate.identities. Anything wrong in them is
// an error: a limit that cannot be read must not become no limit.
func readSubjects(keys, identities []byte) (*subjects, error) {
	s := &subjects{keys: map[[32]byte]authz.Key{}, jwt: map[[2]string]string{}, san: map[string]string{}}
	if err := s.readKeys(keys); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if err := s.readIdentities(identities); err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	return s, nil
}

func (s *subjects) readKeys(data []byte) error {
	if data == nil {
		return nil
	}
	var docs map[string]struct {
		Customer     string          `json:"customer"`
		Key          string          `json:"key"`
		Expires      *expiry         `json:"expires"`
		Repositories *[]string       `json:"repositories"`
		Addresses    *[]netip.Prefix `json:"addresses"`
	}
	if err := json.Unmarshal(data, &docs); err != nil {
		return err
	}
	for text, doc := range docs {
		var hash [32]byte
		if n, err := hex.Decode(hash[:], []byte(text)); err != nil || n != len(hash) || len(text) != 64 {
			return fmt.Errorf("%q is no SHA-256", text)
		}
		if doc.Customer == "" || doc.Key == "" || doc.Expires == nil {
			return fmt.Errorf("key %s has no customer, id or expires", text)
		}
		k := authz.Key{Customer: doc.Customer, ID: doc.Key, Expires: int64(*doc.Expires)}
		if doc.Repositories != nil {
			patterns := *doc.Repositories
			k.InScope = func(repository string) bool {
				return slices.ContainsFunc(patterns, func(p string) bool { return version.MatchRepository(p, repository) })
			}
		}
		if doc.Addresses != nil {
			k.Addresses = append([]netip.Prefix{}, *doc.Addresses...) // never nil, which would be no limit
		}
		s.keys[hash] = k
	}
	return nil
}

func (s *subjects) readIdentities(data []byte) error {
	if data == nil {
		return nil
	}
	var doc struct {
		JWT []struct {
			Issuer, Subject, Customer string
		} `json:"jwt"`
		MTLS []struct {
			SAN      string `json:"san"`
			Customer string `json:"customer"`
		} `json:"mtls"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return err
	}
	for _, j := range doc.JWT {
		k := [2]string{j.Issuer, j.Subject}
		if other, taken := s.jwt[k]; j.Issuer == "" || j.Subject == "" || j.Customer == "" || taken && other != j.Customer {
			return fmt.Errorf("jwt %q %q is incomplete or belongs to two customers", j.Issuer, j.Subject)
		}
		s.jwt[k] = j.Customer
	}
	for _, m := range doc.MTLS {
		if other, taken := s.san[m.SAN]; m.SAN == "" || m.Customer == "" || taken && other != m.Customer {
			return fmt.Errorf("mtls %q is incomplete or belongs to two customers", m.SAN)
		}
		s.san[m.SAN] = m.Customer
	}
	return nil
}

// identify maps a verified identity to its customer. Halves that nobody has do not count; two
// that belong to different customers are nobody.
func (s *subjects) identify(id authz.Identity) (authz.Subject, bool) {
	byJWT, isJWT := s.jwt[[2]string{id.JWTIssuer, id.JWTSubject}]
	bySAN, isSAN := s.san[id.SAN]
	switch {
	case isJWT && isSAN && byJWT != bySAN:
		return authz.Subject{}, false
	case isJWT:
		return authz.Subject{Customer: byJWT, Key: "jwt", Via: "jwt"}, true
	case isSAN:
		return authz.Subject{Customer: bySAN, Key: "mtls", Via: "mtls"}, true
	}
	return authz.Subject{}, false
}
