package policies_test

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/policies"
)

func TestCodesSayWhatTheyMean(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range policies.Codes() {
		if seen[c.Code] {
			t.Errorf("%s is described twice", c.Code)
		}
		seen[c.Code] = true
		if c.Title == "" || c.Description == "" || c.Message == "" || c.Remedy == "" || c.Vendor == "" {
			t.Errorf("%s lacks a text: %+v", c.Code, c)
		}
		if !slices.Contains([]policies.CodeKind{policies.CodeAllow, policies.CodeDeny, policies.CodeWarning}, c.Kind) {
			t.Errorf("%s has kind %q", c.Code, c.Kind)
		}
	}
}

// Every public rule and every package has a title.
func TestRulesAndPackagesAreDescribed(t *testing.T) {
	modules := parse(t, library())
	titled := map[string]bool{}
	names := map[string]string{}
	for path, m := range modules {
		for _, a := range m.Annotations {
			if a.Title == "" {
				continue
			}
			switch a.Scope {
			case "package", "subpackages":
				titled[m.Package.Path.String()] = true
			default:
				titled[a.GetTargetPath().String()] = true
			}
		}
		names[m.Package.Path.String()] = path
		for _, r := range m.Rules {
			// The name is behind the package's path; Head.Name is empty where a key follows it.
			ref := r.Ref().GroundPrefix()
			if name, ok := ref[len(m.Package.Path)].Value.(ast.String); !ok || !strings.HasPrefix(string(name), "_") {
				names[ref.String()] = path
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if !titled[name] {
			t.Errorf("%s: %s has no metadata", names[name], name)
		}
	}
}
