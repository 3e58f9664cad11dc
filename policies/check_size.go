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
	v := ast.NewGenericVisitor(nil)
	within := func(depth *int, most int, at *ast.Location, msg string, parts ...any) {
		if *depth++; *depth > most {
			refuse(at, msg)
		}
		for _, part := range parts {
			if problem == "" {
				v.Walk(part)
			}
		}
		*depth--
	}
	const nests = "more than 6 comprehensions or `every` are in one another here: write a part as a rule of its own"
	var last *ast.Location
	v = ast.NewGenericVisitor(func(x any) bool {
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
			within(&depth, maxDepth, last, "more than 60 values and calls are in one another here: write a part as a rule of its own", x.Value)
			return true
		case *ast.ArrayComprehension:
			within(&nested, maxNested, last, nests, x.Term, x.Body)
			return true
		case *ast.SetComprehension:
			within(&nested, maxNested, last, nests, x.Term, x.Body)
			return true
		case *ast.ObjectComprehension:
			within(&nested, maxNested, last, nests, x.Key, x.Value, x.Body)
			return true
		case *ast.Every:
			within(&nested, maxNested, last, nests, x.Domain, x.Body)
			return true
		}
		return problem != ""
	})
	for _, rule := range m.Rules {
		walk(rule, v)
	}
	if problem != "" {
		c.refuse(file, at, "%s", problem)
	}
	return problem == ""
}
