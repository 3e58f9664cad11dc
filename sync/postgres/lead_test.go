package postgres

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const revision = "559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"

// candidates are publishers of one database. Their terms are long: on a busy machine the server may not
// hear of a leader for seconds.
func candidate(t *testing.T, url string) *DB {
	t.Helper()
	db := open(t, url)
	db.term, db.retry = time.Minute, 100*time.Millisecond
	return db
}

// brief is a candidate with a short term, for who is to lose it.
func brief(t *testing.T, url string) *DB {
	t.Helper()
	db := candidate(t, url)
	db.term = 3 * time.Second
	return db
}

func lead(t *testing.T, db *DB) *Lease {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 45*time.Second) // less than a term
	defer cancel()
	l, err := db.Lead(ctx, "publisher", nil)
	must(t, err)
	t.Cleanup(l.Close)
	return l
}

func isLost(l *Lease, within time.Duration) bool {
	select {
	case <-l.Lost():
		return true
	default:
	}
	select {
	case <-l.Lost():
		return true
	case <-time.After(within):
		return false
	}
}

func TestOneLeadsAndTheNextFollows(t *testing.T) {
	url := database(t)
	db := candidate(t, url)
	db.term = 4 * time.Second
	first := lead(t, db)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // longer than its term
	defer cancel()
	if l, err := candidate(t, url).Lead(ctx, "publisher", nil); !errors.Is(err, context.DeadlineExceeded) || l != nil {
		t.Fatalf("two lead: %v, %v", l, err)
	}
	if isLost(first, 0) {
		t.Error("the leader lost without a reason")
	}
	other, err := candidate(t, url).Lead(t.Context(), "another name", nil)
	must(t, err)
	other.Close()
	first.Close()
	for range 2 { // the second time after somebody whose term is not over before lead gives up
		second := lead(t, candidate(t, url))
		if second.Fence() != first.Fence()+1 || !isLost(first, 0) {
			t.Errorf("the fence is %d, it was %d; lost %t", second.Fence(), first.Fence(), isLost(first, 0))
		}
		second.Close()
		first = second
	}
}

func TestSerialsGrowOverElections(t *testing.T) {
	url := database(t)
	db := candidate(t, url)
	var last int64
	for range 3 {
		l := lead(t, db)
		for _, atLeast := range []int64{0, 0, last + 10, 5} {
			serial, err := l.Reserve(t.Context(), "default", atLeast)
			must(t, err)
			if serial <= last || serial < atLeast {
				t.Errorf("after %d, at least %d: %d", last, atLeast, serial)
			}
			last = serial
		}
		if one, err := l.Reserve(t.Context(), "other", 0); one > 3 || err != nil {
			t.Errorf("serials of another bundle: %d, %v", one, err)
		}
		l.Close()
	}
}

func TestPublicationsAreRecorded(t *testing.T) {
	db := candidate(t, database(t))
	l := lead(t, db)
	if p, err := db.LastPublished(t.Context(), "default"); p != nil || err != nil {
		t.Errorf("before the first: %v, %v", p, err)
	}
	for _, atLeast := range []int64{1000, 0} {
		serial, err := l.Reserve(t.Context(), "default", atLeast)
		must(t, err, l.Published(t.Context(), "default", serial, revision))
	}
	if _, err := l.Reserve(t.Context(), "default", 0); err != nil { // never published
		t.Error(err)
	}
	p, err := db.LastPublished(t.Context(), "default")
	must(t, err)
	if p.Serial != 1001 || p.Revision != revision || p.Fence != l.Fence() || time.Since(p.At).Abs() > time.Minute {
		t.Errorf("%+v", p)
	}
	for _, serial := range []int64{1001, 7} {
		if err := l.Published(t.Context(), "default", serial, revision); err == nil || !strings.Contains(err.Error(), "was not reserved by this publisher") {
			t.Errorf("serial %d: error %v", serial, err)
		}
	}
	serial, err := l.Reserve(t.Context(), "default", 0)
	must(t, err)
	if err := l.Published(t.Context(), "default", serial, "x"); err == nil {
		t.Error("no revision was taken for one")
	}
}

// A leader whose network is frozen: its connections stay open, and nothing comes through.
// A publisher that ends while it publishes does not pull the session away from under that.
func TestLeaseIsGivenBackWhenItIsNotInUse(t *testing.T) {
	l := lead(t, candidate(t, database(t)))
	begun, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- l.fenced(t.Context(), func(ctx context.Context) error {
			close(begun)
			_, err := l.conn.one(ctx, "SELECT 1 FROM pg_sleep(0.2)")
			return err
		})
	}()
	<-begun
	l.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := l.Hold(t.Context(), "default", revision); !errors.Is(err, ErrNotLeader) {
		t.Errorf("after that: %v", err)
	}
}

// What is held back is found by who is elected next, until it is not any more, whatever is issued meanwhile.
func TestWhatIsHeldBackIsNoted(t *testing.T) {
	db := candidate(t, database(t))
	l := lead(t, db)
	publish := func() {
		serial, err := l.Reserve(t.Context(), "default", 0)
		must(t, err, l.Published(t.Context(), "default", serial, revision))
	}
	held := func(want string) {
		t.Helper()
		p, err := db.LastPublished(t.Context(), "default")
		must(t, err)
		if p.Held != want || p.Revision != revision {
			t.Errorf("%+v, want held %q", p, want)
		}
	}
	a, b := strings.Repeat("a", 64), strings.Repeat("b", 64)
	publish()
	held("")
	must(t, l.Hold(t.Context(), "other", b), l.Hold(t.Context(), "default", b), l.Hold(t.Context(), "default", a))
	held(a)
	publish() // what was published before, issued again
	l.Close()
	held(a)
	l = lead(t, db)
	must(t, l.Hold(t.Context(), "default", ""))
	publish()
	held("")
}

