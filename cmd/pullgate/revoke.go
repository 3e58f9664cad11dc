package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
)

// revoker is a place that licenses come from in which something can be taken back.
type revoker interface {
	// Revoke returns where it is written, and false when it was written before.
	Revoke(ctx context.Context, r source.Revocation) (where string, changed bool, err error)
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
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Long: short + `: writes it into the license file (--licenses DIR), where everything else stays as it
is, or into the row of the database (--licenses postgres://…). What comes of it must be without
mistakes, else nothing is written. It counts as every edit does: within a second in one process,
with the next bundle where sidecars follow a publisher.

Exit codes: 0 it is revoked (also when it was before), 2 it could not be done.`,
		Example: example,
		Args:    cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&licenses, "licenses", "", "directory of license files, or `URL` of a PostgreSQL database")
	_ = cmd.MarkFlagRequired("licenses")
	if kind == source.RevokeLicense || kind == source.RevokeDigest {
		f.StringVar(&at, "at", "", "`instant` from which it is revoked (default: now)")
		f.StringVar(&reason, "reason", "", "why, for who reads the files")
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		r, err := newRevocation(kind, args[0], at, reason)
		if err != nil {
			return err
		}
		src, err := openLicenses(licenses)
		if err != nil {
			return err
		}
		where, changed, err := src.(revoker).Revoke(cmd.Context(), r)
		if err != nil {
			return err
		}
		said := "written into"
		if !changed {
			said = "revoked before, in"
		}
		fmt.Fprintf(cmd.OutOrStdout(), "%s %s: %s %s\n", kind, args[0], said, where)
		return nil
	}
	return cmd
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
