package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/spf13/cobra"
)

func testCommand() *cobra.Command {
	var verbose bool
	cmd := &cobra.Command{
		Use:   "test DIR...",
		Short: "Run the decision scripts (*.txtar) and Rego tests (*_test.rego) below directories",
		Long: `Runs every decision script and every Rego test below the directories, prints a line for each
expectation that does not hold, and closes with "N passed, N failed". The format of scripts is
described in docs/decision-scripts.md; ` + "`pullgate init`" + ` writes a first one.

Exit codes: 0 all passed, 1 some failed, 2 a script cannot be read or there is none.`,
		Example: "  pullgate test licenses",
		Args:    cobra.MinimumNArgs(1),
	}
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "print a line for each script as well")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		scripts, rego, err := findTests(args)
		if err != nil {
			return err
		}
		if len(scripts)+len(rego) == 0 {
			return fmt.Errorf("no *.txtar and no *_test.rego below %s", strings.Join(args, ", "))
		}
		out := cmd.OutOrStdout()
		passed, failed, unread := runScripts(cmd.Context(), scripts, out, verbose)
		p, f, err := runRegoTests(cmd.Context(), rego, out)
		passed, failed = passed+p, failed+f
		err = errors.Join(unread, err) // what could not be run is neither passed nor failed
		if err == nil || passed+failed > 0 {
			fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
		}
		if err != nil {
			return err
		}
		if failed > 0 {
			return errNo
		}
		return nil
	}
	return cmd
}

// findTests returns the decision scripts below the roots and the directories that hold Rego
// tests. A root may be a file.
func findTests(roots []string) (scripts, rego []string, err error) {
	for _, root := range roots {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root && d.Name() != "..":
				return fs.SkipDir
			case d.IsDir():
			case strings.HasSuffix(path, ".txtar"):
				scripts = append(scripts, path)
			case strings.HasSuffix(path, "_test.rego"):
				rego = append(rego, filepath.Dir(path))
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	slices.Sort(scripts)
	slices.Sort(rego)
	return slices.Compact(scripts), slices.Compact(rego), nil
}

func runScripts(ctx context.Context, paths []string, out io.Writer, verbose bool) (passed, failed int, err error) {
	runner := authztest.Runner{Door: authztest.NewGateDoor(), Catalog: readScriptCatalog}
	var errs []error
	for _, path := range paths {
		s, err := authztest.ReadScript(path)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		results, err := runner.Run(ctx, s)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		bad := 0
		for _, r := range results {
			if len(r.Problems) > 0 {
				bad++
				fmt.Fprintf(out, "%s:%d: %s: %s\n", r.Path, r.Line, r.Text, strings.Join(r.Problems, "; "))
			}
		}
		passed, failed = passed+len(results)-bad, failed+bad
		if verbose {
			fmt.Fprintf(out, "%s: %d passed, %d failed\n", path, len(results)-bad, bad)
		}
	}
	return passed, failed, errors.Join(errs...)
}

func readScriptCatalog(data []byte, set *license.Set) ([]compile.Repository, error) {
	return publish.ReadCatalog("catalog.yaml", data, set)
}
