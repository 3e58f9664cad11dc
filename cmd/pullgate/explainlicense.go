package main

import (
	"errors"

	"github.com/spf13/cobra"
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
	return errors.New("--license: not there yet")
}
