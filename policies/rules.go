package policies

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// RulesDir is where a bundle has the vendor's modules.
const RulesDir = "vendor/"

// RulesGrant reports whether one of the rules may grant.
func RulesGrant(rules map[string][]byte) bool {
	for file, text := range rules {
		m, err := ast.ParseModuleWithOpts(file, string(text), parserOptions())
		if err != nil {
			continue // Check has refused it
		}
		for _, rule := range m.Rules {
			if headName(rule) == "grant" {
				return true
			}
		}
	}
	return false
}

// RulePackages returns the names of the packages vendor.<name> of rules that Check accepts,
// sorted, each once. A bundle has them as data.pullgate.rules: the library asks no others.
func RulePackages(rules map[string][]byte) ([]string, error) {
	names := map[string]bool{}
	for _, file := range slices.Sorted(maps.Keys(rules)) {
		m, err := ast.ParseModuleWithOpts(file, string(rules[file]), parserOptions())
		if err != nil {
			return nil, err
		}
		names[strings.TrimPrefix(m.Package.Path.String(), "data.vendor.")] = true
	}
	return slices.Sorted(maps.Keys(names)), nil
}
