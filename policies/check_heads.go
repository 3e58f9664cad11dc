package policies

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// UpstreamHeaders returns the names of the upstream headers that rules which Check accepts may
// set, in lower case, sorted.
func UpstreamHeaders(rules map[string][]byte) []string {
	names := map[string]bool{}
	eachHead(rules, func(_, kind string, fields map[string]string) {
		if kind == "header" && fields["to"] == "upstream" {
			names[strings.ToLower(fields["name"])] = true
		}
	})
	return slices.Sorted(maps.Keys(names))
}

// VendorCodes returns the codes that rules which Check accepts may give, such as
// vendor.region.outside, sorted.
func VendorCodes(rules map[string][]byte) []string {
	codes := map[string]bool{}
	eachHead(rules, func(name, kind string, fields map[string]string) {
		if kind == "deny" || kind == "grant" || kind == "warn" {
			codes["vendor."+name+"."+fields["code"]] = true
		}
	})
	return slices.Sorted(maps.Keys(codes))
}

// eachHead calls visit with the package's name, the set and the literal fields of each
// contribution.
func eachHead(rules map[string][]byte, visit func(name, kind string, fields map[string]string)) {
	for file, text := range rules {
		m, err := ast.ParseModuleWithOpts(file, string(text), parserOptions())
		if err != nil || m == nil || len(m.Package.Path) != 3 {
			continue
		}
		name, _ := m.Package.Path[2].Value.(ast.String)
		for _, rule := range m.Rules {
			for ; rule != nil; rule = rule.Else {
				if rule.Head.Key == nil {
					continue
				}
				object, ok := rule.Head.Key.Value.(ast.Object)
				if !ok {
					continue
				}
				fields := map[string]string{}
				object.Foreach(func(k, v *ast.Term) {
					key, _ := k.Value.(ast.String)
					value, _ := v.Value.(ast.String)
					fields[string(key)] = string(value)
				})
				visit(string(name), rule.Head.Ref().String(), fields)
			}
		}
	}
}
