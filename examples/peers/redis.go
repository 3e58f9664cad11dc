package peers

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
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
	User string        // "": the default user, without a password; else nobody but this one, limited as docs/operations.md says
	// Password of User.
	Password string
	Settings []string // further ones, as redis-server takes them: "--name", "value"

	// admin is the password of the user admin, who may do everything, when there is User: for Do and for
	// other nodes. "" is a new one.
	admin string
}

// withAdmin has a password of the admin, if one is needed.
func (c RedisConfig) withAdmin() RedisConfig {
	if c.User != "" && c.admin == "" {
		c.admin = rand.Text()
	}
	return c
}

// tls are the settings of a node that takes TLS on a port, from clients and other nodes, and nothing else.
func (c RedisConfig) tls(port string) []string {
	return []string{
		"--port", "0", "--tls-port", port, "--tls-cert-file", c.TLS.Cert, "--tls-key-file", c.TLS.Key,
		"--tls-ca-cert-file", c.TLS.CA, "--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes",
	}
}

// limited is what a user of Redis needs for pullgate, as docs/operations.md has it.
const limited = "~pullgate:* +@read +@write +@connection +@transaction +@blocking -@dangerous +cluster|slots"

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
	cfg = cfg.withAdmin()
	args := []string{"--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no", "--protected-mode", "no"}
	if cfg.TLS != nil {
		args = append(args, cfg.tls(port)...)
	} else {
		args = append(args, "--port", port)
	}
	if cfg.User != "" {
		acl := filepath.Join(dir, "users.acl")
		text := fmt.Sprintf("user default off\nuser %s on >%s %s\nuser admin on >%s ~* &* +@all\n", cfg.User, cfg.Password, limited, cfg.admin)
		if err := os.WriteFile(acl, []byte(text), 0o600); err != nil {
			return nil, err
		}
		args = append(args, "--aclfile", acl, "--masteruser", "admin", "--masterauth", cfg.admin)
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

func (r *RedisProcess) answers() bool {
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

// Do sends a command, as a user who may do everything, and returns the answer as text: of a list the
// items, a line each.
func (r *RedisProcess) Do(args ...string) (string, error) {
	d := redisDoor{addr: r.Addr, tls: r.cfg.TLS}
	if r.cfg.User != "" {
		d.auth = []string{"AUTH", "admin", r.cfg.admin}
	}
	return d.do(args...)
}

// Info is a number that Redis says about itself, -1 while it does not.
func (r *RedisProcess) Info(section, field string) int {
	text, _ := r.Do("INFO", section)
	for line := range strings.Lines(text) {
		if value, is := strings.CutPrefix(strings.TrimSpace(line), field+":"); is {
			if n, err := strconv.Atoi(value); err == nil {
				return n
			}
		}
	}
	return -1
}

// redisDoor is how to come in.
type redisDoor struct {
	addr string
	tls  *Certificates // nil: none
	auth []string      // the command for it, if there is one
}

func (d redisDoor) do(args ...string) (string, error) {
	c, err := net.DialTimeout("tcp", d.addr, 10*time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if d.tls != nil {
		host, _, _ := net.SplitHostPort(d.addr)
		c = tls.Client(c, &tls.Config{RootCAs: d.tls.Pool, ServerName: host})
	}
	r := bufio.NewReader(c)
	if d.auth != nil {
		if _, err := roundTrip(c, r, d.auth); err != nil {
			return "", err
		}
	}
	return roundTrip(c, r, args)
}

func roundTrip(w io.Writer, r *bufio.Reader, args []string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(a), a)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return "", err
	}
	return readRESP(r)
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
