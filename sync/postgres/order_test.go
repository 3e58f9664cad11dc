package postgres

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pullgate/pullgate/sync/source"
)

// Whatever is done to the tables, what is read of the changes is what reading everything gives.
func TestReadingChangesIsReadingEverything(t *testing.T) {
	url := filled(t, small())
	db := open(t, url)
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(context.Background())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	n := func() string { return strconv.Itoa(r.IntN(5)) }
	ops := []func() string{
		func() string {
			return "INSERT INTO pullgate.customers (id) VALUES ('c" + n() + "') ON CONFLICT DO NOTHING"
		},
		func() string {
			return "UPDATE pullgate.customers SET name = 'n" + n() + "', zone = 'Etc/GMT+" + n() + "' WHERE id = 'c" + n() + "'"
		},
		func() string { return "UPDATE pullgate.customers SET id = 'c" + n() + "' WHERE id = 'c" + n() + "'" },
		func() string { return "DELETE FROM pullgate.licenses WHERE id = 'l" + n() + "'" },
		func() string {
			return "INSERT INTO pullgate.licenses (id, customer, plan, starts, replaces) SELECT 'l" + n() + "', 'c" + n() + "', 'gold', '2026-01-0" + strconv.Itoa(1+r.IntN(9)) + "', CASE WHEN random() < 0.3 THEN 'l" + n() + "' END ON CONFLICT (id) DO UPDATE SET starts = excluded.starts, customer = excluded.customer"
		},
		func() string { return "UPDATE pullgate.licenses SET id = 'l" + n() + "' WHERE id = 'l" + n() + "'" },
		func() string {
			return "INSERT INTO pullgate.keys (customer, id, hash) VALUES ('c" + n() + "', 'k" + n() + "', '" + hashOf(n()) + "') ON CONFLICT DO NOTHING"
		},
		func() string { return "UPDATE pullgate.keys SET customer = 'c" + n() + "' WHERE id = 'k" + n() + "'" },
		func() string { return "DELETE FROM pullgate.keys WHERE id = 'k" + n() + "'" },
		func() string {
			return "DELETE FROM pullgate.licenses WHERE customer = 'c1'; DELETE FROM pullgate.customers WHERE id = 'c1'"
		},
		func() string { return "UPDATE pullgate.plans SET grace = 'P" + n() + "D'" },
		func() string {
			return "INSERT INTO pullgate.releases (id, product, version) VALUES ('r" + n() + "', 'app', '1.0." + n() + "') ON CONFLICT DO NOTHING"
		},
		func() string { return "DELETE FROM pullgate.releases WHERE id = 'r" + n() + "'" },
		func() string {
			return "UPDATE pullgate.products SET name = 'n" + n() + "'; UPDATE pullgate.registries SET history = 'P" + n() + "D'"
		},
		func() string {
			return "INSERT INTO pullgate.rules (id, text) VALUES ('r" + n() + ".rego', 'package vendor.r" + n() + "') ON CONFLICT (id) DO UPDATE SET text = excluded.text"
		},
		func() string { return "DELETE FROM pullgate.rules WHERE id = 'r" + n() + ".rego'" },
		func() string {
			return "INSERT INTO pullgate.public (id, repositories, tags) VALUES ('p" + n() + "', '[\"acme/docs\"]', '\"all\"') ON CONFLICT DO NOTHING"
		},
		func() string {
			if r.IntN(4) > 0 {
				return "SELECT 1"
			}
			return "TRUNCATE pullgate.keys"
		},
		func() string { return "SELECT pullgate.reread()" },
		func() string { return "UPDATE pullgate.customers SET zone = 'Nowhere' WHERE id = 'c" + n() + "'" },
	}
	edits, refused, wrong := 0, 0, 0
	for range 80 {
		statements := "BEGIN; "
		for range 1 + r.IntN(3) {
			statements += ops[r.IntN(len(ops))]() + "; "
		}
		if _, err := conn.Exec(t.Context(), statements+"COMMIT", pgx.QueryExecModeSimpleProtocol); err != nil {
			refused++
			_, err := conn.Exec(t.Context(), "ROLLBACK")
			must(t, err)
			continue
		}
		edits++
		_, err := db.Load(t.Context())
		if err != nil {
			wrong++
		}
		if same(t, db, url); t.Failed() {
			t.Fatal(statements)
		}
		if err != nil && r.IntN(2) == 0 {
			execute(t, url, "UPDATE pullgate.customers SET zone = NULL")
		}
	}
	t.Logf("%d edits, %d of them wrong, %d refused; everything was read %d times", edits, wrong, refused, db.wholes)
	if edits < 30 || db.wholes > edits*3/4 {
		t.Error("this shows nothing")
	}
}

