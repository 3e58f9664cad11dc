package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// ErrNotLeader means that another publisher was elected since.
var ErrNotLeader = errors.New("another publisher was elected since: this one publishes no more until it is elected again")

// The server keeps the lock of a leader that is not heard of for a term. A leader is heard of four
// times as often, and knows that it lost before the server does. Who waits asks at every retry.
const (
	defaultTerm  = 12 * time.Second
	defaultRetry = time.Second
)

// Lease is that this process was elected. It ends with its connection; whoever is elected next has a
// higher fence, with which the database refuses what this one still does.
type Lease struct {
	db    *DB
	name  string
	fence int64

	mu    sync.Mutex // held while conn is used
	conn  *session
	heard atomic.Pointer[time.Time] // when the server was last told, by the beginning of that
	lost  chan struct{}
	stop  context.CancelFunc
	done  chan struct{}
}

// Lead waits until this process is elected among all that ask for the name in this database, or
// until ctx is done. Any other error says that nobody can be elected now: ask again after a pause.
// waits, unless it is nil, is called when another one is found to lead.
//
// Elected is who holds an advisory lock of a session of its own. The server ends that session when
// it hears nothing for 12 s, so that a process that is frozen, or whose network is, gives the lock
// up though its connection stays open.
func (db *DB) Lead(ctx context.Context, name string, waits func()) (*Lease, error) {
	conn, err := db.candidate(ctx)
	if err != nil {
		return nil, err
	}
	for {
		got, err := db.elect(ctx, conn, name)
		if err != nil {
			conn.disconnect()
			return nil, err
		}
		if got {
			return db.lease(ctx, conn, name)
		}
		if waits != nil {
			waits()
			waits = nil
		}
		wait(ctx, db.retry/2+rand.N(db.retry/2))
	}
}

// candidate is a session that the server ends when it hears nothing from it, also in the middle of
// a transaction, whose locks would hold up the next leader.
func (db *DB) candidate(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, db.term)
	defer cancel()
	conn, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	if err = checkSchema(ctx, conn); err == nil {
		err = conn.exec(ctx, fmt.Sprintf("SET idle_session_timeout = %d; SET idle_in_transaction_session_timeout = %[1]d; SET statement_timeout = %[1]d",
			db.term.Milliseconds()))
	}
	if err != nil {
		conn.disconnect()
		return nil, db.failed(err)
	}
	return conn, nil
}

// elect takes the lock, if nobody has it.
func (db *DB) elect(ctx context.Context, conn *session, name string) (got bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, db.term)
	defer cancel()
	row, err := conn.one(ctx, "SELECT pg_try_advisory_lock(hashtextextended('pullgate.lead.' || $1, 0))", name)
	return err == nil && row[0] == "t", db.failed(err)
}

// lease writes the next fence and begins to be heard of.
func (db *DB) lease(ctx context.Context, conn *session, name string) (*Lease, error) {
	first, cancel := context.WithTimeout(ctx, db.term)
	defer cancel()
	holder, err := os.Hostname()
	if err != nil {
		holder = "unknown"
	}
	l := &Lease{db: db, name: name, conn: conn, lost: make(chan struct{}), done: make(chan struct{})}
	now := time.Now()
	l.heard.Store(&now)
	row, err := conn.one(first, `INSERT INTO pullgate.leaders AS l (name, fence, holder) VALUES ($1, 1, $2)
		ON CONFLICT (name) DO UPDATE SET fence = l.fence + 1, holder = excluded.holder, since = now() RETURNING fence`,
		name, fmt.Sprintf("%s/%d", holder, os.Getpid()))
	if err == nil {
		l.fence, err = strconv.ParseInt(row[0], 10, 64)
	}
	if err != nil {
		conn.disconnect()
		return nil, db.failed(err)
	}
	// It outlives ctx, which is only how long to wait.
	var beating context.Context
	beating, l.stop = context.WithCancel(context.WithoutCancel(ctx))
	go l.beat(beating)
	return l, nil
}

