package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
)

// Access says who may have a bundle. The zero Access lets nobody.
type Access struct {
	// Anyone lets everybody who reaches the port by a name of its own: for loopback.
	Anyone bool
	// Tokens returns the bearer tokens that are good, several while they are changed. It is asked
	// for every request with a token. On error none is good.
	Tokens func() ([]string, error)
	// ClientSANs are URI and DNS names, one of which a verified client certificate has.
	ClientSANs []string
}

func (a *Access) allows(r *http.Request, foreign bool) (bool, error) {
	if a.Anyone {
		return !foreign, nil
	}
	names, _ := certified(r)
	if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(a.ClientSANs, n) }) {
		return true, nil
	}
	sent, ok := bearer(r.Header)
	if !ok || a.Tokens == nil {
		return false, nil
	}
	tokens, err := a.Tokens()
	if err != nil {
		return false, err
	}
	// Hashes are compared, so that the time does not depend on how much of a token is right.
	got, allowed := sha256.Sum256([]byte(sent)), 0
	for _, t := range tokens {
		want := sha256.Sum256([]byte(t))
		allowed |= subtle.ConstantTimeCompare(got[:], want[:])
	}
	return allowed == 1, nil
}

// bearer is the token of the one Authorization header (RFC 6750, section 2.1).
func bearer(h http.Header) (string, bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	token = strings.TrimSpace(token)
	return token, ok && token != "" && strings.EqualFold(scheme, "Bearer")
}
