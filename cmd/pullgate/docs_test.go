package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/spf13/pflag"
)

// A fence is a block of code in a document.
type fence struct {
	info string // after the three backticks
	text string
}

var fences = regexp.MustCompile("(?ms)^( *)```([^\n`]*)\n(.*?)^ *```$")

// readFences returns a document's blocks, without the indentation of lists.
func readFences(t *testing.T, path string) (all []fence) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range fences.FindAllStringSubmatch(string(data), -1) {
		text := strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n")[1:]
		all = append(all, fence{m[2], text})
	}
	if len(all) == 0 {
		t.Fatalf("%s has no block of code", path)
	}
	return all
}

// withoutComment is a line of shell without its comment.
func withoutComment(line string) string {
	line, _, _ = strings.Cut(line, " #")
	return strings.TrimSpace(line)
}

// TestReadmeCommands runs what README.md tells a reader to type about the example that comes
// with the project, from the project's root.
func TestReadmeCommands(t *testing.T) {
	t.Chdir("../..")
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	ran := 0
	for _, f := range readFences(t, "README.md") {
		for line := range strings.Lines(f.text) {
			command, ok := strings.CutPrefix(withoutComment(line), "bin/pullgate ")
			if !ok || !strings.Contains(command, "examples/first-license") {
				continue
			}
			ran++
			code, out, errs := once(t, strings.Fields(command)...)
			if code != exitYes || errs != "" {
				t.Errorf("pullgate %s: exit code %d\n%s%s", command, code, out, errs)
			}
		}
	}
	if ran < 3 {
		t.Errorf("README.md has only %d commands about examples/first-license", ran)
	}
}

// TestReadmeWritesAFirstLicense follows README.md's steps to files of one's own.
func TestReadmeWritesAFirstLicense(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, command := range []string{"init licenses", "key new --customer example-customer --id ci", "check licenses"} {
		if !bytes.Contains(readme, []byte("`bin/pullgate "+command+"`")) {
			t.Errorf("README.md no longer says `bin/pullgate %s`", command)
		}
		code, out, errs := once(t, strings.Fields(command)...)
		if code != exitYes {
			t.Fatalf("pullgate %s: exit code %d\n%s%s", command, code, out, errs)
		}
		if line := regexp.MustCompile(`(?m)^  - \{id: ci, hash: .*$`).FindString(out); line != "" {
			data, err := os.ReadFile("licenses/customers.yaml")
			if err != nil {
				t.Fatal(err)
			}
			text := strings.Replace(string(data), "\nkeys:\n", "\nkeys:\n"+line+"\n", 1)
			if err := os.WriteFile("licenses/customers.yaml", []byte(text), 0o644); err != nil || text == string(data) {
				t.Fatalf("nowhere to paste the key: %v", err)
			}
		}
	}
	code, out, errs := once(t, "test", "licenses")
	if code != exitYes {
		t.Errorf("pullgate test licenses: exit code %d\n%s%s", code, out, errs)
	}
}

// Commands in documents, in blocks and in the text, name commands and flags that exist.
func TestDocumentsNameCommandsThatExist(t *testing.T) {
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	design, err := filepath.Glob("../../docs/design/*.md")
	if err != nil {
		t.Fatal(err)
	}
	mention := regexp.MustCompile("(?m)(?:^|`)(?:bin/)?pullgate ([a-z][^`\n]*)")
	seen := 0
	for _, path := range slices.Concat(files, design, []string{"../../README.md", "../../CONTRIBUTING.md", "../../examples/envoy/envoy.yaml"}) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mention.FindAllStringSubmatch(string(data), -1) {
			args := strings.Fields(withoutComment(m[1]))
			if strings.HasPrefix(m[0], "pullgate") && !strings.Contains(m[0], "`") && !insideFence(data, m[0]) {
				continue // a sentence that begins a line
			}
			seen++
			root := newRoot()
			cmd, rest, err := root.Find(args)
			if err != nil || cmd == root {
				t.Errorf("%s: pullgate %s: no such command (%v)", path, m[1], err)
				continue
			}
			if err := cmd.ParseFlags(rest); err != nil && !strings.Contains(err.Error(), "needs an argument") && err != pflag.ErrHelp {
				t.Errorf("%s: pullgate %s: %v", path, m[1], err)
			}
		}
	}
	t.Logf("%d commands", seen)
	if seen < 20 {
		t.Errorf("only %d commands found", seen)
	}
}

func insideFence(data []byte, line string) bool {
	for _, m := range fences.FindAllStringSubmatch(string(data), -1) {
		if strings.Contains(m[3], line) {
			return true
		}
	}
	return false
}

// TestEveryExampleIsExecuted: a directory is a Go package with tests, or license files that are
// clean and whose scripts pass.
func TestEveryExampleIsExecuted(t *testing.T) {
	dirs, err := os.ReadDir("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		t.Run(d.Name(), func(t *testing.T) {
			dir := filepath.Join("../../examples", d.Name())
			if tests, _ := filepath.Glob(filepath.Join(dir, "*_test.go")); len(tests) > 0 {
				return
			}
			for _, args := range [][]string{{"check", "--data", t.TempDir(), filepath.Join(dir, "licenses")}, {"test", dir}} {
				if code, out, errs := once(t, args...); code != exitYes {
					t.Errorf("pullgate %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
				}
			}
		})
	}
}

