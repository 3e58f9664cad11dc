package authztest

import (
	"os"
	"path/filepath"
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

func TestFilesLineAddsADirectory(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"licenses/acme.yaml":          "kind: Customer\nid: acme\n",
		"licenses/rules/r.rego":       "package vendor.r\n",
		"licenses/rules/r_test.rego":  "package vendor.r_test\n",
		"licenses/tests/first.txtar":  "files ..\n-- decisions --\nat 2026-03-01T00:00:00Z\nGET /v2/ deny\n",
		"licenses/.git/HEAD.yaml":     "no",
		"licenses/testdata/cat.yaml":  "kind: Catalog\n",
		"licenses/tests/second.txtar": "files ../nowhere\n-- decisions --\nat 2026-03-01T00:00:00Z\nGET /v2/ deny\n",
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ReadScript(filepath.Join(dir, "licenses/tests/first.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Licenses) != 1 || s.Licenses[filepath.ToSlash(filepath.Join(dir, "licenses/acme.yaml"))] == nil || len(s.Rules) != 1 {
		t.Errorf("licenses %v, rules %v", s.Licenses, s.Rules)
	}
	if _, err := ReadScript(filepath.Join(dir, "licenses/tests/second.txtar")); err == nil || !strings.Contains(err.Error(), "second.txtar:1:") {
		t.Errorf("a missing directory: %v", err)
	}
}
