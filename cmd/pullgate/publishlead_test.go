package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pullgate/pullgate/examples/peers"
)

// One server for all tests; each has a database of its own.
var database struct {
	server *peers.PostgresProcess
	count  int
}

// newDatabase is the URL of an empty database.
func newDatabase(t *testing.T) string {
	t.Helper()
	program := peers.Postgres(t)
	if database.server == nil {
		p, err := peers.StartPostgres(context.Background(), program, "")
		must(t, err)
		database.server = p
	}
	database.count++
	name := fmt.Sprintf("test%d", database.count)
	conn, err := pgx.Connect(t.Context(), database.server.URL("postgres", "postgres"))
	must(t, err)
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), "CREATE DATABASE "+name)
	must(t, err)
	return database.server.URL("postgres", name)
}

// closesDatabase runs the tests, and stops the server after the last; the program of nextProgram goes, too.
type closesDatabase struct{ *testing.M }

func (m closesDatabase) Run() int {
	code := m.M.Run()
	if database.server != nil {
		database.server.Close()
	}
	_ = os.RemoveAll(nextDir)
	return code
}

// inDatabase moves the license files into a database of the test's own and returns its URL.
func (v *vendor) inDatabase() string {
	v.Helper()
	url := newDatabase(v.T)
	if code, _, stderr := once(v.T, "licenses", "import", v.path("licenses"), "--to", url); code != exitYes {
		v.Fatal(stderr)
	}
	return url
}

// sql runs statements as somebody who edits by hand.
func (v *vendor) sql(url, statements string) {
	v.Helper()
	conn, err := pgx.Connect(v.Context(), url)
	v.must(err)
	defer conn.Close(v.Context())
	_, err = conn.Exec(v.Context(), statements, pgx.QueryExecModeSimpleProtocol)
	v.must(err)
}

