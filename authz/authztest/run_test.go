package authztest

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
)

const licensed = `kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Product
id: app
repositories: [acme/app]
---
kind: Customer
id: acme
`

// echoDoor answers with the path, and notes what it is asked.
type echoDoor struct {
	worlds int
	asked  []string
}

func (d *echoDoor) Name() string                        { return "echo" }
func (d *echoDoor) Enter(context.Context, *World) error { d.worlds++; return nil }
func (d *echoDoor) Carries(*Exchange) bool              { return true }

func (d *echoDoor) Ask(_ context.Context, x *Exchange) (*Answer, error) {
	d.asked = append(d.asked, x.Target)
	return &Answer{Status: 200, Header: http.Header{}, Body: []byte(x.Target), Record: &authz.Record{Verdict: "allow", Code: "ok"}}, nil
}

func noCatalog([]byte, *license.Set) ([]compile.Repository, error) { return nil, nil }

func parse(t *testing.T, text string) *Script {
	t.Helper()
	s, err := ParseScript("x.txtar", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestRunnerAsksOnlyWhatIsSelected(t *testing.T) {
	s := parse(t, "-- a.yaml --\n"+licensed+`-- decisions --
at 2026-01-01T00:00:00Z
GET /1 allow
at 2026-01-02T00:00:00Z
GET /2 allow
GET /3 same
GET /3 same
at 2026-01-03T00:00:00Z
GET /4 allow
`)
	door := &echoDoor{}
	r := Runner{Door: door, Catalog: noCatalog, Select: func(_ int, text string) bool { return strings.HasSuffix(text, "same") }}
	results, err := r.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	// The first `same` needs the reply above it, which is not checked itself.
	if want := []string{"/2", "/3", "/3"}; !slices.Equal(door.asked, want) || door.worlds != 1 {
		t.Errorf("asked %q in %d worlds, want %q in one", door.asked, door.worlds, want)
	}
	if len(results) != 2 || len(results[0].Problems) == 0 || len(results[1].Problems) != 0 {
		t.Errorf("%+v", results)
	}
	again := &echoDoor{}
	r = Runner{Door: again, Catalog: noCatalog, Select: func(line int, _ string) bool { return line == s.Steps[4].Line }}
	if _, err := r.Run(t.Context(), s); err != nil || !slices.Equal(again.asked, []string{"/4"}) {
		t.Errorf("asked %q, error %v", again.asked, err)
	}
	if !slices.Contains(results[0].Why, "asked as anonymous from 127.0.0.1 at 2026-01-02T00:00:00Z") {
		t.Errorf("why: %q", results[0].Why)
	}
}

func TestRunnerNamesTheRulesFileOnDisk(t *testing.T) {
	s := parse(t, "-- a.yaml --\n"+licensed+"-- decisions --\nat 2026-01-01T00:00:00Z\nGET /1 allow\n")
	s.Rules = map[string][]byte{"region.rego": []byte("package vendor.region\n\nbroken {\n")}
	s.RuleFiles = map[string]string{"region.rego": "licenses/rules/region.rego"}
	results, err := (&Runner{Door: &echoDoor{}, Catalog: noCatalog}).Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if got := results[0].Problems[0]; !strings.Contains(got, ": licenses/rules/region.rego:4:") {
		t.Errorf("%s", got)
	}
}

func TestRunnerNamesEveryUnknownSpeaker(t *testing.T) {
	s := parse(t, "-- a.yaml --\n"+licensed+"-- decisions --\nat 2026-01-01T00:00:00Z\nas acmee\nGET /1 allow\nas key acme/ci\nGET /1 allow\n")
	_, err := (&Runner{Door: &echoDoor{}, Catalog: noCatalog}).Run(t.Context(), s)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`x.txtar:15: the script speaks as "acmee", and no file has such a customer; there are: acme`, `x.txtar:17: the script speaks as key "acme/ci"`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}
