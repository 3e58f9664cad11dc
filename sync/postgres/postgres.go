// Package postgres keeps licenses in PostgreSQL 14 or newer: it reads them as package source reads
// a directory, imports and exports them, and elects who publishes them.
//
// Rows become documents, which the parser of license files judges, so that a row means what the
// same document in a file means, and is wrong for the same reasons; errors name TABLE/ID and the
// column instead of file and line. Whatever is read is whole: one snapshot of one transaction, or
// an error.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Config says which database, and how often it is asked.
type Config struct {
	// URL is postgres://USER@HOST/DATABASE, with the parameters of libpq. What it leaves out comes from
	// PGHOST, PGUSER and the like. It must not hold a password, which belongs into a password file
	// (PGPASSFILE, ~/.pgpass) or PGPASSWORD: URLs are seen in lists of processes and logs.
	URL string
	// Poll is how often Watch asks for the revision, beside the server's own notices. Default 1 s.
	Poll time.Duration
	// Timeout is how long the server may be silent, to a connection or in the middle of an answer, until
	// it counts as lost. Default 30 s.
	Timeout time.Duration
	// Term is how long the server waits to hear from a leader until another may be elected. Default 12 s.
	Term time.Duration
}

// DB is a database with licenses. Its methods are safe for concurrent use. It holds no connection
// but while a method runs, and that of a Lease.
type DB struct {
	cfg           Config
	conn          *pgconn.Config
	poll, timeout time.Duration
	term, retry   time.Duration // of elections
	deaf          bool          // without the server's notices, for tests

	mu     sync.Mutex // held while licenses are read
	last   state
	wholes int // how often everything was read
}

// IsURL reports whether the text is meant as the URL of a database, not as a path.
func IsURL(s string) bool {
	return strings.HasPrefix(s, "postgres://") || strings.HasPrefix(s, "postgresql://")
}

// Open checks the configuration. It does not connect.
func Open(cfg Config) (*DB, error) {
	if !IsURL(cfg.URL) {
		return nil, errors.New("the URL of a database begins with postgres://, like postgres://pullgate@db.internal/licenses")
	}
	u, err := url.Parse(cfg.URL)
	if err != nil { // its text would repeat the URL
		return nil, errors.New("the URL of the database cannot be read: write it like postgres://pullgate@db.internal:5432/licenses?sslmode=verify-full, with special characters as %XX")
	}
	if _, has := u.User.Password(); has || u.Query().Has("password") || u.Query().Has("sslpassword") {
		return nil, errors.New("the URL of the database holds a password, which others see in the list of processes: put it into a file (PGPASSFILE or ~/.pgpass, a line HOST:PORT:DATABASE:USER:PASSWORD) or into PGPASSWORD, and replace it if it was in use")
	}
	conn, err := pgconn.ParseConfig(cfg.URL)
	if err != nil {
		if parse, ok := errors.AsType[*pgconn.ParseConfigError](err); ok && parse.Unwrap() != nil {
			err = parse.Unwrap() // without the URL
		}
		return nil, fmt.Errorf("the URL of the database: %w", err)
	}
	if err := checkPassfile(u.Query().Get("passfile")); err != nil {
		return nil, err
	}
	db := &DB{cfg: cfg, conn: conn, poll: cfg.Poll, timeout: cfg.Timeout, term: defaultTerm, retry: defaultRetry}
	if cfg.Term > 0 {
		db.term = cfg.Term
	}
	if db.poll <= 0 {
		db.poll = time.Second
	}
	if db.timeout <= 0 {
		db.timeout = 30 * time.Second
	}
	conn.ConnectTimeout = db.timeout
	set := func(name, value string) {
		if _, has := conn.RuntimeParams[name]; !has {
			conn.RuntimeParams[name] = value
		}
	}
	set("application_name", "pullgate")
	set("DateStyle", "ISO")
	set("client_encoding", "UTF8")
	return db, nil
}

// checkPassfile refuses a password file that others may read.
func checkPassfile(file string) error {
	if file == "" {
		file = os.Getenv("PGPASSFILE")
	}
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil
		}
		file = home + "/.pgpass"
	}
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the server says whether it wants a password
	}
	if err != nil {
		return fmt.Errorf("password file: %w", err)
	}
	if info.Mode().Perm()&0o007 != 0 {
		return fmt.Errorf("password file %s: readable by others (%s); chmod o= it", file, info.Mode().Perm())
	}
	return nil
}

// String is where the database is, without the user: HOST:PORT/DATABASE.
func (db *DB) String() string {
	host := db.conn.Host
	if !strings.HasPrefix(host, "/") {
		host = net.JoinHostPort(host, strconv.Itoa(int(db.conn.Port)))
	}
	return host + "/" + db.conn.Database
}

// connect opens a connection that is the caller's to close.
func (db *DB) connect(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, db.timeout)
	defer cancel()
	conn, err := connect(ctx, db.conn)
	if err != nil {
		return nil, db.failed(err)
	}
	return conn, nil
}

// failed says which database an error is about. Errors of the server come with its hint.
func (db *DB) failed(err error) error {
	if err == nil {
		return nil
	}
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		text := pg.Message
		for _, more := range []string{pg.Detail, pg.Hint, pg.Where} {
			if more != "" {
				text += "; " + strings.Join(strings.Fields(more), " ")
			}
		}
		err = fmt.Errorf("%s (SQLSTATE %s)", text, pg.Code)
	}
	if lost, ok := errors.AsType[*net.OpError](err); ok {
		err = fmt.Errorf("%s: %w", lost.Op, lost.Err) // without the port of this side, which is another each time
	}
	return fmt.Errorf("PostgreSQL %s: %w", db, err)
}
