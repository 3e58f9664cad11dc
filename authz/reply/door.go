package reply

import "github.com/pullgate/pullgate/authz"

// Door describes a refusal that pullgate words itself, because no policy was asked or a
// customer may not learn what the policy said. docs/codes.md and the messages are made of the
// same Doors.
type Door struct {
	Code authz.Code
	// Meaning is for the vendor; "" for a code of the Rego library, which describes its own.
	Meaning  string
	Says     string // what the customer reads: what happened and why
	Customer string // what the customer can do, the rest of the same line
	Vendor   string // what the vendor can do; "" as Meaning
}

// text is the whole line for the customer.
func (d *Door) text() string { return d.Says + ": " + d.Customer }

// The doors of one code that has several are told apart by what was asked.
var (
	doorMalformed = Door{
		Code:     authz.CodeMalformed,
		Meaning:  "The request is not one plain spelling of a registry route: an escape, an extra slash, an upper-case repository, a header twice, an unknown query.",
		Says:     "the request is not one plain spelling of a registry route",
		Customer: "check the image name, tag and digest, without escapes, extra slashes or upper-case names",
		Vendor:   "See that no proxy in between rewrites paths",
	}
	doorTokenRequest = Door{
		Code:     authz.CodeMalformed,
		Meaning:  "A request for a bearer token that is none: another grant than `password` or `refresh_token`, two credentials, more than 16 scopes, too long.",
		Says:     "the request for a token is not understood",
		Customer: "log in with any user name and your license key as the password",
		Vendor:   "Envoy passes the body of such a request on only where `with_request_body` says so, as in `examples/envoy`",
	}
	doorVerb = Door{
		Code:     authz.CodeUnsupported,
		Meaning:  "A verb other than GET and HEAD.",
		Says:     "this registry is read-only for customers",
		Customer: "only GET and HEAD are answered, pushing and deleting are not",
		Vendor:   "Push to the registry itself, not through pullgate",
	}
	doorRoute = Door{
		Code:     authz.CodeUnsupported,
		Meaning:  "A GET or HEAD of an upload's location, a query with `ns`, `mount` or `from`, or `_catalog` while it is off.",
		Says:     "this registry does not answer that",
		Customer: "pull by tag or digest, or list the tags of a repository",
		Vendor:   "`catalog: listed` in the Registry document answers `_catalog`",
	}
	doorAnonymous = Door{
		Code:     authz.CodeAnonymous,
		Says:     "authentication required",
		Customer: login,
	}
	doorUnknownKey = Door{
		Code:     authz.CodeUnknownKey,
		Meaning:  "Not a key of the active bundle, mistyped, another scheme than Basic, an identity of no customer, or a key and an identity of different customers.",
		Says:     "this key is not known, check it for typing errors",
		Customer: login,
		Vendor:   "Add the key's hash to the customer's `keys`; a new key counts from the next bundle on",
	}
	doorToken = Door{
		Code:     authz.CodeUnknownKey,
		Meaning:  "A bearer token that is forged, of another host, past its end, or whose key is gone.",
		Says:     "this token is not good here or no longer",
		Customer: login,
		Vendor:   "Clients get a new one by themselves; if not, see whether the key is still there",
	}
	doorKeyExpired = Door{
		Code:     authz.CodeKeyExpired,
		Meaning:  "The key is past its `expires`.",
		Says:     "this key has expired, ask your vendor for a new one",
		Customer: login,
		Vendor:   "Hand out a new key, or set a later `expires`",
	}
	doorKeyScope = Door{
		Code:     authz.CodeKeyScope,
		Meaning:  "The customer has a right to the repository, and the key's `repositories` or `addresses` do not reach there.",
		Says:     "this key may not be used for this repository or from this address",
		Customer: "use another key, or ask your vendor to widen it",
		Vendor:   "Widen the key's `repositories` or `addresses`, or hand out another key",
	}
	doorRepository = Door{
		Code:     authz.CodeUnknownRepository,
		Meaning:  "The repository is absent, no license of the customer names it, in any state, or the host is none of a Registry document's.",
		Says:     "no such repository for this customer",
		Customer: "check the name, or ask your vendor which repositories your license covers",
		Vendor:   "The record's `policy_code` says why; grant the product or the repository, or add the host",
	}
	doorManifest = Door{
		Code:     authz.CodeUnknownReference,
		Meaning:  "A digest that no grant and range reaches, an unknown digest, or a granted tag that the index does not have.",
		Says:     "no such manifest for this customer",
		Customer: "check the tag or digest, or list the tags that your license covers",
		Vendor:   "The record's `policy_code` says whether it is absent (`ok`) or not granted; a new image counts after the next crawl",
	}
	doorBlob = Door{
		Code:     authz.CodeUnknownReference,
		Meaning:  "The same for a blob.",
		Says:     "no such blob for this customer",
		Customer: "pull the image by a tag that your license covers",
		Vendor:   doorManifest.Vendor,
	}
	doorRateLimited = Door{
		Code:     authz.CodeRateLimited,
		Meaning:  "Too many bad keys from one IPv4 address, or one IPv6 network of 64 bits, within a minute. A key that a customer has is never refused so.",
		Says:     "too many failed logins from this address",
		Customer: "wait a minute, then log in with the right key",
		Vendor:   "Nothing needs to be done; `bad_keys_per_minute` is how many, `pullgate_bad_keys_total` counts them",
	}
	doorLimit = Door{
		Code:     authz.CodeLimitReached,
		Meaning:  "Reserved: nothing raises it yet. The license is in use as often as it may be.",
		Says:     "the license is in use as often as it may be",
		Customer: "free a place, or ask your vendor for more",
		Vendor:   "Sell more",
	}
	doorNotReady = Door{
		Code:     authz.CodeNotReady,
		Meaning:  "No bundle is active yet.",
		Says:     "the license service is starting and cannot decide yet",
		Customer: "try again in a few seconds",
		Vendor:   "`/v1/status` on the admin address says what it waits for",
	}
	doorStale = Door{
		Code:     authz.CodeStale,
		Meaning:  "The active bundle is past its `not_after`.",
		Says:     "the license data here is too old to decide with",
		Customer: "try again later, or tell your vendor",
		Vendor:   "Publish a bundle; `/v1/status` on the admin address says what stands in the way",
	}
	doorOverloaded = Door{
		Code:     authz.CodeOverloaded,
		Meaning:  "More is asked than can be answered in time: the answer would have come after Envoy's timeout, so the request was refused at once. Answers from the cache in memory go on.",
		Says:     "the license service has too much to do at the moment",
		Customer: "try again in a few seconds",
		Vendor:   "`pullgate_evaluations_waiting` and its CPU say how long it lasts; give it more processors, or run more sidecars",
	}
	doorInternal = Door{
		Code:     authz.CodeInternalError,
		Says:     "the license service could not decide",
		Customer: "try again later, or tell your vendor",
	}
	// doorDenied stands in for a policy that refuses without a text.
	doorDenied = Door{Says: "your licenses do not cover this", Customer: "ask your vendor"}
)

