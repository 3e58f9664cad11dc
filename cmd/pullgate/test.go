package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/spf13/cobra"
)

type testFlags struct {
	run      string
	verbose  bool
	junit    string
	coverage bool
	floor    float64
	watch    bool
}

func testCommand() *cobra.Command {
	var f testFlags
	cmd := &cobra.Command{
		Use:   "test DIR...",
		Short: "Run the decision scripts (*.txtar) and Rego tests (*_test.rego) below directories",
		Long: `Runs every decision script and every Rego test below the directories. What does not hold is
shown with its place, what was expected, what came and why; the last line is "N passed, N failed".
The format of scripts and all that can be tested is described in docs/decision-scripts.md;
` + "`pullgate init`" + ` writes a first script.

Exit codes: 0 all passed, 1 some failed or rules are covered less than --coverage-floor,
2 something cannot be read or compiled, or there is nothing to run.`,
		Example: `  pullgate test licenses
  pullgate test -v --run 'globex.txtar:1[0-9]:' licenses
  pullgate test --junit report.xml --coverage-floor 90 licenses
  pullgate test --watch licenses`,
		DisableFlagParsing: true, // parse does
	}
	fl := cmd.Flags()
	fl.StringVar(&f.run, "run", "", "run only what matches this regular `expression`: a file's path, FILE:LINE: TEXT, or the name of a Rego test")
	fl.BoolVarP(&f.verbose, "verbose", "v", false, "print a line for each case, with its time, and one for each script")
	fl.StringVar(&f.junit, "junit", "", "write a JUnit XML report to this `file`")
	fl.BoolVar(&f.coverage, "coverage", false, "print how much of the vendor rules (rules/*.rego) is covered, and which lines are not")
	fl.Float64Var(&f.floor, "coverage-floor", 0, "exit code 1 when a file of rules is covered less than this many `percent`; implies --coverage")
	fl.BoolVar(&f.watch, "watch", false, "run again after every change, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		args, err := parseTestFlags(cmd, args)
		if err != nil {
			return err
		}
		if help, _ := fl.GetBool("help"); help {
			return cmd.Help()
		}
		t, err := newTests(&f, args)
		if err != nil {
			return err
		}
		if f.watch {
			return t.watch(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		}
		return t.run(cmd.Context(), cmd.OutOrStdout())
	}
	return cmd
}

// parseTestFlags parses the flags and returns the directories. It knows -run as well, which those
// who use `go test` type; pflag would take it for three flags of one letter.
func parseTestFlags(cmd *cobra.Command, args []string) ([]string, error) {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if arg == "-run" || strings.HasPrefix(arg, "-run=") {
			args[i] = "-" + arg
		}
	}
	cmd.DisableFlagParsing = false
	err := cmd.ParseFlags(args)
	if err != nil {
		return nil, cmd.FlagErrorFunc()(cmd, err)
	}
	dirs := cmd.Flags().Args()
	if help, _ := cmd.Flags().GetBool("help"); len(dirs) == 0 && !help {
		return nil, fmt.Errorf("which directory? see `%s --help`", cmd.CommandPath())
	}
	return dirs, nil
}

// tests is what `pullgate test` was asked to do.
type tests struct {
	testFlags
	roots    []string
	selected *regexp.Regexp // nil: everything
	shared   authztest.Shared
}

func newTests(f *testFlags, roots []string) (*tests, error) {
	t := &tests{testFlags: *f, roots: roots}
	if f.run != "" {
		var err error
		if t.selected, err = regexp.Compile(f.run); err != nil {
			return nil, fmt.Errorf("--run: %w; the syntax is that of Go's regexp, see `go doc regexp/syntax`", err)
		}
	}
	if f.floor < 0 || f.floor > 100 {
		return nil, fmt.Errorf("--coverage-floor %v: want percent, from 0 to 100", f.floor)
	}
	t.coverage = f.coverage || f.floor > 0
	return t, nil
}

// selects reports whether --run selects a case.
func (t *tests) selects(file string, line int, text string) bool {
	re := t.selected
	return re == nil || re.MatchString(file) || re.MatchString(text) || re.MatchString(fmt.Sprintf("%s:%d: %s", file, line, text))
}

// found is what lies below the roots.
type found struct {
	scripts []string // decision scripts
	rego    []string // directories that hold Rego tests
	rules   []string // files of vendor rules
}

// find looks for tests below the roots. A root may be a file, or a link to a directory.
func find(roots []string) (*found, error) {
	var f found
	for _, root := range roots {
		info, err := os.Stat(root)
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			root += string(filepath.Separator) // a link is followed
		}
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			path = filepath.Clean(path)
			switch {
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != filepath.Clean(root):
				return fs.SkipDir
			case d.IsDir():
			case strings.HasSuffix(path, ".txtar"):
				f.scripts = append(f.scripts, path)
			case strings.HasSuffix(path, "_test.rego"):
				f.rego = append(f.rego, filepath.Dir(path))
			case isRuleFile(path):
				f.rules = append(f.rules, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	for _, list := range []*[]string{&f.scripts, &f.rego, &f.rules} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return &f, nil
}

// isRuleFile reports whether a file would be shipped as a vendor rule.
func isRuleFile(path string) bool {
	return filepath.Base(filepath.Dir(path)) == "rules" && strings.HasSuffix(path, ".rego") && !strings.HasSuffix(path, "_test.rego")
}

// errAborted is a run that an interrupt ended before its end.
var errAborted = errors.New("interrupted")
