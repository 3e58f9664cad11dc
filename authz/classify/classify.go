// Package classify says what is being asked, of what, and by whom.
//
// It turns one message of any transport into an [authz.Request]: raw bytes in, a closed
// set of kinds out. Nothing is repaired or normalised, because registries disagree on
// what an unusual spelling means; what is not the one plain spelling of a route is
// malformed and refused before any policy is asked. Secrets stop here: a key
// leaves this package only as its SHA-256.
package classify

import (
	"net/netip"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// Limits of what is understood, in bytes.
const (
	maxTarget = 2048 // path and query together
	maxName   = 255
	maxTag    = 128
	// maxHost bounds what reaches a record. It is longer than any valid authority
	// (253 bytes of name, a colon, five digits), so that cutting never makes a valid one.
	maxHost = 320
)

// Header is one header field as the transport received it. Names may be in any case;
// values are bytes and need not be UTF-8.
type Header struct{ Name, Value string }

// Inbound is one message before anybody has judged it.
type Inbound struct {
	Method string
	Target string // raw path with query, as the client sent it
	Host   string // authority
	// Headers are all of the message's, in order, pseudo headers (":authority") included where
	// the transport has them. A header that was sent twice is there twice, or once with its
	// values joined by commas.
	Headers []Header
	// Body is that of a POST to the token route, if the transport has it; no other is looked at.
	Body     []byte
	Address  netip.Addr     // of the peer that the proxy saw; the zero Addr when unknown
	Identity authz.Identity // verified by the proxy
	Via      string         // as in authz.Request
}

// ClientAddress says how the client's address is read from a header that proxies in front
// append to. The zero ClientAddress reads none.
type ClientAddress struct {
	Header string // lower case, "x-forwarded-for"; "" means Inbound.Address is the client's
	// TrustedHops is how many entries, counted from the right, are addresses of proxies rather
	// than the client's: 0 takes the rightmost entry.
	TrustedHops int
}

// Classifier turns messages into requests. It is safe for concurrent use and its zero value
// is ready.
type Classifier struct {
	ClientAddress ClientAddress
	// TokenPath is the route of bearer tokens, "" when there are none; then Tokens is required.
	TokenPath string
	Tokens    Tokens
}

// Tokens tells bearer tokens that were made here from others. Implemented by package token.
type Tokens interface {
	// Read returns what a token says, of kind CredentialToken, or false when it is none of ours; the kind is
	// then CredentialForgedToken if it took a signature to see that. It does not ask whether the token is still good.
	Read(token string) (authz.Credential, bool)
}

// Classify is (&Classifier{}).Classify(in).
func Classify(in *Inbound) *authz.Request { return new(Classifier).Classify(in) }

// Classify never fails: what it does not understand is KindMalformed. The verb is looked at
// before anything else, then the headers that may be sent once only, then the target.
// The result shares no memory with in but strings, and holds no secret: a well-formed key or a
// token of ours anywhere in the target, also percent-encoded, is a malformed request whose Path
// has it cut out. A Method that is none of HTTP's is "?".
func (c *Classifier) Classify(in *Inbound) *authz.Request {
	host, _ := redact(strings.ToLower(in.Host))
	r := &authz.Request{
		Method:   in.Method,
		Host:     cut(host, maxHost),
		N:        -1,
		Identity: in.Identity,
		Address:  c.address(in),
		Via:      in.Via,

		TokenPath: c.TokenPath,
	}
	var leaks bool
	r.Path, leaks = redact(in.Target)
	r.Path = cut(r.Path, maxTarget)

	once := c.singles(in)
	r.Credential = once.credential
	path, query, _ := strings.Cut(in.Target, "?")
	forToken := c.TokenPath != "" && path == c.TokenPath
	switch {
	case in.Method != "GET" && in.Method != "HEAD" && !(in.Method == "POST" && forToken):
		r.Method = knownMethod(in.Method)
		r.Kind = authz.KindUnsupported
	case once.malformed || leaks || len(in.Target) > maxTarget:
		r.Kind = authz.KindMalformed
	case forToken:
		parseTokenRequest(r, in, query)
	default:
		parseTarget(r, in.Target)
	}
	return r
}

// once is what the headers amount to that may be sent once only.
type once struct {
	credential authz.Credential
	malformed  bool
}

// singles reads Authorization and Host. Two of either are malformed: programs behind would
// disagree which one counts. So is a comma in one: Envoy joins these two by commas in both of
// its encodings, and neither a key nor an authority has a comma. A Host beside the authority
// must be the same bytes.
func (c *Classifier) singles(in *Inbound) once {
	var authorizations, hosts int
	o := once{credential: authz.Credential{Kind: authz.CredentialNone}}
	for i := range in.Headers {
		h := &in.Headers[i]
		switch {
		case strings.EqualFold(h.Name, "authorization"):
			authorizations++
			o.credential = c.credential(h.Value)
			o.malformed = o.malformed || strings.IndexByte(h.Value, ',') >= 0
		case strings.EqualFold(h.Name, "host"), h.Name == ":authority":
			hosts++
			o.malformed = o.malformed || h.Value != in.Host
		}
	}
	if authorizations > 1 || hosts > 1 || strings.IndexByte(in.Host, ',') >= 0 {
		o.malformed = true
	}
	if o.malformed {
		o.credential = authz.Credential{}
	}
	return o
}

// knownMethod is the method when HTTP has it (RFC 9110, section 9, and RFC 5789). Any other is
// "?": a client can write there what it likes, a part of a key too.
func knownMethod(method string) string {
	switch method {
	case "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT":
		return method
	default:
		return "?"
	}
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}
