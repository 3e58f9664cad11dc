package envoy

import (
	"net/netip"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
)

// via is authz.Request.Via of this transport.
const via = "ext_authz"

// inbound takes a CheckRequest apart. Envoy sends headers either as a map of strings, with
// repeated ones joined by commas and bytes that are no UTF-8 replaced by '!', or, with
// encode_raw_headers, as a list of raw bytes, in which it has joined Authorization and Host
// all the same (seen with 1.40.0). Path, method and host are attributes in both, cleaned
// like the strings; where the raw ":path" is there it counts.
func inbound(req *authv3.CheckRequest) *classify.Inbound {
	attributes := req.GetAttributes()
	http := attributes.GetRequest().GetHttp()
	in := &classify.Inbound{
		Method:   http.GetMethod(),
		Target:   http.GetPath(),
		Host:     http.GetHost(),
		Address:  address(attributes.GetSource()),
		Identity: identity(attributes),
		Via:      via,
		Body:     http.GetRawBody(), // pack_as_bytes
	}
	if in.Body == nil {
		in.Body = []byte(http.GetBody())
	}
	if list := http.GetHeaderMap(); list != nil {
		in.Headers = make([]classify.Header, 0, len(list.GetHeaders()))
		paths := 0
		for _, h := range list.GetHeaders() {
			value := h.GetValue()
			if raw := h.GetRawValue(); len(raw) > 0 {
				value = string(raw)
			}
			if h.GetKey() == ":path" {
				if paths++; paths > 1 {
					value = "" // two targets are none
				}
				in.Target = value
			}
			in.Headers = append(in.Headers, classify.Header{Name: h.GetKey(), Value: value})
		}
		return in
	}
	in.Headers = make([]classify.Header, 0, len(http.GetHeaders()))
	for name, value := range http.GetHeaders() {
		in.Headers = append(in.Headers, classify.Header{Name: name, Value: value})
	}
	return in
}

// address is the peer's address as Envoy sees it; the zero Addr for a Unix socket.
func address(peer *authv3.AttributeContext_Peer) netip.Addr {
	a, err := netip.ParseAddr(peer.GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{}
	}
	return a
}

// identity is what Envoy verified itself: the claims that its JWT filter wrote into the
// metadata, and the principal of the client's certificate. Both are compared as whole strings.
func identity(attributes *authv3.AttributeContext) authz.Identity {
	id := authz.Identity{SAN: attributes.GetSource().GetPrincipal()}
	claims := attributes.GetMetadataContext().GetFilterMetadata()["envoy.filters.http.jwt_authn"]
	id.JWTIssuer, id.JWTSubject = issuerSubject(claims)
	return id
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
