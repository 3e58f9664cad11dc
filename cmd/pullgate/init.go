package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

//go:embed starter
var starter embed.FS

func initCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "init DIR",
		Short: "Write a commented starting set of license files",
		Long: `Writes a registry, a product, a customer and a license to start from, every field explained,
and a decision script that shows what they mean. Nothing that exists is overwritten.`,
		Example: "  pullgate init licenses && pullgate check licenses && pullgate test licenses",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := args[0]
			var files []string
			err := fs.WalkDir(starter, "starter", func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				rel, err := filepath.Rel("starter", filepath.FromSlash(path))
				if err != nil {
					return err
				}
				target := filepath.Join(dir, rel)
				if _, err := os.Lstat(target); err == nil {
					return fmt.Errorf("%s exists; nothing was written: name another directory", target)
				} else if !errors.Is(err, fs.ErrNotExist) {
					return err
				}
				files = append(files, path)
				return nil
			})
			if err != nil {
				return err
			}
			for _, path := range files {
				data, err := starter.ReadFile(path)
				if err != nil {
					return err
				}
				rel, _ := filepath.Rel("starter", filepath.FromSlash(path))
				target := filepath.Join(dir, rel)
				if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(target, data, 0o644); err != nil {
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
