package authz

import (
	"net/netip"
	"slices"
)

var anonymous = Subject{Via: "anonymous"}

// caller is who asks, as far as it could be found out.
type caller struct {
	// Subject is the one the policy is asked about: anonymous unless a known customer.
	Subject Subject
	// Recorded is who the record names. It differs from Subject for an expired key only.
	Recorded Subject
	// Refusal says why Subject is anonymous: anonymous, unknown_key or key_expired; "" for a customer.
	Refusal Code
	// BadKey says that an Authorization was sent that is good for nothing: a guess.
	BadKey bool
	// Key has the limits of the key that was used; its zero value has none. With a token Expires is
	// that of what ends first.
	Key    Key
	UseKey bool
}

// authenticate finds out who asks. A key or a token and an identity may come together if they
// agree; an identity that nobody has is as good as none. A token is as good as its key is now.
func authenticate(gen Generation, r *Request, at int64) caller {
	refused := func(c Code) caller { return caller{Subject: anonymous, Recorded: anonymous, Refusal: c} }
	badKey := func() caller {
		return caller{Subject: anonymous, Recorded: anonymous, Refusal: CodeUnknownKey, BadKey: true}
	}

	kind, token := r.Credential.Kind, &r.Credential.Token
	if kind == CredentialToken {
		switch {
		case at < token.NotBefore || at >= token.Expires || token.Audience != r.Host:
			kind = CredentialInvalidToken
		case token.Customer == Anybody:
			kind = CredentialNone
		}
	}
	switch kind {
	case CredentialToken:
		key, ok := gen.Authenticate(r.Credential.Hash) // a key that is gone takes its tokens with it
		if !ok || key.Customer != token.Customer || contradicts(gen, r.Identity, key.Customer) {
			return refused(CodeUnknownKey)
		}
		s := Subject{Customer: key.Customer, Key: key.ID, Via: "token"}
		if at >= key.Expires {
			return caller{Subject: anonymous, Recorded: s, Refusal: CodeKeyExpired}
		}
		key.Expires = min(key.Expires, token.Expires)
		return caller{Subject: s, Recorded: s, Key: key, UseKey: true}
	case CredentialInvalidToken:
		return refused(CodeUnknownKey) // no guess: it has become old, or is of another place
	case CredentialForgedToken:
		return badKey()
	case CredentialKey:
		key, ok := gen.Authenticate(r.Credential.Hash)
		if !ok || contradicts(gen, r.Identity, key.Customer) {
			return badKey()
		}
		s := Subject{Customer: key.Customer, Key: key.ID, Via: "key"}
		if at >= key.Expires {
			return caller{Subject: anonymous, Recorded: s, Refusal: CodeKeyExpired}
		}
		return caller{Subject: s, Recorded: s, Key: key, UseKey: true}
	case CredentialNone:
		if r.Identity.IsZero() {
			return refused(CodeAnonymous)
		}
		s, ok := gen.Identify(r.Identity)
		if !ok {
			return refused(CodeUnknownKey)
		}
		return caller{Subject: s, Recorded: s}
	default:
		return badKey()
	}
}

// contradicts reports whether the proxy vouched for somebody else than the key's customer.
// Each half of the identity is asked alone, since one may be nobody's.
func contradicts(gen Generation, id Identity, customer string) bool {
	if id.IsZero() {
		return false
	}
	halves := [...]Identity{{JWTIssuer: id.JWTIssuer, JWTSubject: id.JWTSubject}, {SAN: id.SAN}}
	for _, half := range halves {
		if half.IsZero() {
			continue
		}
		if s, ok := gen.Identify(half); ok && s.Customer != customer {
			return true
		}
	}
	return false
}

// reachesFrom reports whether the key is good from an address. A transport that does not say
// where a request comes from cannot use a key with limits.
func (c *caller) reachesFrom(a netip.Addr) bool {
	if !c.UseKey || c.Key.Addresses == nil {
		return true
	}
	a = a.Unmap()
	return slices.ContainsFunc(c.Key.Addresses, func(p netip.Prefix) bool { return p.Contains(a) })
}

// reaches reports whether a repository is within the key's limits; "" is no repository.
func (c *caller) reaches(repository string) bool {
	return !c.UseKey || repository == "" || c.Key.InScope == nil || c.Key.InScope(repository)
}
