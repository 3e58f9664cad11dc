package postgres

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pullgate/pullgate/examples/leaktest"
	"github.com/pullgate/pullgate/examples/peers"
	"github.com/pullgate/pullgate/sync/source"
)

var update = flag.Bool("update", false, "write golden files")

// One server for all tests; each has a database of its own.
var server struct {
	mu      sync.Mutex
	process *peers.PostgresProcess
	count   atomic.Int64
}

func TestMain(m *testing.M) { leaktest.Main(closesServer{m}) }

// closesServer runs the tests, and stops the server after the last.
type closesServer struct{ *testing.M }

func (m closesServer) Run() int {
	code := m.M.Run()
	if server.process != nil {
		server.process.Close()
	}
	return code
}

// running starts the server, and a database with the tables in it that others are copied from.
func running(t testing.TB) *peers.PostgresProcess {
	t.Helper()
	program := peers.Postgres(t)
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.process != nil {
		return server.process
	}
	p, err := peers.StartPostgres(context.Background(), program, "")
	must(t, err)
	server.process = p
	execute(t, p.URL("postgres", "postgres"), "CREATE DATABASE empty")
	db := open(t, p.URL("postgres", "empty"))
	_, _, err = db.Migrate(t.Context())
	must(t, err)
	return p
}

// database makes a database with empty tables and returns its URL.
func database(t testing.TB) string {
	t.Helper()
	return databaseFrom(t, "empty")
}

func databaseFrom(t testing.TB, template string) string {
	t.Helper()
	p := running(t)
	name := fmt.Sprintf("test%d", server.count.Add(1))
	// Two copies at once would disturb each other.
	server.mu.Lock()
	defer server.mu.Unlock()
	execute(t, p.URL("postgres", "postgres"), "CREATE DATABASE "+name+" TEMPLATE "+template)
	return p.URL("postgres", name)
}

func open(t testing.TB, url string) *DB {
	t.Helper()
	db, err := Open(Config{URL: url})
	must(t, err)
	return db
}

// execute runs statements as anybody with a client does, each in its own transaction unless the text says else.
func execute(t testing.TB, url string, statements ...string) {
	t.Helper()
	if err := try(t, url, statements...); err != nil {
		t.Fatal(err)
	}
}

func try(t testing.TB, url string, statements ...string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	must(t, err)
	defer conn.Close(ctx)
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s, pgx.QueryExecModeSimpleProtocol); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// content is that of files, given as name and text.
func content(t testing.TB, files map[string]string) *Content {
	t.Helper()
	dir := fstest.MapFS{}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	c, err := FromFiles(dir)
	must(t, err)
	return c
}

// filled is a database with the files in it.
func filled(t testing.TB, files map[string]string) string {
	t.Helper()
	url := database(t)
	must(t, open(t, url).Import(t.Context(), content(t, files), false, nil))
	return url
}

const base = `kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Product
id: app
repositories: [acme/app]
---
kind: Plan
id: gold
type: subscription
term: P1Y
grants: [{product: app, versions: ">=1.0.0 <3.0.0"}]
`

func customer(id string) string {
	return fmt.Sprintf("---\nkind: Customer\nid: %[1]s\nkeys: [{id: ci, hash: \"sha256:%064[2]x\"}]\n---\nkind: License\nid: %[1]s-app\ncustomer: %[1]s\nplan: gold\nstarts: 2026-01-01\n", id, id)
}

// small is a set that most tests begin with.
func small() map[string]string {
	return map[string]string{"base.yaml": base, "a.yaml": customer("a"), "b.yaml": customer("b"), "rules/region.rego": "package vendor.region\n"}
}

func customers(s *source.Snapshot) string {
	var ids []string
	for _, c := range s.Set.Customers {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}
