package reply

import (
	"strconv"

	"github.com/pullgate/pullgate/authz"
)

// Seconds after which a client may try again.
const (
	retryRateLimited = 60 // the window in which bad keys are counted
	retryUnavailable = 5
)

// refuse writes an error of the OCI distribution-spec ("Error Codes"): one, with a message of
// one ASCII line. Whatever is not a proper refusal is pullgate's own failure: 503.
func refuse(r *authz.Request, d *authz.Decision) *Reply {
	status := d.Status
	if d.Outcome != authz.OutcomeDeny || !refusals[status] {
		status = 503
	}
	p := &Reply{Status: status, Headers: common(d, "application/json", "no-store")}
	switch status {
	case 401:
		p.Headers = append(p.Headers, Header{"www-authenticate", challenge(r, d)})
	case 405:
		allow := "GET, HEAD" // RFC 9110, 15.5.6
		if asksForToken(r) {
			allow += ", POST"
		}
		p.Headers = append(p.Headers, Header{"allow", allow})
	case 429:
		p.Headers = append(p.Headers, Header{"retry-after", strconv.Itoa(retryRateLimited)})
	case 503:
		p.Headers = append(p.Headers, Header{"retry-after", strconv.Itoa(retryUnavailable)})
	}
	p.Body = append(p.Body, `{"errors":[{"code":"`...)
	p.Body = append(p.Body, ociCode(status, r, d)...)
	p.Body = append(p.Body, `","message":`...)
	p.Body = appendString(p.Body, message(status, r, d))
	p.Body = append(p.Body, `}]}`...)
	return p
}

// refusals are the statuses that a denial may have.
var refusals = map[int]bool{400: true, 401: true, 403: true, 404: true, 405: true, 429: true}

// ociCode is the error code of the OCI distribution-spec for a refusal.
func ociCode(status int, r *authz.Request, d *authz.Decision) string {
	switch status {
	case 400:
		return "NAME_INVALID"
	case 401:
		return "UNAUTHORIZED"
	case 403:
		if d.Code == authz.CodeUnsupported {
			return "UNSUPPORTED"
		}
		return "DENIED"
	case 404:
		switch {
		case d.Code != authz.CodeUnknownReference:
			return "NAME_UNKNOWN"
		case r.Kind == authz.KindBlob:
			return "BLOB_UNKNOWN"
		default:
			return "MANIFEST_UNKNOWN"
		}
	case 405:
		return "UNSUPPORTED"
	case 429:
		return "TOOMANYREQUESTS"
	default:
		return "UNAVAILABLE"
	}
}
