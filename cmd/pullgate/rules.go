package main

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
)

//go:embed ruletemplate
var ruleTemplates embed.FS

// ruleKinds are the kinds of rules that there are templates of.
var ruleKinds = []string{"deny", "grant", "warn"}

func rulesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "Write vendor rules",
	}
	cmd.AddCommand(rulesNewCommand())
	return cmd
}

func rulesNewCommand() *cobra.Command {
	var dir, kind string
	cmd := &cobra.Command{
		Use:   "new NAME",
		Short: "Write a rule, its Rego test and a decision script that pass as written",
		Long: `Writes three files into a directory of license files:

  rules/NAME.rego        the rule, package vendor.NAME: something small and real to edit
  rules/NAME_test.rego   its Rego test, which is not shipped
  tests/NAME.txtar       a decision script with the rule and the license files of the directory

They pass as written, and the rule changes nothing for the customers there are: a deny and a grant
are about customers with a label, a warning about a product in its table. Nothing that exists is
overwritten. How rules are written, tested and rolled out is described in docs/rules.md.

Exit codes: 0 written, and the tests pass; 1 the license files or the rules that are there have
mistakes (nothing is written), or another rule makes the script fail (everything is); 2 the
directory or NAME cannot be used, or a file exists.`,
		Example: `  pullgate rules new region
  pullgate rules new hotfix --kind grant --licenses vendor/licenses`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains(ruleKinds, kind) {
				return fmt.Errorf("--kind %s: want one of %s", kind, strings.Join(ruleKinds, ", "))
			}
			return newRule(cmd, dir, args[0], kind)
		},
	}
	cmd.Flags().StringVar(&dir, "licenses", "licenses", "`directory` of the license files")
	cmd.Flags().StringVar(&kind, "kind", "deny", "what the rule does: "+strings.Join(ruleKinds, ", "))
	return cmd
}

// newRule writes a rule of a kind, with its tests, into a directory of license files that is
// clean, and runs the tests.
func newRule(cmd *cobra.Command, dir, name, kind string) error {
	if err := checkRuleName(name); err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%s is no directory: name the one with the license files by --licenses DIR; `pullgate init DIR` makes one", dir)
	}
	snap, err := source.Dir{Path: dir}.Load(cmd.Context())
	if _, ok := errors.AsType[license.Errors](err); ok {
		return findings(cmd, dir, err)
	}
	if err != nil {
		return err
	}
	if _, _, err := compile.Compile(compileInput(snap, nil)); err != nil {
		return findings(cmd, dir, err)
	}
	files, err := ruleFiles(name, kind, snap.Set)
	if err != nil {
		return err
	}
	if err := nothingExists(dir, files); err != nil {
		return err
	}
	have, err := policies.RulePackages(snap.Rules)
	if err != nil {
		return err
	}
	if slices.Contains(have, name) {
		return fmt.Errorf("%s has rules of package vendor.%s already; nothing was written: choose another name", filepath.Join(dir, "rules"), name)
	}
	if err := writeAll(dir, files); err != nil {
		return err
	}
	var targets []string
	for _, f := range files {
		target := filepath.Join(dir, f.name)
		targets = append(targets, target)
		fmt.Fprintln(cmd.OutOrStdout(), target)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), `
Next: edit them, then
  pullgate check %[1]s
  pullgate test --coverage %[1]s
`, dir)
	return tryRule(cmd, name, targets)
}

// findings prints what is wrong with a directory.
func findings(cmd *cobra.Command, dir string, err error) error {
	fmt.Fprintln(cmd.OutOrStdout(), err)
	fmt.Fprintf(cmd.ErrOrStderr(), "nothing was written: mend what `pullgate check %s` reports first\n", dir)
	return errNo
}

