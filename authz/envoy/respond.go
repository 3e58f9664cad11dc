package envoy

import (
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/pullgate/pullgate/authz/reply"
)

// response says a Reply in the protocol. Only an allow has status 0; an answer that pullgate
// writes itself is a denied reply, whatever its HTTP status. Never an error_response: with
// failure_mode_allow it would let the request through.
func response(p *reply.Reply) *authv3.CheckResponse {
	out := &authv3.CheckResponse{DynamicMetadata: metadata(p.Metadata)}
	if p.Allow {
		ok := &authv3.OkHttpResponse{
			Headers:              overwrite(p.UpstreamSet, 1),
			HeadersToRemove:      p.UpstreamRemove,
			ResponseHeadersToAdd: overwrite(p.ResponseAdd, 0),
		}
		if p.Path != "" {
			ok.Headers = append(ok.Headers, option(":path", p.Path))
		}
		out.Status = &status.Status{Code: int32(codes.OK)}
		out.HttpResponse = &authv3.CheckResponse_OkResponse{OkResponse: ok}
		return out
	}
	if typev3.StatusCode_name[int32(p.Status)] == "" || p.Status == 0 {
		p = reply.For(nil, nil)
	}
	out.Status = &status.Status{Code: int32(code(p.Status))}
	out.HttpResponse = &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: typev3.StatusCode(p.Status)},
		Headers: overwrite(p.Headers, 0),
		Body:    string(p.Body),
	}}
	return out
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

// overwrite makes options that replace what is there.
func overwrite(headers []reply.Header, spare int) []*corev3.HeaderValueOption {
	out := make([]*corev3.HeaderValueOption, 0, len(headers)+spare)
	for _, h := range headers {
		out = append(out, option(h.Name, h.Value))
	}
	return out
}

// option sets both the deprecated append and the append action: Envoy has changed its mind
// about which one counts, and with neither it appends to what the client sent.
func option(name, value string) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{Key: name, Value: value},
		//lint:ignore SA1019 Envoy still reads it
		Append:       wrapperspb.Bool(false),
		AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
	}
}

// metadata is the dynamic metadata envoy.filters.http.ext_authz; empty values are left out.
func metadata(m reply.Metadata) *structpb.Struct {
	fields := make(map[string]*structpb.Value, 4)
	for name, value := range map[string]string{
		"decision_id": m.DecisionID, "code": m.Code, "customer": m.Customer, "license": m.License,
	} {
		if value != "" {
			fields[name] = structpb.NewStringValue(strings.ToValidUTF8(value, "?"))
		}
	}
	return &structpb.Struct{Fields: fields}
}
