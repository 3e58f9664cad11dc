package main

import (
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"
)

// The JUnit XML that Jenkins, GitLab and actions for GitHub read. There is no standard; these
// are the attributes all of them know, and file and line, which some do.
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		Name    string   `xml:"name,attr"`
		junitCounts
		Suites []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Time     string `xml:"time,attr"` // seconds
	}
	junitCase struct {
		Name    string    `xml:"name,attr"`
		Class   string    `xml:"classname,attr"`
		File    string    `xml:"file,attr,omitempty"`
		Line    int       `xml:"line,attr,omitempty"`
		Time    string    `xml:"time,attr"`
		Failure *junitWhy `xml:"failure"`
		Error   *junitWhy `xml:"error"`
		Skipped *struct{} `xml:"skipped"`
		Output  string    `xml:"system-out,omitempty"`
	}
	junitWhy struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit replaces a file with a report of what was run.
func writeJUnit(file string, suites []testSuite) error {
	err := replaceFile(file, func(w io.Writer) error {
		if _, err := io.WriteString(w, xml.Header); err != nil {
			return err
		}
		enc := xml.NewEncoder(w)
		enc.Indent("", "  ")
		if err := enc.Encode(junitReport(suites, time.Now())); err != nil {
			return err
		}
		_, err := io.WriteString(w, "\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("--junit: %w", err)
	}
	return nil
}

func junitReport(suites []testSuite, now time.Time) *junitSuites {
	all := junitSuites{Name: "pullgate test"}
	var took time.Duration
	for i := range suites {
		s := &suites[i]
		if len(s.cases) == 0 && s.err == nil {
			continue // --run leaves all of it out
		}
		js := junitSuite{Name: s.name, Timestamp: now.UTC().Format("2006-01-02T15:04:05")}
		for j := range s.cases {
			js.add(s, &s.cases[j])
		}
		if s.err != nil {
			js.Tests, js.Errors = js.Tests+1, js.Errors+1
			js.Cases = append(js.Cases, junitCase{
				Name: s.name, Class: className(s.name), File: filepath.ToSlash(s.name), Time: seconds(0),
				Error: &junitWhy{firstLine(s.err.Error()), "unreadable", s.err.Error()},
			})
		}
		js.Time = seconds(s.took)
		took += s.took
		all.Suites = append(all.Suites, js)
		all.Tests += js.Tests
		all.Failures += js.Failures
		all.Errors += js.Errors
		all.Skipped += js.Skipped
	}
	all.Time = seconds(took)
	return &all
}

func (js *junitSuite) add(s *testSuite, c *testCase) {
	jc := junitCase{Class: className(s.name), File: filepath.ToSlash(c.file), Line: c.line, Time: seconds(c.took), Output: c.output}
	if s.name == c.file { // the lines of a script
		jc.Name = fmt.Sprintf("line %d: %s", c.line, c.text)
	} else {
		jc.Name = strings.TrimPrefix(c.text, "data."+s.name+".")
	}
	js.Tests++
	switch c.outcome {
	case caseFailed:
		js.Failures++
		first := strings.Join(c.details[:min(2, len(c.details))], ", ") // one field: want, got
		jc.Failure = &junitWhy{strings.Join(strings.Fields(first), " "), "failed", fmt.Sprintf("%s:%d: %s\n%s\n", c.file, c.line, c.text, strings.Join(c.details, "\n"))}
	case caseSkipped:
		js.Skipped++
		jc.Skipped = &struct{}{}
	}
	js.Cases = append(js.Cases, jc)
}

// className is a suite's name in the form that Jenkins and GitLab group by.
func className(name string) string {
	name = strings.TrimSuffix(filepath.ToSlash(filepath.Clean(name)), ".txtar")
	for strings.HasPrefix(name, "../") {
		name = name[3:]
	}
	return strings.ReplaceAll(strings.Trim(name, "/"), "/", ".")
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}
