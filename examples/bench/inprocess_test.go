package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"testing"

	"google.golang.org/grpc"
)

// startInProcess serves one of the services from the test itself, which is not the program that
// could be asked to.
func startInProcess(t *testing.T, service string) (*server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- services[service](ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) && !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	return &server{pids: []int{os.Getpid()}, addr: l.Addr().String(), close: func() error { return nil }}, nil
}
