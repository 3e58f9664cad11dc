package reply

import (
	"sort"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// maxMessage is the longest message of an error, in bytes.
const maxMessage = 200

// message is what the customer reads: what, why, what next. The text of a 403 is the
// policy's where it wrote one, and ends with the decision's id. A 404 says the same to
// everybody: neither a name nor an id, nor anything else that would tell an absent repository from
// somebody else's.
func message(status int, r *authz.Request, d *authz.Decision) string {
	switch status {
	case 400:
		return "the request is not one plain spelling of a registry route: check the image name, tag and digest, without escapes, extra slashes or upper-case names"
	case 401:
		return unauthorized(r, d)
	case 403:
		return forbidden(r, d)
	case 404:
		switch {
		case d.Code != authz.CodeUnknownReference:
			return "no such repository for this customer: check the name, or ask your vendor which repositories your license covers"
		case r.Kind == authz.KindBlob:
			return "no such blob for this customer: pull the image by a tag that your license covers"
		default:
			return "no such manifest for this customer: check the tag or digest, or list the tags that your license covers"
		}
	case 405:
		return "this registry is read-only for customers: only GET and HEAD are answered, pushing and deleting are not"
	case 429:
		return "too many failed logins from this address: wait a minute, then log in with the right key"
	}
	switch d.Code {
	case authz.CodeNotReady:
		return "the license service is starting and cannot decide yet: try again in a few seconds"
	case authz.CodeStale:
		return "the license data here is too old to decide with: try again later, or tell your vendor"
	default:
		return "the license service could not decide: try again later, or tell your vendor"
	}
}

// unauthorized says how to log in. The host is shown because it is what to log in to; it is
// known to be a registry's by now, but it is still the client's text.
func unauthorized(r *authz.Request, d *authz.Decision) string {
	why := "authentication required"
	switch d.Code {
	case authz.CodeUnknownKey:
		why = "this key is not known, check it for typing errors"
	case authz.CodeKeyExpired:
		why = "this key has expired, ask your vendor for a new one"
	}
	text := func(host string) string {
		return why + ": log in with 'docker login " + host + "', any user name, and your license key as the password"
	}
	host := printable(r.Host)
	if host == "" {
		host = "REGISTRY"
	}
	if excess := len(text(host)) - maxMessage; excess > 0 {
		host = shorten(host, excess)
	}
	return text(host)
}

// forbidden is the message of a 403.
func forbidden(r *authz.Request, d *authz.Decision) string {
	text := d.Verdict.Message
	if text == "" || d.Verdict.Allow || d.Code != d.Verdict.Code {
		text = denials[d.Code]
	}
	if text == "" {
		text = denied
	}
	text = strings.TrimRight(printable(text), " .;:,")
	suffix := ""
	if d.ID != "" {
		suffix = "; decision " + printable(d.ID)
	}
	return fit(text, maxMessage-len(suffix), r.Repository, r.Tag, r.Digest, d.Resource.Repository, d.Resource.Tag,
		d.Resource.Digest, d.Resource.Version, d.Resource.Product, d.Verdict.License, d.Subject.Customer, d.Subject.Key) + suffix
}

const denied = "your licenses do not cover this: ask your vendor"

// denials are the texts for a 403 that the policy did not write.
var denials = map[authz.Code]string{
	authz.CodeUnsupported:         "this registry does not answer that: pull by tag or digest, or list the tags of a repository",
	authz.CodeKeyScope:            "this key may not be used for this repository or from this address: use another key, or ask your vendor to widen it",
	authz.CodeCustomerBanned:      "access for this customer is blocked: contact your vendor",
	authz.CodeNoLicense:           "there is no license for this customer: ask your vendor for one",
	authz.CodeNotGranted:          "no license of yours covers this repository: ask your vendor",
	authz.CodeTagNotGranted:       "no license of yours covers this tag: list the tags to see which are, or ask your vendor",
	authz.CodeVersionNotGranted:   "no license of yours covers this version: list the tags to see which are, or ask your vendor",
	authz.CodeChannelNotGranted:   "no license of yours covers versions of this channel: pull a stable version, or ask your vendor",
	authz.CodeRevoked:             "the license has been revoked: contact your vendor",
	authz.CodeSuspended:           "the license is suspended: contact your vendor",
	authz.CodeNotStarted:          "the license has not started yet: try again when it has, or ask your vendor",
	authz.CodeTerminated:          "the license has been terminated: ask your vendor to renew it",
	authz.CodeNotYetReleased:      "this version is not released yet: pull an earlier one",
	authz.CodeWithdrawn:           "this version has been withdrawn: pull another one, or ask your vendor",
	authz.CodeOutsideUpdateWindow: "this version is newer than the license's updates: pull an earlier one, or ask your vendor to extend it",
	authz.CodeFeatureMissing:      "the license lacks a feature that this version requires: ask your vendor",
	authz.CodeExpired:             "the license has ended: ask your vendor to renew it",
	authz.CodeTrialEnded:          "the trial has ended: ask your vendor for a license",
	authz.CodeLimitReached:        "the license is in use as often as it may be: free a place, or ask your vendor for more",
}

// printable makes one printable ASCII line of s: what customers and rules put into a text
// cannot break a line, colour a terminal or start a header.
func printable(s string) string {
	clean := func(c byte) bool { return c >= 0x20 && c < 0x7f }
	for i := range len(s) {
		if clean(s[i]) {
			continue
		}
		var b strings.Builder
		for _, c := range s {
			switch {
			case c < 0x80 && clean(byte(c)):
				b.WriteRune(c)
			case c == '\n' || c == '\t' || c == '\r':
				b.WriteByte(' ')
			default:
				b.WriteByte('?')
			}
		}
		return b.String()
	}
	return s
}

// fit makes text at most n bytes long, by shortening the longest of the names in it first
// and its end last.
func fit(text string, n int, names ...string) string {
	n = max(n, 0)
	if len(text) <= n {
		return text
	}
	sort.SliceStable(names, func(i, j int) bool { return len(names[i]) > len(names[j]) })
	for _, name := range names {
		excess := len(text) - n
		if excess <= 0 {
			return text
		}
		name = printable(name)
		if count := strings.Count(text, name); len(name) > shortest && count > 0 {
			text = strings.ReplaceAll(text, name, shorten(name, (excess+count-1)/count))
		}
	}
	if len(text) > n {
		text = text[:max(n-3, 0)] + "..."[:min(n, 3)]
	}
	return text
}

// shortest is how long a shortened name stays at least.
const shortest = 16

// shorten cuts excess bytes, and three for the dots, out of the middle of a name.
func shorten(name string, excess int) string {
	keep := max(len(name)-excess, shortest)
	if keep >= len(name) {
		return name
	}
	keep -= 3
	return name[:(keep+1)/2] + "..." + name[len(name)-keep/2:]
}