// Writers side by side: no revision becomes visible after a higher one, no edit is missed, nobody
// waits for somebody who waits.
func TestRevisionsBecomeVisibleInTheirOrder(t *testing.T) {
	const writers, edits = 6, 30
	files := map[string]string{"base.yaml": base}
	for i := range writers {
		files[fmt.Sprintf("w%d.yaml", i)] = customer(fmt.Sprintf("w%d", i))
	}
	url := filled(t, files)
	ctx, stop := context.WithCancel(t.Context())
	var writing, reading sync.WaitGroup
	for i := range writers {
		writing.Go(func() { edit(t, url, i, writers, edits) })
	}

	// What one snapshot has seen nobody changes behind its back.
	reading.Go(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.Background())
		var before map[string]int64
		var at int64
		snapshots := 0
		for last := false; !last; snapshots++ {
			last = ctx.Err() != nil
			now, rows, err := look(conn)
			if err != nil {
				t.Error(err)
				return
			}
			for id, rev := range rows {
				if rev > now {
					t.Errorf("revision %d shows %s of %d", now, id, rev)
				}
				if was, ok := before[id]; before != nil && rev <= at && (!ok || was != rev) {
					t.Errorf("%s of revision %d became visible after revision %d", id, rev, at)
				}
			}
			at, before = now, rows
		}
		t.Logf("%d snapshots up to revision %d", snapshots, at)
	})

	// Nor does a watcher miss an edit, or see an older one after a newer one.
	db := open(t, url)
	db.poll = 20 * time.Millisecond
	var mu sync.Mutex
	counts := map[string]int{}
	reports := 0
	reading.Go(func() {
		_ = db.Watch(ctx, func(s *source.Snapshot, err error) {
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			defer mu.Unlock()
			reports++
			for _, c := range s.Set.Customers {
				n, _ := strconv.Atoi(c.Name)
				if n < counts[c.ID] {
					t.Errorf("%s went from %d back to %d", c.ID, counts[c.ID], n)
				}
				counts[c.ID] = n
			}
		})
	})
	writing.Wait()
	behind := func() (ids []string) {
		mu.Lock()
		defer mu.Unlock()
		for i := range writers {
			if id := fmt.Sprintf("w%d", i); counts[id] != edits {
				ids = append(ids, fmt.Sprintf("%s: %d of %d", id, counts[id], edits))
			}
		}
		return ids
	}
	for end := time.Now().Add(time.Minute); behind() != nil && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	reading.Wait()
	t.Logf("%d reports", reports)
	if ids := behind(); ids != nil {
		t.Errorf("the last edit is not seen: %q", ids)
	}
	same(t, db, url)
}

// edit counts up the name of a writer's own customer, and touches those of others, in any order.
func edit(t *testing.T, url string, i, writers, edits int) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	for n := 1; n <= edits; n++ {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			touch := func() error {
				_, err := tx.Exec(ctx, "UPDATE pullgate.customers SET labels = jsonb_build_object('n', $1::int) WHERE id = $2", n, fmt.Sprintf("w%d", rand.IntN(writers)))
				return err
			}
			if rand.IntN(2) == 0 {
				if err := touch(); err != nil {
					return err
				}
			}
			if _, err := tx.Exec(ctx, "UPDATE pullgate.customers SET name = $1 WHERE id = $2", strconv.Itoa(n), fmt.Sprintf("w%d", i)); err != nil {
				return err
			}
			time.Sleep(rand.N(4 * time.Millisecond))
			return touch()
		})
		if err != nil {
			t.Errorf("writer %d: %v", i, err)
		}
	}
}

// look reads the revision and that of every customer in one snapshot.
func look(conn *pgx.Conn) (int64, map[string]int64, error) {
	ctx := context.Background()
	rows := map[string]int64{}
	var now int64
	err := pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT revision FROM pullgate.revision").Scan(&now); err != nil {
			return err
		}
		all, err := tx.Query(ctx, "SELECT id::text, rev FROM pullgate.customers")
		if err != nil {
			return err
		}
		var id string
		var rev int64
		_, err = pgx.ForEachRow(all, []any{&id, &rev}, func() error { rows[id] = rev; return nil })
		return err
	})
	return now, rows, err
}

// A database that was restored, or a server that took another one's place, has another history: its
// revisions say nothing about what was read before.
func TestOtherHistoriesAreReadFromTheBeginning(t *testing.T) {
	running(t)
	url := filled(t, map[string]string{"base.yaml": base, "a.yaml": customer("a")})
	db := open(t, url)
	_, err := db.Load(t.Context())
	must(t, err)
	name := db.conn.Database
	other := filled(t, map[string]string{"base.yaml": base, "b.yaml": customer("b")})
	execute(t, other, "UPDATE pullgate.customers SET name = 'x'", "UPDATE pullgate.customers SET name = 'y'")
	execute(t, server.process.URL("postgres", "postgres"),
		"DROP DATABASE "+name, "CREATE DATABASE "+name+" TEMPLATE "+open(t, other).conn.Database)
	s, err := db.Load(t.Context())
	must(t, err)
	if customers(s) != "b" {
		t.Errorf("read %s", customers(s))
	}
}
