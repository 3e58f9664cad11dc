package main

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/pullgate/pullgate/examples/peers"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/source"
)

// The scripts of testdata/postgres run like the others, with a server of their own, whose empty
// database is $DB. `sql STATEMENT` is an edit by hand.
func TestPostgresScripts(t *testing.T) {
	program := peers.Postgres(t)
	example, err := filepath.Abs("../../examples/first-license")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/postgres",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			p, err := peers.StartPostgres(context.Background(), program, "")
			if err != nil {
				return err
			}
			env.Defer(func() { p.Close() })
			env.Setenv("DB", p.URL("postgres", "postgres"))
			env.Setenv("EXAMPLE", example)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"sql": func(ts *testscript.TestScript, _ bool, args []string) {
				conn, err := pgx.Connect(context.Background(), ts.Getenv("DB"))
				ts.Check(err)
				defer conn.Close(context.Background())
				_, err = conn.Exec(context.Background(), args[0], pgx.QueryExecModeSimpleProtocol)
				ts.Check(err)
			},
		},
	})
}

func TestOpenLicensesTakesDirectoriesAndDatabases(t *testing.T) {
	for where, want := range map[string]bool{"licenses": true, "postgres://db.internal/licenses": false, "postgresql:///licenses": false} {
		got, err := openLicenses(where)
		if err != nil {
			t.Fatal(err)
		}
		if _, isDir := got.(source.Dir); isDir != want {
			t.Errorf("%s: %T", where, got)
		}
		if _, isDB := got.(*postgres.DB); isDB == want {
			t.Errorf("%s: %T", where, got)
		}
	}
	if got, err := openLicenses("postgres://u:secret@db.internal/licenses"); err == nil || got != nil {
		t.Errorf("a password in the URL: %v, %v", got, err)
	}
}
