package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/spf13/cobra"
)

//go:embed starter
var starter embed.FS

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a commented starting set of license files",
		Long: `Writes a registry, a product, a customer and a license to start from, every field explained,
a decision script that shows what they mean, and the schema with which editors complete, explain
and check license files. Nothing that exists is overwritten.`,
		Example: "  pullgate init licenses && pullgate check licenses && pullgate test licenses",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			files, err := starterFiles()
			if err != nil {
				return err
			}
			for _, f := range files {
				target := filepath.Join(dir, f.name)
				if _, err := os.Lstat(target); err == nil {
					return fmt.Errorf("%s exists; nothing was written: name another directory", target)
				} else if !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			for _, f := range files {
				target := filepath.Join(dir, f.name)
				if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(target, f.data, 0o644); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout(), target)
			}
			fmt.Fprintf(cmd.ErrOrStderr(), `
Next: edit %[1]s, then
  pullgate check %[1]s     what is wrong, with file and line
  pullgate test %[1]s      what the licenses mean, as the decision script says
  pullgate key new --customer example-customer --id ci
`, dir)
			return nil
		},
	}
}

// schemaFile is the name under which init writes the schema of license files, and which its
// license files name for editors. Names that begin with a dot are no license files.
const schemaFile = ".license.schema.json"

// starterFile is a file of a starting set; the name is relative to its directory.
type starterFile struct {
	name string
	data []byte
}

func starterFiles() ([]starterFile, error) {
	files := []starterFile{{schemaFile, license.Schema()}}
	err := fs.WalkDir(starter, "starter", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := starter.ReadFile(path)
		files = append(files, starterFile{filepath.FromSlash(strings.TrimPrefix(path, "starter/")), data})
		return err
	})
	return files, err
}
