package postgres

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// A session is a connection, for one goroutine at a time. Values come and go as text: all that is
// needed here, without the types of package pgx, which are 3 MB of a binary.
type session struct {
	*pgconn.PgConn
	noticed *atomic.Bool // a notice came that nobody has waited for yet
}

func connect(ctx context.Context, cfg *pgconn.Config) (*session, error) {
	noticed := new(atomic.Bool)
	cfg = cfg.Copy()
	cfg.OnNotification = func(*pgconn.PgConn, *pgconn.Notification) { noticed.Store(true) }
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &session{pg, noticed}, nil
}

// disconnect ends the session. Nothing is lost with it.
func (s *session) disconnect() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = s.Close(ctx)
}

// exec runs statements without parameters and leaves out what they return.
func (s *session) exec(ctx context.Context, statements string) error {
	_, err := s.Exec(ctx, statements).ReadAll()
	return err
}

// each runs a statement and calls f with every row that it returns; nil is null, and f must not keep the
// row. It returns what the server says was done, like "UPDATE 1".
func (s *session) each(ctx context.Context, f func(row [][]byte) error, statement string, args ...string) (string, error) {
	values := make([][]byte, len(args))
	for i, a := range args {
		values[i] = []byte(a)
	}
	rows := s.ExecParams(ctx, statement, values, nil, nil, nil)
	var wrong error
	for wrong == nil && rows.NextRow() {
		wrong = f(rows.Values())
	}
	done, err := rows.Close()
	return done.String(), errors.Join(wrong, err)
}

// errNoRow means that one found nothing.
var errNoRow = errors.New("no row")

// one is the first row that a statement returns; null is "".
func (s *session) one(ctx context.Context, statement string, args ...string) (row []string, err error) {
	_, err = s.each(ctx, func(values [][]byte) error {
		if row == nil {
			for _, v := range values {
				row = append(row, string(v))
			}
		}
		return nil
	}, statement, args...)
	if err == nil && row == nil {
		err = errNoRow
	}
	return row, err
}

// transaction runs a function in a transaction of a mode, like "READ ONLY". When the function fails,
// or the server takes the transaction back, that is the error.
func (s *session) transaction(ctx context.Context, mode string, f func() error) error {
	if err := s.exec(ctx, "BEGIN "+mode); err != nil {
		return err
	}
	if err := f(); err != nil {
		back, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if s.exec(back, "ROLLBACK") != nil {
			s.disconnect()
		}
		return err
	}
	done, err := s.each(ctx, func([][]byte) error { return nil }, "COMMIT")
	if err == nil && done != "COMMIT" {
		err = errors.New("the server took the transaction back")
	}
	return err
}

// notice waits for a notice until ctx is done, and reports whether one came.
func (s *session) notice(ctx context.Context) (bool, error) {
	if s.noticed.Swap(false) {
		return true, nil
	}
	err := s.WaitForNotification(ctx)
	s.noticed.Store(false)
	return err == nil, err
}

// copy fills columns of a table with rows; nil is null.
func (s *session) copy(ctx context.Context, table string, columns []string, rows [][]any) error {
	_, err := s.CopyFrom(ctx, &copied{rows: rows}, "COPY "+table+" ("+strings.Join(columns, ", ")+") FROM STDIN")
	return err
}

// copied is rows in the text format of COPY.
type copied struct {
	rows [][]any
	line []byte
}

var copyEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

func (c *copied) Read(p []byte) (int, error) {
	if len(c.line) == 0 {
		if len(c.rows) == 0 {
			return 0, io.EOF
		}
		for i, v := range c.rows[0] {
			if i > 0 {
				c.line = append(c.line, '\t')
			}
			switch v := v.(type) {
			case nil:
				c.line = append(c.line, `\N`...)
			case string:
				c.line = append(c.line, copyEscapes.Replace(v)...)
			}
		}
		c.line, c.rows = append(c.line, '\n'), c.rows[1:]
	}
	n := copy(p, c.line)
	c.line = c.line[n:]
	return n, nil
}
