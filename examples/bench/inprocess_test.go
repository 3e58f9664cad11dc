package main

import (
	"context"
	"errors"
	"net"
	"os"
	"testing"

	"google.golang.org/grpc"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// startInProcess serves the empty service from the test itself, which is not the program that
// could be asked to.
func startInProcess(t *testing.T) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- drive.Empty{}.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return &server{pids: []int{os.Getpid()}, addr: l.Addr().String(), close: func() error { return nil }}, nil
}
