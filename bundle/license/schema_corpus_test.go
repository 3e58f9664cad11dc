package license

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

// The corpus lies beside the project, not in it: CI has it, a stranger's clone has not.
const corpus = "../../../shared/cases"

// script is what a decision script has for a schema: license files and the mistakes in them.
type script struct {
	path  string
	files map[string][]byte
	fails []string
}

var digestName = regexp.MustCompile(`sha256-@\w+|@\w+`)

// named writes digests for the names that stand for them, as the runner of scripts does.
func named(name []byte) []byte {
	prefix, text, _ := strings.Cut(string(name), "@")
	sum := sha256.Sum256([]byte(text))
	if prefix == "" {
		prefix = "sha256:"
	}
	return []byte(prefix + hex.EncodeToString(sum[:]))
}

// scripts are the decision scripts below a directory.
func scripts(t *testing.T, dir string) (out []script) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".txtar" {
			return err
		}
		ar, err := txtar.ParseFile(path)
		if err != nil {
			return err
		}
		s := script{path: path, files: make(map[string][]byte)}
		for _, f := range ar.Files {
			if filepath.Ext(f.Name) == ".yaml" && !bytes.Contains(f.Data, []byte("kind: Catalog")) {
				s.files[f.Name] = digestName.ReplaceAllFunc(f.Data, named)
			}
			for line := range strings.Lines(string(f.Data)) {
				if want, ok := strings.CutPrefix(line, "fails: "); ok && f.Name == "refusals" {
					s.fails = append(s.fails, strings.TrimSpace(want))
				}
			}
		}
		out = append(out, s)
		return nil
	})
	if err != nil || len(out) == 0 {
		t.Fatalf("no scripts in %s: %v", dir, err)
	}
	return out
}

// refused are the files of a set with a document that the schema refuses, each with its reason.
func refused(t *testing.T, v validator, set map[string][]byte) map[string]error {
	t.Helper()
	out := make(map[string]error)
	for name, data := range set {
		problems, err := v.check(data)
		if err := errors.Join(append(problems, err)...); err != nil {
			out[name] = err
		}
	}
	return out
}

// A set that the parser accepts has no document that the schema refuses; and a file that the
// schema refuses has a mistake for the parser too. The schema cannot see what is wrong between
// documents, so of what `fails:` lines expect it sees a part, which must not become smaller.
func TestSchemaAgreesWithDecisionScripts(t *testing.T) {
	v := newValidator(t)
	all := scripts(t, "../../testdata/decisions")
	own := len(all)
	if _, err := os.Stat(corpus); err == nil {
		all = append(all, scripts(t, corpus)...)
	} else if os.Getenv("CI") == "true" {
		t.Fatalf("the corpus of decision scripts is not at %s", corpus)
	} else {
		t.Logf("the corpus of decision scripts is not at %s: 0 of its scripts were compared", corpus)
	}
	files, fails, seen := 0, map[bool]int{}, map[bool]int{}
	for i, s := range all {
		bad := refused(t, v, s.files)
		files += len(s.files)
		_, err := Parse(s.files)
		var wrong Errors
		errors.As(err, &wrong)
		for name, why := range bad {
			if !slices.ContainsFunc(wrong, func(e *FieldError) bool { return e.Pos.File == name }) {
				t.Errorf("%s: %s: the parser accepts what the schema refuses: %v", s.path, name, why)
			}
		}
		for _, want := range s.fails {
			fails[i < own]++
			if slices.ContainsFunc(wrong, func(e *FieldError) bool {
				return strings.Contains(e.Error(), want) && bad[e.Pos.File] != nil
			}) {
				seen[i < own]++
			} else {
				t.Logf("%s: only the parser sees %s", filepath.Base(s.path), want)
			}
		}
	}
	t.Logf("%d files of %d scripts; of the %d mistakes in this project's scripts the schema sees %d, of the corpus' %d it sees %d",
		files, len(all), fails[true], seen[true], fails[false], seen[false])
	if seen[true] < 47 || len(all) > own && seen[false] < 15 {
		t.Error("the schema sees less than it did")
	}
}

// Every license file in the project is clean for the schema.
func TestSchemaAcceptsTheFilesThatComeWithTheProject(t *testing.T) {
	v := newValidator(t)
	n := 0
	for _, dir := range []string{"../../examples/first-license/licenses", "../../cmd/pullgate/starter"} {
		set := make(map[string][]byte)
		paths, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, path := range paths {
			if set[path], err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Parse(set); err != nil {
			t.Error(err)
		}
		bad := refused(t, v, set)
		for _, name := range slices.Sorted(maps.Keys(bad)) {
			t.Errorf("%s: %v", name, bad[name])
		}
		n += len(set)
	}
	t.Logf("%d files", n)
}
