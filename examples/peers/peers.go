// Package peers finds and starts the real programs that pullgate's end-to-end tests and
// the demo talk to: Envoy, a registry, clients. It runs them on loopback, on ports the
// system chooses, and ends exactly the processes it started.
//
// The programs come from tools/ at pinned versions (see tools/peers).
package peers

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// Envoy returns the path of the pinned Envoy. Like the other finders it installs what is
// missing first, and fails the test when that does not work. With CI=true nothing is
// installed: a missing peer fails the test with the command that installs it.
func Envoy(t testing.TB) string { t.Helper(); return find(t, "envoy") }

// Registry returns the path of the pinned distribution registry.
func Registry(t testing.TB) string { t.Helper(); return find(t, "registry") }

// Crane returns the path of the pinned crane.
func Crane(t testing.TB) string { t.Helper(); return find(t, "crane") }

// OPA returns the path of the pinned OPA.
func OPA(t testing.TB) string { t.Helper(); return find(t, "opa") }

// Skopeo returns the path of the system's skopeo, as Find does.
func Skopeo(t testing.TB) string { t.Helper(); return Find(t, "skopeo") }

// Find returns the path of a peer by its name in tools/peers. Where it cannot be installed (no
// Debian, not root) the test is skipped, except with CI=true, where that is a failure.
func Find(t testing.TB, name string) string {
	t.Helper()
	path, err := lookup(t.Context(), name, os.Getenv("CI") != "true")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return path
}

func find(t testing.TB, name string) string {
	t.Helper()
	path, err := lookup(t.Context(), name, os.Getenv("CI") != "true")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Path returns the path of a peer by its name in tools/peers, installing it when it is
// missing; progress goes to standard error. The working directory must be inside the
// clone. The error says what to do.
func Path(ctx context.Context, name string) (string, error) { return lookup(ctx, name, true) }

// found remembers paths for the life of the process: peers are not uninstalled.
var found sync.Map

func lookup(ctx context.Context, name string, install bool) (string, error) {
	if path, ok := found.Load(name); ok {
		return path.(string), nil
	}
	tools, err := toolsDir()
	if err != nil {
		return "", err
	}
	path, err := runPeers(ctx, tools, "path", name)
	if err != nil && install {
		if _, err = runPeers(ctx, tools, "install", name); err == nil {
			path, err = runPeers(ctx, tools, "path", name)
		}
	}
	if err != nil {
		return "", err
	}
	found.Store(name, path)
	return path, nil
}

// runPeers runs tools/peers without the caller's build flags.
func runPeers(ctx context.Context, tools string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"run", "./peers"}, args...)...)
	cmd.Dir = tools
	cmd.Env = append(os.Environ(), "GOFLAGS=-buildvcs=false", "GOWORK=off", "CGO_ENABLED=0")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if args[0] == "install" {
		cmd.Stderr = io.MultiWriter(&errs, os.Stderr) // building the registry takes minutes: show that something happens
	}
	out, err := cmd.Output()
	if err != nil {
		text := strings.TrimSpace(exitStatus.ReplaceAllString(errs.String(), "")) // go run adds it
		if text == "" {
			text = "go run ./peers " + strings.Join(args, " ") + " (in tools): " + err.Error()
		}
		return "", errors.New(text)
	}
	return strings.TrimSpace(string(out)), nil
}

var exitStatus = regexp.MustCompile(`exit status \d+\s*$`)

// toolsDir returns tools/ of the clone around the working directory.
func toolsDir() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "tools", "peers", "main.go")); err == nil {
			return filepath.Join(at, "tools"), nil
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("%s is not inside a clone of pullgate: no tools/peers above it", dir)
		}
	}
}
