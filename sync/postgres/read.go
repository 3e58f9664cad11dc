package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/source"
)

// A position is a revision of one history: that of one database on one running server. Revisions of
// different histories, as after a restore or a switch to another server, say nothing about each other.
type position struct {
	revision int64
	history  string
}

// state is what was read last.
type state struct {
	good position         // of snap
	snap *source.Snapshot // nil: nothing good was read yet
	seen position         // what was read last, good or not
	err  error            // what was wrong there

	whole bool // everything was read for it
}

// Load reads all licenses and rules once, or as much of them as has changed since they were last
// read. The error says everything that is wrong: license.Errors for rows, in a source.Refused.
func (db *DB) Load(ctx context.Context) (*source.Snapshot, error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.disconnect()
	return db.read(ctx, conn)
}

// read reads what has changed, if anything has.
func (db *DB) read(ctx context.Context, conn *session) (*source.Snapshot, error) {
	db.mu.Lock()
	defer db.mu.Unlock()
	next, err := db.snapshot(ctx, conn, db.last)
	if next.whole {
		db.wholes++
	}
	if err != nil {
		return nil, db.failed(err) // nothing was learned
	}
	db.last = next
	if next.err != nil {
		return nil, next.err
	}
	return next.snap, nil
}

// snapshot reads what has changed since last. The error is that nothing could be read; what is
// wrong with what was read is in the state.
func (db *DB) snapshot(ctx context.Context, conn *session, last state) (next state, err error) {
	err = db.inSnapshot(ctx, conn, func(ctx context.Context, alive func()) (err error) {
		next, err = readIn(ctx, conn, last, alive)
		return err
	})
	return next, err
}

// inSnapshot runs a function in one repeatable read. Its error is that of the function, or says that
// the snapshot is not to be believed.
func (db *DB) inSnapshot(ctx context.Context, conn *session, f func(ctx context.Context, alive func()) error) error {
	ctx, alive, stop := db.patient(ctx)
	defer stop()
	err := checkSchema(ctx, conn)
	if err == nil {
		err = conn.transaction(ctx, "ISOLATION LEVEL REPEATABLE READ READ ONLY", func() error {
			// A table that was truncated looks empty also to transactions that began before; so all are
			// held before the first look.
			names := []string{"pullgate.rules"}
			for _, t := range tables {
				names = append(names, "pullgate."+t.name)
			}
			if err := conn.exec(ctx, "LOCK TABLE "+strings.Join(names, ", ")+" IN ACCESS SHARE MODE"); err != nil {
				return err
			}
			return f(ctx, alive)
		})
	}
	if why := context.Cause(ctx); err != nil && why != nil {
		return why
	}
	return err
}

// patient is a context that ends when nobody says alive for the timeout.
func (db *DB) patient(ctx context.Context) (_ context.Context, alive, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(db.timeout, func() {
		cancel(fmt.Errorf("no answer for %s", db.timeout))
	})
	return ctx, func() { timer.Reset(db.timeout) }, func() { timer.Stop(); cancel(nil) }
}

// readIn reads what has changed since last, or everything.
func readIn(ctx context.Context, conn *session, last state, alive func()) (state, error) {
	r := &reader{ctx: ctx, conn: conn, alive: alive}
	at, horizon, err := where(ctx, conn)
	if err != nil {
		return last, err
	}
	if at == last.seen {
		last.whole = false
		return last, nil
	}
	next := last
	next.seen, next.err, next.whole = at, nil, false
	if last.snap != nil && last.good.history == at.history && last.good.revision >= horizon && last.good.revision <= at.revision {
		snap, err := r.edited(last)
		if err != nil {
			return last, err
		}
		if snap != nil {
			if snap.Hash == "" {
				snap.Hash = at.hash()
			}
			next.good, next.snap = at, snap
			return next, nil
		}
	}
	next.whole = true
	snap, err := r.everything()
	if refused, ok := errors.AsType[*source.Refused](err); ok {
		next.err = refused
		return next, nil
	}
	if err != nil {
		return last, err
	}
	snap.Hash = at.hash()
	next.good, next.snap = at, snap
	return next, nil
}

