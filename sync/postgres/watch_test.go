package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pullgate/pullgate/sync/source"
)

// watched is a database being watched.
type watched struct {
	t       *testing.T
	reports chan report
}

type report struct {
	snap *source.Snapshot
	err  error
}

func (r report) String() string {
	if r.err != nil {
		return "error: " + r.err.Error()
	}
	return customers(r.snap)
}

func watch(t *testing.T, db *DB) *watched {
	t.Helper()
	w := &watched{t: t, reports: make(chan report, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- db.Watch(ctx, func(s *source.Snapshot, err error) {
			if (s == nil) == (err == nil) {
				panic("both or none")
			}
			w.reports <- report{s, err}
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// next is the next report, which comes within a time.
func (w *watched) next(within time.Duration) report {
	w.t.Helper()
	select {
	case r := <-w.reports:
		return r
	case <-time.After(within):
		w.t.Fatalf("no report within %s", within)
		return report{}
	}
}

// reports what the next report begins with.
func (w *watched) says(want string) *source.Snapshot {
	w.t.Helper()
	r := w.next(time.Minute)
	if !strings.HasPrefix(r.String(), want) {
		w.t.Fatalf("got %q, want %q", r, want)
	}
	return r.snap
}

func (w *watched) silent(why string) {
	w.t.Helper()
	select {
	case r := <-w.reports:
		w.t.Fatalf("%s: got %q", why, r)
	case <-time.After(100 * time.Millisecond):
	}
}

var hashOf = func(id string) string { return fmt.Sprintf("sha256:%064x", id) }

var edits = []struct {
	name, sql, want string
	wrong           string // what the server refuses it with
}{
	{name: "insert", sql: "INSERT INTO pullgate.customers (id) VALUES ('c')", want: "a b c"},
	{name: "insert or update", sql: "INSERT INTO pullgate.customers (id) VALUES ('c'), ('b') ON CONFLICT (id) DO UPDATE SET status = 'banned'", want: "a b c"},
	{name: "rename, and what is hers goes with her", sql: "UPDATE pullgate.customers SET id = 'z' WHERE id = 'a'", want: "b z"},
	{name: "delete", sql: "DELETE FROM pullgate.licenses WHERE customer = 'a'; DELETE FROM pullgate.customers WHERE id = 'a'", want: "b"},
	{name: "delete and insert again", sql: "BEGIN; DELETE FROM pullgate.licenses WHERE customer = 'b'; DELETE FROM pullgate.customers WHERE id = 'b'; INSERT INTO pullgate.customers (id, name) VALUES ('b', 'B'), ('c', NULL); COMMIT", want: "a b c"},
	{name: "by a client's copy", sql: "INSERT INTO pullgate.customers SELECT 'c' || n FROM generate_series(1, 2) n", want: "a b c1 c2"},
	{name: "truncate", sql: "BEGIN; TRUNCATE pullgate.customers CASCADE; INSERT INTO pullgate.customers (id) VALUES ('c'); COMMIT", want: "c"},
	{name: "many statements", sql: "BEGIN; INSERT INTO pullgate.customers (id) VALUES ('c'); SAVEPOINT s; INSERT INTO pullgate.customers (id) VALUES ('d'); ROLLBACK TO s; INSERT INTO pullgate.customers (id) VALUES ('e'); COMMIT", want: "a b c e"},
	{name: "by a function with a handler", sql: "DO $$ BEGIN BEGIN INSERT INTO pullgate.customers (id) VALUES ('c'); RAISE 'x'; EXCEPTION WHEN OTHERS THEN INSERT INTO pullgate.customers (id) VALUES ('d'); END; INSERT INTO pullgate.customers (id) VALUES ('e'); END $$", want: "a b d e"},
	{name: "everything", sql: "TRUNCATE pullgate.registries, pullgate.products, pullgate.plans, pullgate.customers, pullgate.keys, pullgate.licenses, pullgate.releases, pullgate.public", want: "error: licenses: the tables are empty"},
	{name: "nonsense", sql: "UPDATE pullgate.licenses SET features = '{\"x\": null}' WHERE id = 'a-app'", want: "error: licenses/a-app: features.x: is empty"},
	{name: "a reference in data", sql: `UPDATE pullgate.licenses SET grants = '[{"product": "nothing", "versions": "all"}]' WHERE id = 'a-app'`, want: `error: licenses/a-app: grants[0].product: unknown product "nothing"`},
	{name: "a zone", sql: "UPDATE pullgate.customers SET zone = 'Mars/Base' WHERE id = 'b'", want: `error: customers/b: zone: unknown zone "Mars/Base"`},
	{name: "a column of an object", sql: "UPDATE pullgate.licenses SET suspended_at = '2026-03-01', suspended_until = '2026-02-01' WHERE id = 'a-app'", want: "error: licenses/a-app: suspended_until: is not after `at`"},
	{name: "a key's network", sql: `UPDATE pullgate.keys SET addresses = '["10.0.0.1"]' WHERE customer = 'b'`, want: `error: keys/b/ci: addresses[0]: "10.0.0.1" is an address`},
	{name: "a rule", sql: "UPDATE pullgate.rules SET text = 'package vendor.other'", want: "a b"},

	{name: "two keys of one hash", sql: "UPDATE pullgate.keys SET hash = '" + hashOf("a") + "'", wrong: "duplicate key value violates unique constraint"},
	{name: "a key", sql: "UPDATE pullgate.keys SET hash = 'pg_secret'", wrong: "is_sha256_and_64_hexadecimal_digits"},
	{name: "a customer that is no more", sql: "DELETE FROM pullgate.customers", wrong: "violates foreign key constraint"},
	{name: "a license of nobody", sql: "UPDATE pullgate.licenses SET customer = 'x'", wrong: "violates foreign key constraint"},
	{name: "two ends", sql: "UPDATE pullgate.licenses SET ends = '2026-12-31', term = 'P1Y'", wrong: "ends_in_one_way"},
	{name: "a day that is none", sql: "UPDATE pullgate.licenses SET starts = '2026-02-30'", wrong: "out of range"},
	{name: "a lenient date", sql: "UPDATE pullgate.licenses SET starts = '2026-2-3'", wrong: "is_a_date_or_an_instant"},
	{name: "an instant without an offset", sql: "UPDATE pullgate.licenses SET starts = '2026-02-03T00:00:00'", wrong: "is_a_date_or_an_instant"},
	{name: "a lenient end", sql: "UPDATE pullgate.licenses SET ends = 'soon'", wrong: "is_a_date_or_an_instant"},
	{name: "an open period", sql: "UPDATE pullgate.licenses SET term = 'P'", wrong: "is_a_period"},
	{name: "an id", sql: "UPDATE pullgate.customers SET id = 'ACME' WHERE id = 'a'", wrong: "is_an_id"},
	{name: "a reserved id", sql: "UPDATE pullgate.customers SET id = 'anonymous' WHERE id = 'a'", wrong: "is_an_id"},
	{name: "a state", sql: "UPDATE pullgate.customers SET status = 'blocked'", wrong: "customers_status_check"},
	{name: "suspended and revoked", sql: "UPDATE pullgate.licenses SET suspended_at = '2026-01-01', revoked_at = '2026-01-01'", wrong: "suspended_or_revoked"},
	{name: "revoked never", sql: "UPDATE pullgate.licenses SET revoked_reason = 'x'", wrong: "revoked_has_a_date"},
	{name: "an end without a type", sql: "UPDATE pullgate.licenses SET plan = NULL", wrong: "has_a_type"},
	{name: "a rule outside its folder", sql: "UPDATE pullgate.rules SET id = '../x.rego'", wrong: "rules_id_check"},
	{name: "rolled back", sql: "BEGIN; INSERT INTO pullgate.customers (id) VALUES ('c'); ROLLBACK"},
}

// Edits by hand count within a second, or are refused: by the server, or by the parser, and then
// the last good set stays.
func TestEveryKindOfEditCounts(t *testing.T) {
	running(t)
	execute(t, server.process.URL("postgres", "postgres"), "DROP DATABASE IF EXISTS small", "CREATE DATABASE small TEMPLATE empty")
	must(t, open(t, server.process.URL("postgres", "small")).Import(t.Context(), content(t, small()), false, nil))
	for _, deaf := range []bool{false, true} {
		for i, e := range edits {
			if e.wrong != "" || deaf && i > 6 { // how it is noticed has nothing to do with what it is
				continue
			}
			t.Run(fmt.Sprintf("%s, deaf %t", e.name, deaf), func(t *testing.T) {
				url := databaseFrom(t, "small")
				db := open(t, url)
				db.deaf = deaf
				if deaf {
					db.poll = 100 * time.Millisecond
				} else {
					db.poll = time.Hour
				}
				w := watch(t, db)
				w.says("a b")
				err := try(t, url, e.sql)
				switch {
				case err != nil:
					t.Fatal(err)
				case e.want == "":
					w.silent("rolled back")
				default:
					w.says(e.want)
					w.silent("reported twice")
					same(t, db, url)
				}
			})
		}
	}
}

// What no file could say no row can say either.
func TestServerRefusesNonsense(t *testing.T) {
	url := filled(t, small())
	for _, e := range edits {
		if e.wrong == "" {
			continue
		}
		if err := try(t, url, e.sql); err == nil || !strings.Contains(err.Error(), e.wrong) {
			t.Errorf("%s: error %v, want %s", e.name, err, e.wrong)
		}
	}
}

// same compares what was read step by step with what is read at once.
func same(t *testing.T, db *DB, url string) {
	t.Helper()
	got, err := db.Load(t.Context())
	want, wantErr := open(t, url).Load(t.Context())
	if fmt.Sprint(err) != fmt.Sprint(wantErr) {
		t.Fatalf("error %v, want %v", err, wantErr)
	}
	if err == nil && (!equalSets(got.Set, want.Set) || fmt.Sprint(got.Rules) != fmt.Sprint(want.Rules)) {
		t.Errorf("got  %+v\nwant %+v", got.Set, want.Set)
	}
}

// What rows take back while others have mistakes is reported with the mistakes, which are the same.
func TestRowsTakeBackWhileOthersHaveMistakes(t *testing.T) {
	url := filled(t, small())
	w := watch(t, open(t, url))
	w.says("a b")
	execute(t, url, "UPDATE pullgate.customers SET zone = 'x' WHERE id = 'a'")
	w.says("error: customers/a: zone")
	execute(t, url, "UPDATE pullgate.licenses SET revoked_at = '2026-03-01T00:00:00Z' WHERE id = 'a-app'; UPDATE pullgate.customers SET status = 'banned' WHERE id = 'b'")
	r := w.next(time.Minute)
	refused, ok := errors.AsType[*source.Refused](r.err)
	if !ok || len(refused.Stated.Licenses) != 1 || len(refused.Stated.Customers) != 1 {
		t.Fatalf("got %q", r)
	}
	if l := refused.Stated.Licenses[0]; l.ID != "a-app" || l.Customer != "a" || l.Revoked.At != 1772323200 || refused.Stated.Customers[0].ID != "b" {
		t.Errorf("%+v %+v", refused.Stated.Licenses, refused.Stated.Customers)
	}
}

func TestBrokenEditIsReportedOnceAndRepairAlways(t *testing.T) {
	url := filled(t, small())
	w := watch(t, open(t, url))
	w.says("a b")
	execute(t, url, "UPDATE pullgate.customers SET zone = 'x' WHERE id = 'a'")
	w.says("error: customers/a: zone")
	execute(t, url, "UPDATE pullgate.customers SET zone = 'x' WHERE id = 'a'")
	w.silent("the same error is no news")
	execute(t, url, "INSERT INTO pullgate.customers (id) VALUES ('c')")
	w.silent("nor is it after an edit of something else")
	execute(t, url, "UPDATE pullgate.customers SET zone = NULL WHERE id = 'a'")
	w.says("a b c")
	execute(t, url, "UPDATE pullgate.customers SET zone = NULL WHERE id = 'nobody'")
	w.silent("no row was changed")
}

func TestWatchWaitsForTheServerAndForTables(t *testing.T) {
	url := databaseFrom(t, "template0")
	p := newProxy(t)
	db := open(t, p.through(t, url))
	p.left.Store(0)
	w := watch(t, db)
	r := w.next(time.Minute)
	if text := r.String(); !strings.HasPrefix(text, "error: PostgreSQL 127.0.0.1:") || !strings.Contains(text, "trying again") {
		t.Errorf("got %q", text)
	}
	p.left.Store(-1)
	w.says("error: PostgreSQL " + db.String() + ": the database has no tables of pullgate")
	must(t, open(t, url).Import(t.Context(), content(t, small()), false, nil))
	w.says("a b")
}

// A connection that ends or falls silent is an error; the set that was there stays, and what was
// edited meanwhile is read afterwards.
func TestLostConnectionsAreReportedAndMadeAgain(t *testing.T) {
	for _, how := range []string{"cut", "terminated", "stalled"} {
		t.Run(how, func(t *testing.T) {
			url := filled(t, small())
			p := newProxy(t)
			db := open(t, p.through(t, url))
			db.timeout, db.poll = 2*time.Second, 50*time.Millisecond
			w := watch(t, db)
			w.says("a b")
			switch how {
			case "cut":
				p.left.Store(0)
				p.cut()
			case "terminated":
				p.left.Store(0) // it must not be back before the edit
				execute(t, url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pullgate'")
			case "stalled":
				p.stalled.Store(true)
			}
			execute(t, url, "INSERT INTO pullgate.customers (id) VALUES ('c')")
			w.says("error: PostgreSQL " + db.String())
			p.stalled.Store(false)
			p.left.Store(-1)
			for r := w.next(time.Minute); r.String() != "a b c"; r = w.next(time.Minute) {
				if r.err == nil {
					t.Fatalf("got %s", r)
				}
			}
		})
	}
}

// Wherever the connection ends, what is read is everything or nothing.
func TestLostConnectionNeverGivesPartOfASet(t *testing.T) {
	files := small()
	var ids []string
	for i := range 200 {
		id := fmt.Sprintf("c%03d", i)
		files[id+".yaml"] = customer(id)
		ids = append(ids, id)
	}
	url := filled(t, files)
	want := "a b " + strings.Join(ids, " ")
	p := newProxy(t)
	whole, failed := 0, 0
	for at := int64(500); whole < 3; at += 4000 {
		p.left.Store(at)
		s, err := open(t, p.through(t, url)).Load(t.Context())
		switch {
		case err != nil:
			failed++
			if s != nil {
				t.Fatal("both")
			}
		case customers(s) != want || len(s.Set.Licenses) != len(ids)+2:
			t.Fatalf("after %d bytes: %s", at, customers(s))
		default:
			whole++
		}
		if at > 10<<20 {
			t.Fatal("it never comes through")
		}
	}
	if failed < 10 {
		t.Errorf("only %d connections were lost", failed)
	}

	p = newProxy(t)
	p.left.Store(30_000)
	p.stalls.Store(true)
	db := open(t, p.through(t, url))
	db.timeout = time.Second
	if s, err := db.Load(t.Context()); s != nil || err == nil || !strings.Contains(err.Error(), "no answer for 1s") {
		t.Errorf("from a silent connection: %v, %v", s, err)
	}
}

// A table that is emptied while others read it: they see all or the next state, never nothing.
func TestTruncateIsNeverSeenHalf(t *testing.T) {
	url := filled(t, small())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return
		}
		defer conn.Close(context.Background())
		for n := 0; ctx.Err() == nil; n++ {
			_, _ = conn.Exec(ctx, fmt.Sprintf(`BEGIN; TRUNCATE pullgate.customers CASCADE; INSERT INTO pullgate.customers (id) VALUES ('x%[1]d'), ('y%[1]d'); COMMIT`, n), pgx.QueryExecModeSimpleProtocol)
		}
	}()
	seen := map[string]bool{}
	// For two seconds, and on a busy machine until there was something to see.
	for began := time.Now(); time.Since(began) < 2*time.Second || len(seen) < 10 && time.Since(began) < time.Minute; {
		s, err := open(t, url).Load(t.Context())
		must(t, err)
		var n, m int
		if _, err := fmt.Sscanf(customers(s), "x%d y%d", &n, &m); customers(s) != "a b" && (err != nil || n != m) {
			t.Fatalf("seen: %q", customers(s))
		}
		seen[customers(s)] = true
	}
	cancel()
	<-done
	if len(seen) < 10 {
		t.Errorf("only %d states were seen", len(seen))
	}
}

// Notices that come while something else is read count too.
func TestNoNoticeIsLost(t *testing.T) {
	url := filled(t, small())
	db := open(t, url)
	db.poll = time.Hour
	w := watch(t, db)
	w.says("a b")
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	const last = 200
	for n := range last + 1 {
		_, err := conn.Exec(t.Context(), "UPDATE pullgate.customers SET name = $1 WHERE id = 'a'", fmt.Sprint(n))
		must(t, err)
	}
	for reports := 1; ; reports++ {
		if r := w.next(time.Minute); r.snap.Set.Customer("a").Name == fmt.Sprint(last) {
			t.Logf("%d reports", reports)
			return
		}
	}
}
