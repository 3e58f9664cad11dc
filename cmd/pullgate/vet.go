package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pullgate/pullgate/sync/postgres"
)

// mostTestLines bounds what is told of tests that fail.
const mostTestLines = 20

// vet runs the vendor's own tests, after an edit and before it counts. Of a database they run in a copy
// of their directories, beside a directory "licenses" with what the database says: `files ../licenses`
// in a script means that.
func (pub *publisher) vet(ctx context.Context) error {
	dirs := pub.settings.Test
	if len(dirs) == 0 {
		return nil
	}
	if db, ok := pub.compiled.source.(*postgres.DB); ok {
		beside, err := os.MkdirTemp("", "pullgate-tests-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(beside)
		if dirs, err = copyTests(ctx, db, beside, dirs); err != nil {
			return fmt.Errorf("--test: %w", err)
		}
	}
	t, err := newTests(&testFlags{}, dirs)
	if err != nil {
		return fmt.Errorf("--test: %w", err)
	}
	var out bytes.Buffer
	err = t.run(ctx, &out)
	if err == nil || ctx.Err() != nil {
		return err
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if n := len(lines) - mostTestLines; n > 0 { // the last says how many failed
		lines = append(append(lines[:mostTestLines-1:mostTestLines-1], fmt.Sprintf("… %d lines; `pullgate test %s` prints all", n, strings.Join(pub.settings.Test, " "))), lines[len(lines)-1])
	}
	text := "tests fail:\n" + strings.Join(lines, "\n")
	if !errors.Is(err, errNo) {
		text += "\n" + err.Error()
	}
	return errors.New(text)
}

// copyTests copies directories of tests to beside, and writes the licenses of a database there.
func copyTests(ctx context.Context, db *postgres.DB, beside string, dirs []string) (copies []string, err error) {
	content, err := db.Export(ctx)
	if err != nil {
		return nil, err
	}
	if err := writeDir(filepath.Join(beside, "licenses"), content.Files()); err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		to := filepath.Join(beside, filepath.Base(filepath.Clean(dir)))
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			return nil, err
		}
		copies = append(copies, to)
	}
	return copies, nil
}

// testsLook is what the directories of tests look like: it changes when a test may have.
func testsLook(dirs []string) string {
	h := sha256.New()
	for _, dir := range dirs {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			if info, err := d.Info(); err == nil && !d.IsDir() {
				fmt.Fprintln(h, path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	return string(h.Sum(nil))
}
