package envoy

import (
	"context"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/pullgate/pullgate/authz/reply"
)

// incoming is a CheckRequest, or why it could not be decoded.
type incoming struct {
	authv3.CheckRequest
	err error
}

// authorization is authv3.Authorization_ServiceDesc with a handler that decodes into incoming,
// so that an undecodable message is refused rather than a gRPC error.
var authorization = grpc.ServiceDesc{
	ServiceName: service,
	HandlerType: (*any)(nil),
	Methods: []grpc.MethodDesc{{
		MethodName: "Check",
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := new(incoming)
			if err := decode(in); err != nil {
				return nil, err
			}
			return srv.(*Server).check(ctx, in), nil
		},
	}},
	Metadata: "envoy/service/auth/v3/external_auth.proto",
}

// codec is gRPC's own, except that neither decoding into incoming nor encoding a CheckResponse
// fails: both would be gRPC errors.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal encodes v. A CheckResponse that cannot be (a string that is no UTF-8) becomes 503.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	data, err := c.CodecV2.Marshal(v)
	if _, ok := v.(*authv3.CheckResponse); ok && err != nil {
		return c.CodecV2.Marshal(response(reply.For(nil, nil)))
	}
	return data, err
}

// Unmarshal decodes into v.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if in, ok := v.(*incoming); ok {
		in.err = c.CodecV2.Unmarshal(data, &in.CheckRequest)
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}