// tryRule runs the tests that were written. They can fail only where another rule of the
// directory has a say about the script's customers.
func tryRule(cmd *cobra.Command, name string, files []string) error {
	var out bytes.Buffer
	t := &tests{roots: files, selected: regexp.MustCompile(`^(` + regexp.QuoteMeta(filepath.Clean(files[0])) + `|data\.vendor\.` + name + `_test\..*)$`)}
	err := t.run(cmd.Context(), &out)
	if errors.Is(err, errNo) {
		fmt.Fprint(cmd.OutOrStdout(), out.String())
		fmt.Fprintln(cmd.ErrOrStderr(), "another rule also judges the customers of this script: give them there what that rule wants")
	}
	return err
}

// maxRuleName bounds a rule's name: codes are vendor.NAME.CODE.
const maxRuleName = 40

var ruleNameGrammar = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

func checkRuleName(name string) error {
	wrong := func(why string) error {
		return fmt.Errorf("%q is no name of a rule: %s; want at most %d of a-z, 0-9 and _, beginning with a letter, such as region", name, why, maxRuleName)
	}
	switch {
	case len(name) > maxRuleName:
		return wrong("it is too long")
	case !ruleNameGrammar.MatchString(name):
		return wrong("it names the package vendor.NAME and its files")
	case strings.HasSuffix(name, "_test"):
		return wrong("files that end with _test.rego are tests, and not shipped")
	case ast.IsKeywordInRegoVersion(name, ast.RegoV1) || slices.Contains([]string{"and", "data", "input", "or"}, name):
		return wrong("it is a word of Rego")
	}
	return nil
}

// ruleFiles are the files of a rule, the rule itself last: what runs beside the directory's
// other rules is complete when a server sees it.
func ruleFiles(name, kind string, set *license.Set) ([]starterFile, error) {
	fill := strings.NewReplacer(append([]string{"%NAME%", name}, sampleRegistry(set)...)...)
	var files []starterFile
	for _, f := range []struct{ template, name string }{
		{"script.txtar", filepath.Join("tests", name+".txtar")},
		{"rule_test.rego", filepath.Join("rules", name+"_test.rego")},
		{"rule.rego", filepath.Join("rules", name+".rego")},
	} {
		text, err := ruleTemplates.ReadFile(path.Join("ruletemplate", kind, f.template))
		if err != nil {
			return nil, err
		}
		files = append(files, starterFile{f.name, []byte(fill.Replace(string(text)))})
	}
	return files, nil
}

// sampleRegistry says where the product of a script lies: in the registry that the directory
// has, in one of the script where it has none, and by name where there are several.
func sampleRegistry(set *license.Set) []string {
	var own, of, in, host string
	switch len(set.Registries) {
	case 0:
		own = "kind: Registry\nid: sample\nhosts: [registry.sample.example]\nupstream: https://registry.sample.example\n---\n"
	case 1:
	default:
		r := &set.Registries[0]
		of, in, host = "registry: "+r.ID+"\n", "registry: "+r.ID+"\n", "https://"+r.Hosts[0]
	}
	return []string{"%REGISTRY%", own, "%OFREGISTRY%", of, "%CATALOGREGISTRY%", in, "%HOST%", host}
}

// nothingExists says which of the files exist.
func nothingExists(dir string, files []starterFile) error {
	var exist []string
	for _, f := range files {
		target := filepath.Join(dir, f.name)
		if _, err := os.Lstat(target); err == nil {
			exist = append(exist, target)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	switch len(exist) {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("%s exists; nothing was written: choose another name", exist[0])
	default:
		return fmt.Errorf("%s exist; nothing was written: choose another name", strings.Join(exist, ", "))
	}
}

// writeAll writes new files, in order. When one cannot be written those before it are removed.
func writeAll(dir string, files []starterFile) (err error) {
	var written []string
	defer func() {
		if err != nil {
			for _, name := range written {
				_ = os.Remove(name)
			}
		}
	}()
	for _, f := range files {
		target := filepath.Join(dir, f.name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := writeNew(target, f.data, 0o644); err != nil {
			return err
		}
		written = append(written, target)
	}
	return nil
}
