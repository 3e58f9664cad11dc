package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
)

// mostOfAKind is how many warnings of a kind check prints unless asked for all.
const mostOfAKind = 20

// stray warns about files below a directory that look as if they counted and do not: license
// files under another ending, and rules outside of rules/. A denial that nobody reads must not be
// thought to count.
func stray(dir string) []warning {
	var out []warning
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	_ = filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || path == dir {
			return nil // what cannot be read has been told
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		name, ext := e.Name(), strings.ToLower(filepath.Ext(path))
		if strings.HasPrefix(name, ".") {
			if e.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		rel = filepath.ToSlash(rel)
		inRules := strings.HasPrefix(rel, "rules/")
		text := ""
		switch exact := filepath.Ext(path); {
		case e.IsDir():
		case !inRules && (ext == ".yaml" || ext == ".yml") && ext != exact:
			text = "is not read: license files end in .yaml or .yml; rename it"
		case inRules && (ext == ".yaml" || ext == ".yml"):
			text = "is not read: rules/ holds vendor rules; move license files elsewhere"
		case !inRules && exact == ".rego" && !strings.HasSuffix(name, "_test.rego"):
			text = "is not read: vendor rules lie directly in rules/; move it there if it shall count"
		}
		if text != "" {
			out = append(out, warning{license.Position{File: rel}, "files that are not read", rel + ": " + text})
		}
		return nil
	})
	return out
}

// warning is one of the licenses or one of the compiler.
type warning struct {
	pos  license.Position
	kind string
	text string
}

func warningsOf(ws []license.Warning) []warning {
	var out []warning
	for _, w := range ws {
		out = append(out, warning{w.Pos, w.Kind, w.String()})
	}
	return out
}

// printWarnings prints warnings in order of place, of each kind the first ones only unless all are
// asked for, and counts them when there are many.
func printWarnings(out io.Writer, ws []warning, all bool) {
	slices.SortStableFunc(ws, func(a, b warning) int {
		return cmp.Or(strings.Compare(a.pos.File, b.pos.File), cmp.Compare(a.pos.Line, b.pos.Line), cmp.Compare(a.pos.Column, b.pos.Column))
	})
	count := map[string]int{}
	var kinds []string
	for _, w := range ws {
		if count[w.kind]++; count[w.kind] == 1 {
			kinds = append(kinds, w.kind)
		}
		if all || count[w.kind] <= mostOfAKind {
			fmt.Fprintf(out, "warning: %s\n", w.text)
		}
	}
	slices.SortStableFunc(kinds, func(a, b string) int { return cmp.Or(count[b]-count[a], strings.Compare(a, b)) })
	var counted []string
	for _, kind := range kinds {
		if n := count[kind] - mostOfAKind; n > 0 && !all {
			fmt.Fprintf(out, "warning: ... and %d more %s; --verbose prints all\n", n, kind)
		}
		counted = append(counted, fmt.Sprintf("%d %s", count[kind], kind))
	}
	if len(ws) > mostOfAKind {
		fmt.Fprintf(out, "warnings: %d: %s\n", len(ws), strings.Join(counted, ", "))
	}
}
