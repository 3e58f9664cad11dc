package policies

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// boundaries refuses packages whose contributions depend on input.time, in rules of their own
// or of another package, when they contribute no boundary.
func (c *checker) boundaries() {
	refused := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		pkg := packageOf(name)
		if !contributes(name[len(pkg)+1:]) || refused[pkg] || c.rules[pkg+".boundary"] != nil {
			continue
		}
		if at := c.timeRead(name, map[string]bool{}); at != nil {
			refused[pkg] = true
			c.refuse(at.File, at, "the answer changes with input.time, but the package does not say when, so that an old one would be kept: "+
				"add `boundary contains INSTANT`, the Unix seconds at which it changes next")
		}
	}
}

// contributes reports whether a rule's name is one that the library collects and whose answer
// may change with time.
func contributes(name string) bool {
	return name == "deny" || name == "grant" || name == "warn" || name == "header"
}

// timeRead is where the rules of a name read the time or, in the same package, use what reads
// it; nil when they do not.
func (c *checker) timeRead(name string, seen map[string]bool) (at *ast.Location) {
	if seen[name] {
		return nil
	}
	seen[name] = true
	for _, rule := range c.rules[name] {
		references(rule, func(root string, loc *ast.Location, ref ast.Ref) {
			switch words := words(ref); {
			case at != nil:
			case root == "input" && (len(words) == 1 && !c.wholes[loc] || len(words) > 1 && words[1] == "time"):
				at = loc
			case root == "data" && len(words) > 3 && words[1] == "vendor":
				used := strings.Join(words[:4], ".")
				if at = c.timeRead(used, seen); at != nil && packageOf(used) != packageOf(name) {
					at = loc
				}
			}
		})
	}
	return at
}

// packageOf is the package of a rule's name: data.vendor.region of data.vendor.region.inside.
func packageOf(name string) string { return name[:strings.LastIndexByte(name, '.')] }
