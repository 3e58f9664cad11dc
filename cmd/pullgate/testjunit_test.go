package main

import (
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What JUnit readers look at, with every attribute as text.
type readSuites struct {
	XMLName  xml.Name `xml:"testsuites"`
	Tests    string   `xml:"tests,attr"`
	Failures string   `xml:"failures,attr"`
	Errors   string   `xml:"errors,attr"`
	Skipped  string   `xml:"skipped,attr"`
	Time     string   `xml:"time,attr"`
	Suites   []struct {
		Name      string `xml:"name,attr"`
		Tests     string `xml:"tests,attr"`
		Timestamp string `xml:"timestamp,attr"`
		Cases     []struct {
			Name    string   `xml:"name,attr"`
			Class   string   `xml:"classname,attr"`
			File    string   `xml:"file,attr"`
			Line    string   `xml:"line,attr"`
			Time    string   `xml:"time,attr"`
			Failure *readWhy `xml:"failure"`
			Error   *readWhy `xml:"error"`
			Skipped *string  `xml:"skipped"`
			Output  string   `xml:"system-out"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

type readWhy struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

func readJUnit(t *testing.T, file string) *readSuites {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range string(data) { // XML 1.0, section 2.2: what a document may hold
		if r < 0x20 && r != '\n' && r != '\t' || r == 0x7f || r == 0xFFFE {
			t.Fatalf("byte %d is %q", i, r)
		}
	}
	dec := xml.NewDecoder(strings.NewReader(string(data)))
	dec.Strict = true
	var s readSuites
	if err := dec.Decode(&s); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	return &s
}

func TestJUnitReport(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.xml")
	suites := []testSuite{
		{name: "../licenses/tests/first.txtar", took: 1500 * time.Millisecond, cases: []testCase{
			{file: "../licenses/tests/first.txtar", line: 12, text: "GET /v2/ allow", outcome: casePassed, took: 2 * time.Millisecond},
			{file: "../licenses/tests/first.txtar", line: 13, text: "GET /v2/\x00\x1b[31m<&\"]]>\xff deny", outcome: caseFailed, details: []string{"verdict  want deny", "         got  allow\x07 ok"}},
		}},
		{name: "vendor.region_test", cases: []testCase{
			{file: "licenses/rules/region_test.rego", line: 3, text: "data.vendor.region_test.test_north", outcome: caseFailed, output: "printed\x08"},
			{file: "licenses/rules/region_test.rego", line: 9, text: "data.vendor.region_test.todo_test_south", outcome: caseSkipped},
		}},
		{name: "broken.txtar", err: errors.New("broken.txtar:3: first\nbroken.txtar:4: second")},
		{name: "left/out.txtar", notRun: 5},
	}
	if err := writeJUnit(file, suites); err != nil {
		t.Fatal(err)
	}
	got := readJUnit(t, file)
	if diff := cmp.Diff([]string{"5", "2", "1", "1", "1.500000"}, []string{got.Tests, got.Failures, got.Errors, got.Skipped, got.Time}); diff != "" {
		t.Error(diff)
	}
	var lines []string
	for _, s := range got.Suites {
		lines = append(lines, "suite "+s.Name+" "+s.Tests)
		if _, err := time.Parse("2006-01-02T15:04:05", s.Timestamp); err != nil {
			t.Error(err)
		}
		for _, c := range s.Cases {
			lines = append(lines, strings.Join([]string{c.Class, c.Name, c.File, c.Line, c.Time}, " | "))
			if c.Failure != nil {
				lines = append(lines, "failure "+c.Failure.Message)
			}
			if c.Error != nil {
				lines = append(lines, "error "+c.Error.Message, c.Error.Text)
			}
			if c.Skipped != nil {
				lines = append(lines, "skipped")
			}
			if c.Output != "" {
				lines = append(lines, "output "+c.Output)
			}
		}
	}
	want := []string{
		"suite ../licenses/tests/first.txtar 2",
		"licenses.tests.first | line 12: GET /v2/ allow | ../licenses/tests/first.txtar | 12 | 0.002000",
		"licenses.tests.first | line 13: GET /v2/��[31m<&\"]]>� deny | ../licenses/tests/first.txtar | 13 | 0.000000",
		"failure verdict want deny, got allow� ok",
		"suite vendor.region_test 2",
		"vendor.region_test | test_north | licenses/rules/region_test.rego | 3 | 0.000000",
		"failure ",
		"output printed�",
		"vendor.region_test | todo_test_south | licenses/rules/region_test.rego | 9 | 0.000000",
		"skipped",
		"suite broken.txtar 1",
		"broken | broken.txtar | broken.txtar |  | 0.000000",
		"error broken.txtar:3: first", "broken.txtar:3: first\nbroken.txtar:4: second",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
	if text := got.Suites[0].Cases[1].Failure.Text; !strings.Contains(text, "first.txtar:13: GET") || !strings.Contains(text, "verdict  want deny\n         got  allow") {
		t.Errorf("text of the failure: %q", text)
	}
}

// A report is there whole, whatever came of the run; one that cannot be written is an error.
func TestJUnitIsWrittenWhateverComesOfTheRun(t *testing.T) {
	dir := t.TempDir()
	report := filepath.Join(dir, "report.xml")
	script := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	const licensed = "-- a.yaml --\nkind: Registry\nid: main\nhosts: [r.example]\nupstream: https://r.internal\n-- decisions --\nat 2026-06-01T12:00:00Z\n"
	script("fails.txtar", licensed+"GET /v2/ allow\n")
	script("broken.txtar", licensed+"GET /v2/ perhaps\n")
	if code, out, errs := once(t, "test", "--junit", report, dir); code != exitUnknown || !strings.Contains(errs, "broken.txtar:8: ") || !strings.HasSuffix(out, "\n0 passed, 1 failed\n") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if got := readJUnit(t, report); got.Tests != "2" || got.Failures != "1" || got.Errors != "1" {
		t.Errorf("%+v", got)
	}
	script("fails.txtar", licensed+"GET /v2/ deny\n")
	script("broken.txtar", licensed+"GET /v2/ deny\n")
	if code, out, errs := once(t, "test", "--junit", report, dir); code != exitYes {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if got := readJUnit(t, report); got.Tests != "2" || got.Failures != "0" || got.Errors != "0" {
		t.Errorf("%+v", got)
	}
	left, err := filepath.Glob(report + "*")
	if err != nil || len(left) != 1 {
		t.Errorf("%q %v", left, err)
	}
	if code, out, errs := once(t, "test", "--junit", filepath.Join(dir, "none/report.xml"), dir); code != exitUnknown || !strings.HasPrefix(errs, "pullgate: --junit: ") || out != "2 passed, 0 failed\n" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
