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
	door := doorOf(status, r, d.Code)
	switch status {
	case 401:
		return unauthorized(r, door)
	case 403:
		return forbidden(r, d, door)
	default:
		return door.text()
	}
}

// unauthorized says how to log in. The host is shown because it is what to log in to; it is
// known to be a registry's by now, but it is still the client's text.
func unauthorized(r *authz.Request, door *Door) string {
	before, after, _ := strings.Cut(door.text(), "{host}")
	host := printable(r.Host)
	if host == "" {
		host = "REGISTRY"
	}
	if excess := len(before) + len(host) + len(after) - maxMessage; excess > 0 {
		host = shorten(host, excess)
	}
	return before + host + after
}

// forbidden is the message of a 403.
func forbidden(r *authz.Request, d *authz.Decision, door *Door) string {
	text := d.Verdict.Message
	if text == "" || d.Verdict.Allow || d.Code != d.Verdict.Code {
		text = door.text()
	}
	text = strings.TrimRight(printable(text), " .;:,")
	suffix := ""
	if d.ID != "" {
		suffix = "; decision " + printable(d.ID)
	}
	return fit(text, maxMessage-len(suffix), r.Repository, r.Tag, r.Digest, d.Resource.Repository, d.Resource.Tag,
		d.Resource.Digest, d.Resource.Version, d.Resource.Product, d.Verdict.License, d.Subject.Customer, d.Subject.Key) + suffix
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
