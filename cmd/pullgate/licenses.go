package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
)

// licenseSource is where licenses come from: a directory or a database.
type licenseSource interface {
	// Load reads everything once, or says everything that is wrong.
	Load(ctx context.Context) (*source.Snapshot, error)
	// Watch reports what there is and then every change, until ctx is done; see source.Dir.
	Watch(ctx context.Context, report func(*source.Snapshot, error)) error
}

// openLicenses takes the directory of license files, or the URL of a PostgreSQL database. It opens nothing.
func openLicenses(where string) (licenseSource, error) { return openLicensesOf(where, 0) }

// openLicensesOf is openLicenses of a publisher whose database elects it for a term, 0 for that of package postgres.
func openLicensesOf(where string, term time.Duration) (licenseSource, error) {
	if !postgres.IsURL(where) {
		return source.Dir{Path: where}, nil
	}
	db, err := postgres.Open(postgres.Config{URL: where, Term: term})
	if err != nil {
		return nil, err
	}
	return db, nil
}

// loadLicenses reads them once.
func loadLicenses(ctx context.Context, where string) (*source.Snapshot, error) {
	from, err := openLicenses(where)
	if err != nil {
		return nil, err
	}
	return from.Load(ctx)
}

func openDatabase(url string) (*postgres.DB, error) { return postgres.Open(postgres.Config{URL: url}) }

const databaseHelp = `
URL is postgres://USER@HOST/DATABASE with the parameters of libpq (sslmode and the like); what it leaves out
comes from PGHOST, PGUSER … Without the flag it is that of PULLGATE_LICENSES. A password stands in
a file (PGPASSFILE or ~/.pgpass) or in PGPASSWORD, never in the URL.`

func licensesCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "licenses", Short: "Move licenses between files and PostgreSQL", Args: cobra.NoArgs}
	cmd.AddCommand(licensesImportCommand(), licensesExportCommand(), licensesMigrateCommand())
	return cmd
}

// addDatabase adds a flag for the URL of a database, and returns a function that opens it.
func addDatabase(cmd *cobra.Command, flag string) func() (*postgres.DB, error) {
	url := cmd.Flags().String(flag, "", "`URL` of the database (default: that of PULLGATE_LICENSES)")
	return func() (*postgres.DB, error) {
		where := cmp.Or(*url, os.Getenv("PULLGATE_LICENSES"))
		if where == "" {
			return nil, fmt.Errorf("no database: name it with --%s, like postgres://pullgate@db.internal/licenses", flag)
		}
		return openDatabase(where)
	}
}

func licensesImportCommand() *cobra.Command {
	var replace bool
	cmd := &cobra.Command{
		Use:   "import DIR [--to URL]",
		Short: "Write a directory of license files into PostgreSQL",
		Long: `Checks the license files and vendor rules below DIR as ` + "`pullgate check`" + ` does, and writes all of them into the
tables of the schema pullgate, which it makes if they are not there. All or nothing: one transaction,
and before it ends what was written is read back and must compile to the same bundle. A database that
holds licenses is left as it is, unless --replace takes them all out first.

Comments in the files, their names and the order of their documents are not kept; nor is what is no license file
and no rule, as decision scripts.
` + databaseHelp + `

Exit codes: 0 imported, 1 the files have mistakes, 2 it could not be done.`,
		Example: `  pullgate licenses import licenses --to postgres://pullgate@db.internal/licenses
  PGPASSFILE=/etc/pullgate/pgpass pullgate licenses import licenses --replace --to "postgres://pullgate@db.internal/licenses?sslmode=verify-full"`,
		Args: cobra.ExactArgs(1),
	}
	open := addDatabase(cmd, "to")
	cmd.Flags().BoolVar(&replace, "replace", false, "take out the licenses that are there")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		db, err := open()
		if err != nil {
			return err
		}
		if postgres.IsURL(args[0]) {
			return errors.New("DIR is a directory of license files, not a database: name the database with --to")
		}
		return importLicenses(cmd, db, args[0], replace)
	}
	return cmd
}

