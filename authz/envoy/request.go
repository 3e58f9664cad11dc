package envoy

import (
	"net/netip"
	"strings"
	"sync"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
)

// via is authz.Request.Via of this transport.
const via = "ext_authz"

// The fields of envoy.service.auth.v3.CheckRequest and what is below it, by number.
const (
	requestAttributes = 1

	attributesSource   = 1
	attributesRequest  = 4
	attributesMetadata = 11

	peerAddress       = 1
	peerPrincipal     = 4
	addressSocket     = 1
	addressInternal   = 3 // the last of its kinds
	socketAddressText = 2

	requestHTTP   = 2
	httpMethod    = 2
	httpHeaders   = 3
	httpPath      = 4
	httpHost      = 5
	httpBody      = 11
	httpRawBody   = 12
	httpHeaderMap = 13

	headerMapHeaders = 1
	headerKey        = 1
	headerValue      = 2
	headerRawValue   = 3

	metadataFilters = 1
	entryKey        = 1
	entryValue      = 2
)

// jwtFilter is under whose name Envoy's JWT filter writes what it verified.
const jwtFilter = "envoy.filters.http.jwt_authn"

// decode reads of an encoded CheckRequest what a decision needs, in one pass and with one copy
// (docs/design/hand-written-decoder.md). Envoy sends headers either as a map of strings, with
// repeated ones joined by commas and bytes that are no UTF-8 replaced by '!', or, with
// encode_raw_headers, as a list of raw bytes, in which it has joined Authorization and Host
// all the same (seen with 1.40.0). Path, method and host are attributes in both, cleaned
// like the strings; where the raw ":path" is there it counts.
//
// What it returns is the decoder's own and lasts until its next use.
func (d *decoder) decode(data string) (*classify.Inbound, error) {
	*d = decoder{in: classify.Inbound{Via: via}}
	for m := message(data); d.next(&m); {
		if d.is(requestAttributes) {
			d.attributes(d.value)
		}
	}
	if d.err != nil {
		return nil, d.err
	}
	in := &d.in
	if d.address != "" {
		in.Address, _ = netip.ParseAddr(d.address) // the zero Addr for what is none
	}
	in.Identity.JWTIssuer, in.Identity.JWTSubject = issuerSubject(d.claims)
	if d.rawBody != "" {
		d.body = d.rawBody
	}
	if d.body != "" {
		in.Body = []byte(d.body)
	}
	if in.Headers = d.joined; d.hasMap {
		in.Headers = d.raw
		if d.paths > 0 {
			in.Target = d.path
		}
	}
	return kept(in), nil
}

// kept copies the texts that may be kept longer than the request, in records and by a shadow: they
// would keep the whole message, with the customer's key in it.
func kept(in *classify.Inbound) *classify.Inbound {
	switch in.Method {
	case "GET":
		in.Method = "GET"
	case "HEAD":
		in.Method = "HEAD"
	default:
		in.Method = strings.Clone(in.Method)
	}
	in.Target, in.Host, in.Identity.SAN = strings.Clone(in.Target), strings.Clone(in.Host), strings.Clone(in.Identity.SAN)
	return in
}

// decoders are used again: they are the largest piece of memory that a request needs.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// release gives a decoder back, without a trace of the request and its key.
func (d *decoder) release() {
	*d = decoder{}
	decoders.Put(d)
}

// decoder is what has been read so far. A field that comes twice counts as the format says: of
// single values the last one, of messages all together, of lists every entry. A header that
// comes twice in the map is there twice, which classify takes for what it is.
type decoder struct {
	in      classify.Inbound
	address string
	claims  *structpb.Struct
	body    string
	rawBody string

	room   [usualHeaders]classify.Header // where the list of headers begins
	joined []classify.Header             // of the map of strings
	raw    []classify.Header             // of the list of bytes
	hasMap bool
	paths  int    // how many raw ":path" there are,
	path   string // and the last one

	field // the one that is read
	err   error
}

// next reads the next field of a message; false means the end, or an error.
func (d *decoder) next(m *message) bool {
	var ok bool
	d.field, ok = m.next(&d.err)
	return ok
}

// text is a string: bytes that are no UTF-8 are an error.
func (d *decoder) text() string {
	if !utf8.ValidString(string(d.value)) {
		d.err = errWire
	}
	return string(d.value)
}

