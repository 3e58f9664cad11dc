package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
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
	pids  []int // whose time counts: its own, and that of what it asks
	addr  string
	admin string       // where its metrics are; "" has none
	empty func() error // forgets the verdicts it shares; nil: it shares none
	close func() error // may be called more than once
}

// startPullgate runs a sidecar that follows the vendor's bundle; more is added to its
// configuration.
func startPullgate(ctx context.Context, pullgate string, v *vendor, name, more string) (*server, error) {
	return startFollowing(ctx, pullgate, v.path(name), "file://"+v.path("bundle.tar.gz"), v.path("release.pub"), "bad_keys_per_minute: 0\n"+more)
}

// startFollowing runs a sidecar that follows what is at a URL, with its configuration and data in a
// directory, and returns when it is ready.
func startFollowing(ctx context.Context, pullgate, dir, url, publicKey, more string) (*server, error) {
	return startServing(ctx, pullgate, dir, fmt.Sprintf("bundle_url: [%q]\nbundle_key_file: [%q]\n%s", url, publicKey, more))
}

// startServing runs `pullgate serve` with its configuration and data in a directory, and returns when
// it is ready.
func startServing(ctx context.Context, pullgate, dir, settings string) (*server, error) {
	config, err := configure(dir, "grpc_addr: 127.0.0.1:0\n"+settings)
	if err != nil {
		return nil, err
	}
	p, err := peers.StartPullgate(ctx, pullgate, config)
	if err != nil {
		return nil, err
	}
	if err := p.AwaitReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, p.Output()), p.Close())
	}
	return &server{pids: []int{p.PID()}, addr: p.GRPC, admin: p.Admin, close: p.Close}, nil
}

// configure writes what pullgate is configured by in a directory, where its data is, too.
func configure(dir, settings string) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	config := filepath.Join(dir, "pullgate.yaml")
	text := fmt.Sprintf("admin_addr: 127.0.0.1:0\ndata: %q\nlog_level: warn\n%s", filepath.Join(dir, "data"), settings)
	return config, os.WriteFile(config, []byte(text), 0o600)
}

var servesLine = regexp.MustCompile(`(?m)^serves (\S+)$`)

// serveElsewhere runs one of the services in a process of its own: this program, asked so.
func serveElsewhere(ctx context.Context, service string) (*server, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p, err := peers.Start(self, service)
	if err != nil {
		return nil, err
	}
	for ctx.Err() == nil {
		if m := servesLine.FindStringSubmatch(p.Output()); m != nil {
			return &server{pids: []int{p.PID()}, addr: m[1], close: p.Close}, nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil, errors.Join(ctx.Err(), p.Close())
}

// clockTick is the unit of /proc/PID/stat, sysconf(_SC_CLK_TCK); 100 on every Linux that Go runs on.
const clockTick = 10 * time.Millisecond

// cpu is the time that the server has computed so far, all threads together.
func (s *server) cpu() (sum time.Duration, err error) {
	for _, pid := range s.pids {
		d, err := cpu(pid)
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}

// cpu reads user and system time of a process (proc(5), stat).
func cpu(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before may hold anything
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat: %d fields", pid, len(fields))
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

// decided is how many decisions came from a tier ("none": evaluated), by the server's own metrics.
func (s *server) decided(ctx context.Context, tier string) (n int, err error) {
	return s.counted(ctx, "pullgate_decisions_total{", `cached="`+tier+`"`)
}

// counted sums the counters whose lines begin with a name and hold some labels.
func (s *server) counted(ctx context.Context, metric, labels string) (n int, err error) {
	err = s.metrics(ctx, func(name, value string) error {
		if !strings.HasPrefix(name, metric) || !strings.Contains(name, labels) {
			return nil
		}
		v, err := strconv.ParseFloat(value, 64)
		n += int(v)
		return err
	})
	return n, err
}

// value is that of a metric without labels.
func (s *server) value(ctx context.Context, metric string) (v float64, err error) {
	found := false
	err = s.metrics(ctx, func(name, value string) (err error) {
		if name == metric {
			found = true
			v, err = strconv.ParseFloat(value, 64)
		}
		return err
	})
	if err == nil && !found {
		err = fmt.Errorf("no metric %s", metric)
	}
	return v, err
}

// metrics calls each for every metric, whose name has its labels.
func (s *server) metrics(ctx context.Context, each func(name, value string) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.admin+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		name, value, ok := cutLast(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if err := each(name, value); err != nil {
			return err
		}
	}
	return lines.Err()
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}
