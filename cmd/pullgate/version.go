package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is stamped by the build (-X main.version=…).
var version = "dev"

// build is the version of pullgate and of what it was made with.
func build() map[string]string {
	v := map[string]string{"version": version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/open-policy-agent/opa" {
				v["opa"] = d.Version
			}
		}
	}
	return v
}

// versionText is build as a line for people.
func versionText() string {
	v := build()
	return fmt.Sprintf("pullgate %s (%s, %s, OPA %s)\n", v["version"], v["go"], v["platform"], v["opa"])
}

func versionCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of pullgate and of the policy engine in it",
		Args:  cobra.NoArgs,
	}
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		if format == "json" {
			return printJSON(cmd.OutOrStdout(), build())
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), versionText())
		return err
	}
	return cmd
}
