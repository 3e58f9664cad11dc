package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// EnvoyProcess is a running Envoy.
type EnvoyProcess struct {
	*Process
	Admin string // host:port of its admin interface
}

// StartEnvoy runs the Envoy at path with a configuration and waits until it is ready. The
// configuration's admin address and listeners may have port 0: Admin and Listener tell what
// the system chose. Further arguments go to Envoy; by default it has one worker thread.
// Cancelling ctx gives up waiting but does not end a running Envoy.
func StartEnvoy(ctx context.Context, path string, config []byte, args ...string) (*EnvoyProcess, error) {
	dir, err := os.MkdirTemp("", "pullgate-envoy-")
	if err != nil {
		return nil, err
	}
	e, err := startEnvoy(ctx, path, dir, config, args)
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return e, nil
}

func startEnvoy(ctx context.Context, path, dir string, config []byte, args []string) (*EnvoyProcess, error) {
	file, adminFile := filepath.Join(dir, "envoy.yaml"), filepath.Join(dir, "admin")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	if !hasFlag(args, "--concurrency") {
		args = append(args, "--concurrency", "1")
	}
	// Without hot restart there is no shared memory, so any number of Envoys can run.
	args = append(args, "-c", file, "--admin-address-path", adminFile, "--disable-hot-restart", "--log-level", "warning",
		"--file-flush-interval-msec", "50") // access logs are read by tests
	p, err := start(path, args, nil)
	if err != nil {
		return nil, err
	}
	p.dir = dir
	e := &EnvoyProcess{Process: p}
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	err = p.await(ctx, "being ready", func() bool {
		if e.Admin == "" {
			addr, err := os.ReadFile(adminFile)
			if err != nil || !bytes.Contains(addr, []byte(":")) {
				return false
			}
			e.Admin = strings.TrimSpace(string(addr))
		}
		resp, err := client.Get("http://" + e.Admin + "/ready")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return e, nil
}

// Listener returns the host:port on which the listener of that name accepts.
func (e *EnvoyProcess) Listener(ctx context.Context, name string) (string, error) {
	body, err := e.Get(ctx, "/listeners?format=json")
	if err != nil {
		return "", err
	}
	var l struct {
		Statuses []struct {
			Name  string `json:"name"`
			Local struct {
				Socket struct {
					Address string `json:"address"`
					Port    int    `json:"port_value"`
				} `json:"socket_address"`
			} `json:"local_address"`
		} `json:"listener_statuses"`
	}
	if err := json.Unmarshal(body, &l); err != nil {
		return "", fmt.Errorf("envoy: /listeners: %w", err)
	}
	for _, s := range l.Statuses {
		if s.Name == name && s.Local.Socket.Port != 0 {
			return fmt.Sprintf("%s:%d", s.Local.Socket.Address, s.Local.Socket.Port), nil
		}
	}
	return "", fmt.Errorf("envoy has no listener %q that accepts: %s", name, body)
}

// Get asks the admin interface.
func (e *EnvoyProcess) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+e.Admin+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("envoy: %s: %s: %s", path, resp.Status, body)
	}
	return body, nil
}

// ValidateEnvoy lets Envoy check a configuration without running it. The error holds what Envoy says.
func ValidateEnvoy(ctx context.Context, path string, config []byte) error {
	dir, err := os.MkdirTemp("", "pullgate-envoy-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "envoy.yaml")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, path, "--mode", "validate", "-c", file, "--disable-hot-restart", "--log-level", "warning").CombinedOutput()
	if err != nil {
		return fmt.Errorf("envoy --mode validate: %w\n%s", err, bytes.TrimSpace(out))
	}
	return nil
}

func hasFlag(args []string, flag string) bool {
	for _, a := range args {
		if a == flag || strings.HasPrefix(a, flag+"=") {
			return true
		}
	}
	return false
}
