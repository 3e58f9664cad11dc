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
		var err error
		if row, changed, err = revokeRow(ctx, conn, &r); err != nil || !changed {
			return err
		}
		got, err := readIn(ctx, conn, state{}, func() {})
		if err != nil {
			return err
		}
		if got.err != nil {
			return fmt.Errorf("the licenses in the database have mistakes, which must be mended first:\n%w", got.err)
		}
		return nil
	})
	if err != nil {
		return row, false, db.failed(err)
	}
	return row, changed, nil
}

func revokeRow(ctx context.Context, conn *session, r *source.Revocation) (row string, changed bool, err error) {
	at := r.At.UTC().Format(time.RFC3339)
	var look, edit, id string
	var args []string
	switch r.Kind {
	case source.RevokeCustomer:
		row, id, args = "customers/"+r.ID, r.ID, []string{r.ID}
		look = "SELECT status = 'banned' FROM pullgate.customers WHERE id = $1 FOR UPDATE"
		edit = "UPDATE pullgate.customers SET status = 'banned' WHERE id = $1"
	case source.RevokeLicense:
		row, id, args = "licenses/"+r.ID, r.ID, []string{r.ID}
		look = "SELECT revoked_at IS NOT NULL FROM pullgate.licenses WHERE id = $1 FOR UPDATE"
		edit = "UPDATE pullgate.licenses SET revoked_at = $2, revoked_reason = nullif($3, '') WHERE id = $1"
	case source.RevokeKey:
		row, id, args = "keys/"+r.Customer+"/"+r.Key, r.Customer+"/"+r.Key, []string{r.Customer, r.Key}
		look = "SELECT false FROM pullgate.keys WHERE customer = $1 AND id = $2 FOR UPDATE"
		edit = "DELETE FROM pullgate.keys WHERE customer = $1 AND id = $2"
	case source.RevokeDigest:
		row, id, args = "registries/"+r.Registry, r.Registry, []string{r.Registry, r.Repository, r.Digest}
		look = `SELECT coalesce(revoked_digests @> jsonb_build_array(jsonb_build_object('repository', $2::text, 'digest', $3::text)), false)
			FROM pullgate.registries WHERE id = $1 FOR UPDATE`
		edit = `UPDATE pullgate.registries SET revoked_digests = coalesce(revoked_digests, '[]') || jsonb_build_array(jsonb_strip_nulls(
			jsonb_build_object('repository', $2::text, 'digest', $3::text, 'at', $4::text, 'reason', nullif($5::text, '')))) WHERE id = $1`
	default:
		return "", false, fmt.Errorf("%q cannot be revoked", r.Kind)
	}
	found, err := conn.one(ctx, look, args...)
	switch {
	case errors.Is(err, errNoRow):
		return row, false, fmt.Errorf("%w: no %s %q", source.ErrNoSuch, strings.TrimSuffix(strings.SplitN(row, "/", 2)[0], "s"), id)
	case err != nil:
		return row, false, err
	case found[0] == "t":
		return row, false, nil
	}
	if r.Kind == source.RevokeLicense || r.Kind == source.RevokeDigest {
		args = append(args, at, r.Reason)
	}
	_, err = conn.each(ctx, func([][]byte) error { return nil }, edit, args...)
	return row, true, err
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