func importLicenses(cmd *cobra.Command, db *postgres.DB, dir string, replace bool) error {
	from, err := openLicenses(dir)
	if err != nil {
		return err
	}
	snap, err := from.Load(cmd.Context())
	if wrong, ok := errors.AsType[license.Errors](err); ok {
		return mistakes(cmd, err, len(wrong), checkRules(dir))
	}
	if err != nil {
		return err
	}
	in := compileInput(snap, nil)
	want, _, err := compile.Compile(in)
	if err != nil {
		return mistakes(cmd, nil, 0, err)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	content, err := postgres.FromFiles(os.DirFS(real))
	if err != nil {
		return err
	}
	var written *source.Snapshot
	err = db.Import(cmd.Context(), content, replace, func(s *source.Snapshot) error {
		written = s
		in.Set, in.Rules = s.Set, s.Rules
		got, _, err := compile.Compile(in)
		if err != nil {
			return fmt.Errorf("what was written does not compile, nothing was imported: %w", err)
		}
		if !sameFiles(got, want) {
			return fmt.Errorf("what was written compiles to another bundle than %s, nothing was imported: if the files changed meanwhile, try again", dir)
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "imported: %s, rules %d\n", counts(written.Set), len(content.Rules))
	return nil
}

func sameFiles(a, b *bundle.Content) bool { return maps.EqualFunc(a.All(), b.All(), bytes.Equal) }

// counts says how many documents of each kind there are.
func counts(s *license.Set) string {
	keys := 0
	for i := range s.Customers {
		keys += len(s.Customers[i].Keys)
	}
	return fmt.Sprintf("registries %d, products %d, releases %d, plans %d, customers %d, keys %d, licenses %d, public %d",
		len(s.Registries), len(s.Products), len(s.Releases), len(s.Plans), len(s.Customers), keys, len(s.Licenses), len(s.Public))
}

func licensesExportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export DIR [--from URL]",
		Short: "Write the licenses of PostgreSQL as license files",
		Long: `Writes everything that the tables hold into DIR, which must be empty or not there: customers/ID.yaml with
their keys and licenses, products/ID.yaml with their releases, registries/, plans/, public/ and rules/.
Equal tables give equal files, so that an export into a Git repository shows what was edited.
All or nothing, of one moment. It is not checked: ` + "`pullgate check DIR`" + ` does.
` + databaseHelp,
		Example: "  pullgate licenses export backup-2026-11-22 --from postgres://pullgate@db.internal/licenses",
		Args:    cobra.ExactArgs(1),
	}
	open := addDatabase(cmd, "from")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		db, err := open()
		if err != nil {
			return err
		}
		if err := vacant(args[0]); err != nil {
			return err
		}
		content, err := db.Export(cmd.Context())
		if err != nil {
			return err
		}
		files := content.Files()
		if err := writeDir(args[0], files); err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "exported: files %d, documents %d, rules %d\n", len(files), len(content.Documents), len(content.Rules))
		return nil
	}
	return cmd
}

// vacant refuses a path that something is at.
func vacant(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty; nothing was written: name another directory", dir)
	}
	return nil
}

// writeDir writes files beside dir and puts all of them in place at once.
func writeDir(dir string, files map[string][]byte) error {
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		target := filepath.Join(tmp, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, files[name], 0o644); err != nil {
			return err
		}
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, dir)
}

func licensesMigrateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate [--to URL]",
		Short: "Make the tables in PostgreSQL, or upgrade them",
		Long: `Makes the schema pullgate with its tables and triggers, or brings it to what this version of pullgate needs, all
or nothing. USER must be their owner, and may make a schema the first time. Older versions go on
reading where they can, and say so where they cannot.
` + databaseHelp,
		Example: "  pullgate licenses migrate --to postgres://pullgate@db.internal/licenses",
		Args:    cobra.NoArgs,
	}
	open := addDatabase(cmd, "to")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		db, err := open()
		if err != nil {
			return err
		}
		before, after, err := db.Migrate(cmd.Context())
		if err != nil {
			return err
		}
		switch {
		case before == 0:
			fmt.Fprintf(cmd.OutOrStdout(), "made: schema %d\n", after)
		case before == after:
			fmt.Fprintf(cmd.OutOrStdout(), "nothing to do: schema %d\n", after)
		default:
			fmt.Fprintf(cmd.OutOrStdout(), "upgraded: schema %d to %d\n", before, after)
		}
		return nil
	}
	return cmd
}
