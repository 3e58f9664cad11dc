package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/sync/source"
)

// watch runs everything, and again after each change, until ctx is done. Its error is that of
// the last whole run.
func (t *tests) watch(ctx context.Context, out, errOut io.Writer) error {
	files := source.Files{Match: func(name string) bool {
		return slices.Contains([]string{".txtar", ".rego", ".yaml", ".yml"}, filepath.Ext(name))
	}}
	last := error(errAborted)
	changed := []string{"first run"}
	for {
		dirs := t.watched()
		seen := files.Look(dirs)
		fmt.Fprintf(out, "=== %s %s\n", time.Now().Format(time.TimeOnly), someOf(changed))
		if err := t.run(ctx, out); !errors.Is(err, errAborted) {
			last = err
			if err != nil && !errors.Is(err, errNo) {
				printErrors(errOut, err)
			}
		}
		if changed, _ = files.Wait(ctx, dirs, seen); changed == nil {
			break
		}
	}
	if last == nil || errors.Is(last, errNo) || errors.Is(last, errAborted) {
		return last
	}
	return errors.New("in the last run not everything could be run, as said above")
}

// watched are the directories whose changes count: those given, and those that scripts name in
// `files` lines, of scripts that cannot be read too.
func (t *tests) watched() []string {
	dirs := slices.Clone(t.roots)
	f, err := find(t.roots)
	if err != nil {
		return dirs // it may be there again soon
	}
	for _, dir := range f.rego {
		dirs = append(dirs, filepath.Join(dir, "..", "rules"))
	}
	for _, path := range f.scripts {
		if data, err := os.ReadFile(path); err == nil {
			dirs = append(dirs, authztest.NamedDirectories(path, data)...)
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// someOf names the first few.
func someOf(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func printErrors(w io.Writer, err error) {
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		fmt.Fprintf(w, "pullgate: %s\n", line)
	}
}
