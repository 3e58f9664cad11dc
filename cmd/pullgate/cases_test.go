package main

import (
	"bufio"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz/authztest"
)

var update = flag.Bool("update", false, "write testdata/cases-expected.txt from what passes now")

// The corpus lies beside the project, not in it: CI has it, a stranger's clone has not.
const (
	corpus       = "../../../shared/cases"
	expectedFile = "../../testdata/cases-expected.txt"
)

// corpusScripts returns the scripts of the corpus by their path below it, or ends the test:
// in CI a missing corpus is a failure, elsewhere it is said and counted as skipped.
func corpusScripts(t *testing.T) map[string]*authztest.Script {
	t.Helper()
	if _, err := os.Stat(corpus); errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the corpus of decision scripts is not at %s", corpus)
		}
		t.Skipf("the corpus of decision scripts is not at %s: 0 of its scripts were run", corpus)
	}
	scripts := map[string]*authztest.Script{}
	err := filepath.WalkDir(corpus, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".txtar") {
			return err
		}
		s, err := authztest.ReadScript(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(corpus, path)
		scripts[filepath.ToSlash(rel)] = s
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(scripts) == 0 {
		t.Fatalf("no script below %s", corpus)
	}
	return scripts
}

// TestCorpus runs every script through every door. Those listed in cases-expected.txt must
// pass through all of them; one that passes must be listed.
func TestCorpus(t *testing.T) {
	scripts := corpusScripts(t)
	expected := readExpected(t)
	doors := []authztest.Door{authztest.NewGateDoor(), newGRPCDoor(t, false), newGRPCDoor(t, true), newEnvoyDoor(t)}
	passes := map[string]bool{}
	for name := range scripts {
		passes[name] = true
	}
	for _, door := range doors {
		t.Run(door.Name(), func(t *testing.T) {
			runner := authztest.Runner{Door: door, Catalog: readScriptCatalog}
			asked := 0
			for _, name := range sortedNames(scripts) {
				results, err := runner.Run(t.Context(), scripts[name])
				if err != nil {
					t.Fatal(err)
				}
				asked += len(results)
				for _, r := range results {
					if len(r.Problems) == 0 {
						continue
					}
					passes[name] = false
					if expected[name] {
						t.Errorf("%s:%d: %s: %s", name, r.Line, r.Text, strings.Join(r.Problems, "; "))
					}
				}
			}
			t.Logf("%d lines asked through %s", asked, door.Name())
		})
	}
	if *update {
		writeExpected(t, passes)
		return
	}
	for _, name := range sortedNames(scripts) {
		if passes[name] && !expected[name] {
			t.Errorf("%s passes and is not listed in testdata/cases-expected.txt: list it (go test ./cmd/pullgate -run TestCorpus -update)", name)
		}
	}
	for name := range expected {
		if scripts[name] == nil {
			t.Errorf("%s is listed in testdata/cases-expected.txt, and there is no such script", name)
		}
	}
}

// TestOwnDecisions runs the project's own scripts, which go further into the corners than the
// corpus does, through the Gate and over gRPC.
func TestOwnDecisions(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/decisions/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, door := range []authztest.Door{authztest.NewGateDoor(), newGRPCDoor(t, true)} {
		t.Run(door.Name(), func(t *testing.T) {
			runner := authztest.Runner{Door: door, Catalog: readScriptCatalog}
			asked := 0
			for _, path := range paths {
				s, err := authztest.ReadScript(path)
				if err != nil {
					t.Fatal(err)
				}
				results, err := runner.Run(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				asked += len(results)
				for _, r := range results {
					if len(r.Problems) > 0 {
						t.Errorf("%s:%d: %s: %s", filepath.Base(path), r.Line, r.Text, strings.Join(r.Problems, "; "))
					}
				}
			}
			t.Logf("%d lines asked through %s", asked, door.Name())
		})
	}
}

func sortedNames(m map[string]*authztest.Script) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func readExpected(t *testing.T) map[string]bool {
	t.Helper()
	f, err := os.Open(expectedFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	expected := map[string]bool{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if line := strings.TrimSpace(sc.Text()); line != "" && !strings.HasPrefix(line, "#") {
			expected[line] = true
		}
	}
	return expected
}

func writeExpected(t *testing.T, passes map[string]bool) {
	t.Helper()
	var names []string
	for name, ok := range passes {
		if ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	text := "# Scripts of the corpus that must pass through every door. Written by\n# go test ./cmd/pullgate -run TestCorpus -update\n" + strings.Join(names, "\n") + "\n"
	if err := os.WriteFile(expectedFile, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