func TestFrozenLeaderIsReplacedAndCannotPublish(t *testing.T) {
	url := database(t)
	p := newProxy(t)
	frozen := lead(t, brief(t, p.through(t, url)))
	reserved, err := frozen.Reserve(t.Context(), "default", 0)
	must(t, err)
	p.stalled.Store(true)
	begin := time.Now()
	next := lead(t, candidate(t, url))
	t.Logf("replaced after %s", time.Since(begin).Round(10*time.Millisecond))
	if frozen.Holds() || !next.Holds() {
		t.Errorf("holds: the frozen leader %t, the next %t", frozen.Holds(), next.Holds())
	}
	if !isLost(frozen, 30*time.Second) {
		t.Error("the frozen leader believes that it leads")
	}
	serial, err := next.Reserve(t.Context(), "default", 0)
	must(t, err, next.Published(t.Context(), "default", serial, revision))
	p.stalled.Store(false) // it wakes up
	if err := frozen.Published(t.Context(), "default", reserved, revision); !errors.Is(err, ErrNotLeader) {
		t.Errorf("it published: %v", err)
	}
	if serial, err := frozen.Reserve(t.Context(), "default", 0); !errors.Is(err, ErrNotLeader) || serial != 0 {
		t.Errorf("it reserved %d: %v", serial, err)
	}
	err = frozen.While(t.Context(), func(context.Context) error { t.Error("it runs what only the leader may"); return nil })
	if !errors.Is(err, ErrNotLeader) {
		t.Errorf("error %v", err)
	}
}

// What the leader runs elsewhere is done before another one is elected, whatever becomes of its lock.
func TestNobodyIsElectedWhile(t *testing.T) {
	url := database(t)
	db := open(t, url)
	db.retry = 100 * time.Millisecond
	first := lead(t, db)
	begun, done := make(chan struct{}), make(chan error, 1)
	var ended atomic.Bool
	go func() {
		done <- first.While(t.Context(), func(ctx context.Context) error {
			defer ended.Store(true)
			close(begun)
			// Until the election waits for this.
			for ctx.Err() == nil {
				var n int
				err := queryInt(ctx, url, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')", &n)
				if err != nil || n > 0 {
					return err
				}
				time.Sleep(5 * time.Millisecond)
			}
			return ctx.Err()
		})
	}()
	<-begun
	if serial, err := first.Reserve(t.Context(), "default", 0); serial != 1 || err != nil {
		t.Errorf("reserved %d meanwhile, %v", serial, err)
	}
	first.Close() // gives the lock back
	second := lead(t, db)
	if !ended.Load() || second.Fence() != first.Fence()+1 {
		t.Errorf("elected with fence %d after %d, while: %t", second.Fence(), first.Fence(), !ended.Load())
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	failed := errors.New("no registry")
	if err := second.While(t.Context(), func(context.Context) error { return failed }); !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	if !second.Holds() || first.Holds() {
		t.Error("who holds the lease?")
	}
}

func queryInt(ctx context.Context, url, query string, n *int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return conn.QueryRow(ctx, query).Scan(n)
}

// The same in the middle of reserving, with the leader's row locked.
func TestLeaderFrozenWhileItReserves(t *testing.T) {
	url := database(t)
	p := newProxy(t)
	frozen := lead(t, brief(t, p.through(t, url)))
	var next *Lease
	err := frozen.fenced(t.Context(), func(ctx context.Context) error {
		p.stalled.Store(true)
		next = lead(t, candidate(t, url))
		p.stalled.Store(false)
		return frozen.conn.exec(context.Background(), "INSERT INTO pullgate.publications (name, serial, fence) VALUES ('default', 1, 1)")
	})
	if !errors.Is(err, ErrNotLeader) {
		t.Errorf("error %v", err)
	}
	if serial, err := next.Reserve(t.Context(), "default", 0); serial != 1 || err != nil {
		t.Errorf("reserved %d, %v", serial, err)
	}
}

// The fence holds also where the lock does not: it is not the lock that keeps an old leader out.
func TestOlderFenceIsRefused(t *testing.T) {
	url := database(t)
	old := lead(t, brief(t, url))
	old.mu.Lock()
	err := old.conn.exec(t.Context(), "SELECT pg_advisory_unlock_all()")
	old.mu.Unlock()
	must(t, err)
	next := lead(t, candidate(t, url))
	if serial, err := old.Reserve(t.Context(), "default", 0); !errors.Is(err, ErrNotLeader) || serial != 0 {
		t.Errorf("reserved %d, %v", serial, err)
	}
	if !isLost(old, 30*time.Second) {
		t.Error("it still believes that it leads")
	}
	if serial, err := next.Reserve(t.Context(), "default", 0); serial != 1 || err != nil {
		t.Errorf("reserved %d, %v", serial, err)
	}
}

func TestLeadSaysWhyNobodyCanBeElected(t *testing.T) {
	if _, err := candidate(t, databaseFrom(t, "template0")).Lead(t.Context(), "publisher", nil); err == nil || !strings.Contains(err.Error(), "no tables of pullgate") {
		t.Errorf("error %v", err)
	}
}
