package token

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/pullgate/pullgate/authz"
)

// seen remembers the tokens that were read last, by their SHA-256, because to verify a signature takes
// longer than everything else that a cached decision needs. Of those whose hashes begin alike the
// last one stays. What a token says does not change, and whether it is still good is asked each time.
type seen struct{ places [2048]atomic.Pointer[sight] }

type sight struct {
	sum        [32]byte
	credential authz.Credential
}

func newSeen() *seen { return new(seen) }

func (s *seen) place(sum *[32]byte) *atomic.Pointer[sight] {
	return &s.places[binary.BigEndian.Uint64(sum[:8])%uint64(len(s.places))]
}

func (s *seen) get(sum *[32]byte) (authz.Credential, bool) {
	if found := s.place(sum).Load(); found != nil && found.sum == *sum {
		return found.credential, true
	}
	return authz.Credential{}, false
}

func (s *seen) put(sum *[32]byte, c *authz.Credential) { s.place(sum).Store(&sight{*sum, *c}) }
