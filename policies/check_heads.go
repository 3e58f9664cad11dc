package policies

import (
	"math/big"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A contribution is a set that the library collects from a vendor's package.
type contribution struct {
	keys []string // of the object that is contributed; nil when it is a value
	form string   // how it is written
}

var contributions = map[string]contribution{
	"deny":     {[]string{"code", "message"}, "`deny contains {\"code\": \"outside\", \"message\": \"Use the office network.\"} if …`"},
	"grant":    {[]string{"code"}, "`grant contains {\"code\": \"early\"} if …`"},
	"warn":     {[]string{"code", "message"}, "`warn contains {\"code\": \"old\", \"message\": \"Update soon.\"} if …`"},
	"header":   {[]string{"name", "to", "value"}, "`header contains {\"name\": \"X-Region\", \"value\": \"eu\", \"to\": \"upstream\"} if …`"},
	"boundary": {nil, "`boundary contains 1767225600 if …`"},
}

// maxMessage is how much of a message a customer sees.
const maxMessage = 160

// head refuses other shapes of what the library collects.
func (c *checker) head(file string, rule *ast.Rule) {
	name := headName(rule)
	want, ok := contributions[name]
	if !ok {
		return
	}
	shape := ""
	switch {
	case rule.Default:
		shape = "`default " + name + "` is no contribution: without one nothing is contributed"
	case len(rule.Head.Args) > 0:
		shape = name + " is a function here"
	case len(rule.Head.Ref()) > 1:
		shape = rule.Head.Ref().String() + " has more than the name"
	case rule.Head.Key == nil:
		shape = name + " has one value here"
	}
	if shape != "" {
		c.refuse(file, rule.Loc(), "%s, and the library collects a set: write %s", shape, want.form)
		return
	}
	key := rule.Head.Key
	if want.keys == nil {
		c.instant(file, key)
		return
	}
	object, ok := key.Value.(ast.Object)
	if !ok {
		c.refuse(file, key.Loc(), "what %s contains must be written in its head, with its keys, so that its %s is known before anybody asks: write %s", name, want.keys[0], want.form)
		return
	}
	fields := map[string]*ast.Term{}
	literal := true
	object.Foreach(func(k, v *ast.Term) {
		s, ok := k.Value.(ast.String)
		literal = literal && ok
		fields[string(s)] = v
	})
	if !literal || len(fields) != len(want.keys) || slices.ContainsFunc(want.keys, func(k string) bool { return fields[k] == nil }) {
		c.refuse(file, key.Loc(), "%s contains objects with exactly %s: write %s", name, quoted(want.keys), want.form)
		return
	}
	if code := fields["code"]; code != nil {
		c.code(file, name, code)
	}
	if message := fields["message"]; message != nil {
		c.text(file, message, "the message", maxMessage)
		c.message(file, name, message)
	}
	if name == "header" {
		c.header(file, fields)
	}
}

// quoted are names as they are written, with commas and a last "and".
func quoted(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = `"` + n + `"`
	}
	if len(out) == 1 {
		return out[0]
	}
	return strings.Join(out[:len(out)-1], ", ") + " and " + out[len(out)-1]
}

// code refuses codes that are no literal [a-z][a-z0-9_]*.
func (c *checker) code(file, name string, t *ast.Term) {
	if s, ok := t.Value.(ast.String); !ok {
		c.refuse(file, t.Loc(), "the code of %s must be written as a text, since records and metrics know codes beforehand: write \"code\": \"outside\", and a rule for each code", name)
	} else if !ruleName.MatchString(string(s)) {
		c.refuse(file, t.Loc(), "the code %q has other characters than a-z, 0-9 and _, or does not begin with a letter: write it like \"outside\" or \"too_old\"", string(s))
	}
}

