package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
)

// A migration is one step of the schema: migrations/NNNN_name.sql, whose first line names the
// oldest schema number that a pullgate must know to read what it leaves.
type migration struct {
	number, oldest int
	sql            string
}

var migrationHead = regexp.MustCompile(`^-- oldest reader: (\d+)\n`)

func readMigrations() ([]migration, error) {
	entries, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	var out []migration
	for i, e := range entries { // sorted by name
		text, err := fs.ReadFile(migrations, "migrations/"+e.Name())
		if err != nil {
			return nil, err
		}
		head := migrationHead.FindSubmatch(text)
		number, err := strconv.Atoi(e.Name()[:4])
		if err != nil || number != i+1 || head == nil {
			return nil, fmt.Errorf("migrations/%s: want %04d_name.sql that begins with `-- oldest reader: N`", e.Name(), i+1)
		}
		oldest, err := strconv.Atoi(string(head[1]))
		if err != nil {
			return nil, err
		}
		out = append(out, migration{number, oldest, string(text)})
	}
	return out, nil
}

// schema is the number of the schema that this pullgate knows.
func schema() (int, error) {
	list, err := readMigrations()
	return len(list), err
}

// Migrate makes or upgrades the tables, all or nothing, and returns the numbers of the schema
// before (0: there was none) and after. Its user must be their owner. Tables of a newer pullgate
// that this one cannot read are an error.
func (db *DB) Migrate(ctx context.Context) (before, after int, err error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer conn.disconnect()
	err = conn.transaction(ctx, "", func() error {
		before, after, err = migrate(ctx, conn)
		return err
	})
	return before, after, db.failed(err)
}

func migrate(ctx context.Context, conn *session) (before, after int, err error) {
	list, err := readMigrations()
	if err != nil {
		return 0, 0, err
	}
	// Two at once: the second waits and finds it done.
	if err := conn.exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('pullgate.migrate', 0))"); err != nil {
		return 0, 0, err
	}
	// A schema that is there need not be made: its owner may have no right to make one.
	if err := conn.exec(ctx, `
		DO $$ BEGIN IF to_regnamespace('pullgate') IS NULL THEN CREATE SCHEMA pullgate; END IF; END $$;
		CREATE TABLE IF NOT EXISTS pullgate.migrations (number int PRIMARY KEY, oldest_reader int NOT NULL, at timestamptz NOT NULL DEFAULT now());
		COMMENT ON TABLE pullgate.migrations IS 'Steps of this schema that were made. Do not edit.'`); err != nil {
		return 0, 0, err
	}
	row, err := conn.one(ctx, "SELECT coalesce(max(number), 0) FROM pullgate.migrations")
	if err == nil {
		before, err = strconv.Atoi(row[0])
	}
	if err != nil {
		return 0, 0, err
	}
	for _, m := range list {
		if m.number <= before {
			continue
		}
		if err := conn.exec(ctx, m.sql); err != nil {
			return 0, 0, fmt.Errorf("schema %d: %w", m.number, err)
		}
		if err := conn.exec(ctx, fmt.Sprintf("INSERT INTO pullgate.migrations (number, oldest_reader) VALUES (%d, %d)", m.number, m.oldest)); err != nil {
			return 0, 0, err
		}
	}
	return before, max(before, len(list)), checkSchema(ctx, conn) // a newer pullgate may have made them
}

// checkSchema refuses a schema that this pullgate cannot read.
func checkSchema(ctx context.Context, conn *session) error {
	there, err := conn.one(ctx, "SELECT to_regclass('pullgate.migrations') IS NOT NULL")
	if err != nil {
		return err
	}
	if there[0] != "t" {
		return errors.New("the database has no tables of pullgate: `pullgate licenses import DIR --to URL` makes them and fills them, `pullgate licenses migrate --to URL` makes them")
	}
	row, err := conn.one(ctx, "SELECT coalesce(max(number), 0), coalesce(max(oldest_reader), 0) FROM pullgate.migrations")
	if err != nil {
		return err
	}
	number, err1 := strconv.Atoi(row[0])
	oldest, err2 := strconv.Atoi(row[1])
	mine, err3 := schema()
	switch err := errors.Join(err1, err2, err3); {
	case err != nil:
		return err
	case number < mine:
		return fmt.Errorf("the tables have schema %d, this pullgate needs %d: run `pullgate licenses migrate --to URL` as their owner", number, mine)
	case oldest > mine:
		return fmt.Errorf("the tables have schema %d, which this pullgate cannot read (it knows %d): upgrade pullgate", number, mine)
	}
	return nil
}
