package envoy

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"

	"github.com/pullgate/pullgate/authz/reply"
)

// incoming is an encoded CheckRequest. It is decoded where a panic is a refusal.
type incoming struct{ data string }

// outgoing is a CheckResponse to encode.
type outgoing struct{ *reply.Reply }

// authorization is authv3.Authorization_ServiceDesc with a handler that takes any bytes, so that
// an undecodable message is refused rather than a gRPC error.
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
			return outgoing{srv.(*Server).check(ctx, in.data)}, nil
		},
	}},
	Metadata: "envoy/service/auth/v3/external_auth.proto",
}

// codec is gRPC's own, for the health service, and ours for incoming and outgoing, neither of
// which ever fails: that would be a gRPC error, with which Envoy may let a request through.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// usualReply is the size in bytes that a buffer for a reply begins with.
const usualReply = 1024

// Marshal encodes v.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	out, ok := v.(outgoing)
	if !ok {
		return c.CodecV2.Marshal(v)
	}
	pool := mem.DefaultBufferPool()
	buffer := pool.Get(usualReply)
	data := encode((*buffer)[:0], out.Reply)
	if cap(data) != cap(*buffer) { // it has grown elsewhere
		pool.Put(buffer)
		return mem.BufferSlice{mem.SliceBuffer(data)}, nil
	}
	*buffer = data
	return mem.BufferSlice{mem.NewBuffer(buffer, pool)}, nil
}

// Unmarshal decodes into v.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	in, ok := v.(*incoming)
	if !ok {
		return c.CodecV2.Unmarshal(data, v)
	}
	if len(data) == 1 {
		in.data = string(data[0].ReadOnlyData())
	} else { // it came in several frames
		in.data = string(data.Materialize())
	}
	return nil
}
