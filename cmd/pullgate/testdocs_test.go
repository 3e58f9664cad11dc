package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const scriptsPage = "../../docs/decision-scripts.md"

var (
	shownTime = regexp.MustCompile(`\([0-9.]+(µs|ms|s)\)`)
	console   = regexp.MustCompile("(?s)```console\n(.*?)```")
)

// Blocks of docs/decision-scripts.md whose info ends in a path are files, those marked `console`
// are commands with what they print. -update writes what they print now.
func TestDocumentedRunsPrintWhatIsShown(t *testing.T) {
	page, err := os.ReadFile(scriptsPage)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	written := 0
	for _, f := range readFences(t, scriptsPage) {
		_, name, ok := strings.Cut(f.info, " ")
		if !ok || !strings.Contains(name, "/") {
			continue
		}
		written++
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	back, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	blocks := 0
	got := console.ReplaceAllStringFunc(string(page), func(block string) string {
		blocks++
		var out strings.Builder
		for line := range strings.Lines(block) {
			command, ok := strings.CutPrefix(line, "$ pullgate ")
			if !ok {
				continue
			}
			_, text, errs := once(t, shellWords(command)...)
			out.WriteString(line + shownTime.ReplaceAllString(text, "(1.2ms)") + errs)
		}
		return "```console\n" + out.String() + "```"
	})
	if written < 4 || blocks < 2 {
		t.Errorf("%d files and %d blocks of commands", written, blocks)
	}
	if *update {
		if err := os.WriteFile(filepath.Join(back, scriptsPage), []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(string(page), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("-update writes it:\n%s", diff)
	}
}

// shellWords splits a command as a shell does, as far as the page needs it.
func shellWords(command string) []string {
	var words []string
	for i, part := range strings.Split(strings.TrimSpace(command), "'") {
		if i%2 == 1 {
			words = append(words, part)
		} else {
			words = append(words, strings.Fields(part)...)
		}
	}
	return words
}

// Every flag of `pullgate test` is on the page.
func TestFlagsOfTestAreDocumented(t *testing.T) {
	page, err := os.ReadFile(scriptsPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"--run", "-v", "--junit", "--coverage", "--coverage-floor", "--watch"} {
		if !strings.Contains(string(page), "| `"+name) {
			t.Errorf("%s has no row", name)
		}
	}
	for line := range strings.Lines(testCommand().Flags().FlagUsages()) {
		name := regexp.MustCompile(`--[a-z-]+`).FindString(line)
		if name == "--verbose" {
			name = "-v"
		}
		if !strings.Contains(string(page), "| `"+name) {
			t.Errorf("%s has no row", name)
		}
	}
}
