package drive

import (
	"context"
	"net"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
)

// Empty is an ext_authz service that allows everything: grpc-go as it comes, the types of
// go-control-plane, nothing else. What any service costs beyond it is its own.
type Empty struct {
	authv3.UnimplementedAuthorizationServer
}

// Check implements authv3.AuthorizationServer.
func (Empty) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return &authv3.CheckResponse{
		Status:       &status.Status{},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
	}, nil
}

// Serve answers until ctx ends.
func (e Empty) Serve(ctx context.Context, l net.Listener) error {
	s := grpc.NewServer()
	authv3.RegisterAuthorizationServer(s, e)
	stop := context.AfterFunc(ctx, s.Stop)
	defer stop()
	return s.Serve(l)
}