// beat lets the server hear of the leader until that fails.
func (l *Lease) beat(ctx context.Context) {
	defer close(l.done)
	defer close(l.lost)
	for {
		wait(ctx, l.db.term/4)
		if ctx.Err() != nil {
			return
		}
		if err := l.fenced(ctx, func(context.Context) error { return nil }); err != nil {
			return
		}
	}
}

// Fence is the number of the election.
func (l *Lease) Fence() int64 { return l.fence }

// Lost is closed when the process is the leader no more, or cannot know whether it is.
func (l *Lease) Lost() <-chan struct{} { return l.lost }

// Holds reports whether the server has heard of this leader within a term, so that no other is elected
// unless somebody has ended its session. It asks nobody: a process that was frozen, or a machine that
// slept, knows at once what it has missed, before Lost is closed.
func (l *Lease) Holds() bool {
	select {
	case <-l.lost:
		return false
	default:
	}
	now, heard := time.Now(), *l.heard.Load()
	// The clock as well: the other one stands still while a machine sleeps.
	return now.Sub(heard) < l.db.term && now.Round(0).Sub(heard.Round(0)) < l.db.term
}

// While runs a function during which no other leader is elected, with a context that ends before one
// could be; ErrNotLeader means that one was before, and that the function was not run. It has a
// connection of its own, so that serials can be reserved meanwhile. An error after the function has
// succeeded says that nobody knows whether the function was in time.
func (l *Lease) While(ctx context.Context, f func(context.Context) error) error {
	conn, err := l.db.candidate(ctx)
	if err != nil {
		return err
	}
	defer conn.disconnect()
	ctx, cancel := context.WithTimeout(ctx, l.db.term/2)
	defer cancel()
	var failed error
	err = conn.transaction(ctx, "", func() error {
		if err := l.check(ctx, conn); err != nil {
			return err
		}
		failed = f(ctx)
		return failed
	})
	if err == nil || errors.Is(err, ErrNotLeader) || failed != nil {
		return err
	}
	return l.db.failed(err)
}

// check is ErrNotLeader when another leader was elected, and keeps one from being elected until the
// transaction ends: an election changes the row that is locked.
func (l *Lease) check(ctx context.Context, conn *session) error {
	row, err := conn.one(ctx, "SELECT fence FROM pullgate.leaders WHERE name = $1 FOR SHARE", l.name)
	if err == nil && row[0] != number(l.fence) {
		err = ErrNotLeader
	}
	return err
}

// Close gives the lease back, so that another publisher can be elected at once. What is being done with
// it is waited for: a session is nobody's to end while another uses it.
func (l *Lease) Close() {
	l.stop()
	<-l.done
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn.disconnect()
}

