package upstream

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// challenge is one way to log in that a registry offers (RFC 9110, 11.6.1).
type challenge struct {
	scheme string // lower case
	params map[string]string
}

// maxChallenges bounds what of WWW-Authenticate is read, in bytes.
const maxChallenges = 8 << 10

// challenges reads all WWW-Authenticate fields of an answer. What follows something that is none is
// not read.
func challenges(h http.Header) []challenge {
	rest := strings.Join(h.Values("WWW-Authenticate"), ", ")
	if len(rest) > maxChallenges {
		return nil
	}
	var all []challenge
	for {
		rest = strings.TrimLeft(rest, " \t,")
		word, after := cutToken(rest)
		if word == "" {
			return all
		}
		if after = strings.TrimLeft(after, " \t"); strings.HasPrefix(after, "=") { // a parameter
			value, remaining, ok := cutValue(strings.TrimLeft(after[1:], " \t"))
			if !ok || len(all) == 0 {
				return all
			}
			if name := strings.ToLower(word); all[len(all)-1].params[name] == "" { // the first counts
				all[len(all)-1].params[name] = value
			}
			rest = remaining
			continue
		}
		all = append(all, challenge{strings.ToLower(word), map[string]string{}})
		rest = after
	}
}

// cutToken cuts a token (RFC 9110, 5.6.2) off the front.
func cutToken(s string) (token, rest string) {
	end := 0
	for end < len(s) && s[end] > 0x20 && s[end] < 0x7f && !strings.ContainsRune(`"(),/:;<=>?@[\]{}`, rune(s[end])) {
		end++
	}
	return s[:end], s[end:]
}

// cutValue cuts a token or a quoted string off the front.
func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		value, rest = cutToken(s)
		return value, rest, value != ""
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '"':
			return b.String(), s[i+1:], true
		case '\\':
			if i++; i == len(s) {
				return "", "", false
			}
		}
		b.WriteByte(s[i])
	}
	return "", "", false
}

// bearer is where a registry's tokens are to be had.
type bearer struct {
	realm   *url.URL
	service string
}

var errForeign = errors.New("another origin")

// realmOf reads the challenge for tokens. The realm may be of the registry's own origin or of a listed one:
// it is told by whoever answers in the registry's name, and gets the credential.
func (r *registry) realmOf(c challenge, upstream *url.URL) (*bearer, error) {
	realm, err := url.Parse(c.params["realm"])
	switch {
	case err != nil || realm.Host == "" || realm.User != nil || realm.Opaque != "" || realm.Fragment != "":
		return nil, errors.New("the registry asks for tokens without saying where they are to be had")
	case origin(realm) != origin(upstream) && !r.realms[origin(realm)]:
		return nil, fmt.Errorf("%w: the registry wants a token from %s; if that is right, list it among the realms of this registry", errForeign, origin(realm))
	}
	if err := r.mayAsk(realm); err != nil {
		return nil, err
	}
	return &bearer{realm: realm, service: c.params["service"]}, nil
}

// mayAsk reports whether a credential may go to a URL: with TLS, on this host, or if it is said so.
func (r *registry) mayAsk(u *url.URL) error {
	ip := net.ParseIP(u.Hostname())
	switch {
	case u.Scheme == "https", u.Scheme == "http" && (r.insecure || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()):
		return nil
	case u.Scheme == "http":
		return fmt.Errorf("%s has no TLS: use https, or set insecure for this registry", origin(u))
	}
	return fmt.Errorf("%s is neither https nor http", u.Scheme)
}

// origin is a URL's scheme, host and port, the port always written.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port))
}
