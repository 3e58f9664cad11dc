package policies

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// message refuses a message with a part that may be undefined: then nothing is contributed, and
// what the body would have refused is permitted.
func (c *checker) message(file, name string, t *ast.Term) {
	part := c.operand(t)
	if part == nil {
		return
	}
	without := "nobody is warned"
	if name == "deny" {
		without = "nothing is denied"
	}
	c.refuse(file, part.Loc(), "where %s has no value, this rule is skipped in silence and %s: %s", oneLine(part.Loc()), without, c.insteadOf(file, part))
}

// insteadOf is what to write instead of a part of a message that may be undefined.
func (c *checker) insteadOf(file string, part *ast.Term) string {
	const (
		byDefault   = "write `default %s := \"unknown\"` beside its rules"
		byHelper    = "write two rules, `default %s := \"unknown\"` and `%[1]s := %s`, and %[1]s here"
		byObject    = "write `%s := object.get(%s, %s, \"unknown\")` in the body, and %[1]s here"
		byCondition = "write `%s := %s` in the body, where it is a condition, and %[1]s here"
	)
	as := oneLine(part.Loc())
	switch v := part.Value.(type) {
	case ast.Call:
		if maybeUndefined[v[0].String()] {
			return fmt.Sprintf(byCondition, "value", as)
		}
		args := strings.Repeat("_, ", len(v)-2) + "_"
		return fmt.Sprintf(byDefault, nameFor(v[0].Value.(ast.Ref))+"("+args+")")
	case ast.Ref:
		_, named := v[0].Value.(ast.Var)
		n := known(v)
		switch {
		case c.rules[v.String()] != nil:
			return fmt.Sprintf(byDefault, nameFor(v))
		case !named, wildcard(v):
			return fmt.Sprintf(byCondition, nameFor(v), as)
		case n == len(v):
			return fmt.Sprintf(byHelper, "_"+nameFor(v), as)
		}
		key := v[n].String()
		if n < len(v)-1 {
			key = ast.ArrayTerm(v[n:]...).String()
		}
		of := c.modules[file].Package.Path.String() + "."
		return fmt.Sprintf(byObject, nameFor(v), strings.TrimPrefix(v[:n].String(), of), key)
	}
	return ""
}

// known is how much of a reference is known beforehand: its variable, the customer's labels, or
// all words up to one that is no text.
func known(ref ast.Ref) int {
	root, _ := rootOf(ast.NewTerm(ref))
	words := words(ref)
	switch {
	case root == "":
		return 1
	case len(words) > 3 && words[1] == "pullgate" && words[3] == "labels":
		return 4
	}
	return len(words)
}

// wildcard reports whether a reference has an element that is not named.
func wildcard(ref ast.Ref) bool {
	return slices.ContainsFunc(ref, func(t *ast.Term) bool {
		v, ok := t.Value.(ast.Var)
		return ok && v.IsWildcard()
	})
}

var identifier = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

// nameFor is a name for what a reference is to: its last word.
func nameFor(ref ast.Ref) string {
	if s, ok := ref[len(ref)-1].Value.(ast.String); ok && identifier.MatchString(string(s)) && !ast.IsKeyword(string(s)) {
		return string(s)
	}
	return "value"
}