// text refuses a text that is written in the rule and could not be sent, and values that are
// none.
func (c *checker) text(file string, t *ast.Term, what string, most int) {
	switch v := t.Value.(type) {
	case ast.String:
		switch {
		case v == "":
			c.refuse(file, t.Loc(), "%s is empty: say what the customer can do", what)
		case strings.Trim(string(v), printable) != "":
			c.refuse(file, t.Loc(), "%s has characters that cannot be sent: write letters without accents, one line, ASCII only", what)
		case len(v) > most:
			c.refuse(file, t.Loc(), "%s has %d characters, and at most %d are sent: shorten it", what, len(v), most)
		}
	case ast.Number, ast.Boolean, ast.Null, *ast.Array, ast.Object, ast.Set, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		c.refuse(file, t.Loc(), "%s is no text: write it in quotes, or make one by sprintf", what)
	}
}

// printable are the characters of a header's value.
var printable = func() string {
	var b strings.Builder
	for r := ' '; r <= '~'; r++ {
		b.WriteRune(r)
	}
	return b.String()
}()

// The first and the last second that a boundary may be: of the years 1 to 9999.
var firstBoundary, lastBoundary = big.NewRat(-62135596800, 1), big.NewRat(253402300799, 1)

// instant refuses a boundary that is written in the rule and is no instant.
func (c *checker) instant(file string, t *ast.Term) {
	fix := "write Unix seconds, such as 1767225600 or `time.parse_rfc3339_ns(\"2026-01-01T00:00:00Z\") / 1000000000`, or \"never\""
	switch v := t.Value.(type) {
	case ast.Number:
		switch r, ok := new(big.Rat).SetString(string(v)); {
		case !ok || !r.IsInt():
			c.refuse(file, t.Loc(), "the boundary %s is no whole number of seconds: %s", v, fix)
		case r.Cmp(firstBoundary) < 0 || r.Cmp(lastBoundary) > 0:
			c.refuse(file, t.Loc(), "the boundary %s is not in the years 1 to 9999, perhaps it has milliseconds or nanoseconds: %s", v, fix)
		}
	case ast.String:
		if v != "never" {
			c.refuse(file, t.Loc(), "the boundary %s is no instant: %s", v, fix)
		}
	case ast.Boolean, ast.Null, *ast.Array, ast.Object, ast.Set, *ast.ArrayComprehension, *ast.SetComprehension, *ast.ObjectComprehension:
		c.refuse(file, t.Loc(), "the boundary is no instant: %s", fix)
	}
}

// meant are names that look like those of contributions.
var meant = map[string]string{
	"allow": "grant", "allowed": "grant", "grants": "grant", "granted": "grant", "permit": "grant",
	"denied": "deny", "denies": "deny", "denial": "deny", "reject": "deny", "refuse": "deny", "violation": "deny", "violations": "deny",
	"warning": "warn", "warnings": "warn", "warns": "warn",
	"boundaries": "boundary", "until": "boundary", "headers": "header",
}

// mistaken refuses rules that are called almost like a contribution and that nothing uses.
func (c *checker) mistaken() {
	used := map[string]bool{}
	for _, rules := range c.rules {
		for _, rule := range rules {
			references(rule, func(_ string, _ *ast.Location, ref ast.Ref) {
				if words := words(ref); len(words) > 3 {
					used[strings.Join(words[:4], ".")] = true
				}
			})
		}
	}
	for name, rules := range c.rules {
		word := name[len(packageOf(name))+1:]
		right, ok := meant[word]
		if !ok || used[name] {
			continue
		}
		at := rules[0].Loc()
		fix := "write " + contributions[right].form
		if right == "grant" {
			fix = "what licenses allow is allowed without it. To restrict that, write the condition as a helper, and " +
				"`deny contains {\"code\": \"outside\", \"message\": \"Use the office network.\"} if not _is_inside`. To allow more than licenses do, " + fix
		}
		c.refuse(at.File, at, "nothing asks for %s: %s", word, fix)
	}
}
