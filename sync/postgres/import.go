package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/source"
)

// ErrNotEmpty means that an import would overwrite licenses.
var ErrNotEmpty = errors.New("the database holds licenses already: give --replace to take them all out first, or name another database")

// Content is everything that a database holds of licenses, as documents, and the vendor's rules
// and their tests by file name.
type Content struct {
	Documents []license.Raw
	Rules     map[string][]byte
}

// FromFiles is the content of a directory that was checked: its license files, and *.rego in rules/.
// Comments and the layout of files are not part of it.
func FromFiles(fsys fs.FS) (*Content, error) {
	docs, err := license.LoadRaw(fsys)
	if err != nil {
		return nil, err
	}
	c := &Content{Documents: docs, Rules: map[string][]byte{}}
	entries, err := fs.ReadDir(fsys, "rules")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || path.Ext(e.Name()) != ".rego" || e.IsDir() {
			continue
		}
		if c.Rules[e.Name()], err = fs.ReadFile(fsys, path.Join("rules", e.Name())); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Import writes everything in one transaction, with the tables if they are not there. A database
// that is not empty is ErrNotEmpty, unless replace is set. Before it commits, what was written is
// read back and handed to verify, whose error takes everything back.
func (db *DB) Import(ctx context.Context, c *Content, replace bool, verify func(*source.Snapshot) error) error {
	rows, err := c.rows()
	if err != nil {
		return err
	}
	conn, err := db.connect(ctx)
	if err != nil {
		return err
	}
	defer conn.disconnect()
	err = conn.transaction(ctx, "", func() error {
		if _, _, err := migrate(ctx, conn); err != nil {
			return err
		}
		if err := fill(ctx, conn, rows, replace); err != nil {
			return err
		}
		got, err := readIn(ctx, conn, state{}, func() {})
		switch {
		case err != nil:
			return err
		case got.err != nil:
			return fmt.Errorf("what was written cannot be read back: %w", got.err)
		case verify != nil:
			return verify(got.snap)
		}
		return nil
	})
	return db.failed(err)
}

// fill fills the tables.
func fill(ctx context.Context, conn *session, rows map[string][][]any, replace bool) error {
	// Whoever else writes comes before or after: not in between.
	if err := conn.exec(ctx, "SELECT pullgate.count()"); err != nil {
		return err
	}
	names := []string{"pullgate.rules"}
	for _, t := range tables {
		names = append(names, "pullgate."+t.name)
	}
	there, err := conn.one(ctx, "SELECT EXISTS (SELECT FROM "+strings.Join(names, ") OR EXISTS (SELECT FROM ")+")")
	if err != nil {
		return err
	}
	if there[0] == "t" {
		if !replace {
			return ErrNotEmpty
		}
		if err := conn.exec(ctx, "TRUNCATE "+strings.Join(names, ", ")); err != nil {
			return err
		}
	}
	for i := range tables {
		t := &tables[i]
		if err := conn.copy(ctx, "pullgate."+t.name, t.names(), rows[t.name]); err != nil {
			return err
		}
	}
	if err := conn.copy(ctx, "pullgate.rules", []string{"id", "text"}, rows["rules"]); err != nil {
		return err
	}
	return conn.exec(ctx, "ANALYZE "+strings.Join(names, ", "))
}

// rows are the rows of all documents, by table.
func (c *Content) rows() (map[string][][]any, error) {
	rows := map[string][][]any{}
	var errs []error
	add := func(t *table, doc license.Raw) {
		row, err := t.row(doc)
		if err != nil {
			errs = append(errs, err)
		}
		rows[t.name] = append(rows[t.name], row)
	}
	for _, doc := range c.Documents {
		kind, _ := doc.Get("kind")
		text, _ := kind.(string)
		t := tableOf(text)
		if t == nil {
			return nil, fmt.Errorf("%s: a document of no known kind", doc.Place)
		}
		add(t, doc)
		keys, _ := doc.Get("keys")
		list, _ := keys.([]any)
		for _, item := range list {
			key, _ := item.(license.Raw)
			id, _ := doc.Get("id")
			key.Fields = append([]license.RawField{{Name: "customer", Value: id}}, key.Fields...)
			key.Place = doc.Place
			add(tableNamed("keys"), key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Rules)) {
		if strings.ContainsRune(string(c.Rules[name]), 0) {
			errs = append(errs, fmt.Errorf("rules/%s: has a NUL character, which PostgreSQL does not keep: remove it", name))
		}
		rows["rules"] = append(rows["rules"], []any{name, string(c.Rules[name])})
	}
	return rows, errors.Join(errs...)
}

// Export reads everything, as it is: it is not checked. Equal rows give equal content, in order of
// kinds and ids.
func (db *DB) Export(ctx context.Context) (*Content, error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.disconnect()
	c := &Content{}
	err = db.inSnapshot(ctx, conn, func(ctx context.Context, alive func()) error {
		r := &reader{ctx: ctx, conn: conn, alive: alive}
		for i := range tables {
			if t := &tables[i]; t.kind != "" {
				err := r.documents(t, "true", "true", func(doc license.Raw) error {
					c.Documents = append(c.Documents, tidy(doc).(license.Raw))
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		c.Rules, err = r.rules()
		return err
	})
	if err != nil {
		return nil, db.failed(err)
	}
	return c, nil
}
