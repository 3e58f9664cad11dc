package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var f struct {
		catalog, data, at string
		schema, verbose   bool
	}
	cmd := &cobra.Command{
		Use:   "check DIR|URL",
		Short: "Say what is wrong with license files, or with what a database holds",
		Long: `Reads all license files and vendor rules below DIR and reports every mistake at once, as
  file:line:column: path: what is wrong, what would be right
on standard output. Of the URL of a PostgreSQL database it reads the tables and names the rows. What is allowed and probably not meant is a warning; it changes nothing about
the exit code. With a catalog (--catalog, or the last crawl under --data) check also warns about
what the catalog lacks. Of each kind of warning the first 20 are printed, and all with --verbose.

Exit codes: 0 clean (warnings included), 1 mistakes, 2 the directory cannot be read.`,
		Example: `  pullgate check licenses
  pullgate check licenses --catalog catalog.yaml --at 2026-12-01T00:00:00Z
  pullgate check postgres://pullgate@db.internal/licenses
  pullgate check --schema >license.schema.json`,
		Args: func(_ *cobra.Command, args []string) error {
			switch {
			case f.schema && len(args) > 0:
				return fmt.Errorf("--schema reads no files: leave out %s", strings.Join(args, " "))
			case f.schema || len(args) == 1:
				return nil
			case len(args) == 0:
				return errors.New("no directory: name that of the license files, like `pullgate check licenses`")
			default:
				return fmt.Errorf("%d directories: name one, like `pullgate check %s`; its folders are read too", len(args), args[0])
			}
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			if f.schema {
				_, err := out.Write(license.Schema())
				return err
			}
			at := time.Now()
			if f.at != "" {
				var err error
				if at, err = time.Parse(time.RFC3339, f.at); err != nil {
					return fmt.Errorf("--at %q: want an instant like 2026-12-31T12:00:00Z", f.at)
				}
			}
			snap, err := loadLicenses(cmd.Context(), args[0])
			if wrong, ok := errors.AsType[license.Errors](err); ok {
				return mistakes(cmd, err, len(wrong), checkRules(args[0]))
			}
			if err != nil {
				return err
			}
			repositories, err := questionCatalog(snap.Set, f.catalog, f.data, false)
			if err != nil {
				return err
			}
			in := compileInput(snap, repositories)
			in.IssuedAt = at.Unix()
			_, warnings, err := compile.Compile(in)
			if err != nil {
				return mistakes(cmd, nil, 0, err)
			}
			all := append(warningsOf(snap.Set.Warnings(at.Unix())), stray(args[0])...)
			if len(repositories) > 0 { // else every repository would be missing from the catalog
				for _, w := range warnings {
					all = append(all, warning{w.Pos, w.Kind, w.String()})
				}
			}
			printWarnings(out, all, f.verbose)
			fmt.Fprintf(out, "ok: registries %d, products %d, customers %d, licenses %d\n",
				len(snap.Set.Registries), len(snap.Set.Products), len(snap.Set.Customers), len(snap.Set.Licenses))
			return nil
		},
	}
	addCatalogFlags(cmd, &f.catalog, &f.data)
	cmd.Flags().StringVar(&f.at, "at", "", "`instant` as of which warnings about time are given, in RFC 3339 (default: now)")
	cmd.Flags().BoolVar(&f.schema, "schema", false, "print the JSON Schema of license files, for editors, and check nothing")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "print every warning, not the first 20 of each kind")
	return cmd
}

// mistakes prints the mistakes of license files, n of them, and those of rules.
func mistakes(cmd *cobra.Command, licenses error, n int, rules error) error {
	for _, err := range []error{licenses, rules} {
		if err != nil {
			fmt.Fprintln(cmd.OutOrStdout(), err)
		}
	}
	if rules != nil {
		n += strings.Count(rules.Error(), "\n") + 1
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "mistakes: %d; nothing is used until they are mended\n", n)
	return errNo
}

// checkRules checks the vendor rules of a directory whose license files have mistakes, so that all
// are told at once. A rule that cannot be read is told with those.
func checkRules(dir string) error {
	entries, _ := os.ReadDir(filepath.Join(dir, "rules")) // without the folder there are none
	rules := map[string][]byte{}
	for _, e := range entries {
		name := e.Name()
		if filepath.Ext(name) != ".rego" || strings.HasSuffix(name, "_test.rego") || strings.HasPrefix(name, ".") {
			continue
		}
		if text, err := os.ReadFile(filepath.Join(dir, "rules", name)); err == nil {
			rules["rules/"+name] = text
		}
	}
	return policies.Check(rules)
}

func addCatalogFlags(cmd *cobra.Command, file, data *string) {
	cmd.Flags().StringVar(file, "catalog", "", "`file` with a registry index (kind: Catalog), as pullgate catalog crawl --out writes it (default: the last crawl under --data)")
	cmd.Flags().StringVar(data, "data", defaultDataDir(), "state `directory` of pullgate serve, for its last crawl")
}

// questionCatalog is the catalog of a question: that of --catalog, else the last crawl. A
// question that needs one is refused without.
func questionCatalog(set *license.Set, file, data string, needed bool) ([]compile.Repository, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return publish.ReadCatalog(file, text, set)
	}
	var cats []*catalog.Catalog
	for i := range set.Registries {
		id := set.Registries[i].ID
		c, err := catalog.Last(catalogDir(data), id)
		if errors.Is(err, catalog.ErrNoCatalog) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.Registry = id
		cats = append(cats, c)
	}
	if len(cats) == 0 && needed {
		return nil, fmt.Errorf("no catalog: nothing under %s; run `pullgate catalog crawl` first, or give --catalog FILE", catalogDir(data))
	}
	return publish.Repositories(cats, set)
}
