package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var catalogFile, data string
	cmd := &cobra.Command{
		Use:   "check DIR",
		Short: "Say what is wrong with a directory of license files",
		Long: `Reads all license files below DIR and reports every mistake at once, as
  file:line:column: path: what is wrong, what would be right
on standard output. Warnings are printed too and change nothing about the exit code.

Exit codes: 0 clean (warnings included), 1 mistakes, 2 the directory cannot be read.`,
		Example: "  pullgate check licenses",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			out := cmd.OutOrStdout()
			snap, err := source.Dir{Path: args[0]}.Load(cmd.Context())
			var wrong license.Errors
			if errors.As(err, &wrong) {
				fmt.Fprintln(out, err)
				fmt.Fprintf(cmd.ErrOrStderr(), "mistakes: %d; nothing is used until they are mended\n", len(wrong))
				return errNo
			}
			if err != nil {
				return err
			}
			repositories, err := questionCatalog(snap.Set, catalogFile, data, false)
			if err != nil {
				return err
			}
			warnings, err := checkCompile(snap, repositories)
			if err != nil {
				fmt.Fprintln(out, err)
				return errNo
			}
			for _, w := range snap.Set.Warnings() {
				fmt.Fprintf(out, "warning: %s\n", w)
			}
			for _, w := range warnings {
				fmt.Fprintf(out, "warning: %s\n", w)
			}
			fmt.Fprintf(out, "ok: registries %d, products %d, customers %d, licenses %d\n",
				len(snap.Set.Registries), len(snap.Set.Products), len(snap.Set.Customers), len(snap.Set.Licenses))
			return nil
		},
	}
	addCatalogFlags(cmd, &catalogFile, &data)
	return cmd
}

// checkCompile compiles without signing, for what only the compiler notices.
func checkCompile(snap *source.Snapshot, repositories []compile.Repository) ([]compile.Warning, error) {
	in := compileInput(snap, repositories)
	_, warnings, err := compile.Compile(in)
	if len(repositories) == 0 {
		return nil, err // without a catalog every repository would be missing from it
	}
	return warnings, err
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
