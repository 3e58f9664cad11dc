package authztest

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/authz"
)

const minimal = `A comment.
-- a.yaml --
kind: Customer
id: acme
-- decisions --
at 2026-03-01T00:00:00Z
`

func TestParseScriptReadsEveryStatement(t *testing.T) {
	s, err := ParseScript("x.txtar", []byte(minimal+`as acme   # a comment
from 10.0.0.7
header X-Request-Id: 1
GET /v2/acme/app/manifests/1.4.0   allow until 2027-01-01T00:00:00Z pinned @I1 code ok license l warns expiring_soon without "a b" header Link: </v2/x>; rel="next"
GET /v2/acme/app/tags/list?last=\x61{3}\x40   reply 200 {"name":"acme/app", "tags":[]} no-header Link
GET /v2/other/tags/list same
as key acme/ci
PUT https://h.example:5000/v2/a/manifests/sha256-@I1.sig deny unsupported 405
as jwt https://idp.example sub
ask app@1.4.0 deny until null pinned none warns none
as raw Basic Og==
get /v2/ deny 401
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(s.Steps), 6; got != want {
		t.Fatalf("%d steps, want %d", got, want)
	}
	first := s.Steps[0]
	if diff := cmp.Diff([]Header{{"X-Request-Id", "1"}}, first.Header); diff != "" {
		t.Error(diff)
	}
	if *first.Want.Pinned != NameDigest("I1") || first.Want.Header[0].Value != `</v2/x>; rel="next"` || first.Want.Without[0] != "a b" {
		t.Errorf("first expectation: %+v", first.Want)
	}
	if got := s.Steps[1].Target; got != "/v2/acme/app/tags/list?last=aaa@" {
		t.Errorf("target %q", got)
	}
	if s.Steps[1].Header != nil {
		t.Error("a header statement outlived its request")
	}
	if got := s.Steps[3]; got.Host != "h.example:5000" || !strings.HasPrefix(got.Target, "/v2/a/manifests/sha256-") || got.As.Key != "acme/ci" || got.Want.Status != 405 {
		t.Errorf("absolute URL: %+v", got)
	}
	if got := s.Steps[4]; got.Product != "app" || *got.Want.Until != authz.Never || *got.Want.Pinned != "" || got.Want.Warns[0] != "" {
		t.Errorf("ask: %+v", got)
	}
	if got := s.Steps[5]; got.As.Raw != "Basic Og==" || got.Method != "get" || got.Want.Status != 401 {
		t.Errorf("raw: %+v", got)
	}
	if diff := cmp.Diff(map[string]int{"acme": 7, "acme/ci": 13}, s.Keys); diff != "" {
		t.Error(diff)
	}
}

func TestParseScriptNamesTheLineOfAMistake(t *testing.T) {
	for _, tc := range []struct{ line, want string }{
		{"GET /v2/ maybe", `x.txtar:7: unknown expectation "maybe"`},
		{"GET /v2/ allow colour red", `x.txtar:7: unknown detail "colour"`},
		{"GET /v2/ reply yes", "x.txtar:7: reply yes: want a status"},
		{"GET /v2/ allow until tomorrow", "x.txtar:7: until tomorrow"},
		{"at noon", "x.txtar:7: at noon"},
		{"as key acme", "x.txtar:7: as key acme"},
		{"from home", "x.txtar:7: from home"},
		{"ask app allow", "x.txtar:7: ask app"},
		{"GET /v2/ same", "x.txtar:7: `same` without a line above"},
		{"header X: 1", "without a request after it"},
		{"", "a script that cannot fail"},
	} {
		_, err := ParseScript("x.txtar", []byte(minimal+tc.line+"\n"), nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.line, err, tc.want)
		}
	}
}

func TestParseScriptReportsEveryMistake(t *testing.T) {
	_, err := ParseScript("x.txtar", []byte(`files elsewhere
-- a.yaml --
kind: Customer
id: acme
-- rules/r_test.rego --
-- rules/deep/r.rego --
-- notes.txt --
-- a.yaml --
-- decisions --
GET /v2/ allow
GET /v2/ allow
at noon
As acme
from home
GET /v2/ allow code a code b
GET /v2/ allow license
`), nil)
	if err == nil {
		t.Fatal("no error")
	}
	want := []string{
		"x.txtar:1: files elsewhere: this script has no directory",
		`x.txtar:5: section "rules/r_test.rego": Rego tests are files of their own, beside the rules`,
		`x.txtar:6: section "rules/deep/r.rego": rules lie directly in rules/`,
		`x.txtar:7: unknown section "notes.txt": want *.yaml, rules/*.rego, decisions or refusals`,
		`x.txtar:8: section "a.yaml" comes twice; put both into one`,
		"x.txtar:10: a question before the first `at`: scripts have no clock of their own; write `at 2026-03-01T00:00:00Z` above it",
		"x.txtar:12: at noon: want an instant such as 2026-03-01T00:00:00Z",
		"x.txtar:13: no expectation: want allow, deny, reply or same after the path; did you mean `as`?",
		"x.txtar:14: from home: want an IP address such as 203.0.113.9",
		"x.txtar:15: code comes twice; an answer has one",
		"x.txtar:16: license: what? want `license ID`",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Error(diff)
	}
}

func TestParseScriptReplacesNamesInLicenseFiles(t *testing.T) {
	s, err := ParseScript("x.txtar", []byte("-- a.yaml --\nkind: Registry\nrevoked_digests: [{digest: @Leaked150, tag: sha256-@A.sig, mail: a@b}]\n-- refusals --\nfails: x\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	got := string(s.Licenses["a.yaml"])
	if !strings.Contains(got, "digest: sha256:8b978c2594b78bbf8ca4c1a5ac83ac0c282c188a3471b1dcd061e06dc826b15b,") || !strings.Contains(got, "mail: a@b") {
		t.Errorf("got %s", got)
	}
}

// tree writes files below a directory of the test's own.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const question = "-- decisions --\nat 2026-03-01T00:00:00Z\nGET /v2/ deny\n"

func TestFilesLineAddsADirectory(t *testing.T) {
	dir := tree(t, map[string]string{
		"licenses/acme.yaml":          "kind: Customer\nid: acme\n",
		"licenses/eu/b.yml":           "kind: Customer\nid: b\n",
		"licenses/rules/r.rego":       "package vendor.r\n",
		"licenses/rules/r_test.rego":  "package vendor.r_test\n",
		"licenses/rules/values.yaml":  "no license file",
		"licenses/eu/r2.rego":         "package vendor.r2\n",
		"licenses/.git/HEAD.yaml":     "no",
		"licenses/testdata/cat.yaml":  "kind: Catalog\n",
		"licenses/tests/first.txtar":  "files ..\n" + question,
		"licenses/tests/second.txtar": "files ../../linked\n" + question,
	})
	shared := tree(t, map[string]string{"c.yaml": "kind: Customer\nid: c\n"})
	for link, to := range map[string]string{"linked": "licenses", "licenses/shared": shared} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for script, files := range map[string]string{"first": "licenses", "second": "linked"} {
		s, err := ReadScript(filepath.Join(dir, "licenses/tests", script+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		at := filepath.ToSlash(filepath.Join(dir, files))
		if diff := cmp.Diff([]string{at + "/acme.yaml", at + "/eu/b.yml", at + "/shared/c.yaml"}, slices.Sorted(maps.Keys(s.Licenses))); diff != "" {
			t.Error(diff)
		}
		if string(s.Rules["r.rego"]) != "package vendor.r\n" || len(s.Rules) != 1 {
			t.Errorf("rules %q", s.Rules)
		}
		if diff := cmp.Diff(map[string]string{"r.rego": at + "/rules/r.rego"}, s.RuleFiles); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff([]string{filepath.Join(dir, files)}, s.Directories); diff != "" {
			t.Error(diff)
		}
	}
}

func TestFilesLineSaysWhatIsWrong(t *testing.T) {
	dir := tree(t, map[string]string{
		"empty/notes.txt":     "x",
		"a/acme.yaml":         "kind: Customer\nid: acme\n",
		"a/rules/r.rego":      "package vendor.r\n",
		"b/rules/r.rego":      "package vendor.r\n",
		"deep/rules/a/r.rego": "package vendor.r\n",
		"broken/acme.yaml":    "kind: Customer\nid: acme\n",
	})
	if err := os.Symlink("nowhere", filepath.Join(dir, "broken/gone.yaml")); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"missing":         {"x\nfiles ../nowhere\n", "x.txtar:2: files ../nowhere: " + filepath.Join(filepath.Dir(dir), "nowhere") + " cannot be read: no such file or directory; the path is relative to the script"},
		"empty":           {"files empty\n", "x.txtar:1: files empty: no license files and no rules below "},
		"a file":          {"files a/acme.yaml\n", "is a file; name the directory"},
		"absolute":        {"files /etc\n", "want a path relative to the script"},
		"backslashes":     {"files ..\\a\n", "want a path relative to the script, with `/` between folders"},
		"twice":           {"files a\nfiles ./a\n", "x.txtar:2: files ./a: " + filepath.Join(dir, "a") + " comes twice"},
		"two of one name": {"files a\nfiles b\n", "another directory of this script has a rule rules/r.rego too"},
		"a rule below":    {"files deep\n", "rules lie directly in rules/"},
		"a dead link":     {"files broken\n", "gone.yaml: no such file or directory"},
		"a section":       {"files a\n-- acme.yaml --\nkind: Customer\n", `x.txtar:2: section "acme.yaml" has the name of a file that a ` + "`files` line added: "},
		"a rule":          {"files a\n-- rules/r.rego --\npackage vendor.r\n", `x.txtar:2: section "rules/r.rego" has the name of a file`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseScript(filepath.Join(dir, "x.txtar"), []byte(tc.text+question), os.DirFS(dir))
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}

func TestNamedDirectoriesAreThoseOfScriptsThatCannotBeReadToo(t *testing.T) {
	got := NamedDirectories("tests/x.txtar", []byte("A comment.\nfiles ../licenses\nfiles gone\n-- decisions --\nfiles no\nperhaps\n"))
	if diff := cmp.Diff([]string{"licenses", filepath.Join("tests", "gone")}, got); diff != "" {
		t.Error(diff)
	}
}
