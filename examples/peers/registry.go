package peers

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// RegistryProcess is a running distribution registry on loopback, without TLS.
type RegistryProcess struct {
	*Process
	Addr      string // host:port
	AccessLog string // path of its access log (combined log format)

	barriers atomic.Int64
}

// StartRegistry runs the registry at path and waits until it listens. It keeps its storage,
// configuration and access log in dir, which stays after Close: a registry started in the
// same dir has the same images and goes on with the same access log. users are names and
// passwords (htpasswd, bcrypt); without users anybody may push and pull. more is added to its
// configuration, top-level sections of YAML.
func StartRegistry(ctx context.Context, path, dir string, users map[string]string, more ...string) (*RegistryProcess, error) {
	config := fmt.Sprintf(registryConfig, filepath.Join(dir, "storage")) + strings.Join(more, "")
	if len(users) > 0 {
		var lines strings.Builder
		for _, name := range slices.Sorted(maps.Keys(users)) {
			hash, err := bcrypt.GenerateFromPassword([]byte(users[name]), bcrypt.MinCost)
			if err != nil {
				return nil, fmt.Errorf("registry user %s: %w", name, err)
			}
			fmt.Fprintf(&lines, "%s:%s\n", name, hash)
		}
		htpasswd := filepath.Join(dir, "htpasswd")
		if err := os.WriteFile(htpasswd, []byte(lines.String()), 0o600); err != nil {
			return nil, err
		}
		config += fmt.Sprintf("auth:\n  htpasswd:\n    realm: registry\n    path: %q\n", htpasswd)
	}
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	r := &RegistryProcess{AccessLog: filepath.Join(dir, "access.log")}
	log, err := os.OpenFile(r.AccessLog, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the child has its own
	if r.Process, err = start(path, []string{"serve", file}, log); err != nil {
		return nil, err
	}
	err = r.await(ctx, "listening", func() bool {
		if m := listening.FindStringSubmatch(r.Output()); m != nil {
			r.Addr = m[1]
		}
		return r.Addr != ""
	})
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// The log of requests goes to standard output, everything else to standard error.
const registryConfig = `version: 0.1
log:
  level: info
  formatter: json
storage:
  filesystem:
    rootdirectory: %q
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
  secret: not-a-secret
`

var listening = regexp.MustCompile(`listening on (127\.0\.0\.1:[0-9]+)"`)

// LoggedRequest is one line of the registry's access log.
type LoggedRequest struct {
	Method string
	Path   string // request target, with its query
	Status int
	Agent  string
}

// Requests returns every request that has reached the registry so far, in the order they
// ended. A line is written only after its response; so Requests first makes a request of
// its own, which it leaves out, and waits for that one's line.
func (r *RegistryProcess) Requests(ctx context.Context) ([]LoggedRequest, error) {
	mark := fmt.Sprintf("/v2/?%s%d-%d", barrier, r.PID(), r.barriers.Add(1))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.Addr+mark, nil)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	_ = resp.Body.Close()
	var text string
	err = r.await(ctx, "its access log", func() bool {
		var data []byte
		data, err = os.ReadFile(r.AccessLog)
		text = string(data)
		return err != nil || strings.Contains(text, mark+" ")
	})
	if err != nil {
		return nil, err
	}
	return parseAccessLog(text)
}

const barrier = "barrier="

// combined is the Apache combined log format (the registry leaves the user out): host - - [time] "METHOD TARGET PROTO" status size "referer" "agent".
var combined = regexp.MustCompile(`^\S+ - \S+ \[[^\]]*\] "(\S+) (\S+) [^"]*" (\d+) \d+ "(?:[^"\\]|\\.)*" "((?:[^"\\]|\\.)*)"$`)

func parseAccessLog(text string) ([]LoggedRequest, error) {
	var all []LoggedRequest
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			continue
		}
		m := combined.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("registry access log: no request in %q", line)
		}
		if strings.Contains(m[2], "/v2/?"+barrier) {
			continue
		}
		status, err := strconv.Atoi(m[3])
		if err != nil {
			return nil, err
		}
		all = append(all, LoggedRequest{Method: m[1], Path: m[2], Status: status, Agent: m[4]})
	}
	return all, nil
}