// Reserve hands out the serial for the next bundle of a name: more than any that was handed out for
// it before, and at least atLeast. It is ErrNotLeader when another leader was elected since, however long
// ago this one was; then nothing was handed out, and Lost is or will be closed.
func (l *Lease) Reserve(ctx context.Context, bundle string, atLeast int64) (serial int64, err error) {
	err = l.fenced(ctx, func(ctx context.Context) error {
		row, err := l.conn.one(ctx, `INSERT INTO pullgate.publications (name, serial, fence)
			SELECT $1::text, greatest(coalesce(max(serial), 0) + 1, $2::bigint), $3::bigint FROM pullgate.publications WHERE name = $1::text
			RETURNING serial`, bundle, number(atLeast), number(l.fence))
		if err == nil {
			serial, err = strconv.ParseInt(row[0], 10, 64)
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return serial, nil
}

func number(n int64) string {
	return strconv.FormatInt(n, 10)
}

// Published records that the bundle with a reserved serial is given out from now on, with the
// revision of its content. Call it before anybody can get it: ErrNotLeader means that nobody may.
func (l *Lease) Published(ctx context.Context, bundle string, serial int64, revision string) error {
	return l.fenced(ctx, func(ctx context.Context) error {
		_, err := l.conn.one(ctx, `UPDATE pullgate.publications SET revision = $3, published_at = now()
			WHERE name = $1 AND serial = $2::bigint AND fence = $4::bigint AND published_at IS NULL RETURNING serial`, bundle, number(serial), revision, number(l.fence))
		if errors.Is(err, errNoRow) {
			err = fmt.Errorf("the serial %d of the bundle %s was not reserved by this publisher", serial, bundle)
		}
		return err
	})
}

// Hold notes that the content with a revision is held back from a bundle, so that who is elected next does
// not publish it unasked; "" notes that nothing is. The note is a serial that is never published.
func (l *Lease) Hold(ctx context.Context, bundle, revision string) error {
	return l.fenced(ctx, func(ctx context.Context) error {
		_, err := l.conn.one(ctx, `WITH ended AS (UPDATE pullgate.publications SET revision = NULL
			WHERE name = $1::text AND published_at IS NULL AND revision IS NOT NULL RETURNING serial)
			SELECT count(*) FROM ended`, bundle)
		if err == nil && revision != "" {
			_, err = l.conn.one(ctx, `INSERT INTO pullgate.publications (name, serial, revision, fence)
				SELECT $1::text, coalesce(max(serial), 0) + 1, $2::text, $3::bigint FROM pullgate.publications WHERE name = $1::text
				RETURNING serial`, bundle, revision, number(l.fence))
		}
		return err
	})
}

// fenced runs a function in a transaction of the leader, and before that no other is elected.
func (l *Lease) fenced(ctx context.Context, f func(context.Context) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, l.db.term/2)
	defer cancel()
	began := time.Now()
	err := l.conn.transaction(ctx, "", func() error {
		if err := l.check(ctx, l.conn); err != nil {
			return err
		}
		return f(ctx)
	})
	switch {
	case err == nil:
		l.heard.Store(&began)
		return nil
	case errors.Is(err, ErrNotLeader):
		return err
	case l.conn.IsClosed(): // and with it the lock is gone
		return fmt.Errorf("%w (%w)", ErrNotLeader, l.db.failed(err))
	}
	return l.db.failed(err)
}

// Publication is a bundle that was published.
type Publication struct {
	Name, Revision string
	Serial, Fence  int64
	At             time.Time
	Held           string // revision of what is held back since, see Lease.Hold; "" for nothing
}

// LastPublished is the last publication of a name, or nil.
func (db *DB) LastPublished(ctx context.Context, bundle string) (*Publication, error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.disconnect()
	row, err := conn.one(ctx, `SELECT serial, revision, fence, extract(epoch FROM published_at)::bigint,
			coalesce((SELECT max(revision) FROM pullgate.publications WHERE name = $1 AND published_at IS NULL), '')
		FROM pullgate.publications WHERE name = $1 AND published_at IS NOT NULL ORDER BY serial DESC LIMIT 1`, bundle)
	if errors.Is(err, errNoRow) {
		return nil, nil
	}
	if err != nil {
		return nil, db.failed(err)
	}
	p := &Publication{Name: bundle, Revision: row[1], Held: row[4]}
	var at int64
	for i, n := range map[int]*int64{0: &p.Serial, 2: &p.Fence, 3: &at} {
		if *n, err = strconv.ParseInt(row[i], 10, 64); err != nil {
			return nil, db.failed(err)
		}
	}
	p.At = time.Unix(at, 0)
	return p, nil
}

// Bundles are the names of the bundles that were ever published from this database.
func (db *DB) Bundles(ctx context.Context) ([]string, error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.disconnect()
	var names []string
	_, err = conn.each(ctx, func(row [][]byte) error {
		names = append(names, string(row[0]))
		return nil
	}, "SELECT DISTINCT name FROM pullgate.publications WHERE published_at IS NOT NULL")
	return names, db.failed(err)
}
