package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

func catalogCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "catalog", Short: "Read registries and look at what was learned", Args: cobra.NoArgs}
	cmd.AddCommand(catalogCrawlCommand(), catalogShowCommand())
	return cmd
}

func catalogCrawlCommand() *cobra.Command {
	var s settings
	var file, out string
	var acceptRemovals bool
	cmd := &cobra.Command{
		Use:   "crawl --licenses DIR",
		Short: "Read the registries that the license files name",
		Long: `Reads tags, manifests, indexes and configurations of every repository that the license files
name, and keeps them below --data. What is known already is not fetched again, also after an
interrupted crawl. A registry that cannot be read, or answers something strange, leaves what
was known untouched.

Exit codes: 0 everything was read, 1 something was kept as it was, 2 could not be tried.`,
		Example: `  pullgate catalog crawl --licenses licenses --config pullgate.yaml
  pullgate catalog crawl --licenses licenses --out catalog.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := loadSettings(cmd.Flags(), &s, file); err != nil {
				return err
			}
			if s.Licenses == "" {
				return errors.New("no --licenses: name the directory of license files")
			}
			return crawlAll(cmd, &s, out, acceptRemovals)
		},
	}
	addServeFlags(cmd.Flags(), &s)
	cmd.Flags().VisitAll(func(f *pflag.Flag) { // in the shared configuration file, the others have no meaning here
		f.Hidden = !slices.Contains([]string{"licenses", "data", "log-level"}, f.Name)
	})
	cmd.Flags().StringVar(&file, "config", "", "configuration file, for the registries' credentials")
	cmd.Flags().StringVar(&out, "out", "", "also write the catalog as YAML (kind: Catalog) to this file")
	cmd.Flags().BoolVar(&acceptRemovals, "accept-removals", false, "take answers that are suddenly much smaller")
	return cmd
}

func crawlAll(cmd *cobra.Command, s *settings, out string, acceptRemovals bool) error {
	snap, err := loadLicenses(cmd.Context(), s.Licenses)
	if err != nil {
		return err
	}
	log, err := newLogger(cmd.ErrOrStderr(), "text", s.LogLevel)
	if err != nil {
		return err
	}
	// No lock of the whole directory: a running server leaves the store alone between its crawls.
	dir := catalogDir(s.Data)
	var cats []*catalog.Catalog
	kept := false
	for i := range snap.Set.Registries {
		reg := &snap.Set.Registries[i]
		progress := newProgress(cmd.ErrOrStderr(), reg.ID)
		cfg := s.crawlConfig(reg)
		cfg.Progress, cfg.AcceptRemovals = progress.show, acceptRemovals
		cfg.ReferrersEvery = time.Second // whoever types the command wants to know now
		crawler, err := catalog.NewCrawler(cfg)
		if err != nil {
			return err
		}
		store, err := openStore(dir, reg.ID, log)
		if err != nil {
			return err
		}
		result, err := crawler.Crawl(cmd.Context(), store, targets(snap.Set, reg.ID))
		progress.done()
		if err == nil {
			printCrawl(cmd.OutOrStdout(), reg, result)
			kept = kept || len(result.Failures()) > 0
		}
		var failure *catalog.Failure
		if errors.As(err, &failure) {
			fmt.Fprintln(cmd.OutOrStdout(), failure)
			kept, err = true, nil
		}
		if err == nil && result != nil {
			cats = append(cats, result.Catalog)
		} else if err == nil {
			var c *catalog.Catalog
			if c, err = store.Snapshot(); err == nil {
				cats = append(cats, c)
			}
		}
		if err = errors.Join(err, store.Close()); err != nil {
			return err
		}
	}
	if out != "" {
		if err := replaceFile(out, func(w io.Writer) error { return catalog.Write(w, cats...) }); err != nil {
			return err
		}
	}
	if kept {
		return errNo
	}
	return nil
}

func printCrawl(w io.Writer, reg *license.Registry, r *catalog.Result) {
	t := newTable(w)
	fmt.Fprintf(t, "REGISTRY\tREPOSITORY\tRESULT\tTAGS\n")
	for _, rr := range r.Repositories {
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\n", reg.ID, rr.Name, rr.Outcome, rr.Tags)
	}
	_ = t.Flush()
	for _, f := range r.Failures() {
		fmt.Fprintln(w, f)
	}
	for _, text := range r.Warnings {
		fmt.Fprintln(w, "warning:", text)
	}
	for _, rr := range r.Repositories {
		for _, text := range rr.Warnings {
			fmt.Fprintf(w, "warning: %s: %s\n", rr.Name, text)
		}
	}
}

// progress shows one line on a terminal, and nothing elsewhere.
type progress struct {
	w        io.Writer
	registry string
	terminal bool
	last     time.Time // when the line was written; zero when it was not
	now      catalog.Progress
}

// progressEvery is how often the line is written again.
const progressEvery = 100 * time.Millisecond

func newProgress(w io.Writer, registry string) *progress {
	f, ok := w.(*os.File)
	return &progress{w: w, registry: registry, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

func (p *progress) show(s catalog.Progress) {
	p.now = s
	if p.terminal && time.Since(p.last) >= progressEvery {
		p.write()
	}
}

func (p *progress) write() {
	p.last = time.Now()
	fmt.Fprintf(p.w, "\r\033[K%s: %d of %d repositories, %d tags, %d manifests fetched", p.registry, p.now.Repositories, p.now.Total, p.now.Tags, p.now.Manifests)
}

// done writes the last line, and ends it.
func (p *progress) done() {
	if !p.last.IsZero() {
		p.write()
		fmt.Fprintln(p.w)
	}
}
