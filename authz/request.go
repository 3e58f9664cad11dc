package authz

import (
	"crypto/sha256"
	"net/netip"
)

// Kind is what a request asks for. The set is closed; the zero Kind is Malformed, so a
// forgotten assignment refuses.
type Kind uint8

const (
	KindMalformed   Kind = iota // outside the grammar; refused before policy with 400
	KindUnsupported             // in the grammar, but nothing a customer may do (push, delete, mount, upload, ns)
	KindPing                    // end-1: GET /v2/ (and /v2)
	KindManifest                // end-3: by Tag or by Digest, exactly one is set
	KindBlob                    // end-2: by Digest
	KindTags                    // end-8: tags/list, with N and Last
	KindReferrers               // end-12: by Digest, with ArtifactType
	KindCatalog                 // GET /v2/_catalog, with N and Last
	KindVersion                 // no HTTP: may Product be had at Version? (`ask`, who-can, portals)
	KindToken                   // GET or POST TokenPath: a login, for a bearer token; with Service and Pulls
)

// String returns the name used in records, metrics and input.resource.kind.
func (k Kind) String() string {
	switch k {
	case KindUnsupported:
		return "unsupported"
	case KindPing:
		return "ping"
	case KindManifest:
		return "manifest"
	case KindBlob:
		return "blob"
	case KindTags:
		return "tags"
	case KindReferrers:
		return "referrers"
	case KindCatalog:
		return "catalog"
	case KindToken:
		return "token"
	case KindVersion:
		return "version"
	default:
		return "malformed"
	}
}

// Action returns the action a kind of request stands for: pull, list, ping, or "" for
// what never reaches policy.
func (k Kind) Action() string {
	switch k {
	case KindManifest, KindBlob, KindVersion:
		return "pull"
	case KindTags, KindReferrers, KindCatalog:
		return "list"
	case KindPing, KindToken:
		return "ping"
	default:
		return ""
	}
}

// Request is one question, parsed once from one message. It holds no secret: a
// credential is reduced to its hash before a Request exists.
type Request struct {
	Kind   Kind
	Method string // as received; "?" for one that HTTP does not have, and then Kind is Unsupported
	Host   string // authority, lower case, with its port if the client sent one; may be invalid or ""
	Path   string // request target as received, at most 2048 bytes; longer ones are cut and Kind is Malformed

	Repository string // OCI grammar, or "" for KindPing and KindCatalog
	Tag        string // OCI grammar; set for KindManifest by tag
	Digest     string // "sha256:" and 64 lower-case hex digits
	// DigestTag says that Tag has the form sha256-HEX or sha256-HEX.sig|.att|.sbom; Digest
	// then holds the digest it names, as which it is judged.
	DigestTag bool

	N            int    // page size: -1 when not given, else 0–1000
	Last         string // list position: names after it, bytewise; "" when not given
	ArtifactType string // referrers filter; "" when not given

	Product, Version string // KindVersion only

	Service string   // KindToken: what the token is asked for; "" when not given
	Pulls   []string // KindToken: the names that pulling is asked for, each once; grammar of a name with or without host:port
	// TokenPath is where tokens are to be had on every host; "" when there are none. A caller
	// nobody knows is then told to get one there.
	TokenPath string

	Credential Credential
	Identity   Identity   // verified by the proxy, never read from headers a client can set
	Address    netip.Addr // the client's; the zero Addr when the transport does not say
	Via        string     // ext_authz, http, nginx, traefik, caddy, cli
}

// CredentialKind says what an Authorization header amounted to.
type CredentialKind uint8

const (
	CredentialInvalid      CredentialKind = iota // a header that holds no well-formed key: unknown_key
	CredentialNone                               // no header, or Basic with an empty password: anonymous
	CredentialKey                                // a key with the right form and checksum; Hash is set
	CredentialToken                              // a bearer token with a signature of ours; Token is set, and Hash unless it is Anybody's
	CredentialInvalidToken                       // a bearer token that is none of ours: unknown_key
	CredentialForgedToken                        // one that names a key of ours, which has not signed it: unknown_key; Hash is set
)

// Credential is what is left of an Authorization header. The key itself is dropped in
// package classify: nothing that is cached, logged or recorded can hold it.
type Credential struct {
	Kind  CredentialKind
	Hash  [sha256.Size]byte // SHA-256 of the whole key; of a token, that of the key it was given for; of a forged one, its own
	Token Token
}

// Token is what a bearer token says (docs/design/bearer-tokens.md). It proves who asks and
// grants nothing.
type Token struct {
	Customer string // whose key it was given for; Anybody for one that was given without
	Audience string // the host it is for, as Request.Host
	// It is good in [NotBefore, Expires), Unix seconds.
	NotBefore, Expires int64
}

// Anybody is who a token names that was given to somebody without a key. No customer has this id.
const Anybody = "anonymous"

// Identity is a caller that the proxy has verified itself.
type Identity struct {
	JWTIssuer, JWTSubject string // both set, or both ""
	SAN                   string // of a verified client certificate, or ""
}

// IsZero reports whether the proxy vouched for nobody.
func (i Identity) IsZero() bool { return i == Identity{} }

// Subject is who asks, after authentication.
type Subject struct {
	Customer string // "" for everybody who is not a known customer
	Key      string // key id, or "jwt", "mtls"; "" without a customer
	Via      string // key, token, jwt, mtls, anonymous
}