func (d *decoder) attributes(m message) {
	for d.next(&m) {
		switch {
		case d.is(attributesSource):
			d.source(d.value)
		case d.is(attributesRequest):
			d.request(d.value)
		case d.is(attributesMetadata):
			d.metadata(d.value)
		}
	}
}

func (d *decoder) source(m message) {
	for d.next(&m) {
		switch {
		case d.is(peerPrincipal):
			d.in.Identity.SAN = d.text()
		case d.is(peerAddress):
			d.peer(d.value)
		}
	}
}

func (d *decoder) peer(m message) {
	for d.next(&m) {
		switch {
		case d.is(addressSocket):
			for m := d.value; d.next(&m); {
				if d.is(socketAddressText) {
					d.address = d.text()
				}
			}
		case d.kind == kindBytes && d.number <= addressInternal:
			d.address = "" // a pipe or an internal address takes its place
		}
	}
}

func (d *decoder) request(m message) {
	for d.next(&m) {
		if d.is(requestHTTP) {
			d.http(d.value)
		}
	}
}

func (d *decoder) http(m message) {
	for d.next(&m) {
		switch {
		case d.is(httpMethod):
			d.in.Method = d.text()
		case d.is(httpPath):
			d.in.Target = d.text()
		case d.is(httpHost):
			d.in.Host = d.text()
		case d.is(httpBody):
			d.body = d.text()
		case d.is(httpRawBody):
			d.rawBody = string(d.value)
		case d.is(httpHeaders):
			d.header(d.value, &d.joined)
		case d.is(httpHeaderMap):
			d.hasMap = true
			for m := d.value; d.next(&m); {
				if d.is(headerMapHeaders) {
					d.header(d.value, &d.raw)
				}
			}
		}
	}
}

// usualHeaders is how many headers Envoy sends for a client of a registry, and a few more.
const usualHeaders = 24

// header reads a HeaderValue, or an entry of the map, which has no third field.
func (d *decoder) header(m message, list *[]classify.Header) {
	var h classify.Header
	var bytes string
	raw := list == &d.raw
	for d.next(&m) {
		switch {
		case d.is(headerKey):
			h.Name = d.text()
		case d.is(headerValue):
			h.Value = d.text()
		case raw && d.is(headerRawValue):
			bytes = string(d.value)
		}
	}
	if bytes != "" {
		h.Value = bytes
	}
	if raw && h.Name == ":path" {
		if d.paths++; d.paths > 1 {
			h.Value = "" // two targets are none
		}
		d.path = h.Value
	}
	if d.joined == nil && d.raw == nil {
		*list = d.room[:0]
	}
	*list = append(*list, h)
}

// metadata reads the JWT filter's metadata out of all filters'.
func (d *decoder) metadata(m message) {
	for d.next(&m) {
		if !d.is(metadataFilters) {
			continue
		}
		var name string
		var value message
		for m := d.value; d.next(&m); {
			switch {
			case d.is(entryKey):
				name = d.text()
			case d.is(entryValue):
				value += d.value // parts of a message, one after the other, are that message
			}
		}
		if name == jwtFilter && d.err == nil {
			d.claims = new(structpb.Struct)
			d.err = proto.Unmarshal([]byte(value), d.claims)
		}
	}
}

// issuerSubject reads iss and sub from the metadata of the JWT filter. They stand there
// directly or, as Envoy writes them, in a struct under the name that payload_in_metadata
// gives. Two payloads that name different subjects name nobody.
func issuerSubject(claims *structpb.Struct) (issuer, subject string) {
	if issuer, subject, ok := pair(claims); ok {
		return issuer, subject
	}
	for _, payload := range claims.GetFields() {
		i, s, ok := pair(payload.GetStructValue())
		if !ok {
			continue
		}
		if issuer != "" && (i != issuer || s != subject) {
			return "", ""
		}
		issuer, subject = i, s
	}
	return issuer, subject
}

func pair(claims *structpb.Struct) (issuer, subject string, ok bool) {
	issuer = claims.GetFields()["iss"].GetStringValue()
	subject = claims.GetFields()["sub"].GetStringValue()
	return issuer, subject, issuer != "" && subject != ""
}

// malformed is a request that nobody could read.
func malformed() *authz.Request {
	// Old Envoys send header bytes that are no UTF-8 (CVE-2023-27488).
	return &authz.Request{Kind: authz.KindMalformed, N: -1, Via: via}
}
