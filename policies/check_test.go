package policies_test

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pullgate/pullgate/policies"
)

var update = flag.Bool("update", false, "write what is refused into testdata/rules")

const refused = "# refused "

// An archive of testdata/rules has cases: the files of a directory are checked together. What is
// wrong with a file is written at its end, `# refused LINE:COLUMN: MESSAGE`; of a file without
// such a line nothing is.
func TestCheck(t *testing.T) {
	archives, err := filepath.Glob("testdata/rules/*.txtar")
	if err != nil || len(archives) < 9 {
		t.Fatal(archives, err)
	}
	for _, name := range archives {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		cases := map[string]map[string][]byte{}
		want := map[string]string{}
		for _, f := range archive.Files {
			dir, file, _ := strings.Cut(f.Name, "/")
			if cases[dir] == nil {
				cases[dir] = map[string][]byte{}
			}
			rule, lines, _ := strings.Cut("\n"+string(f.Data), "\n"+refused)
			if rule = strings.TrimSpace(rule); rule != "" {
				rule += "\n"
			}
			cases[dir][file] = []byte(rule)
			if lines != "" {
				want[f.Name] = refused + lines
			}
		}
		got := map[string]string{}
		for _, dir := range slices.Sorted(maps.Keys(cases)) {
			for _, e := range ruleErrors(t, policies.Check(cases[dir])) {
				got[dir+"/"+e.File] += fmt.Sprintf("%s%d:%d: %s\n", refused, e.Line, e.Column, e.Msg)
			}
		}
		for i, f := range archive.Files {
			if got[f.Name] != want[f.Name] && !*update {
				t.Errorf("%s: %s\n%swant\n%s", name, f.Name, got[f.Name], want[f.Name])
			}
			dir, file, _ := strings.Cut(f.Name, "/")
			archive.Files[i].Data = append(cases[dir][file], got[f.Name]...)
			delete(got, f.Name)
		}
		if len(got) > 0 {
			t.Errorf("%s: of no file: %s", name, got)
		}
		if *update {
			if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ruleErrors are the errors that are joined, in their order.
func ruleErrors(t testing.TB, err error) []*policies.RuleError {
	t.Helper()
	if err == nil {
		return nil
	}
	var list []*policies.RuleError
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T %v", err, err)
	}
	for _, err := range joined.Unwrap() {
		var e *policies.RuleError
		if !errors.As(err, &e) {
			t.Fatalf("%T %v", err, err)
		}
		if e.Line < 1 || e.Column < 1 || e.File == "" || strings.ContainsAny(e.Msg, "\n\r") {
			t.Errorf("%q", e.Error())
		}
		if !strings.HasPrefix(e.Error(), fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)) {
			t.Errorf("%q", e.Error())
		}
		list = append(list, e)
	}
	return list
}

func TestCheckSortsByFileLineAndColumn(t *testing.T) {
	list := ruleErrors(t, policies.Check(map[string][]byte{
		"b.rego": []byte("package vendor.b\n\ngrant contains {\"code\": \"B\"}\ndeny := [input.resource, input.request]\n"),
		"a.rego": []byte("package vendor.a\n\ndeny := input.resource\n"),
	}))
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Column))
	}
	want := []string{"a.rego:3:1", "a.rego:3:9", "b.rego:3:25", "b.rego:4:1", "b.rego:4:10", "b.rego:4:26"}
	if !slices.Equal(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestNoRulesAreAccepted(t *testing.T) {
	if err := policies.Check(nil); err != nil {
		t.Error(err)
	}
}

func TestCodesAndHeadersOfRules(t *testing.T) {
	rules := map[string][]byte{
		"rules/region.rego": []byte(`package vendor.region

deny contains {"code": "outside", "message": "Use the office network."}
deny contains {"code": "outside", "message": "Use another one."}
grant contains {"code": "inside"}
header contains {"name": "X-Region", "value": "eu", "to": "upstream"}
header contains {"name": "x-region", "value": "de", "to": "upstream"}
header contains {"name": "X-Edition", "value": "pro", "to": "client"}
boundary contains 3
other contains {"code": "none"}
`),
		"rules/b.rego": []byte("package vendor.b\n\nwarn contains {\"code\": \"old\", \"message\": \"Update.\"}\nheader contains {\"name\": \"A-B\", \"value\": \"eu\", \"to\": \"upstream\"}\n"),
	}
	if err := policies.Check(rules); err != nil {
		t.Error(err)
	}
	if got := policies.UpstreamHeaders(rules); !slices.Equal(got, []string{"a-b", "x-region"}) {
		t.Errorf("upstream headers %v", got)
	}
	if got := policies.VendorCodes(rules); !slices.Equal(got, []string{"vendor.b.old", "vendor.region.inside", "vendor.region.outside"}) {
		t.Errorf("codes %v", got)
	}
}
