package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes: 0 yes, allowed, clean; 1 no, denied, findings; 2 could not find out, or wrong use.
const (
	exitYes     = 0
	exitNo      = 1
	exitUnknown = 2
)

// errNo ends a command with exit code 1: the answer is no, and has been printed.
var errNo = errors.New("no")

// run is the whole program: args without its name. It returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	understood := false
	eachCommand(root, func(c *cobra.Command) {
		if ask := c.RunE; ask != nil && !c.HasSubCommands() {
			c.RunE = func(cmd *cobra.Command, args []string) error {
				understood = true
				return ask(cmd, args)
			}
		}
	})
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !understood && !strings.Contains(err.Error(), "--help") {
		err = fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	}
	switch {
	case err == nil:
		return exitYes
	case errors.Is(err, errNo):
		return exitNo
	default:
		for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
			fmt.Fprintf(stderr, "pullgate: %s\n", line)
		}
		return exitUnknown
	}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "pullgate",
		Short: "Decides who may pull which version of what, until when",
		Long: `pullgate sits beside Envoy in front of a registry and answers, for every request:
does a license of this customer cover this version of this product now?

  pullgate init licenses          write a commented starting set of license files
  pullgate check licenses         say what is wrong with them, with file and line
  pullgate serve --licenses licenses
                                  crawl the registry and serve decisions to Envoy

Exit codes: 0 yes, allowed or clean; 1 no, denied or findings; 2 could not find out.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	version := root.Flags().Bool("version", false, "print the version of pullgate and of the policy engine in it")
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see `%s --help`", err, cmd.CommandPath())
	})
	root.AddCommand(
		initCommand(), checkCommand(), testCommand(),
		decideCommand(), explainCommand(), whatCanCommand(), whoCanCommand(),
		bundleCommand(), catalogCommand(), keyCommand(), tokenCommand(),
		licensesCommand(), rulesCommand(), revokeCommand(), serveCommand(), publishCommand(), shadowCommand(), decisionsCommand(), configCommand(), versionCommand(),
	)
	// A command that only holds others does nothing by itself. cobra would print its help and
	// call that a yes.
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		if *version {
			_, err := fmt.Fprint(cmd.OutOrStdout(), versionText())
			return err
		}
		return cmd.Help()
	}
	eachCommand(root, func(c *cobra.Command) {
		if c.RunE != nil {
			return
		}
		c.RunE = func(cmd *cobra.Command, _ []string) error {
			var names []string
			for _, sub := range cmd.Commands() {
				names = append(names, sub.Name())
			}
			return fmt.Errorf("which command: %s?", strings.Join(names, ", "))
		}
	})
	// Not cobra's templates: text/template would keep every method of every type in the binary.
	usage := root.UsageFunc()
	root.SetUsageFunc(func(cmd *cobra.Command) error {
		if run := cmd.RunE; cmd.HasAvailableSubCommands() {
			cmd.RunE = nil
			defer func() { cmd.RunE = run }()
		}
		return usage(cmd)
	})
	return root
}

// eachCommand calls f with cmd and every command below it.
func eachCommand(cmd *cobra.Command, f func(*cobra.Command)) {
	f(cmd)
	for _, sub := range cmd.Commands() {
		eachCommand(sub, f)
	}
}

// addOutput adds -o and returns a function that resolves it: table on a terminal, else json.
func addOutput(cmd *cobra.Command) func() (string, error) {
	format := cmd.Flags().StringP("output", "o", "", "table or json (default: table on a terminal, else json, one object a line for lists)")
	return func() (string, error) { return outputFormat(cmd, *format) }
}

func outputFormat(cmd *cobra.Command, format string) (string, error) {
	switch format {
	case "table", "json":
		return format, nil
	case "":
		if f, ok := cmd.OutOrStdout().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			return "table", nil
		}
		return "json", nil
	default:
		return "", fmt.Errorf("-o %s: want table or json", format)
	}
}
