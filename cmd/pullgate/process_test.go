package main

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Who sends a part of a body is answered and sent away, so that nobody keeps connections for nothing. A
// handler that wants a body says how long it waits.
func TestBodiesThatDoNotEndAreNotWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	p := &process{log: slog.New(slog.DiscardHandler)}
	go func() {
		done <- p.serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/reads" {
				_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Minute))
				_, _ = io.Copy(w, r.Body)
			}
		}))
	}()
	for _, c := range []struct{ request, rest, answer string }{
		{"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na", "", ""},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\na", "", ""},
		{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "", ""},
		{"POST /reads HTTP/1.0\r\nHost: x\r\nContent-Length: 5\r\n\r\nwh", "ole", "whole"},
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		must(t, err)
		must(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(conn, c.request)
		must(t, err)
		if c.rest != "" {
			_, err = io.WriteString(conn, c.rest)
			must(t, err)
		}
		answer, err := io.ReadAll(conn)
		if text := string(answer); err != nil || !strings.Contains(text, " 200 OK\r\n") || !strings.HasSuffix(text, c.answer) {
			t.Errorf("%q: %q %v", c.request, answer, err)
		}
		must(t, conn.Close())
	}
	stop()
	must(t, <-done)
}
