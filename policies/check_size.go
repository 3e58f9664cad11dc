package policies

import "github.com/open-policy-agent/opa/v1/ast"

// What rules may be in size. OPA's compiler needs twice as long for each comprehension in
// another (with 18 of them 4 seconds), and four times as long for twice as many rules that use
// one another.
const (
	maxRuleFile  = 64 << 10 // bytes of a file
	maxRules     = 500      // rules of all files, with each else
	maxNested    = 6        // comprehensions and `every` in one another
	maxDepth     = 60       // values and calls in one another
	maxRuleTerms = 20000    // values in a file
)

// small refuses rules that are so large that compiling them takes long.
func (c *checker) small(file string, m *ast.Module) bool {
	var depth, nested, terms int
	var problem string
	var at *ast.Location
	refuse := func(loc *ast.Location, msg string) {
		if problem == "" {
			problem, at = msg, loc
		}
	}
	nests := func(x any) int {
		switch x.(type) {
		case *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension, *ast.Every:
			return 1
		}
		return 0
	}
	var last *ast.Location
	v := ast.NewBeforeAfterVisitor(func(x any) bool {
		switch x := x.(type) {
		case *ast.Rule:
			if c.ruleCount++; c.ruleCount > maxRules {
				refuse(x.Loc(), "there are more than 500 rules: put lists into sets or objects, one line an entry")
			}
		case *ast.Term:
			last = x.Loc()
			if terms++; terms > maxRuleTerms {
				refuse(last, "the file has more than 20,000 values: move lists into labels of customers")
			}
			if depth++; depth > maxDepth {
				refuse(last, "more than 60 values and calls are in one another here: write a part as a rule of its own")
			}
		}
		if nested += nests(x); nested > maxNested {
			refuse(last, "more than 6 comprehensions or `every` are in one another here: write a part as a rule of its own")
		}
		return problem != ""
	}, func(x any) {
		if _, ok := x.(*ast.Term); ok {
			depth--
		}
		nested -= nests(x)
	})
	for _, rule := range m.Rules {
		v.Walk(rule)
		for _, t := range rule.Head.Ref() {
			v.Walk(t)
		}
	}
	if problem != "" {
		c.refuse(file, at, "%s", problem)
	}
	return problem == ""
}