// login is how to log in; {host} is where.
const login = "log in with 'docker login {host}', any user name, and your license key as the password"

// Doors returns the doors of every code that has one, in the order of authz's codes. The slice
// is the caller's.
func Doors() []Door {
	return []Door{
		doorAnonymous, doorUnknownKey, doorToken, doorKeyExpired, doorKeyScope, doorLimit, doorRepository, doorManifest, doorBlob,
		doorMalformed, doorTokenRequest, doorVerb, doorRoute, doorRateLimited, doorNotReady, doorStale, doorOverloaded, doorInternal,
	}
}

// doorOf is the door of a refusal with a status, where the policy's own words are not used.
func doorOf(status int, r *authz.Request, c authz.Code) *Door {
	switch status {
	case 400:
		if asksForToken(r) {
			return &doorTokenRequest
		}
		return &doorMalformed
	case 401:
		switch c {
		case authz.CodeUnknownKey:
			if isToken(r) {
				return &doorToken
			}
			return &doorUnknownKey
		case authz.CodeKeyExpired:
			return &doorKeyExpired
		}
		return &doorAnonymous
	case 403:
		switch c {
		case authz.CodeUnsupported:
			return &doorRoute
		case authz.CodeKeyScope:
			return &doorKeyScope
		case authz.CodeLimitReached:
			return &doorLimit
		}
		return &doorDenied
	case 404:
		switch {
		case c != authz.CodeUnknownReference:
			return &doorRepository
		case r.Kind == authz.KindBlob:
			return &doorBlob
		}
		return &doorManifest
	case 405:
		return &doorVerb
	case 429:
		return &doorRateLimited
	}
	switch c {
	case authz.CodeNotReady:
		return &doorNotReady
	case authz.CodeStale:
		return &doorStale
	case authz.CodeOverloaded:
		return &doorOverloaded
	}
	return &doorInternal
}
