// Command summary reads `go test -json` on standard input and prints what a person wants
// to know: one line per package, the whole output of what failed, the reason of every
// skip, and at the end the counts on a line of their own:
//
//	412 passed, 0 failed, 3 skipped
//
// Tests are counted without their subtests' parents, fuzz seeds and examples like tests; a package that fails
// without a failing test (it does not build, it panics) counts as one failure. The exit code is
// 1 when something failed or nothing ran at all.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() { os.Exit(run(os.Stdin, os.Stdout)) }

// An event is a line of `go test -json` (go doc test2json; go help buildjson).
type event struct {
	Action      string
	Package     string
	Test        string
	Output      string
	Elapsed     float64
	ImportPath  string // of build-output
	FailedBuild string
}

type name struct{ pkg, test string }

type summary struct {
	out                     io.Writer
	output                  map[name][]string
	parents                 map[name]bool // tests with subtests
	failedIn                map[string]int
	passed, failed, skipped int
}

func run(in io.Reader, out io.Writer) int {
	s := &summary{out: out, output: map[name][]string{}, parents: map[name]bool{}, failedIn: map[string]int{}}
	r := bufio.NewReader(in)
	for {
		line, err := r.ReadString('\n')
		if line != "" {
			var e event
			if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &e) == nil {
				s.add(e)
			} else {
				fmt.Fprintln(out, strings.TrimSuffix(line, "\n"))
			}
		}
		if err != nil {
			break
		}
	}
	fmt.Fprintf(out, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.failed > 0 || s.passed == 0 {
		return 1
	}
	return 0
}

func (s *summary) add(e event) {
	k := name{e.Package, e.Test}
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.out, e.Output)
	case "output":
		s.output[k] = append(s.output[k], e.Output)
	case "run":
		if i := strings.LastIndex(e.Test, "/"); i > 0 {
			s.parents[name{e.Package, e.Test[:i]}] = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			s.endPackage(e)
		} else {
			s.endTest(e, k)
		}
		delete(s.output, k)
	}
}

func (s *summary) endTest(e event, k name) {
	leaf := !s.parents[k]
	switch {
	case e.Action == "fail":
		// A parent fails because of its subtests, which were shown; it may have its own words too.
		s.print("", s.output[k])
		if leaf {
			s.failed++
			s.failedIn[e.Package]++
		}
	case !leaf:
	case e.Action == "skip":
		s.skipped++
		fmt.Fprintf(s.out, "SKIP  %s %s\n", e.Package, e.Test)
		s.print("      ", s.output[k])
	default:
		s.passed++
	}
}

func (s *summary) endPackage(e event) {
	k := name{pkg: e.Package}
	switch e.Action {
	case "fail":
		s.print("", s.output[k])
		if s.failedIn[e.Package] == 0 {
			s.failed++
			s.unfinished(e.Package)
		}
		fmt.Fprintf(s.out, "FAIL  %s (%.1fs)\n", e.Package, e.Elapsed)
	case "pass":
		fmt.Fprintf(s.out, "ok    %s (%.1fs)\n", e.Package, e.Elapsed)
	}
}

// unfinished shows the output of tests that never ended: one of them has ended the process.
func (s *summary) unfinished(pkg string) {
	for k, lines := range s.output {
		if k.pkg == pkg && k.test != "" {
			fmt.Fprintf(s.out, "%s did not end:\n", k.test)
			s.print("", lines)
		}
	}
}

// print leaves out the lines that only say that a test began or went on.
func (s *summary) print(indent string, lines []string) {
	for _, l := range lines {
		t := strings.TrimSpace(l)
		if strings.HasPrefix(t, "=== ") || strings.HasPrefix(t, "--- SKIP") || t == "PASS" || t == "FAIL" || strings.HasPrefix(t, "FAIL\t") || strings.HasPrefix(t, "ok  \t") {
			continue
		}
		fmt.Fprint(s.out, indent, l)
	}
}
