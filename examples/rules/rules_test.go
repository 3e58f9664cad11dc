// Package rules_test runs the worked examples of vendor rules, one folder each, as a vendor does:
// with the command.
package rules_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/format"
)

// fewest is how many cases an example has at least: requests and Rego tests.
const fewest = 20

// TestExamples: each example is clean, its tests pass, and they reach every line of its rule.
func TestExamples(t *testing.T) {
	pullgate := build(t)
	names := examples(t)
	if len(names) < 10 {
		t.Errorf("only %d examples", len(names))
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if out, err := run(t, pullgate, "check", "--data", t.TempDir(), name); err != nil {
				t.Fatalf("check: %v\n%s", err, out)
			}
			out, err := run(t, pullgate, "test", "--coverage-floor", "100", name)
			if err != nil {
				t.Fatalf("test: %v\n%s", err, out)
			}
			closing := regexp.MustCompile(`(?m)^(\d+) passed, 0 failed$`).FindStringSubmatch(out)
			if closing == nil {
				t.Fatalf("no closing line in\n%s", out)
			}
			if n, _ := strconv.Atoi(closing[1]); n < fewest {
				t.Errorf("%d cases, want at least %d", n, fewest)
			}
			if want := "coverage 100.0 % of " + filepath.Join(name, "rules", name+".rego") + " "; !strings.Contains(out, want) {
				t.Errorf("no line %q in\n%s", want, out)
			}
		})
	}
}

// Each example has the same files, says what it is for and when a field of the license is the
// better way, and is written as opa fmt writes.
func TestExamplesAreReadable(t *testing.T) {
	page := read(t, "../../docs/rules.md")
	for _, name := range examples(t) {
		rule := read(t, filepath.Join(name, "rules", name+".rego"))
		for file, text := range map[string][]byte{
			name + ".rego":      rule,
			name + "_test.rego": read(t, filepath.Join(name, "rules", name+"_test.rego")),
		} {
			if formatted, err := format.Source(file, text); err != nil || !bytes.Equal(formatted, text) {
				t.Errorf("%s: not formatted (%v)", file, err)
			}
		}
		before, _, ok := bytes.Cut(rule, []byte("\npackage vendor."+name+"\n"))
		if !ok || !bytes.HasPrefix(before, []byte("# METADATA\n# title: ")) || !regexp.MustCompile(`instead\b`).Match(before) {
			t.Errorf("%s: no comment above `package vendor.%[1]s` that says what it is for, and what to write instead", name)
		}
		tests := read(t, filepath.Join(name, "rules", name+"_test.rego"))
		for what, pattern := range map[string]string{
			"allows": `test_(allows|grants)_`, "refuses": `test_(denies|not)_`, "meets what is absent": `test_\w*(without|no)_`,
		} {
			if !regexp.MustCompile(pattern).Match(tests) {
				t.Errorf("%s_test.rego has no test of what the rule %s (%s)", name, what, pattern)
			}
		}
		script := read(t, filepath.Join(name, "tests", name+".txtar"))
		for _, line := range []string{"\nfiles ..\n", "/tags/list", "/blobs/@", "HEAD ", "until "} {
			if !bytes.Contains(script, []byte(line)) {
				t.Errorf("%s.txtar asks nothing with %q", name, line)
			}
		}
		if link := "../examples/rules/" + name; !bytes.Contains(page, []byte(link)) {
			t.Errorf("docs/rules.md does not name %s", link)
		}
	}
}

// examples are the folders here.
func examples(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func build(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "pullgate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags=grpcnotrace", "-o", file, "../../cmd/pullgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return file
}

func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	return string(out), err
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
