package license

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const oneCustomer = "kind: Customer\nid: "

func TestLoadReadsEveryLicenseFileAndNothingElse(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.yaml":                 oneCustomer + "a\n",
		"b.yml":                  oneCustomer + "b\n---\n" + oneCustomer + "b2\n",
		"deep/er/c.yaml":         oneCustomer + "c\n",
		"deep/rules/d.yaml":      oneCustomer + "d\n",
		"comments.yaml":          "# nothing yet\n---\n---\n",
		"rules/data.yaml":        "not: a license\n",
		"rules/region.rego":      "package vendor.region\n",
		".git/x.yaml":            "not: a license\n",
		".hidden.yaml":           "not: a license\n",
		"..2026_01_01/real.yaml": oneCustomer + "e\n",
		"README.md":              "not a license",
		"a.yaml~":                "not: a license\n",
		"big.json":               "{}",
	})
	// A Kubernetes ConfigMap: links through ..data into a hidden folder.
	for link, target := range map[string]string{"..data": "..2026_01_01", "e.yaml": "..data/real.yaml", "linked": "deep/er"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	set, err := Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, c := range set.Customers {
		ids = append(ids, c.ID)
	}
	if got := strings.Join(ids, " "); got != "a b b2 c d e" {
		t.Errorf("read the customers %s", got)
	}
	if pos := set.Customer("c").Pos; pos.String() != "deep/er/c.yaml:1:1" {
		t.Errorf("c is at %s", pos)
	}
	if err := os.Symlink("deep", filepath.Join(dir, "linked")); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(os.DirFS(dir)); err == nil || !strings.Contains(err.Error(), `linked/er/c.yaml:2:5: id: there is a Customer "c" already, at deep/er/c.yaml:1:1`) {
		t.Errorf("a linked folder is read too: %v", err)
	}
}

// A write that failed leaves an empty file, not a smaller set.
func TestAnEmptiedFileIsABrokenEdit(t *testing.T) {
	for _, content := range []string{"", "\n", "  \n\n"} {
		_, err := Parse(map[string][]byte{"a.yaml": []byte(oneCustomer + "a\n"), "b.yaml": []byte(content)})
		if err == nil || err.Error() != "b.yaml: is empty, as a write that failed leaves a file: restore it, or delete it if what it held is to be gone" {
			t.Errorf("%q: %v", content, err)
		}
	}
}

func TestADirectoryWithoutLicensesIsAnError(t *testing.T) {
	for name, files := range map[string]fstest.MapFS{
		"empty":            {},
		"nothing to read":  {"README.md": {Data: []byte("hi")}, "rules/x.rego": {Data: []byte("package vendor.x")}},
		"emptied files":    {"a.yaml": {Data: []byte("---\n")}, "b.yaml": {Data: []byte("# gone\n")}},
		"hidden documents": {".a.yaml": {Data: []byte(oneCustomer + "a\n")}},
	} {
		set, err := Load(files)
		if set != nil || err == nil || !strings.Contains(err.Error(), "pullgate init") {
			t.Errorf("%s: %v, %v", name, set, err)
		}
	}
	if _, err := Load(os.DirFS(filepath.Join(t.TempDir(), "absent"))); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("absent: %v", err)
	}
}

func TestFilesThatCannotBeReadAreErrors(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"a.yaml":   oneCustomer + "a\n",
		"big.yaml": strings.Repeat("# a comment of some length\n", 10<<20/27),
		"l.yaml":   "kind: License\nid: l\ncustomer: in-the-missing-file\ntype: rental\nzone: Mars\ngraze: P1D\n",
	})
	for link, target := range map[string]string{"gone.yaml": "nowhere.yaml", "loop": ".", "null.yaml": "/dev/null"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	_, err := Load(os.DirFS(dir))
	var all Errors
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	text := all.Error()
	for _, want := range []string{
		"gone.yaml: cannot be read: no such file or directory",
		"null.yaml: is no regular file",
		"folders nest too deep",
		"l.yaml:4:7: type: is \"rental\"",
		"l.yaml:5:7: zone: unknown zone \"Mars\"",
		"l.yaml:6:1: graze: unknown field \"graze\"",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("nothing says %q in\n%.2000s", want, text)
		}
	}
	if strings.Contains(text, "unknown customer") {
		t.Errorf("a reference into a file that could not be read is reported:\n%.2000s", text)
	}

	if err := os.Remove(filepath.Join(dir, "loop")); err != nil {
		t.Fatal(err)
	}
	_, err = Load(os.DirFS(dir))
	if err == nil || !strings.Contains(err.Error(), "big.yaml: larger than 8 MiB") {
		t.Errorf("a 10 MB file: %.500v", err)
	}

	denied := fstest.MapFS{"a.yaml": {Data: []byte(oneCustomer + "a\n")}}
	if _, err := Load(unreadableFS{denied}); err == nil || !strings.Contains(err.Error(), "a.yaml: cannot be read: permission denied; let the user that runs pullgate read it") {
		t.Errorf("no permission: %v", err)
	}
}

// unreadableFS lists files and opens none of them.
type unreadableFS struct{ fstest.MapFS }

func (f unreadableFS) Open(name string) (fs.File, error) {
	if strings.HasSuffix(name, ".yaml") {
		return nil, &os.PathError{Op: "open", Path: name, Err: os.ErrPermission}
	}
	return f.MapFS.Open(name)
}

// Licenses are read in parts: where a part ends makes no difference.
func TestManyLicensesAreReadAsFewAre(t *testing.T) {
	const n = 2*part + 100
	text := func(mistakes bool) map[string][]byte {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "kind: License\nid: l%d\ncustomer: acme\nplan: gold\nstarts: 2026-01-01\n", i)
			if i >= part && i < part+50 {
				fmt.Fprintf(&b, "replaces: l%d\n", i-part) // of the part before, and of the next
			}
			if mistakes && i%1000 == 7 {
				fmt.Fprintf(&b, "grace: %dD\n", i)
			}
			b.WriteString("---\n")
		}
		return map[string][]byte{"base.yaml": []byte(base), "x.yaml": []byte(b.String())}
	}
	set, err := Parse(text(false))
	if err != nil || len(set.Licenses) != n {
		t.Fatal(err)
	}
	replaced := 0
	for i := range set.Licenses {
		l := &set.Licenses[i]
		if len(l.Grants) != 1 || l.Schedule(0).Ends != instant(t, "2027-01-01T00:00:00Z") {
			t.Fatalf("%s: %+v", l.ID, l)
		}
		if l.ReplacedAt != Never {
			replaced++
		}
	}
	if replaced != 50 {
		t.Errorf("%d licenses are replaced", replaced)
	}
	_, err = Parse(text(true))
	var all Errors
	if !errors.As(err, &all) || len(all) != (n+993)/1000 {
		t.Fatalf("%d mistakes: %.500v", len(all), err)
	}
	for i, e := range all {
		if want := fmt.Sprintf("grace: \"%dD\" is no period: write P%dD", 1000*i+7, 1000*i+7); !strings.HasSuffix(e.Error(), want) || i > 0 && e.Pos.Line <= all[i-1].Pos.Line {
			t.Errorf("mistake %d: %v, want %s", i, e, want)
		}
	}
}
