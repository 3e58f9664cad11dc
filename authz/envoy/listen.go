package envoy

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
)

// listen opens addr: "unix:PATH" or "host:port". Without protection only addresses of this
// host are opened.
func listen(addr string, protected bool, mode fs.FileMode) (net.Listener, error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		return listenUnix(strings.TrimPrefix(path, "//"), mode)
	}
	resolved, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("gRPC address %q: %w: write host:port or unix:PATH", addr, err)
	}
	if !protected && !resolved.IP.IsLoopback() { // no IP means every address
		return nil, fmt.Errorf("gRPC address %s is reachable from outside, and whoever reaches it can take the registry's credential: "+
			"use 127.0.0.1:%d or unix:PATH, or set certificate, client CA and the client's SANs", addr, resolved.Port)
	}
	l, err := net.ListenTCP("tcp", resolved)
	if err != nil {
		return nil, fmt.Errorf("gRPC address %s: %w: choose another, or stop who has it", addr, err)
	}
	return l, nil
}

// listenUnix opens a socket, replacing one that nobody listens on any more.
func listenUnix(path string, mode fs.FileMode) (net.Listener, error) {
	if path == "" {
		return nil, errors.New(`gRPC address "unix:" names no path: write unix:/run/pullgate/authz.sock`)
	}
	if info, err := os.Stat(path); err == nil && info.Mode()&fs.ModeSocket != 0 {
		if c, err := net.Dial("unix", path); err == nil {
			c.Close()
		} else if errors.Is(err, syscall.ECONNREFUSED) {
			os.Remove(path)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("gRPC address unix:%s: %w: choose another, or stop who has it", path, err)
	}
	if !strings.HasPrefix(path, "@") { // an abstract name has no permissions
		if err := os.Chmod(path, mode); err != nil {
			l.Close()
			return nil, fmt.Errorf("gRPC address unix:%s: %w", path, err)
		}
	}
	return l, nil
}
