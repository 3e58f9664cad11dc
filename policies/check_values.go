package policies

import (
	"fmt"
	"maps"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// values refuses rules of one value, functions too, that may have two: OPA finds that out when
// it evaluates them, and then nothing is decided. Within a file only what is certain is refused,
// since whoever writes one rule below another sees both.
func (c *checker) values() {
	named := map[string][]*ast.Rule{} // by package and whole head: data.vendor.region._limits.eu
	for _, name := range slices.Sorted(maps.Keys(c.rules)) {
		for _, rule := range c.rules[name] {
			if ref := rule.Head.Ref(); rule.Head.RuleKind() == ast.SingleValue && ref.IsGround() {
				whole := packageOf(name) + "." + ref.String()
				named[whole] = append(named[whole], rule)
			}
		}
	}
	for _, whole := range slices.Sorted(maps.Keys(named)) {
		c.oneValue(named[whole])
	}
}

// oneValue refuses rules of one name that may have different values, in the order of their files.
func (c *checker) oneValue(rules []*ast.Rule) {
	var defaults, others []*ast.Rule
	for _, rule := range rules {
		if rule.Default {
			defaults = append(defaults, rule)
		} else {
			others = append(others, rule)
		}
	}
	for i := 1; i < len(defaults); i++ {
		at := defaults[i].Loc()
		c.refuse(at.File, at, "%s has a default in %s already: delete one of them", defaults[i].Head.Ref(), place(defaults[0]))
	}
	for i, rule := range others {
		for _, before := range others[:i] {
			if msg := twoValues(before, rule); msg != "" {
				c.refuse(rule.Loc().File, rule.Loc(), "%s %s", rule.Head.Ref(), msg)
				break
			}
		}
	}
}

// twoValues says what is wrong with the second of two rules of one name, "" when nothing is.
func twoValues(before, rule *ast.Rule) string {
	switch {
	case sameValue(before, rule), len(before.Head.Args) != len(rule.Head.Args): // OPA refuses the latter
		return ""
	case clash(before, rule), clash(rule, before):
		return fmt.Sprintf("has another value in %s, and where both hold nothing is decided: delete one of them, or write `default` before the one that is for when no other holds", place(before))
	case before.Loc().File != rule.Loc().File:
		return fmt.Sprintf("has a value in %s too, and where both hold nothing is decided: write the rules of one name into one file, or give these another name", place(before))
	}
	return ""
}

// place is where a rule stands, as file:line.
func place(rule *ast.Rule) string { return fmt.Sprintf("%s:%d", rule.Loc().File, rule.Loc().Row) }

// sameValue reports whether two rules have one value, written there, in each of their branches.
func sameValue(a, b *ast.Rule) bool {
	for _, rule := range []*ast.Rule{a, b} {
		for branch := rule; branch != nil; branch = branch.Else {
			if v := branch.Head.Value.Value; !ast.IsConstant(v) || v.Compare(a.Head.Value.Value) != 0 {
				return false
			}
		}
	}
	return true
}

// clash reports whether a rule has its value wherever another has one: it is written there
// without a condition, and for all arguments or for the same.
func clash(rule, other *ast.Rule) bool {
	if fixed(rule) == nil {
		return false
	}
	seen := map[ast.Value]bool{}
	for _, arg := range rule.Head.Args {
		if v, ok := arg.Value.(ast.Var); !ok || seen[v] {
			return fixed(other) != nil && slices.EqualFunc(rule.Head.Args, other.Head.Args, (*ast.Term).Equal)
		}
		seen[arg.Value] = true
	}
	return true
}