// Of several publishers of one database one publishes; when it ends the next goes on, with higher
// serials; one that leads no more ends.
func TestOnePublisherOfADatabaseLeads(t *testing.T) {
	v := newVendor(t)
	db := v.inDatabase()
	first := v.publish("max_loss: 100%\n", "--licenses", db)
	first.await("ready", 20*time.Second, func() bool { code, _ := first.get("/readyz"); return code == http.StatusOK })
	was, _ := first.bundle("default")
	second := v.publish("max_loss: 100%\n", "--licenses", db, "--data", v.path("publisher-2"))
	second.await("the second stands by", 10*time.Second, func() bool {
		code, text := second.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "another publisher of this database leads")
	})
	if resp, _ := second.fetch("default"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("who stands by serves: %s", resp.Status)
	}
	// Nor does it take orders.
	const refusal = "this publisher stands by and publishes nothing: tell the one that leads"
	if code, _, stderr := once(t, "publish", "--config", v.configurePublish(""), "--licenses", db, "--data", v.path("publisher-3"), "--once", "--rollback", was.Revision()); code != exitUnknown || !strings.Contains(stderr, refusal) {
		t.Errorf("once: %d %s", code, stderr)
	}
	if code, _, stderr := once(t, "publish", "--data", v.path("publisher-2"), "--accept", was.Revision()); code != exitUnknown || !strings.Contains(stderr, refusal) {
		t.Errorf("%d %s", code, stderr)
	}

	edited := time.Now()
	v.sql(db, `UPDATE pullgate.licenses SET ends = '2098-12-31' WHERE id = 'acme-app'`)
	first.await("the edit is published", 10*time.Second, func() bool { b, _ := first.bundle("default"); return b.Serial() > was.Serial() })
	t.Logf("edit in the database → published: %s", time.Since(edited).Round(time.Millisecond))
	now, _ := first.bundle("default")
	if now.Revision() == was.Revision() {
		t.Error("the same content under another serial")
	}

	first.beside = true
	first.stop()
	took := second.await("the second leads", 30*time.Second, func() bool { code, _ := second.get("/readyz"); return code == http.StatusOK })
	t.Logf("the other leads after %s", took.Round(time.Millisecond))
	b, _ := second.bundle("default")
	if customers := "pullgate/customers/data.json"; b.Serial() <= now.Serial() || !bytes.Equal(b.File(customers), now.File(customers)) {
		t.Errorf("serial %d after %d, customers\n%s\n%s", b.Serial(), now.Serial(), b.File(customers), now.File(customers))
	}

	// Started again, the first stands by, although it has a bundle to restore.
	third := v.publish("max_loss: 100%\n", "--licenses", db)
	third.await("the first stands by", 10*time.Second, func() bool {
		_, text := third.get("/readyz")
		return strings.Contains(text, "another publisher of this database leads")
	})
	// The connection of the leader is lost: it ends rather than publish beside another.
	v.sql(db, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted) AND datname = current_database()`)
	select {
	case code := <-second.done:
		if code != exitUnknown || !strings.Contains(second.log.String(), "leads no more") {
			t.Errorf("exit %d\n%s", code, second.log)
		}
		second.cancel = nil // it has ended
	case <-time.After(patience):
		t.Error("who leads no more goes on")
	}
	third.await("the first leads", 30*time.Second, func() bool { code, _ := third.get("/readyz"); return code == http.StatusOK })
	last, _ := third.bundle("default")
	if last.Serial() <= b.Serial() {
		t.Errorf("serial %d after %d", last.Serial(), b.Serial())
	}
}

// What one publisher holds back the next one that is elected does not publish, until it is accepted.
func TestWhatIsHeldBackOutlivesWhoHeldIt(t *testing.T) {
	v := newVendor(t)
	db := v.inDatabase()
	first := v.publish("", "--licenses", db)
	ready := func(p *published) func() bool {
		return func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK }
	}
	first.await("ready", 20*time.Second, ready(first))
	second := v.publish("", "--licenses", db, "--data", v.path("publisher-2"))
	v.sql(db, `UPDATE pullgate.licenses SET ends = '2020-12-31' WHERE id = 'acme-app'`)
	held := func(p *published, why string) func() bool {
		return func() bool { _, text := p.get("/healthz"); return strings.Contains(text, why) }
	}
	first.await("held back", 20*time.Second, held(first, "more than max-loss"))
	first.beside = true
	first.stop()
	second.await("held back by the other, too", 30*time.Second, held(second, "the publisher that led before held something back"))
	if resp, _ := second.fetch("default"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it is published: %s", resp.Status)
	}
	_, text := second.get("/healthz")
	_, revision, _ := strings.Cut(text, "--accept ")
	revision, _, _ = strings.Cut(revision, "\n")
	if code, _, stderr := once(t, "publish", "--data", v.path("publisher-2"), "--accept", revision); code != exitYes {
		t.Fatal(code, stderr)
	}
	second.await("accepted", 20*time.Second, ready(second))
}

// A sidecar in one process, too, may have its licenses in a database.
func TestServeFromADatabase(t *testing.T) {
	v := newVendor(t)
	db := v.inDatabase()
	v.must(os.Rename(v.path("licenses"), filepath.Join(v.dir, "gone")))
	v.must(os.Mkdir(v.path("licenses"), 0o755))
	s := v.serve("--licenses", db)
	s.awaitReady()
	if got := s.pull("1.4.0"); got.Status != http.StatusOK {
		t.Fatalf("%+v", got)
	}
	v.sql(db, `UPDATE pullgate.licenses SET ends = '2020-12-31' WHERE id = 'acme-app'`)
	took := s.await("the edit counts", 10*time.Second, func() bool { return s.pull("1.4.0").Status == http.StatusForbidden })
	t.Logf("edit in the database → different answer: %s", took.Round(time.Millisecond))
	v.sql(db, `UPDATE pullgate.licenses SET starts = '2021-01-01' WHERE id = 'acme-app'`)
	s.await("a broken edit is told, with its row", 10*time.Second, func() bool {
		_, text := s.get("/healthz")
		return strings.Contains(text, "licenses/acme-app")
	})
	if got := s.pull("1.4.0"); got.Status != http.StatusForbidden {
		t.Errorf("%+v", got)
	}
}
