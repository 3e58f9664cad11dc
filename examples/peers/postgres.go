package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Postgres returns the path of the system's or Debian's postgres, as Find does.
func Postgres(t testing.TB) string { t.Helper(); return Find(t, "postgres") }

// PostgresProcess is a running PostgreSQL on loopback, without TLS. It is quick and would not
// survive a crash of the machine.
type PostgresProcess struct {
	*Process
	Addr string // host:port
	dir  string
}

// StartPostgres runs the postgres at path and waits until it takes connections. Its data are in
// dir, which stays after Close and is made when it is empty: a server started in the same dir has
// the same databases and the same password. With "" it is a directory that goes with Close. Its
// superuser is postgres. Because it refuses to run as root, it then runs as nobody.
func StartPostgres(ctx context.Context, path, dir string) (_ *PostgresProcess, err error) {
	passing := dir == ""
	if passing {
		if dir, err = os.MkdirTemp("", "pullgate-postgres-"); err != nil {
			return nil, err
		}
		defer func() {
			if err != nil {
				_ = os.RemoveAll(dir)
			}
		}()
	}
	data := filepath.Join(dir, "data")
	if _, err := os.Stat(filepath.Join(data, "PG_VERSION")); err != nil {
		if err := initPostgres(ctx, filepath.Join(filepath.Dir(path), "initdb"), dir, data); err != nil {
			return nil, err
		}
	}
	// It cannot be told to choose a port; somebody else may take the one that is chosen here in between.
	for range 5 {
		var p *PostgresProcess
		if p, err = startPostgres(ctx, path, dir, data); err == nil {
			if passing {
				p.Process.dir = dir
			}
			return p, nil
		}
	}
	return nil, err
}

func initPostgres(ctx context.Context, initdb, dir, data string) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	password := rand.Text()
	initial := filepath.Join(dir, "initial-password")
	for name, text := range map[string]string{initial: password, filepath.Join(dir, "pgpass"): "*:*:*:*:" + password + "\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	for _, name := range []string{data, initial} {
		if err := giveAway(name); err != nil {
			return err
		}
	}
	cmd := exec.CommandContext(ctx, initdb, "--pgdata", data, "--username", "postgres", "--pwfile", initial,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-sync")
	cmd.SysProcAttr = notRoot()
	cmd.Dir = "/" // it goes back to where it began, which may be closed to it
	cmd.Env = append(os.Environ(), "PGTZ=UTC")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("initdb: %w: it does not run as root, and others cannot reach it: install PostgreSQL with the system's packages, or set PULLGATE_CACHE to a directory that others can read", err)
	}
	if err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Remove(initial)
}

func startPostgres(ctx context.Context, path, dir, data string) (*PostgresProcess, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	if err := l.Close(); err != nil {
		return nil, err
	}
	p := &PostgresProcess{Addr: net.JoinHostPort("127.0.0.1", port), dir: dir}
	args := []string{"-D", data, "-c", "listen_addresses=127.0.0.1", "-p", port, "-c", "unix_socket_directories="}
	for _, setting := range []string{
		"fsync=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0",
		"shared_buffers=64MB", "max_connections=60", "timezone=UTC", "autovacuum_naptime=10s",
	} {
		args = append(args, "-c", setting)
	}
	if p.Process, err = startWith(path, args, nil, notRoot()); err != nil {
		return nil, err
	}
	err = p.await(ctx, "taking connections", func() bool {
		status, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
		return err == nil && ready.Match(status) && strings.HasPrefix(string(status), strconv.Itoa(p.PID())+"\n") // and not an earlier one's
	})
	if err != nil {
		_ = p.Close()
		return nil, err
	}
	return p, nil
}

// ready is the last line of the file that the server keeps of itself.
var ready = regexp.MustCompile(`(?m)^ready\s*$`)

// URL is that of a database as a user sees it; all have the password of the superuser, from a file.
func (p *PostgresProcess) URL(user, database string) string {
	return p.Through(p.Addr, user, database)
}

// Through is URL by way of a proxy.
func (p *PostgresProcess) Through(addr, user, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(user), Host: addr, Path: database}
	u.RawQuery = url.Values{"passfile": {filepath.Join(p.dir, "pgpass")}, "sslmode": {"disable"}}.Encode()
	return u.String()
}

// Close ends the server and the connections it has.
func (p *PostgresProcess) Close() error {
	_ = p.cmd.Process.Signal(syscall.SIGINT) // else it waits until its clients have gone
	return p.Process.Close()
}
