package policies

import "github.com/open-policy-agent/opa/v1/ast"

// Allowed are the builtins that a policy may use, and WhyNot says why it may not use another.
var (
	Allowed = allowed
	Refused = refused
	WhyNot  = whyNot
)

// MaybeUndefined reports whether a builtin is known to have no value for some arguments.
func MaybeUndefined(name string) bool { return maybeUndefined[name] }

// Written reports whether an argument of a builtin must be written in the rule, and then whether
// Check accepts this one.
func Written(name string, arg int, t *ast.Term) (must, accepted bool) {
	for _, l := range literals[name] {
		if l.arg == arg {
			return true, l.check(&checker{}, t) == ""
		}
	}
	return false, true
}
