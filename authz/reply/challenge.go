package reply

import (
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// challenge says how to log in: with a key, or, where there are bearer tokens, with one for the host that
// was asked, from that same host (distribution's token authentication specification; RFC 6750, section 3).
func challenge(r *authz.Request, d *authz.Decision) string {
	if r.TokenPath == "" || r.Kind == authz.KindToken {
		return `Basic realm="pullgate"`
	}
	host := quotable(r.Host)
	c := `Bearer realm="https://` + host + r.TokenPath + `",service="` + host + `"`
	switch {
	case r.Kind == authz.KindCatalog:
		c += `,scope="registry:catalog:*"`
	case r.Repository != "":
		c += `,scope="repository:` + quotable(r.Repository) + `:pull"`
	}
	if isToken(r) && d.Code != authz.CodeAnonymous {
		c += `,error="invalid_token"`
	}
	return c
}

// isToken reports whether the caller came with a token, good or not.
func isToken(r *authz.Request) bool {
	switch r.Credential.Kind {
	case authz.CredentialToken, authz.CredentialInvalidToken, authz.CredentialForgedToken:
		return true
	}
	return false
}

// asksForToken reports whether a request, also a malformed one, is to the token route.
func asksForToken(r *authz.Request) bool {
	path, _, _ := strings.Cut(r.Path, "?")
	return r.TokenPath != "" && path == r.TokenPath
}

// quotable makes s fit between quotes. Hosts and repositories that get this far have neither quotes nor
// backslashes.
func quotable(s string) string {
	return strings.Map(func(c rune) rune {
		if c == '"' || c == '\\' {
			return '?'
		}
		return c
	}, printable(s))
}
