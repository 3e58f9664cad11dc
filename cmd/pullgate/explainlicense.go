package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// explainLicenseFlags ask for the resolved schedule of one license.
type explainLicenseFlags struct {
	license  string // --license: the id that is asked about; empty: another form of explain is meant
	licenses string // --licenses: the directory
	at       string // --at: RFC 3339, or empty for now
	output   string // -o: table, json or svg, or empty for table on a terminal, else json
}

// addExplainLicenseFlags adds the flag that only this form of explain has: --licenses, --at and
// -o belong to all its forms.
func addExplainLicenseFlags(cmd *cobra.Command, f *explainLicenseFlags) {
	cmd.Flags().StringVar(&f.license, "license", "", "print the resolved schedule of the license with this `id`: every clock, every renewal, where each date came from (-o svg: a picture)")
}

// explainLicense prints the schedule of a license. It refuses other outputs than table, json
// and svg.
func explainLicense(cmd *cobra.Command, f explainLicenseFlags) error {
	switch f.output {
	case "":
		f.output = "json"
		if out, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(out.Fd())) {
			f.output = "table"
		}
	case "table", "json", "svg":
	default:
		return fmt.Errorf("-o %s: want table, json or svg", f.output)
	}
	if f.licenses == "" {
		return errors.New("--license needs --licenses: name the directory of license files")
	}
	at := time.Now()
	if f.at != "" {
		var err error
		if at, err = parseInstant("--at", f.at); err != nil {
			return err
		}
	}
	if postgres.IsURL(f.licenses) {
		return errors.New("--license shows where in its file each fact stands: write the database's licenses into files with `pullgate licenses export DIR`, and name DIR")
	}
	snap, err := source.Dir{Path: f.licenses}.Load(cmd.Context())
	if err != nil {
		return err
	}
	tl, err := snap.Set.Timeline(f.license, at.Unix(), func(file string) ([]byte, error) {
		return os.ReadFile(filepath.Join(f.licenses, filepath.FromSlash(file)))
	})
	var unknown *license.UnknownError
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("--license %s: %w", f.license, err)
	case err != nil:
		return err
	}
	switch f.output {
	case "table":
		return printTimeline(cmd.OutOrStdout(), explained{tl})
	case "svg":
		_, err := cmd.OutOrStdout().Write(drawTimeline(explained{tl}))
		return err
	}
	return printJSON(cmd.OutOrStdout(), timelineJSON(explained{tl}))
}
