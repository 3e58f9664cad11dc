package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pullgate/pullgate/sync/source"
)

// Revoke writes a revocation into the row it is about, in one transaction. It returns the row, as
// messages name it, and false when it said so before. What comes of it is read back and must be good.
func (db *DB) Revoke(ctx context.Context, r source.Revocation) (row string, changed bool, err error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return "", false, err
	}
	defer conn.disconnect()
	if err := checkSchema(ctx, conn); err != nil {
		return "", false, db.failed(err)
	}
	err = conn.transaction(ctx, "", func() error {
		edit, err := editOf(&r)
		if err != nil {
			return err
		}
		row = edit.row
		found, err := conn.one(ctx, edit.look, edit.args...)
		switch {
		case errors.Is(err, errNoRow):
			return fmt.Errorf("%w: no %s %q", source.ErrNoSuch, strings.TrimSuffix(strings.SplitN(row, "/", 2)[0], "s"), edit.id)
		case err != nil:
			return err
		}
		if found[0] == "t" { // but perhaps only from a later instant on
			if done, err := says(ctx, conn, &r); err != nil || done {
				return err
			}
		}
		args := edit.args
		if r.Kind == source.RevokeLicense || r.Kind == source.RevokeDigest {
			args = append(args, r.At.UTC().Format(time.RFC3339), r.Reason)
		}
		if _, err := conn.each(ctx, func([][]byte) error { return nil }, edit.edit, args...); err != nil {
			return err
		}
		changed = true
		if done, err := says(ctx, conn, &r); err != nil {
			return err
		} else if !done {
			return fmt.Errorf("%s: the edit would not mean what it should: edit it by hand", row)
		}
		return nil
	})
	if err != nil {
		return row, false, db.failed(err)
	}
	return row, changed, nil
}

// says reads whether the licenses in the database have a revocation.
func says(ctx context.Context, conn *session, r *source.Revocation) (bool, error) {
	got, err := readIn(ctx, conn, state{}, func() {})
	if err != nil {
		return false, err
	}
	if got.err != nil {
		return false, fmt.Errorf("the licenses in the database have mistakes, which must be mended first:\n%w", got.err)
	}
	return r.Done(got.snap.Set), nil
}

// rowEdit is how a row is revoked: look locks it and says whether it was revoked at all.
type rowEdit struct {
	row, id, look, edit string
	args                []string
}

func editOf(r *source.Revocation) (e rowEdit, err error) {
	switch r.Kind {
	case source.RevokeCustomer:
		e.row, e.id, e.args = "customers/"+r.ID, r.ID, []string{r.ID}
		e.look = "SELECT status = 'banned' FROM pullgate.customers WHERE id = $1 FOR UPDATE"
		e.edit = "UPDATE pullgate.customers SET status = 'banned' WHERE id = $1"
	case source.RevokeLicense:
		e.row, e.id, e.args = "licenses/"+r.ID, r.ID, []string{r.ID}
		e.look = "SELECT revoked_at IS NOT NULL FROM pullgate.licenses WHERE id = $1 FOR UPDATE"
		e.edit = `UPDATE pullgate.licenses SET revoked_at = $2, revoked_reason = coalesce(nullif($3, ''), revoked_reason),
			suspended_at = NULL, suspended_until = NULL, suspended_reason = NULL, suspended_public_reason = NULL WHERE id = $1`
	case source.RevokeKey:
		e.row, e.id, e.args = "keys/"+r.Customer+"/"+r.Key, r.Customer+"/"+r.Key, []string{r.Customer, r.Key}
		e.look = "SELECT false FROM pullgate.keys WHERE customer = $1 AND id = $2 FOR UPDATE"
		e.edit = "DELETE FROM pullgate.keys WHERE customer = $1 AND id = $2"
	case source.RevokeDigest:
		e.row, e.id, e.args = "registries/"+r.Registry, r.Registry, []string{r.Registry, r.Repository, r.Digest}
		e.look = `SELECT coalesce(revoked_digests @> jsonb_build_array(jsonb_build_object('repository', $2::text, 'digest', $3::text)), false)
			FROM pullgate.registries WHERE id = $1 FOR UPDATE`
		// What was to be revoked later is revoked now.
		e.edit = `UPDATE pullgate.registries SET revoked_digests = (
			SELECT coalesce(jsonb_agg(d ORDER BY n), '[]') FROM jsonb_array_elements(coalesce(revoked_digests, '[]')) WITH ORDINALITY AS list (d, n)
			WHERE NOT d @> jsonb_build_object('repository', $2::text, 'digest', $3::text)
			) || jsonb_build_array(jsonb_strip_nulls(
			jsonb_build_object('repository', $2::text, 'digest', $3::text, 'at', $4::text, 'reason', nullif($5::text, '')))) WHERE id = $1`
	default:
		return e, fmt.Errorf("%q cannot be revoked", r.Kind)
	}
	return e, nil
}

// Target finds what is to be revoked. The error is source.ErrNoSuch when it is not there.
func (db *DB) Target(ctx context.Context, r source.Revocation) (t source.Target, err error) {
	conn, err := db.connect(ctx)
	if err != nil {
		return t, err
	}
	defer conn.disconnect()
	if err := checkSchema(ctx, conn); err != nil {
		return t, db.failed(err)
	}
	var found []string
	name := r.ID
	switch r.Kind {
	case source.RevokeCustomer:
		found, err = conn.one(ctx, "SELECT id, '' FROM pullgate.customers WHERE id = $1", r.ID)
	case source.RevokeLicense:
		found, err = conn.one(ctx, "SELECT customer, '' FROM pullgate.licenses WHERE id = $1", r.ID)
	case source.RevokeKey:
		found, err = conn.one(ctx, "SELECT customer, hash FROM pullgate.keys WHERE customer = $1 AND id = $2", r.Customer, r.Key)
	default:
		name = r.Registry
		found, err = conn.one(ctx, "SELECT '', '' FROM pullgate.registries WHERE id = $1", r.Registry)
	}
	switch {
	case errors.Is(err, errNoRow):
		return t, db.failed(fmt.Errorf("%w: no %s %q", source.ErrNoSuch, r.Kind, name))
	case err != nil:
		return t, db.failed(err)
	}
	return source.Target{Customer: found[0], Hash: found[1]}, nil
}
