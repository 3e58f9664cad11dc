package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// A server is a process that answers ext_authz.
type server struct {
	pid   int
	addr  string
	close func() error // may be called more than once
}

// startPullgate runs a sidecar that follows the vendor's bundle; more is added to its
// configuration.
func startPullgate(ctx context.Context, pullgate string, v *vendor, name, more string) (*server, error) {
	dir := v.path(name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "pullgate.yaml")
	text := fmt.Sprintf("bundle_url: [\"file://%s\"]\nbundle_key_file: [\"%s\"]\ngrpc_addr: 127.0.0.1:0\nadmin_addr: 127.0.0.1:0\ndata: \"%s\"\nlog_level: warn\n%s",
		v.path("bundle.tar.gz"), v.path("release.pub"), filepath.Join(dir, "data"), more)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	p, err := peers.StartPullgate(ctx, pullgate, config)
	if err != nil {
		return nil, err
	}
	if err := p.AwaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, p.Output()), p.Close())
	}
	return &server{p.PID(), p.GRPC, p.Close}, nil
}

var emptyLine = regexp.MustCompile(`(?m)^grpc (\S+)$`)

// startEmpty runs the service that allows everything: this program, asked so.
func startEmpty(ctx context.Context) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := peers.Start(self, "empty")
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		if m := emptyLine.FindStringSubmatch(p.Output()); m != nil {
			return &server{p.PID(), m[1], p.Close}, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, errors.Join(ctx.Err(), p.Close())
}

// clockTick is the unit of /proc/PID/stat, sysconf(_SC_CLK_TCK); 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu is the time that the server has computed so far, all threads together (proc(5), stat).
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", s.pid, len(fields))
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, err
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, err
	}
	return time.Duration(user+system) * clockTick, nil
}
