// Package reply says a decision in HTTP. It writes bytes and decides nothing: what a
// customer may learn was settled by package authz, and a Decision it cannot make sense of
// becomes a 503 (docs/design/failures-as-denied-replies.md).
package reply

import (
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// Header is one header field with its only value. Names are lower case, values printable ASCII.
type Header struct{ Name, Value string }

// Metadata is what a proxy may log about a decision.
type Metadata struct{ DecisionID, Code, Customer, License string }

// Reply is a Decision in HTTP. The zero Reply lets nothing through, but has no status
// either: use For.
//
// With Allow the request goes on to the registry, changed as Path and the Upstream fields
// say, and its response is changed as ResponseAdd says. Without Allow the reply is Status,
// Headers and Body, complete; Status may be 200, and Body is set for HEAD too: who sends it
// keeps its length and drops its bytes, so that HEAD has the headers of GET (RFC 9110, 9.3.2).
type Reply struct {
	Allow   bool
	Status  int // 200 with Allow
	Headers []Header
	Body    []byte

	// Path replaces the request target when it is not "".
	Path string
	// UpstreamSet are request headers that replace the client's.
	UpstreamSet []Header
	// UpstreamRemove are request headers that are dropped; never one of UpstreamSet.
	UpstreamRemove []string
	// ResponseAdd are response headers that replace the registry's.
	ResponseAdd []Header

	Metadata Metadata
}

// Names of headers that pullgate writes itself.
const (
	headerDecision = "x-pullgate-decision"
	headerCustomer = "x-pullgate-customer"
	headerLicense  = "x-pullgate-license"
)

// noStore is what a gated answer says to every cache on its way.
const noStore = "private, no-store"

// For says d, the answer to r. It accepts nil for both: without a Decision the answer is 503.
func For(r *authz.Request, d *authz.Decision) *Reply {
	if d == nil {
		d = new(authz.Decision)
	}
	if r == nil {
		r = new(authz.Request)
	}
	var p *Reply
	switch {
	case d.Outcome == authz.OutcomeAllow && r.Kind.Action() == "pull":
		p = allow(r, d)
	case d.Outcome == authz.OutcomeAnswer:
		p = answer(r, d)
	default:
		p = refuse(r, d)
	}
	p.Metadata = Metadata{DecisionID: d.ID, Code: string(d.Code), Customer: d.Subject.Customer, License: d.Verdict.License}
	if d.Outcome == authz.OutcomeError && d.Code == "" {
		p.Metadata.Code = string(authz.CodeInternalError)
	}
	return p
}

// Authorize makes an allowed request carry value, a credential for the registry, in place of the
// customer's own. "" and replies that are no allow change nothing: authorization stays removed.
func (p *Reply) Authorize(value string) {
	if !p.Allow || value == "" {
		return
	}
	for i, name := range p.UpstreamRemove {
		if name == "authorization" {
			p.UpstreamRemove = append(p.UpstreamRemove[:i:i], p.UpstreamRemove[i+1:]...)
			break
		}
	}
	p.UpstreamSet = append(p.UpstreamSet, Header{"authorization", value})
}

// Strip also removes a header that the client sent when it is Reserved, or when some servers
// read it, underscores as dashes, as one that is set or removed here. Transports call it with
// every name of an allowed request.
func (p *Reply) Strip(name string) {
	if !p.Allow {
		return
	}
	name = strings.ToLower(name)
	remove := Reserved(name)
	if strings.Contains(name, "_") {
		dashed := strings.ReplaceAll(name, "_", "-")
		remove = remove || slices.Contains(p.UpstreamRemove, dashed) ||
			slices.ContainsFunc(p.UpstreamSet, func(h Header) bool { return h.Name == dashed })
	}
	if !remove || slices.Contains(p.UpstreamRemove, name) ||
		slices.ContainsFunc(p.UpstreamSet, func(h Header) bool { return h.Name == name }) {
		return
	}
	p.UpstreamRemove = append(p.UpstreamRemove, name)
}

// Reserved reports whether a header says something only pullgate may say to whoever is behind
// it: x-pullgate-*, also with underscores, which some servers read as dashes.
func Reserved(name string) bool {
	const prefix = "x-pullgate-"
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c == '_':
			c = '-'
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}

// allow hands the request to the registry.
func allow(r *authz.Request, d *authz.Decision) *Reply {
	// One piece of memory for all that an allow usually holds.
	m := new(struct {
		Reply
		remove [4]string
		set    [4]Header
		add    [4]Header
	})
	p := &m.Reply
	p.Allow, p.Status = true, 200
	p.UpstreamRemove, p.UpstreamSet, p.ResponseAdd = m.remove[:0], m.set[:0], m.add[:0]
	// Some clients put the key into both.
	p.UpstreamRemove = append(p.UpstreamRemove, "authorization", "proxy-authorization")
	if d.Pinned != "" && r.Kind == authz.KindManifest {
		p.Path = "/v2/" + r.Repository + "/manifests/" + d.Pinned
	}
	p.identify(headerDecision, d.ID)
	p.identify(headerCustomer, d.Subject.Customer)
	p.identify(headerLicense, d.Verdict.License)
	p.ResponseAdd = append(p.ResponseAdd, Header{"cache-control", noStore})
	if d.ID != "" {
		p.ResponseAdd = append(p.ResponseAdd, Header{headerDecision, printable(d.ID)})
	}
	if w := warnings(d); w != "" {
		p.ResponseAdd = append(p.ResponseAdd, Header{"warning", w})
	}
	for _, h := range d.Verdict.Headers {
		switch {
		case !allowedVendorHeader(h):
		case h.To == "upstream" && h.Value == "":
			p.UpstreamRemove = append(p.UpstreamRemove, strings.ToLower(h.Name))
		case h.To == "upstream":
			p.UpstreamSet = override(p.UpstreamSet, h)
		case h.To == "client" && h.Value != "":
			p.ResponseAdd = override(p.ResponseAdd, h)
		}
	}
	return p
}

// identify sets an identity header upstream, or removes the client's.
func (p *Reply) identify(name, value string) {
	if value == "" {
		p.UpstreamRemove = append(p.UpstreamRemove, name)
		return
	}
	p.UpstreamSet = append(p.UpstreamSet, Header{name, printable(value)})
}

// answer is a 200 that pullgate writes itself.
func answer(r *authz.Request, d *authz.Decision) *Reply {
	p := &Reply{Status: 200}
	contentType := "application/json"
	var more []Header
	switch r.Kind {
	case authz.KindPing:
		p.Body = []byte("{}")
	case authz.KindTags:
		p.Body, more = tagList(r, d.Names)
	case authz.KindCatalog:
		p.Body, more = catalog(r, d.Names)
	case authz.KindReferrers:
		contentType = imageIndex
		p.Body, more = referrers(r, d.Referrers)
	default:
		// Nothing pullgate answers itself: Body stays nil.
	}
	if p.Body == nil {
		return refuse(r, &authz.Decision{ID: d.ID})
	}
	p.Headers = append(common(d, contentType, noStore), more...)
	if w := warnings(d); w != "" {
		p.Headers = append(p.Headers, Header{"warning", w})
	}
	for _, h := range d.Verdict.Headers {
		if h.To == "client" && h.Value != "" && allowedVendorHeader(h) {
			p.Headers = override(p.Headers, h)
		}
	}
	return p
}

// Token is For with body, a token, as the answer. Only a decision to give one has it.
func Token(r *authz.Request, d *authz.Decision, body []byte) *Reply {
	p := For(r, d)
	if r.Kind == authz.KindToken && d.Outcome == authz.OutcomeAnswer && len(body) > 0 {
		p.Status, p.Headers, p.Body = 200, common(d, "application/json", "no-store"), body
	}
	return p
}

// common are the headers of everything pullgate writes itself.
func common(d *authz.Decision, contentType, cache string) []Header {
	h := make([]Header, 0, 8)
	h = append(h,
		Header{"content-type", contentType},
		Header{"docker-distribution-api-version", "registry/2.0"},
		Header{"cache-control", cache})
	if d.ID != "" {
		h = append(h, Header{headerDecision, printable(d.ID)})
	}
	return h
}