// A block marked `yaml`, and nothing else, in docs/licenses.md is a whole set of license files.
func TestDocumentedLicenseFilesAreClean(t *testing.T) {
	n := 0
	for _, f := range readFences(t, "../../docs/licenses.md") {
		if f.info != "yaml" {
			continue
		}
		n++
		if _, err := license.Parse(map[string][]byte{"docs.yaml": []byte(f.text)}); err != nil {
			t.Errorf("%v\n%s", err, f.text)
		}
	}
	if n < 5 {
		t.Errorf("only %d sets", n)
	}
}

func TestDocumentedDecisionScriptPasses(t *testing.T) {
	n := 0
	for _, f := range readFences(t, "../../docs/decision-scripts.md") {
		if f.info != "txtar" {
			continue
		}
		n++
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "globex.txtar"), []byte(f.text), 0o644); err != nil {
			t.Fatal(err)
		}
		code, out, errs := once(t, "test", dir)
		if code != exitYes {
			t.Errorf("exit code %d\n%s%s", code, out, errs)
		}
		text, err := os.ReadFile("../../docs/decision-scripts.md")
		if err != nil {
			t.Fatal(err)
		}
		if closing := "`" + strings.TrimSpace(out) + "`"; !bytes.Contains(text, []byte(closing)) {
			t.Errorf("the document does not say that it prints %s", closing)
		}
	}
	if n == 0 {
		t.Error("no script")
	}
}

// Configuration in documents is read like pullgate.yaml, and every setting is documented.
func TestDocumentedSettingsExist(t *testing.T) {
	n := 0
	for _, path := range []string{"../../README.md", "../../docs/operations.md"} {
		for _, f := range readFences(t, path) {
			if !strings.HasPrefix(f.info, "yaml") || !strings.Contains(f.text, "credentials:") {
				continue
			}
			n++
			file := filepath.Join(t.TempDir(), "pullgate.yaml")
			if err := os.WriteFile(file, []byte(f.text), 0o600); err != nil {
				t.Fatal(err)
			}
			var s settings
			flags := pflag.NewFlagSet("", pflag.ContinueOnError)
			addServeFlags(flags, &s)
			if _, err := loadSettings(flags, &s, file); err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if s.Credentials["main"].Username == "" {
				t.Errorf("%s: no credential for main in\n%s", path, f.text)
			}
		}
	}
	if n < 2 {
		t.Errorf("only %d configurations", n)
	}
	text, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addServeFlags(flags, &settings{})
	flags.VisitAll(func(f *pflag.Flag) {
		if key := "`" + settingKey(f) + "`"; !bytes.Contains(text, []byte(key)) {
			t.Errorf("docs/operations.md does not document %s", key)
		}
	})
}

// The record in docs/records.md has the fields of a record, and every field has a row.
func TestDocumentedRecordIsARecord(t *testing.T) {
	text, err := os.ReadFile("../../docs/records.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range readFences(t, "../../docs/records.md") {
		if f.info != "json" {
			continue
		}
		var r authz.Record
		dec := json.NewDecoder(strings.NewReader(f.text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Fatal(err)
		}
		again, err := json.Marshal(&r)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != strings.TrimSpace(f.text) {
			t.Errorf("written again it is\n%s", again)
		}
		var fields map[string]any
		if err := json.Unmarshal(again, &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			if !bytes.Contains(text, []byte("`"+name+"`")) && !bytes.Contains(text, []byte("`"+name+".")) {
				t.Errorf("docs/records.md has no row for %s", name)
			}
		}
		return
	}
	t.Error("no record in docs/records.md")
}

// A page that says which test shows something names one that exists.
func TestNamedTestsExist(t *testing.T) {
	exist := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != "../.." {
			return nil // other tests have files that come and go
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`).FindAllSubmatch(text, -1) {
			exist[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob("../../docs/*.md")
	design, designErr := filepath.Glob("../../docs/design/*.md")
	if err != nil || designErr != nil {
		t.Fatal(err, designErr)
	}
	named := 0
	for _, page := range append(pages, design...) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			for _, m := range regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w+)`").FindAllStringSubmatch(line, -1) {
				if named++; !exist[m[1]] {
					t.Errorf("%s:%d: there is no test %s", page, i+1, m[1])
				}
			}
		}
	}
	if named < 50 {
		t.Errorf("%d tests are named, which is too few to look at", named)
	}
}

// The table of what can happen to a sidecar that follows names rows of TestFollowingEvents, and has
// every reason.
func TestDocumentedEventsAreRows(t *testing.T) {
	read := func(path string) string {
		t.Helper()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var rows []string
	for _, m := range regexp.MustCompile(`(?m)^\t\t\{"([^"]+)", (?:nil|\[\]string)`).FindAllStringSubmatch(read("follow_events_test.go"), -1) {
		rows = append(rows, m[1])
	}
	_, section, ok := strings.Cut(read("../../docs/operations.md"), "\n| what happens | requests |")
	section, _, _ = strings.Cut(section, "\n\n")
	named := regexp.MustCompile(`\*([^*]+)\*`).FindAllStringSubmatch(section, -1)
	if !ok || len(rows) < 40 || len(named) < 30 {
		t.Fatalf("%d rows, %d named", len(rows), len(named))
	}
	for _, m := range named {
		prefix, open := strings.CutSuffix(m[1], "…")
		if !slices.ContainsFunc(rows, func(r string) bool { return r == m[1] || open && strings.HasPrefix(r, prefix) }) {
			t.Errorf("there is no row %q", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`Reason = "(\w+)"`).FindAllStringSubmatch(read("../../sync/pull/failure.go"), -1) {
		if !strings.Contains(section, "`"+m[1]+"`") {
			t.Errorf("the reason %s is not in the table", m[1])
		}
	}
}
