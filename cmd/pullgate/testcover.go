package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/cover"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/engine"
)

// coverage gathers which lines of vendor rules scripts and Rego tests evaluate. It is safe for
// concurrent use.
type coverage struct {
	cover *cover.Cover

	mu    sync.Mutex
	shown map[string]string // the name under which a file is shown, by its real path
	real  map[string]string // the opposite, of every name that was given
}

// newCoverage begins with files that nothing may evaluate.
func newCoverage(files []string) *coverage {
	c := &coverage{cover: cover.New(), shown: map[string]string{}, real: map[string]string{}}
	for _, file := range files {
		c.add(file)
	}
	return c
}

// add makes a file of vendor rules count, and returns its real path.
func (c *coverage) add(file string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if real, ok := c.real[file]; ok {
		return real
	}
	real, err := filepath.EvalSymlinks(file)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		real = filepath.Clean(file)
	}
	c.real[file] = real
	if c.shown[real] == "" {
		c.shown[real] = filepath.Clean(file)
	}
	return real
}

// ofWorld traces the evaluations of a script's world, whose rules have the names they have in a
// bundle. Rules that a script brings itself do not count.
func (c *coverage) ofWorld(w *authztest.World) engine.QueryTracer {
	t := &coverageTracer{c: c, files: map[string]string{}}
	for module, file := range w.RuleFiles {
		t.files[module] = c.add(file)
	}
	return t
}

// ofRego traces Rego tests, whose modules have the names of their files.
func (c *coverage) ofRego() topdown.QueryTracer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &coverageTracer{c: c, files: map[string]string{}}
	for file, real := range c.real {
		t.files[file] = real
	}
	return t
}

// coverageTracer notes what is evaluated of the files of one set of modules.
type coverageTracer struct {
	c     *coverage
	files map[string]string // real path by module name
}

func (t *coverageTracer) Enabled() bool               { return len(t.files) > 0 }
func (t *coverageTracer) Config() topdown.TraceConfig { return topdown.TraceConfig{} }

// TraceEvent hands OPA's own counting the events of vendor rules, under their real paths.
func (t *coverageTracer) TraceEvent(e topdown.Event) {
	switch node := e.Node.(type) {
	case *ast.Rule:
		if at := t.place(node.Head.Location); at != nil {
			e.Node = &ast.Rule{Head: &ast.Head{Location: at}}
			t.c.cover.TraceEvent(e)
		}
	case *ast.Expr:
		if at := t.place(node.Location); at != nil {
			e.Node = &ast.Expr{Location: at}
			t.c.cover.TraceEvent(e)
		}
	}
}

// place is a location with the real path of its file; nil of one that does not count.
func (t *coverageTracer) place(at *ast.Location) *ast.Location {
	if at == nil || t.files[at.File] == "" {
		return nil
	}
	moved := *at
	moved.File = t.files[at.File]
	return &moved
}

// fileCoverage is how much of a file is evaluated.
type fileCoverage struct {
	file           string // as shown
	covered, lines int
	missing        [][2]int // ranges of lines, sorted
}

func (f *fileCoverage) percent() float64 {
	if f.lines == 0 {
		return 100
	}
	return 100 * float64(f.covered) / float64(f.lines)
}

// files returns the coverage of every file, sorted.
func (c *coverage) files() []fileCoverage {
	c.mu.Lock()
	defer c.mu.Unlock()
	modules := map[string]*ast.Module{}
	for real := range c.shown {
		text, err := os.ReadFile(real)
		if err != nil {
			continue // deleted meanwhile
		}
		// What does not parse has been reported by whoever compiled it.
		if m, err := ast.ParseModuleWithOpts(real, string(text), ast.ParserOptions{RegoVersion: ast.RegoV1}); err == nil && m != nil {
			modules[real] = m
		}
	}
	var list []fileCoverage
	for real, r := range c.cover.Report(modules).Files {
		missing := map[int]bool{}
		for _, span := range r.NotCovered {
			for row := span.Start.Row; row <= span.End.Row; row++ {
				missing[row] = true
			}
		}
		covered := 0
		seen := map[int]bool{}
		for _, span := range r.Covered {
			for row := span.Start.Row; row <= span.End.Row; row++ {
				if !missing[row] && !seen[row] { // a line counts when all of it was evaluated
					seen[row] = true
					covered++
				}
			}
		}
		list = append(list, fileCoverage{c.shown[real], covered, covered + len(missing), spans(missing)})
	}
	slices.SortFunc(list, func(a, b fileCoverage) int { return strings.Compare(a.file, b.file) })
	return list
}

// spans joins neighbouring lines.
func spans(rows map[int]bool) [][2]int {
	var sorted []int
	for row := range rows {
		sorted = append(sorted, row)
	}
	slices.Sort(sorted)
	var out [][2]int
	for _, row := range sorted {
		if n := len(out); n > 0 && out[n-1][1] == row-1 {
			out[n-1][1] = row
			continue
		}
		out = append(out, [2]int{row, row})
	}
	return out
}

// print prints how much of each file is covered and which lines are not. It returns whether a
// file is below the floor.
func (c *coverage) print(out io.Writer, floor float64) (low bool) {
	list := c.files()
	if len(list) == 0 {
		fmt.Fprintln(out, "coverage: there are no rules (rules/*.rego)")
		return false
	}
	var below []string
	for _, f := range list {
		fmt.Fprintf(out, "coverage %s of %s (%d of %d lines)\n", percentText(f.percent()), f.file, f.covered, f.lines)
		for _, span := range f.missing {
			if span[0] == span[1] {
				fmt.Fprintf(out, "    not covered: %s:%d\n", f.file, span[0])
			} else {
				fmt.Fprintf(out, "    not covered: %s:%d-%d\n", f.file, span[0], span[1])
			}
		}
		if f.percent() < floor {
			below = append(below, fmt.Sprintf("coverage of %s is %s, below the floor of %g %%", f.file, percentText(f.percent()), floor))
		}
	}
	for _, line := range below {
		fmt.Fprintln(out, line)
	}
	return len(below) > 0
}

// percentText never rounds up: 100.0 % is all of it.
func percentText(p float64) string { return fmt.Sprintf("%.1f %%", math.Floor(p*10)/10) }
