package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/spf13/cobra"
)

func catalogShowCommand() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use:   "show REPOSITORY[:TAG|@DIGEST]",
		Short: "Print what is known of a repository, a tag or a digest",
		Long: `Prints what is known from the last crawl, or from --catalog: of a repository its tags and what they
named earlier; of a tag or a digest the graph below it, what refers to it, and the versions and tags
by which it is reached, which is what a request for it is judged by.

With --licenses versions are those of the products there, with channels, Release documents, revoked
digests and the registry's history. Without, a version is what a tag says, and history is P400D.

Exit codes: 0 it is known, 1 it is not, 2 could not find out.`,
		Example: `  pullgate catalog show acme/app
  pullgate catalog show --licenses licenses acme/app:1.4.0
  pullgate catalog show acme/app@sha256:…`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&f.registry, "registry", "", "id of the registry (default: all)")
	cmd.Flags().StringVar(&f.licenses, "licenses", "", "`directory` of license files, or URL of a PostgreSQL database (default: none)")
	addCatalogFlags(cmd, &f.file, &f.data)
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		found, err := f.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		if len(found) == 0 {
			fmt.Fprintf(cmd.ErrOrStderr(), "pullgate: %s is not in the catalog; `pullgate catalog crawl` reads the registry again\n", args[0])
			return errNo
		}
		for _, s := range found {
			if format == "json" {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				err = s.table(cmd.OutOrStdout(), time.Now())
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	return cmd
}

// showFlags say where to look.
type showFlags struct{ registry, licenses, file, data string }

// find describes a reference in every registry that knows it.
func (f *showFlags) find(ctx context.Context, ref string) ([]*shown, error) {
	name, tag, digest := splitReference(ref)
	cats, err := f.catalogs()
	if err != nil {
		return nil, err
	}
	var set *license.Set
	if f.licenses != "" {
		snap, err := loadLicenses(ctx, f.licenses)
		if err != nil {
			return nil, err
		}
		set = &license.Set{Registries: snap.Set.Registries, Products: snap.Set.Products, Releases: snap.Set.Releases}
	}
	var found []*shown
	for _, c := range cats {
		repo := c.Repositories[name]
		if repo == nil {
			continue
		}
		indexes, err := indexesOf(c.Registry, name, repo, set)
		if err != nil {
			return nil, err
		}
		for _, x := range indexes {
			if s := describe(x, repo, tag, digest); s != nil {
				found = append(found, s)
			}
		}
	}
	return found, nil
}

// splitReference splits REPOSITORY[:TAG|@DIGEST]. Where a digest is wanted, a name of a catalog that
// was written by hand will do.
func splitReference(ref string) (name, tag, digest string) {
	name, digest, byDigest := strings.Cut(ref, "@")
	switch i := strings.LastIndexByte(name, ':'); {
	case byDigest && !catalog.ValidDigest(digest):
		digest = catalog.DigestOf(digest)
	case !byDigest && i > strings.LastIndexByte(name, '/'):
		name, tag = name[:i], name[i+1:]
	}
	return name, tag, digest
}

// indexOf is one repository as requests are judged by it.
type indexOf struct {
	*index.Index
	repo     index.Repo
	products bool // they are those of license files
}

// indexesOf compiles a repository alone; more than one when several registries may have it.
func indexesOf(registry, name string, repo *catalog.Repository, set *license.Set) (out []indexOf, err error) {
	products := set != nil
	if !products {
		if set, err = plainSet(registry, name); err != nil {
			return nil, err
		}
	}
	alone := &catalog.Catalog{Registry: registry, Repositories: map[string]*catalog.Repository{name: repo}}
	repositories, err := publish.Repositories([]*catalog.Catalog{alone}, set)
	if err != nil {
		return nil, err
	}
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: repositories, Modules: policies.Modules(), Name: "default", NotAfter: authz.Never,
	})
	if err != nil {
		return nil, err
	}
	x, err := index.Open(content.Files["index.bin"])
	if err != nil {
		return nil, err
	}
	for i := range set.Registries {
		if r, ok := x.Repository(set.Registries[i].ID, name); ok {
			out = append(out, indexOf{x, r, products})
		}
	}
	return out, nil
}

// plainSet are license files that know nothing but a repository, whose tags are versions.
func plainSet(registry, name string) (*license.Set, error) {
	if registry == "" {
		registry = "main"
	}
	return license.Parse(map[string][]byte{"catalog.yaml": fmt.Appendf(nil,
		"kind: Registry\nid: %s\nhosts: [registry.invalid]\nupstream: https://registry.invalid\n---\nkind: Product\nid: versions\nregistry: %s\nrepositories: [%q]\n",
		registry, registry, name)})
}

// catalogs are those to look into.
func (f *showFlags) catalogs() ([]*catalog.Catalog, error) {
	if f.file != "" {
		text, err := os.ReadFile(f.file)
		if err != nil {
			return nil, err
		}
		return catalog.Read(f.file, text)
	}
	dir := catalogDir(f.data)
	if f.registry != "" {
		c, err := catalog.Last(dir, f.registry)
		return []*catalog.Catalog{c}, err
	}
	stores, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil {
		return nil, err
	}
	if len(stores) == 0 {
		return nil, fmt.Errorf("no catalog below %s; run `pullgate catalog crawl` first, or give --catalog FILE", dir)
	}
	var cats []*catalog.Catalog
	for _, path := range stores {
		c, err := catalog.Last(dir, strings.TrimSuffix(filepath.Base(path), ".db"))
		if errors.Is(err, catalog.ErrNoCatalog) && len(stores) > 1 {
			continue // another registry may have the repository
		}
		if err != nil {
			return nil, err
		}
		cats = append(cats, c)
	}
	return cats, nil
}
