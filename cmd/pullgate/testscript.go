package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/publish"
)

// script runs one decision script.
func (t *tests) script(ctx context.Context, door *authztest.GateDoor, path string, cov *coverage) testSuite {
	start := time.Now()
	suite := testSuite{name: path}
	script, err := authztest.ReadScript(path)
	if err != nil {
		suite.err = err
		return suite
	}
	lines := len(script.Steps) + len(script.Refusals)
	runner := authztest.Runner{Door: door, Catalog: readScriptCatalog, Shared: &t.shared}
	if t.selected != nil {
		runner.Select = func(line int, text string) bool { return t.selects(path, line, text) }
	}
	if cov != nil {
		for _, file := range script.RuleFiles {
			cov.add(file)
		}
	}
	results, err := runner.Run(ctx, script)
	suite.took = time.Since(start)
	if err != nil {
		suite.err = err
		return suite
	}
	suite.notRun = lines - len(results)
	for i, r := range results {
		c := testCase{file: r.Path, line: r.Line, text: r.Text, took: r.Took, outcome: casePassed}
		if len(r.Problems) > 0 {
			c.outcome = caseFailed
			if i > 0 && len(r.Mismatches) == 0 && slices.Equal(r.Problems, results[i-1].Problems) {
				c.details = []string{"the same"} // one cause fails every line of a script
			} else {
				c.details = failureText(&r)
			}
		}
		suite.cases = append(suite.cases, c)
	}
	return suite
}

func readScriptCatalog(data []byte, set *license.Set) ([]compile.Repository, error) {
	return publish.ReadCatalog("catalog.yaml", data, set)
}

// longestValue is how much of a value is shown.
const longestValue = 2000

// failureText says what was wanted and what came, a field beneath the other, and why.
func failureText(r *authztest.Result) []string {
	var b block
	for _, m := range r.Mismatches {
		if m.Want == "" {
			b.add(m.Field, "got  "+cut(m.Got))
			continue
		}
		b.add(m.Field, "want "+cut(m.Want), "got  "+cut(m.Got))
	}
	if len(r.Mismatches) == 0 {
		b.add("", r.Problems...)
	}
	if len(r.Why) > 0 {
		b.add("why", r.Why...)
	}
	return b.lines()
}

func cut(s string) string {
	if len(s) <= longestValue {
		return s
	}
	return strings.ToValidUTF8(s[:longestValue], "") + fmt.Sprintf("… (%d bytes)", len(s))
}

// block is labels with lines beside them.
type block []struct {
	label string
	lines []string
}

func (b *block) add(label string, lines ...string) {
	var all []string
	for _, line := range lines {
		first := true
		for l := range strings.SplitSeq(strings.TrimRight(line, "\n"), "\n") {
			if !first && (strings.HasPrefix(line, "want ") || strings.HasPrefix(line, "got  ")) {
				l = "     " + l
			}
			all = append(all, printable(strings.ReplaceAll(l, "\t", "    ")))
			first = false
		}
	}
	*b = append(*b, struct {
		label string
		lines []string
	}{label, all})
}

// lines aligns what stands beside the labels.
func (b block) lines() []string {
	width := 0
	for _, e := range b {
		width = max(width, len(e.label))
	}
	var out []string
	for _, e := range b {
		for i, l := range e.lines {
			label := e.label
			if i > 0 {
				label = ""
			}
			if width > 0 {
				l = fmt.Sprintf("%-*s  %s", width, label, l)
			}
			out = append(out, strings.TrimRight(l, " "))
		}
	}
	return out
}

// printable has control characters escaped: what came from a reply must not drive a terminal.
func printable(s string) string {
	var b strings.Builder
	for _, r := range strings.ToValidUTF8(s, "\uFFFD") {
		if r != '\t' && (r < 0x20 || r == 0x7f || r >= 0x80 && r < 0xa0) {
			fmt.Fprintf(&b, `\x%02x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
