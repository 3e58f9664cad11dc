package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz/authztest"
)

type testOutcome string

const (
	casePassed  testOutcome = "ok"
	caseFailed  testOutcome = "fail"
	caseSkipped testOutcome = "skip"
)

// testCase is one expectation line, `fails:` line or Rego test.
type testCase struct {
	file    string
	line    int
	text    string // the line, or the name of the test
	outcome testOutcome
	took    time.Duration
	details []string // of a failure, lines
	output  string   // what a Rego test printed
}

// testSuite is the cases of one script, or of one package of Rego tests.
type testSuite struct {
	name  string // the script's path, or the package
	cases []testCase
	// notRun counts the cases that --run leaves out.
	notRun int
	took   time.Duration
	err    error // why it could not be run
}

func (s *testSuite) count(o testOutcome) int {
	n := 0
	for _, c := range s.cases {
		if c.outcome == o {
			n++
		}
	}
	return n
}

// run runs everything once and prints what there is to say. The error is errNo when something
// failed, and what could not be run.
func (t *tests) run(ctx context.Context, out io.Writer) error {
	f, err := find(t.roots)
	if err != nil {
		return err
	}
	if len(f.scripts)+len(f.rego) == 0 {
		return fmt.Errorf("no *.txtar and no *_test.rego below %s", strings.Join(t.roots, ", "))
	}
	var cov *coverage
	if t.coverage {
		cov = newCoverage(f.rules)
	}
	var all testSuite // the sum
	var suites []testSuite
	var errs []error
	for s := range t.suites(ctx, f, cov) {
		suites = append(suites, s)
		all.cases = append(all.cases, s.cases...)
		all.notRun += s.notRun
		errs = append(errs, s.err)
		t.print(out, &s)
	}
	if ctx.Err() != nil {
		return errAborted
	}
	passed, failed, skipped := all.count(casePassed), all.count(caseFailed), all.count(caseSkipped)
	err = errors.Join(errs...) // what could not be run is neither passed nor failed
	if err == nil && passed+failed+skipped == 0 {
		err = fmt.Errorf("--run %s: matches none of %d cases; it is compared with paths, FILE:LINE: TEXT and names of Rego tests", t.testFlags.run, all.notRun)
	}
	if t.junit != "" {
		err = errors.Join(err, writeJUnit(t.junit, suites))
	}
	low := false
	if passed+failed+skipped > 0 {
		if cov != nil {
			low = cov.print(out, t.floor)
		}
		printRest(out, skipped, all.notRun)
		fmt.Fprintf(out, "%d passed, %d failed\n", passed, failed)
	}
	if err == nil && (failed > 0 || low) {
		err = errNo
	}
	return err
}

// suites runs scripts and Rego tests on all processors and yields what came of them, in the
// order of their paths.
func (t *tests) suites(ctx context.Context, f *found, cov *coverage) func(yield func(testSuite) bool) {
	type job struct {
		run  func(door *authztest.GateDoor) []testSuite
		done chan []testSuite
	}
	var jobs []job
	for _, path := range f.scripts {
		jobs = append(jobs, job{func(door *authztest.GateDoor) []testSuite { return []testSuite{t.script(ctx, door, path, cov)} }, make(chan []testSuite, 1)})
	}
	for _, dir := range f.rego {
		jobs = append(jobs, job{func(*authztest.GateDoor) []testSuite { return t.regoDir(ctx, dir, cov) }, make(chan []testSuite, 1)})
	}
	return func(yield func(testSuite) bool) {
		queue := make(chan job)
		go func() {
			defer close(queue)
			for _, j := range jobs {
				queue <- j
			}
		}()
		for range min(len(jobs), runtime.GOMAXPROCS(0)) {
			go func() {
				door := authztest.NewGateDoor()
				defer door.Close()
				if cov != nil {
					door.Trace(cov.ofWorld)
				}
				for j := range queue {
					if ctx.Err() != nil {
						j.done <- nil
						continue
					}
					j.done <- j.run(door)
				}
			}()
		}
		on := true
		for _, j := range jobs {
			for _, s := range <-j.done {
				on = on && yield(s)
			}
		}
	}
}

// print prints a suite's failures, with --verbose all of it.
func (t *tests) print(out io.Writer, s *testSuite) {
	for i := range s.cases {
		c := &s.cases[i]
		switch {
		case t.verbose:
			fmt.Fprintf(out, "%-5s %s:%d: %s (%s)\n", c.outcome, c.file, c.line, printable(c.text), shortTime(c.took))
		case c.outcome == caseFailed:
			fmt.Fprintf(out, "%s:%d: %s\n", c.file, c.line, printable(c.text))
		}
		if c.outcome == caseFailed {
			for _, line := range c.details {
				fmt.Fprintf(out, "    %s\n", line)
			}
		}
	}
	if t.verbose && len(s.cases) > 0 {
		fmt.Fprintf(out, "%s: %d passed, %d failed (%s)\n", s.name, s.count(casePassed), s.count(caseFailed), shortTime(s.took))
	}
}

// printRest says what was not checked, if anything.
func printRest(out io.Writer, skipped, notRun int) {
	var rest []string
	if skipped > 0 {
		rest = append(rest, fmt.Sprintf("%d skipped", skipped))
	}
	if notRun > 0 {
		rest = append(rest, fmt.Sprintf("%d not run", notRun))
	}
	if len(rest) > 0 {
		fmt.Fprintln(out, strings.Join(rest, ", "))
	}
}

// shortTime has three digits or so.
func shortTime(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	default:
		return d.Round(10 * time.Millisecond).String()
	}
}
