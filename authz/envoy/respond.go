package envoy

import (
	"strings"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pullgate/pullgate/authz/reply"
)

// The fields of envoy.service.auth.v3.CheckResponse and what is below it, by number.
const (
	responseStatus   = 1
	responseDenied   = 2
	responseOK       = 3
	responseMetadata = 4

	statusCode = 1 // of google.rpc.Status and of envoy.type.v3.HttpStatus

	deniedStatus  = 1
	deniedHeaders = 2
	deniedBody    = 3

	okHeaders              = 2
	okHeadersToRemove      = 5
	okResponseHeadersToAdd = 6

	optionHeader       = 1
	optionAppend       = 2
	optionAppendAction = 3

	structFields = 1
	valueString  = 3
)

// overwriteIfExistsOrAdd is HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD.
const overwriteIfExistsOrAdd = 2

// Encode says a Reply as Envoy gets it: an encoded CheckResponse.
func Encode(p *reply.Reply) []byte { return encode(nil, p) }

// encode appends a Reply as a CheckResponse. Only an allow has status 0; an answer that
// pullgate writes itself is a denied reply, whatever its HTTP status. Never an error_response:
// with failure_mode_allow it would let the request through. What Envoy would not take, text
// that is no UTF-8 or a status that it does not know, becomes 503.
func encode(b []byte, p *reply.Reply) []byte {
	e := encoder{b: b}
	if e.reply(p); e.bad {
		e = encoder{b: b[:0]}
		e.reply(reply.For(nil, nil))
	}
	return e.b
}

// encoder appends to b.
type encoder struct {
	b   []byte
	bad bool
}

func (e *encoder) reply(p *reply.Reply) {
	if p.Allow {
		e.message(responseStatus, func() {}) // OK is 0, and 0 is not written
		e.message(responseOK, func() {
			e.overwrite(okHeaders, p.UpstreamSet)
			if p.Path != "" {
				e.option(okHeaders, ":path", p.Path)
			}
			for _, name := range p.UpstreamRemove {
				e.text(okHeadersToRemove, name)
			}
			e.overwrite(okResponseHeadersToAdd, p.ResponseAdd)
		})
	} else {
		e.bad = e.bad || !written(p.Status)
		e.message(responseStatus, func() { e.number(statusCode, uint64(code(p.Status))) })
		e.message(responseDenied, func() {
			e.message(deniedStatus, func() { e.number(statusCode, uint64(p.Status)) })
			e.overwrite(deniedHeaders, p.Headers)
			if len(p.Body) > 0 {
				e.bad = e.bad || !utf8.Valid(p.Body)
				e.b = protowire.AppendBytes(protowire.AppendTag(e.b, deniedBody, protowire.BytesType), p.Body)
			}
		})
	}
	e.message(responseMetadata, func() {
		m := &p.Metadata
		e.entry("decision_id", m.DecisionID)
		e.entry("code", m.Code)
		e.entry("customer", m.Customer)
		e.entry("license", m.License)
	})
}

// written reports whether pullgate writes a status. Envoy refuses replies with others than
// those of envoy.type.v3.StatusCode, and lets a request through whose reply has status 0.
func written(status int) bool {
	switch status {
	case 200, 400, 401, 403, 404, 405, 429, 500, 502, 503:
		return true
	}
	return false
}

// code is the gRPC status of a denied reply. Envoy only asks whether it is 0.
func code(httpStatus int) codes.Code {
	switch httpStatus {
	case 401:
		return codes.Unauthenticated
	case 503:
		return codes.Unavailable
	default:
		return codes.PermissionDenied
	}
}

func (e *encoder) number(field protowire.Number, v uint64) {
	e.b = protowire.AppendVarint(protowire.AppendTag(e.b, field, protowire.VarintType), v)
}

func (e *encoder) text(field protowire.Number, s string) {
	e.bad = e.bad || !utf8.ValidString(s)
	e.b = protowire.AppendString(protowire.AppendTag(e.b, field, protowire.BytesType), s)
}

// message appends what fill appends, as a field of its own. Its length stands before it: one
// byte is kept free for it, and what follows is moved when it needs more.
func (e *encoder) message(field protowire.Number, fill func()) {
	e.b = append(protowire.AppendTag(e.b, field, protowire.BytesType), 0)
	start := len(e.b)
	fill()
	n := len(e.b) - start
	if more := protowire.SizeVarint(uint64(n)) - 1; more > 0 {
		var room [10]byte
		e.b = append(e.b, room[:more]...)
		copy(e.b[start+more:], e.b[start:start+n])
	}
	protowire.AppendVarint(e.b[:start-1], uint64(n))
}

// overwrite appends headers that replace what is there.
func (e *encoder) overwrite(field protowire.Number, headers []reply.Header) {
	for i := range headers {
		e.option(field, headers[i].Name, headers[i].Value)
	}
}

// option sets both the deprecated append and the append action: Envoy has changed its mind
// about which one counts, and with neither it appends to what the client sent.
func (e *encoder) option(field protowire.Number, name, value string) {
	e.message(field, func() {
		e.message(optionHeader, func() {
			e.text(headerKey, name)
			e.text(headerValue, value)
		})
		e.message(optionAppend, func() {}) // google.protobuf.BoolValue, false
		e.number(optionAppendAction, overwriteIfExistsOrAdd)
	})
}

// entry appends a text to the dynamic metadata envoy.filters.http.ext_authz; empty ones are left out.
func (e *encoder) entry(name, value string) {
	if value == "" {
		return
	}
	e.message(structFields, func() {
		e.text(entryKey, name)
		e.message(entryValue, func() { e.text(valueString, strings.ToValidUTF8(value, "?")) })
	})
}
