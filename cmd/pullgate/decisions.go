package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
	"github.com/spf13/cobra"
)

func decisionsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "decisions",
		Short: "Look at who asked for what, and what the answer was",
		Long:  "Works on the files below --data, with or without a running server.",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(decisionsListCommand(), decisionsTailCommand(), decisionsShowCommand())
	return cmd
}

// filterFlags are the repeatable filters of every question about decisions (docs/records.md).
type filterFlags struct {
	customer, license, key, repository, product, version, verdict, code []string
	since, until                                                        []string
}

// list returns where the values of a filter go, or nil for an unknown one.
func (f *filterFlags) list(name string) *[]string {
	switch name {
	case "customer":
		return &f.customer
	case "license":
		return &f.license
	case "key":
		return &f.key
	case "repository":
		return &f.repository
	case "product":
		return &f.product
	case "version":
		return &f.version
	case "verdict":
		return &f.verdict
	case "code":
		return &f.code
	case "since":
		return &f.since
	case "until":
		return &f.until
	}
	return nil
}

func (f *filterFlags) add(cmd *cobra.Command) {
	for _, d := range []struct{ name, help string }{
		{"customer", "id of a customer"},
		{"license", "id of a license"},
		{"key", "CUSTOMER/KEY or the key's id"},
		{"repository", "name of a repository"},
		{"product", "id of a product"},
		{"version", "version"},
		{"verdict", "allow or deny"},
		{"code", "code, such as expired"},
		{"since", "24h, or an instant: decisions from then on"},
		{"until", "1h, or an instant: decisions before then"},
	} {
		cmd.Flags().StringSliceVar(f.list(d.name), d.name, nil, d.help+"; repeatable")
	}
}

// filter resolves the flags; durations count back from now.
func (f *filterFlags) filter(now time.Time) (audit.Filter, error) {
	out := audit.Filter{
		Customer: f.customer, License: f.license, Key: f.key, Repository: f.repository,
		Product: f.product, Version: f.version, Verdict: f.verdict, Code: f.code,
	}
	for _, v := range f.verdict {
		if v != "allow" && v != "deny" {
			return out, fmt.Errorf("verdict %s: want allow or deny", v)
		}
	}
	for _, b := range []struct {
		name string
		vals []string
		into *time.Time
	}{{"since", f.since, &out.Since}, {"until", f.until, &out.Until}} {
		if len(b.vals) == 0 {
			continue
		}
		last := b.vals[len(b.vals)-1]
		if d, err := time.ParseDuration(last); err == nil && d >= 0 {
			*b.into = now.Add(-d)
			continue
		}
		t, err := time.Parse(time.RFC3339, last)
		if err != nil {
			return out, fmt.Errorf("%s %s: want a duration such as 24h, or an instant such as 2026-03-01T00:00:00Z", b.name, last)
		}
		*b.into = t
	}
	return out, nil
}

// addDecisions adds --data and returns a function that resolves it to the directory of records.
func addDecisions(cmd *cobra.Command) func() (string, error) {
	data := cmd.Flags().String("data", defaultDataDir(), "state `directory` of pullgate serve")
	return func() (string, error) {
		dir := decisionsDir(*data)
		if _, err := os.Stat(dir); err != nil {
			return "", fmt.Errorf("no decisions below %s; name the directory that `pullgate serve --data` uses", *data)
		}
		return dir, nil
	}
}

// addQuestion adds the flags of a question about several decisions, and returns a function
// that resolves them: where the records are, which are meant, and how they are printed.
func addQuestion(cmd *cobra.Command) func() (dir string, filter audit.Filter, p *decisionPrinter, err error) {
	var f filterFlags
	f.add(cmd)
	records, output := addDecisions(cmd), addOutput(cmd)
	return func() (dir string, filter audit.Filter, p *decisionPrinter, err error) {
		format, err := output()
		if err != nil {
			return "", filter, nil, err
		}
		if filter, err = f.filter(time.Now()); err != nil {
			return "", filter, nil, err
		}
		dir, err = records()
		return dir, filter, newDecisionPrinter(cmd.OutOrStdout(), format), err
	}
}

