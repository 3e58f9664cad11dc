package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/pullgate/pullgate/sync/tombstone"
	"github.com/spf13/cobra"
)

// revoker is a place that licenses come from in which something can be taken back.
type revoker interface {
	// Revoke returns where it is written, and false when it was written before.
	Revoke(ctx context.Context, r source.Revocation) (where string, changed bool, err error)
	// Target says whose it is.
	Target(ctx context.Context, r source.Revocation) (source.Target, error)
}

func revokeCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "revoke", Short: "Take a customer, license, key or digest back", Args: cobra.NoArgs}
	for _, sub := range []struct {
		kind       source.RevocationKind
		use, short string
		example    string
	}{
		{source.RevokeCustomer, "customer ID", "Ban a customer: every license stops", "  pullgate revoke customer acme --licenses licenses"},
		{source.RevokeLicense, "license ID", "Take a license back for good", "  pullgate revoke license acme-app --licenses postgres://pullgate@db.internal/licenses --reason chargeback"},
		{source.RevokeKey, "key CUSTOMER/KEY", "Take a customer's key out", "  pullgate revoke key acme/ci --licenses licenses"},
		{source.RevokeDigest, "digest REGISTRY:REPOSITORY@sha256:HEX", "Deliver a digest to nobody any more", "  pullgate revoke digest main:acme/app@sha256:6c3c624b58dbbcd3c0dd82b4c53f04194d1247c6eebdaab7c610cf7d66709b3b --licenses licenses --reason CVE-2026-1234"},
	} {
		cmd.AddCommand(revokeOne(sub.kind, sub.use, sub.short, sub.example))
	}
	return cmd
}

func revokeOne(kind source.RevocationKind, use, short, example string) *cobra.Command {
	var licenses, at, reason string
	var t tellSettings
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long: short + `: writes it into the license file (--licenses DIR), where everything else stays as it
is, or into the row of the database (--licenses postgres://…). What comes of it must be without
mistakes, else nothing is written. It counts as every edit does: within a second in one process,
with the next bundle where sidecars follow a publisher.

With --redis and --signing-key, sidecars and a publisher that have --redis, too, are told through
Redis: it counts within a second everywhere, before there is a bundle with it.

Exit codes: 0 it is revoked (also when it was before), 2 it could not be done, or not all of it.`,
		Example: example,
		Args:    cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&licenses, "licenses", "", "`directory` of license files, or URL of a PostgreSQL database")
	_ = cmd.MarkFlagRequired("licenses")
	if kind == source.RevokeLicense || kind == source.RevokeDigest {
		f.StringVar(&at, "at", "", "`instant` from which it is revoked (default: now)")
		f.StringVar(&reason, "reason", "", "why, for who reads the files")
	}
	t.addFlags(f)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := newRevocation(kind, args[0], at, reason)
		if err != nil {
			return err
		}
		src, err := openLicenses(licenses)
		if err != nil {
			return err
		}
		tell, err := t.teller(fmt.Sprintf("%s %s", kind, args[0]))
		if err != nil {
			return err
		}
		defer tell.Close()
		if db, ok := src.(*postgres.DB); ok && tell != nil {
			tell.known = db.Bundles
		}
		return revoke(cmd, src.(revoker), r, args[0], tell)
	}
	return cmd
}

// revoke tells sidecars first, if it can: finding and checking all files may take a while. What is
// told and then not written counts for a few minutes only. Without a publisher that hears of it, it is
// written first.
func revoke(cmd *cobra.Command, src revoker, r source.Revocation, name string, tell *teller) error {
	ctx := cmd.Context()
	var target source.Target
	var untold error
	told := false
	if tell != nil {
		var err error
		if target, err = src.Target(ctx, r); err != nil {
			return err
		}
		if untold = tell.tell(ctx, r, target, false); untold == nil {
			told = true
		}
	}
	where, changed, err := src.Revoke(ctx, r)
	if err != nil {
		if told {
			err = fmt.Errorf("it is denied for now, but not written, and counts again in %s if it is not: %w", tell.hold, err)
		}
		return err
	}
	said := "written into"
	if !changed {
		said = "revoked before, in"
	}
	if errors.Is(untold, tombstone.ErrQuiet) {
		untold = tell.tell(ctx, r, target, true)
	}
	if untold != nil {
		again := "; run it again to tell them"
		if r.Kind == source.RevokeKey {
			again = "" // it is gone, and nobody knows its hash any more
		}
		return fmt.Errorf("%s %s: %s %s, but sidecars are not told through Redis, and it counts as every edit%s: %w", r.Kind, name, said, where, again, untold)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s %s\n", r.Kind, name, said, where)
	if tell == nil {
		fmt.Fprintln(cmd.OutOrStdout(), "it counts within a second in one process, and with the next bundle where sidecars follow a publisher")
		return nil
	}
	_, err = tell.said.WriteTo(cmd.OutOrStdout())
	return err
}

var digestPattern = regexp.MustCompile(`^(?:([a-z0-9][a-z0-9._-]*):)?([^@:]+)@(sha256:[0-9a-f]{64})$`)

// newRevocation reads what is to be revoked.
func newRevocation(kind source.RevocationKind, id, at, reason string) (source.Revocation, error) {
	r := source.Revocation{Kind: kind, ID: id, At: time.Now().UTC().Truncate(time.Second), Reason: reason}
	if strings.ContainsFunc(reason, func(c rune) bool { return c < ' ' }) {
		return r, errors.New("--reason: want one line")
	}
	if at != "" {
		t, err := parseInstant("--at", at)
		if err != nil {
			return r, err
		}
		r.At = t
	}
	switch kind {
	case source.RevokeKey:
		var ok bool
		if r.Customer, r.Key, ok = strings.Cut(id, "/"); !ok || r.Customer == "" || r.Key == "" {
			return r, fmt.Errorf("%q: want CUSTOMER/KEY, like acme/ci", id)
		}
	case source.RevokeDigest:
		m := digestPattern.FindStringSubmatch(id)
		if m == nil || m[1] == "" {
			return r, fmt.Errorf("%q: want REGISTRY:REPOSITORY@sha256:HEX with the id of a Registry document, like main:acme/app@sha256:6c3c…", id)
		}
		r.Registry, r.Repository, r.Digest = m[1], m[2], m[3]
	}
	return r, nil
}
