package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/pullgate/pullgate/sync/source"
)

// Pauses between attempts to connect: each is longer than the one before, up to the longest, and
// between half and all of it, so that many readers do not come back at once.
const (
	shortest = 200 * time.Millisecond
	longest  = 30 * time.Second
)

// Watch reads the licenses, calls report with the outcome, and then again after every change, until
// ctx is done; then it returns nil. Reports are those of source.Dir.Watch: a Snapshot when it
// says something else than the last one or follows an error, an error when its text differs from
// the last report's; never concurrently. After an error the last Snapshot is still the one to use.
//
// A change counts when its transaction has committed. The server's notice of it is a hint: without
// it Poll finds the change. A connection that is lost or silent is reported as an error, and made again.
func (db *DB) Watch(ctx context.Context, report func(*source.Snapshot, error)) error {
	r := source.Reporter{Report: report}
	pause := shortest
	for ctx.Err() == nil {
		err := db.follow(ctx, func(snap *source.Snapshot, err error) {
			pause = shortest
			r.Tell(snap, err)
		})
		if ctx.Err() != nil {
			break
		}
		r.Tell(nil, fmt.Errorf("%w; trying again until it can be reached", err))
		wait(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, longest)
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// follow watches on one connection until that fails.
func (db *DB) follow(ctx context.Context, tell func(*source.Snapshot, error)) error {
	conn, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.disconnect()
	if !db.deaf {
		if err := conn.exec(ctx, "LISTEN pullgate"); err != nil && conn.IsClosed() {
			return db.failed(err) // else the server gives no notices, as a standby does
		}
	}
	for seen := (time.Time{}); ; seen = time.Now() {
		snap, err := db.read(ctx, conn)
		if conn.IsClosed() && err != nil || ctx.Err() != nil {
			return err
		}
		if err == nil {
			said := *snap
			said.Saved, snap = seen, &said
		}
		tell(snap, err)
		for {
			if err := db.notice(ctx, conn); err != nil {
				return err
			}
			if moved, err := db.moved(ctx, conn); err != nil {
				return err
			} else if moved {
				break
			}
		}
	}
}

// notice waits for a notice, but not longer than Poll.
func (db *DB) notice(ctx context.Context, conn *session) error {
	poll, cancel := context.WithTimeout(ctx, db.poll)
	defer cancel()
	_, err := conn.notice(poll)
	if err != nil && (conn.IsClosed() || ctx.Err() != nil) {
		return db.failed(err)
	}
	return nil
}

// moved reports whether the database is where it was not read yet.
func (db *DB) moved(ctx context.Context, conn *session) (bool, error) {
	ctx, _, stop := db.patient(ctx)
	defer stop()
	at, _, err := where(ctx, conn)
	if err != nil {
		if why := context.Cause(ctx); why != nil {
			err = why
		}
		if conn.IsClosed() {
			return false, db.failed(err)
		}
		return true, nil // reading says what is wrong
	}
	db.mu.Lock()
	defer db.mu.Unlock()
	return at != db.last.seen, nil
}
