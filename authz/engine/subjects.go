package engine

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies/version"
)

// subjects knows who has a key or an identity.
type subjects struct {
	keyring, identities *bundle.Object // what it was read from
	keys                *keys
	jwt                 map[[2]string]string // issuer and subject → customer
	san                 map[string]string
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
// an error: a limit that cannot be read must not become no limit. What is the same in last, the
// subjects of the bundle before, or nil, is not read again.
func readSubjects(keys, identities *bundle.Object, last *subjects, giveWay func()) (*subjects, error) {
	if last == nil {
		last = &subjects{}
	}
	s := &subjects{keyring: keys, identities: identities}
	if err := s.readKeys(last, giveWay); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	if last.jwt != nil && slices.Equal(identities.Sections(), last.identities.Sections()) {
		s.jwt, s.san = last.jwt, last.san
		return s, nil
	}
	s.jwt, s.san = map[[2]string]string{}, map[string]string{}
	if err := s.readIdentities(identities); err != nil {
		return nil, fmt.Errorf("identities: %w", err)
	}
	return s, nil
}

func (s *subjects) readKeys(last *subjects, giveWay func()) error {
	before := map[*bundle.Section]bool{}
	for _, section := range last.keyring.Sections() {
		before[section] = true
	}
	if last.keys != nil && slices.Equal(s.keyring.Sections(), last.keyring.Sections()) {
		s.keys = last.keys
		return nil
	}
	s.keys = newKeys(s.keyring.Len(), last.keys.size())
	for _, section := range s.keyring.Sections() {
		if before[section] {
			for name := range section.Names() {
				hash, err := keyHash(name)
				if err != nil {
					return err
				}
				if err := s.keys.take(hash, last.keys); err != nil {
					return err
				}
			}
			giveWay()
			continue
		}
		for _, m := range section.Members() {
			hash, err := keyHash(m.Name)
			if err != nil {
				return err
			}
			if was, ok := last.keyring.Find(m.Name); ok && bytes.Equal(was.Value(), m.Value) {
				err = s.keys.take(hash, last.keys)
			} else if k, bad := readKey(m); bad == nil {
				err = s.keys.put(hash, k)
			} else {
				err = bad
			}
			if err != nil {
				return err
			}
		}
		giveWay()
	}
	return nil
}

func keyHash(text string) (hash [32]byte, err error) {
	if n, err := hex.Decode(hash[:], []byte(text)); err != nil || n != len(hash) || len(text) != 64 {
		return hash, fmt.Errorf("%q is no SHA-256", text)
	}
	return hash, nil
}

func readKey(m bundle.Member) (k authz.Key, err error) {
	var doc struct {
		Customer     string          `json:"customer"`
		Key          string          `json:"key"`
		Expires      *expiry         `json:"expires"`
		Repositories *[]string       `json:"repositories"`
		Addresses    *[]netip.Prefix `json:"addresses"`
	}
	if err := json.Unmarshal(m.Value, &doc); err != nil {
		return k, err
	}
	if doc.Customer == "" || doc.Key == "" || doc.Expires == nil {
		return k, fmt.Errorf("key %s has no customer, id or expires", m.Name)
	}
	k = authz.Key{Customer: doc.Customer, ID: doc.Key, Expires: int64(*doc.Expires)}
	if doc.Repositories != nil {
		patterns := *doc.Repositories
		k.InScope = func(repository string) bool {
			return slices.ContainsFunc(patterns, func(p string) bool { return version.MatchRepository(p, repository) })
		}
	}
	if doc.Addresses != nil {
		k.Addresses = append([]netip.Prefix{}, *doc.Addresses...) // never nil, which would be no limit
	}
	return k, nil
}

func (s *subjects) readIdentities(data *bundle.Object) error {
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
	if err := json.Unmarshal(data.Bytes(), &doc); err != nil {
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
