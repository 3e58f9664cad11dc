package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// startOPA runs a stock OPA with a bundle, whose signature it checks, and returns when it answers.
func startOPA(ctx context.Context, c *crowd, file string) (_ *peers.Process, err error) {
	path, err := peers.Path(ctx, "opa")
	if err != nil {
		return nil, err
	}
	id, err := c.keyID()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "opa-") // the path of a socket is short
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "s")
	p, err := peers.Start(path, "run", "--server", "--addr", "unix://"+socket, "--skip-version-check", "--log-level", "error",
		"--bundle", file, "--verification-key", c.publicKey(), "--verification-key-id", id, "--signing-alg", "ES256", "--scope", "default")
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket)
	}}}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if resp, err := client.Get("http://opa/health"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		select {
		case <-tick.C:
		case <-p.Done():
			return nil, fmt.Errorf("opa ended: %s", p.Output())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), p.Close())
		}
	}
}
