package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pullgate/pullgate/bundle"
)

func bundleDiffCommand() *cobra.Command {
	var keys, customers, products, repositories []string
	var at, failOn, output string
	cmd := &cobra.Command{
		Use:   "diff [--key-file PUB] BEFORE AFTER",
		Short: "Say who gains and who loses what between two bundles",
		Long: `Asks the engine that serves Envoy, of both bundles and for every customer, which tags may be pulled
at an instant, and says who loses and who gains what, for whom the code, license or date of the answer
changes, and what else differs: licenses, keys, vendor rules, registries, tags that moved. Limits of
the customers' keys are not applied. Without --key-file signatures are not checked, and the output
says so. -o markdown is made for a comment on a pull request.

Exit codes: 0 no difference, 1 differences (with --fail-on loss: somebody loses something, now or
sooner than before), 2 could not find out.`,
		Example: `  pullgate bundle diff --key-file release.pub before.tar.gz after.tar.gz
  pullgate bundle diff -o markdown --fail-on loss before.tar.gz after.tar.gz`,
		Args: cobra.ExactArgs(2),
	}
	f := cmd.Flags()
	f.StringSliceVar(&keys, "key-file", nil, "public key (PEM) to verify both with; repeatable")
	f.StringVar(&at, "at", "", "instant to ask for (default: now, or when AFTER was issued if that is later)")
	f.StringSliceVar(&customers, "customer", nil, "only this customer; repeatable")
	f.StringSliceVar(&products, "product", nil, "only tags of this product's repositories; repeatable")
	f.StringSliceVar(&repositories, "repository", nil, "only tags of repositories of this name or pattern; repeatable")
	f.StringVar(&failOn, "fail-on", "any", "what exit code 1 is for: any difference, or loss")
	f.StringVarP(&output, "output", "o", "", "table, markdown or json (default: table on a terminal, else json, one object a line)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		format, err := output, error(nil)
		if format != "markdown" {
			if format, err = outputFormat(cmd, output); err != nil {
				return fmt.Errorf("-o %s: want table, markdown or json", output)
			}
		}
		if failOn != "any" && failOn != "loss" {
			return fmt.Errorf("--fail-on %s: want any or loss", failOn)
		}
		before, after, err := readBoth(args[0], args[1], keys)
		if err != nil {
			return err
		}
		opts := compareOptions{Customers: customers, Products: products, Repositories: repositories, Progress: newAsking(cmd.ErrOrStderr())}
		if opts.At, err = clockOfComparison(at, after); err != nil {
			return err
		}
		diff, err := printComparison(cmd.Context(), cmd.OutOrStdout(), format, before, after, opts, len(keys) > 0)
		if err != nil {
			return err
		}
		if diff.OneByOne != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "every customer was asked, not one for all who are alike: %s\n", diff.OneByOne)
		}
		if diff.Loses() || failOn == "any" && diff.Different() {
			return errNo
		}
		return nil
	}
	return cmd
}

// readBoth reads two bundles, verified if there are keys.
func readBoth(before, after string, keys []string) (*bundle.Bundle, *bundle.Bundle, error) {
	var read [2]*bundle.Bundle
	var group errgroup.Group
	for i, path := range []string{before, after} {
		group.Go(func() (err error) {
			if read[i], err = readBundle(path, keys, bundle.ReadOptions{AllowUnsigned: len(keys) == 0}); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, nil, err
	}
	if read[0].Name() != read[1].Name() {
		return nil, nil, fmt.Errorf("%s is named %s and %s is named %s: bundles of different sets of customers are not compared", before, read[0].Name(), after, read[1].Name())
	}
	return read[0], read[1], nil
}

// clockOfComparison is the instant that is asked for: no decision is made by a clock below the
// issue of the bundle it is made by.
func clockOfComparison(at string, after *bundle.Bundle) (time.Time, error) {
	if at != "" {
		return parseInstant("--at", at)
	}
	return time.Unix(max(time.Now().Unix(), after.IssuedAt()), 0), nil
}

// printComparison compares and prints.
func printComparison(ctx context.Context, out io.Writer, format string, before, after *bundle.Bundle, opts compareOptions, verified bool) (*difference, error) {
	if format == "json" {
		opts.Each = func(c *customerChange) error {
			opts.Progress.done()
			return printJSON(out, c.line())
		}
	}
	diff, err := compare(ctx, before, after, opts)
	opts.Progress.done()
	if err != nil {
		return nil, fmt.Errorf("compare: %w", err)
	}
	switch format {
	case "json":
		return diff, diff.printJSON(out, verified)
	case "markdown":
		return diff, diff.printMarkdown(out, verified)
	}
	return diff, diff.printTable(out, verified)
}
