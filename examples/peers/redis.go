package peers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Redis returns the path of the system's or Debian's redis-server, as Find does.
func Redis(t testing.TB) string { t.Helper(); return Find(t, "redis") }

// RedisConfig says what a Redis is like. The zero RedisConfig is one without TLS and users.
type RedisConfig struct {
	TLS  *Certificates // nil: none; else the only way in
	User string        // "": the default user, without a password; else nobody but this one
	// Password of User.
	Password string
	Settings []string // further ones, as redis-server takes them: "--name", "value"
}

// RedisProcess is a running Redis on loopback that keeps nothing on disk.
type RedisProcess struct {
	*Process
	Addr string // host:port
	cfg  RedisConfig
	path string
	port string
}

// StartRedis runs the redis-server at path and waits until it answers.
func StartRedis(ctx context.Context, path string, cfg RedisConfig) (r *RedisProcess, err error) {
	for range 5 { // somebody else may take the port that is chosen here
		var port string
		if port, err = freePort(); err != nil {
			return nil, err
		}
		if r, err = startRedis(ctx, path, port, cfg); err == nil {
			return r, nil
		}
	}
	return nil, err
}

func startRedis(ctx context.Context, path, port string, cfg RedisConfig) (_ *RedisProcess, err error) {
	dir, err := os.MkdirTemp("", "pullgate-redis-")
	if err != nil {
		return nil, err
	}
	args := []string{"--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--protected-mode", "no"}
	if cfg.TLS != nil {
		args = append(args, "--port", "0", "--tls-port", port, "--tls-cert-file", cfg.TLS.Cert, "--tls-key-file", cfg.TLS.Key,
			"--tls-ca-cert-file", cfg.TLS.CA, "--tls-auth-clients", "no")
	} else {
		args = append(args, "--port", port)
	}
	if cfg.User != "" {
		acl := filepath.Join(dir, "users.acl")
		text := fmt.Sprintf("user default off\nuser %s on >%s ~pullgate:* +@read +@write +@connection +@transaction +@blocking -@dangerous\n", cfg.User, cfg.Password)
		if err := os.WriteFile(acl, []byte(text), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--aclfile", acl)
	}
	r := &RedisProcess{Addr: net.JoinHostPort("127.0.0.1", port), cfg: cfg, path: path, port: port}
	if r.Process, err = Start(path, append(args, cfg.Settings...)...); err != nil {
		return nil, err
	}
	r.dir = dir
	if err := r.await(ctx, "answering", func() bool { return r.answers() }); err != nil {
		_ = r.Close()
		return nil, err
	}
	return r, nil
}

// answers says whether it does; one that wants TLS or a password is asked for no more than a connection.
func (r *RedisProcess) answers() bool {
	if r.cfg.TLS != nil || r.cfg.User != "" {
		c, err := net.Dial("tcp", r.Addr)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}
	text, err := r.Do("PING")
	return err == nil && text == "PONG"
}

// Restart ends it as a crash would and starts it again, empty, on the same port.
func (r *RedisProcess) Restart(ctx context.Context) error {
	r.Kill()
	_ = r.Close()
	again, err := startRedis(ctx, r.path, r.port, r.cfg)
	if err == nil {
		*r = *again
	}
	return err
}

// Do sends a command and returns the answer as text: of a list the items, a line each. It is for
// tests and knows neither TLS nor users.
func (r *RedisProcess) Do(args ...string) (string, error) { return redisDo(r.Addr, args...) }

func redisDo(addr string, args ...string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return "", err
	}
	return readRESP(bufio.NewReader(c))
}

// readRESP reads one answer (RESP2).
func readRESP(r *bufio.Reader) (string, error) {
	line, err := r.ReadString('\n')
	if err != nil || len(line) < 3 {
		return "", errors.Join(err, errors.New("no answer"))
	}
	kind, rest := line[0], strings.TrimSpace(line[1:])
	switch kind {
	case '-':
		return "", errors.New(rest)
	case '+', ':':
		return rest, nil
	}
	n, err := strconv.Atoi(rest)
	if err != nil || n < 0 {
		return "", err
	}
	if kind == '$' {
		text := make([]byte, n+2)
		_, err := io.ReadFull(r, text)
		return string(text[:n]), err
	}
	var items []string
	for range n {
		item, err := readRESP(r)
		if err != nil {
			return "", err
		}
		items = append(items, item)
	}
	return strings.Join(items, "\n"), nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}