func decisionsListCommand() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List decisions, newest first",
		Example: "  pullgate decisions list --customer acme --verdict deny --since 24h",
		Args:    cobra.NoArgs,
	}
	question := addQuestion(cmd)
	cmd.Flags().IntVar(&limit, "limit", 100, "most decisions to print; 0 for all")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, filter, p, err := question()
		if err != nil {
			return err
		}
		n := 0
		err = audit.Query(dir, filter, audit.NewestFirst, func(r *authz.Record) bool {
			p.print(r)
			n++
			return n != limit
		})
		if err != nil {
			return err
		}
		if n > 0 && n == limit {
			fmt.Fprintf(cmd.ErrOrStderr(), "the newest %d; --limit shows more\n", n)
		}
		return p.flush()
	}
	return cmd
}

func decisionsTailCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "tail",
		Short:   "Print decisions as they are made, until interrupted",
		Example: "  pullgate decisions tail --verdict deny",
		Args:    cobra.NoArgs,
	}
	question := addQuestion(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		dir, filter, p, err := question()
		if err != nil {
			return err
		}
		return audit.Follow(cmd.Context(), dir, filter, func(r *authz.Record) bool {
			p.print(r)
			return p.flush() == nil
		})
	}
	return cmd
}

func decisionsShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Print one decision whole; the id is in the customer's error message",
		Example: "  pullgate decisions show 0199c2de-8a3f-7c11-9d5e-0242ac120002",
		Args:    cobra.ExactArgs(1),
	}
	records := addDecisions(cmd)
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		dir, err := records()
		if err != nil {
			return err
		}
		r, err := audit.Find(dir, args[0])
		if err != nil {
			return err
		}
		if r == nil {
			fmt.Fprintf(cmd.ErrOrStderr(), "pullgate: no decision %s below %s; it may be older than the files that are kept, or another instance's\n", args[0], dir)
			return errNo
		}
		if format == "json" {
			return printJSON(cmd.OutOrStdout(), r)
		}
		return printRecord(cmd.OutOrStdout(), r)
	}
	return cmd
}

// decisionPrinter prints records as lines of JSON or as a table with a heading.
type decisionPrinter struct {
	w       io.Writer
	table   interface{ Flush() error }
	heading bool
	json    bool
	err     error
}

func newDecisionPrinter(w io.Writer, format string) *decisionPrinter {
	if format == "json" {
		return &decisionPrinter{w: w, json: true}
	}
	t := newTable(w)
	return &decisionPrinter{w: t, table: t}
}

func (p *decisionPrinter) print(r *authz.Record) {
	if p.json {
		p.err = printJSON(p.w, r)
		return
	}
	if !p.heading {
		fmt.Fprintln(p.w, "TIME\tCUSTOMER\tVERDICT\tCODE\tSTATUS\tREPOSITORY\tREFERENCE\tLICENSE\tID")
		p.heading = true
	}
	reference := r.Reference
	if len(reference) > 27 {
		reference = reference[:27] + "…"
	}
	_, p.err = fmt.Fprintf(p.w, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\n", r.Time.UTC().Format("2006-01-02T15:04:05Z"),
		dash(r.Subject.Customer), r.Verdict, r.Code, r.Status, dash(r.Repository), dash(reference), dash(r.License), r.ID)
}

func (p *decisionPrinter) flush() error {
	if p.table != nil {
		if err := p.table.Flush(); err != nil {
			return err
		}
	}
	return p.err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func printRecord(w io.Writer, r *authz.Record) error {
	until := "never changes by itself"
	if r.Until != nil {
		until = r.Until.UTC().Format(time.RFC3339)
	}
	t := newTable(w)
	for _, row := range [][2]string{
		{"id", r.ID},
		{"time", r.Time.UTC().Format(time.RFC3339Nano)},
		{"verdict", fmt.Sprintf("%s %s (HTTP %d)", r.Verdict, r.Code, r.Status)},
		{"policy code", string(r.PolicyCode)},
		{"customer", r.Subject.Customer},
		{"key", r.Subject.Key + " via " + r.Subject.Via},
		{"request", r.Request.Method + " " + r.Request.Path},
		{"host", r.Request.Host},
		{"address", r.Request.Address},
		{"repository", r.Repository},
		{"reference", r.Reference},
		{"product", r.Product},
		{"version", r.Version},
		{"license", r.License},
		{"grant", r.Grant},
		{"until", until},
		{"enforcement", r.Enforcement},
		{"pinned", r.Pinned},
		{"cached", r.Cached},
		{"took", (time.Duration(r.DurationUS) * time.Microsecond).String()},
		{"instance", r.Instance},
		{"revision", r.Revision},
		{"detail", r.Detail},
	} {
		if row[1] != "" {
			fmt.Fprintf(t, "%s\t%s\n", row[0], row[1])
		}
	}
	return t.Flush()
}