func (p position) hash() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n", p.history, p.revision))
	return hex.EncodeToString(sum[:])
}

// where is the position of a transaction, and the revision before which nobody knows what is gone.
func where(ctx context.Context, conn *session) (at position, horizon int64, err error) {
	row, err := conn.one(ctx, `SELECT revision, horizon, concat_ws(' ', lineage, 'pullgate.revision'::regclass::oid,
		(SELECT oid FROM pg_database WHERE datname = current_database()), extract(epoch FROM pg_postmaster_start_time()))
		FROM pullgate.revision`)
	if err != nil {
		return at, 0, err
	}
	at.history = row[2]
	at.revision, err = strconv.ParseInt(row[0], 10, 64)
	if err == nil {
		horizon, err = strconv.ParseInt(row[1], 10, 64)
	}
	return at, horizon, err
}

// reader reads in one transaction.
type reader struct {
	ctx   context.Context
	conn  *session
	alive func()
}

// each calls f with every row of a query, as text; f must not keep it.
func (r *reader) each(f func(row [][]byte) error, query string, args ...string) error {
	n := 0
	_, err := r.conn.each(r.ctx, func(row [][]byte) error {
		if n++; n%256 == 0 {
			r.alive()
		}
		return f(row)
	}, query, args...)
	r.alive()
	return err
}

// documents calls f with the documents of a table's rows that a condition names, in order of ids.
// Customers come with the keys that another one names.
func (r *reader) documents(t *table, rows, keys string, f func(license.Raw) error, args ...string) error {
	of := map[string][]any{}
	if t.name == "customers" {
		k := tableNamed("keys")
		err := r.each(func(row [][]byte) error {
			key, err := k.document(row)
			customer := string(row[0])
			of[customer] = append(of[customer], key)
			return err
		}, fmt.Sprintf("SELECT %s FROM pullgate.keys t WHERE %s ORDER BY t.customer, t.id", k.selected(), keys), args...)
		if err != nil {
			return err
		}
	}
	return r.each(func(row [][]byte) error {
		doc, err := t.document(row)
		if err != nil {
			return err
		}
		if own := of[string(row[0])]; own != nil {
			doc.Fields = append(doc.Fields, license.RawField{Name: "keys", Value: own})
		}
		return f(doc)
	}, fmt.Sprintf("SELECT %s FROM pullgate.%s t WHERE %s ORDER BY t.id", t.selected(), t.name, rows), args...)
}

// batch is how many documents are made parts of at a time: they share memory.
const batch = 1024

// parts collects documents as parts.
type parts struct {
	docs []license.Raw
	all  []license.Part
}

func (p *parts) add(doc license.Raw) error {
	if p.docs = append(p.docs, doc); len(p.docs) == batch {
		p.flush()
	}
	return nil
}

func (p *parts) flush() []license.Part {
	p.all = append(p.all, license.RawParts(p.docs)...)
	p.docs = p.docs[:0]
	return p.all
}

// everything reads all rows.
func (r *reader) everything() (*source.Snapshot, error) {
	var p parts
	for i := range tables {
		if t := &tables[i]; t.kind != "" {
			if err := r.documents(t, "true", "true", p.add); err != nil {
				return nil, err
			}
		}
	}
	rules, err := r.rules()
	if err != nil {
		return nil, err
	}
	if len(p.flush()) == 0 {
		return nil, &source.Refused{Stated: &license.Set{}, Err: license.Errors{{
			Pos: license.Position{File: "licenses"}, Msg: "the tables are empty: fill them with `pullgate licenses import DIR --to URL`, or by hand",
		}}}
	}
	set, err := license.ParseParts(p.all)
	if err != nil {
		return nil, &source.Refused{Err: inColumns(err), Stated: license.StatedParts(p.all)}
	}
	return &source.Snapshot{Set: set, Rules: withoutTests(rules)}, nil
}

