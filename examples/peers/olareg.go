package peers

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// OlaregProcess is a running olareg, a registry with the referrers API, on loopback, without TLS.
type OlaregProcess struct {
	*Process
	Addr string // host:port
}

// StartOlareg runs the olareg at path, with its storage in dir, and waits until it answers.
// users are names and passwords, who may push and pull.
func StartOlareg(ctx context.Context, path, dir string, users map[string]string) (*OlaregProcess, error) {
	var accounts strings.Builder
	for _, name := range slices.Sorted(maps.Keys(users)) {
		hash, err := bcrypt.GenerateFromPassword([]byte(users[name]), bcrypt.MinCost)
		if err != nil {
			return nil, fmt.Errorf("olareg user %s: %w", name, err)
		}
		fmt.Fprintf(&accounts, "  %s: {cred: %q}\n", name, hash)
	}
	auth := filepath.Join(dir, "auth.yaml")
	members := strings.Join(slices.Sorted(maps.Keys(users)), ", ")
	text := fmt.Sprintf("users:\n%sgroups:\n  all: {members: [%s]}\nacls:\n- {repo: \"*\", members: [all], access: [read, write]}\n- {repo: \"\", members: [all], access: [read]}\n", &accounts, members)
	if err := os.WriteFile(auth, []byte(text), 0o600); err != nil {
		return nil, err
	}
	// It says nothing about a port that the system chose, so the port is chosen here; somebody
	// else may take it in between.
	var err error
	for range 5 {
		var o *OlaregProcess
		if o, err = startOlareg(ctx, path, filepath.Join(dir, "storage"), auth); err == nil {
			return o, nil
		}
	}
	return nil, err
}

func startOlareg(ctx context.Context, path, storage, auth string) (*OlaregProcess, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := l.Addr().(*net.TCPAddr).Port
	if err := l.Close(); err != nil {
		return nil, err
	}
	o := &OlaregProcess{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	o.Process, err = Start(path, "serve", "--addr", "127.0.0.1", "--port", strconv.Itoa(port), "--dir", storage, "--auth-basic", auth)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err = o.await(ctx, "answering", func() bool {
		resp, err := client.Get("http://" + o.Addr + "/v2/")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusUnauthorized
	})
	if err != nil {
		_ = o.Close()
		return nil, err
	}
	return o, nil
}
