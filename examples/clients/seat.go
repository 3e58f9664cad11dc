package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// A seat is where one scene is played: a home of its own and a way to Envoy of its own. Envoy
// sees its connections come from an address that no other seat has, so that decision records
// and arrivals at the registry can be told apart however many scenes are played at once.
type seat struct {
	dir      string
	host     string // host:port of the registry, as the client sees it
	address  string // where Envoy sees the client
	key      string // license key; "" for none
	ca       string // PEM file of who signed Envoy's certificate
	programs map[string]string
	content  *content
	daemon   *containerd
	signer   *signer

	listener net.Listener
	wg       sync.WaitGroup
}

// newSeat opens a way to Envoy. address must be one of loopback (Linux has 127.0.0.0/8).
func newSeat(dir, envoy, address string) (*seat, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &seat{dir: dir, host: l.Addr().String(), address: address, listener: l}
	dialer := net.Dialer{Timeout: 10 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	s.wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			s.wg.Go(func() {
				defer client.Close()
				server, err := dialer.Dial("tcp", envoy)
				if err != nil {
					return
				}
				defer server.Close()
				join(client, server)
			})
		}
	})
	return s, nil
}

// join copies both ways until one side ends.
func join(a, b net.Conn) {
	done := make(chan struct{}, 2)
	for _, c := range [][2]net.Conn{{a, b}, {b, a}} {
		go func() {
			_, _ = io.Copy(c[0], c[1])
			done <- struct{}{}
		}()
	}
	<-done
	_ = a.Close()
	_ = b.Close()
	<-done
}

func (s *seat) close() {
	_ = s.listener.Close()
	s.wg.Wait()
}

func (s *seat) path(name string) string { return filepath.Join(s.dir, name) }

// ref is a reference as people write it: `:1.5.0` or `@sha256:…` after the repository.
func (s *seat) ref(repository, tail string) string { return s.host + "/" + repository + tail }

// save writes the login that docker and its like would have left for later commands.
func (s *seat) save() error {
	auths := map[string]any{}
	if s.key != "" {
		auths[s.host] = map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("customer:" + s.key))}
	}
	data, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return err
	}
	return os.WriteFile(s.path("config.json"), data, 0o600)
}

// run runs one command in the seat. stdin may be "".
func (s *seat) run(ctx context.Context, stdin, program string, args ...string) (output string, exit int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = s.dir
	cmd.Env = []string{
		"HOME=" + s.dir, "TMPDIR=" + s.dir, "XDG_RUNTIME_DIR=" + s.dir, "PATH=" + os.Getenv("PATH"), "NO_COLOR=1",
		"DOCKER_CONFIG=" + s.dir, "REGISTRY_AUTH_FILE=" + s.path("config.json"), "HELM_REGISTRY_CONFIG=" + s.path("config.json"),
		"SSL_CERT_FILE=" + s.ca,
	}
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = 5 * time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if ctx.Err() != nil {
		return out.String(), -1, fmt.Errorf("%s: %w\n%s", filepath.Base(program), ctx.Err(), &out)
	}
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		return out.String(), exit.ExitCode(), nil
	}
	return out.String(), 0, err
}