// inColumns makes errors name columns.
func inColumns(err error) error {
	wrong, ok := errors.AsType[license.Errors](err)
	if !ok {
		return err
	}
	out := make(license.Errors, len(wrong))
	for i, e := range wrong {
		c := *e
		name, _, _ := strings.Cut(c.Pos.File, "/")
		if t := tableNamed(name); t != nil {
			c.Path = t.columnAt(c.Path)
		}
		out[i] = &c
	}
	return out
}

// rules reads the vendor's modules and their tests.
func (r *reader) rules() (map[string][]byte, error) {
	out := map[string][]byte{}
	err := r.each(func(row [][]byte) error {
		out[string(row[0])] = slices.Clone(row[1])
		return nil
	}, "SELECT id, text FROM pullgate.rules")
	return out, err
}

func withoutTests(rules map[string][]byte) map[string][]byte {
	out := maps.Clone(rules)
	maps.DeleteFunc(out, func(name string, _ []byte) bool { return strings.HasSuffix(name, "_test.rego") })
	return out
}

// changes are the conditions under which a document is not what it was at revision $1, where that
// is more than its own row's revision. Licenses are read again with what they depend on.
var changes = map[string]string{
	"customers": `t.id IN (SELECT id FROM pullgate.customers WHERE rev > $1::bigint UNION SELECT customer FROM pullgate.keys WHERE rev > $1::bigint
		UNION SELECT id FROM pullgate.deletions WHERE rev > $1::bigint AND kind = 'keys')`,
	"keys": `t.customer IN (SELECT id FROM pullgate.customers WHERE rev > $1::bigint UNION SELECT customer FROM pullgate.keys WHERE rev > $1::bigint
		UNION SELECT id FROM pullgate.deletions WHERE rev > $1::bigint AND kind = 'keys')`,
	"licenses": `t.id IN (SELECT id FROM pullgate.licenses WHERE rev > $1::bigint
		UNION SELECT l.id FROM pullgate.licenses l JOIN pullgate.customers c ON c.id = l.customer WHERE c.rev > $1::bigint
		UNION SELECT l.id FROM pullgate.licenses l JOIN pullgate.plans p ON p.id = l.plan WHERE p.rev > $1::bigint)`,
}

// edited reads what has changed since the last good snapshot. It gives nil when only everything can
// tell. A snapshot without a hash says something else than the last one.
func (r *reader) edited(last state) (*source.Snapshot, error) {
	since := strconv.FormatInt(last.good.revision, 10)
	var gone []string
	rulesChanged := false
	err := r.each(func(row [][]byte) error {
		switch kind := string(row[0]); kind {
		case "keys": // their customer is read again
		case "rules":
			rulesChanged = true
		default:
			gone = append(gone, kind+"/"+string(row[1]))
		}
		return nil
	}, "SELECT kind, id FROM pullgate.deletions WHERE rev > $1::bigint", since)
	if err != nil {
		return nil, err
	}
	var p parts
	for i := range tables {
		t := &tables[i]
		if t.kind == "" {
			continue
		}
		condition := changes[t.name]
		if condition == "" {
			condition = "t.rev > $1::bigint"
		}
		if err := r.documents(t, condition, changes["keys"], p.add, since); err != nil {
			return nil, err
		}
	}
	err = r.each(func([][]byte) error { rulesChanged = true; return nil }, "SELECT FROM pullgate.rules WHERE rev > $1::bigint LIMIT 1", since)
	if err != nil {
		return nil, err
	}
	snap := *last.snap
	if rulesChanged {
		rules, err := r.rules()
		if err != nil {
			return nil, err
		}
		if rules = withoutTests(rules); !maps.EqualFunc(rules, snap.Rules, slices.Equal) {
			snap.Rules, snap.Hash = rules, ""
		}
	}
	if changed := p.flush(); len(changed)+len(gone) > 0 {
		if snap.Set = last.snap.Set.Edited(changed, gone); snap.Set == nil {
			return nil, nil
		}
		snap.Hash = ""
	}
	return &snap, nil
}
