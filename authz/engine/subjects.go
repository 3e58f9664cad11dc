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

// hotKeys is how many keys are kept read. However many there are, the rest is text in the bundle, which the
// collector has nothing to follow in (docs/design/pauses-for-requests.md) and which takes half the room.
const hotKeys = 8192

// subjects knows who has a key or an identity. It is safe for concurrent use.
type subjects struct {
	keyring, identities *bundle.Object // what it was read from
	hot                 *memo[[32]byte, authz.Key]
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

// readKeys reads every key that is not in last, to see that it can be read. It is read again when
// somebody comes with it.
func (s *subjects) readKeys(last *subjects, giveWay func()) error {
	if last.hot != nil && slices.Equal(s.keyring.Sections(), last.keyring.Sections()) {
		s.hot = last.hot
		return nil
	}
	s.hot = newMemo[[32]byte, authz.Key](hotKeys)
	before := map[*bundle.Section]bool{}
	for _, section := range last.keyring.Sections() {
		before[section] = true
	}
	for _, section := range s.keyring.Sections() {
		if !before[section] {
			for _, m := range section.Members() {
				if was, ok := last.keyring.Find(m.Name); ok && bytes.Equal(was.Value(), m.Value) {
					continue
				}
				if err := checkHash(m.Name); err != nil {
					return err
				}
				if _, err := readKey(m.Name, m.Value); err != nil {
					return err
				}
			}
		}
		giveWay()
	}
	return nil
}

// key finds a key by its hash.
func (s *subjects) key(hash [32]byte) (authz.Key, bool) {
	if k, ok := s.hot.get(hash); ok {
		return k, true
	}
	name := hex.EncodeToString(hash[:])
	place, ok := s.keyring.Find(name)
	if !ok {
		return authz.Key{}, false
	}
	k, err := readKey(name, place.Value())
	if err != nil { // readKeys has read it
		return authz.Key{}, false
	}
	s.hot.put(hash, k, 1)
	return k, true
}

// checkHash checks a key's name. In upper case it would never be found.
func checkHash(name string) error {
	if hash, err := hex.DecodeString(name); err != nil || len(hash) != 32 || hex.EncodeToString(hash) != name {
		return fmt.Errorf("%q is no SHA-256 in lower-case hex", name)
	}
	return nil
}

func readKey(name string, text []byte) (k authz.Key, err error) {
	var doc struct {
		Customer     string          `json:"customer"`
		Key          string          `json:"key"`
		Expires      *expiry         `json:"expires"`
		Repositories *[]string       `json:"repositories"`
		Addresses    *[]netip.Prefix `json:"addresses"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return k, err
	}
	if doc.Customer == "" || doc.Key == "" || doc.Expires == nil {
		return k, fmt.Errorf("key %s has no customer, id or expires", name)
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
