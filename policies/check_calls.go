package policies

import (
	"fmt"
	"regexp/syntax"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// calls refuses builtins that rules may not use, and arguments with which the others would cost
// more than what they are given: an expression, a format, a delimiter or a replacement that a
// client could choose, numbers beyond measure.
func (c *checker) calls(file string, rule *ast.Rule) {
	call := func(terms []*ast.Term, s *scope) {
		name := terms[0].String()
		if why := whyNot(name); why != "" {
			c.refuse(file, terms[0].Loc(), "rules may not use %s: %s", name, why)
			return
		}
		if strings.HasPrefix(name, "internal.") && !strings.HasPrefix(name, "internal.member_") {
			c.refuse(file, terms[0].Loc(), "%s is the compiler's own: write print(…), or a text with {} in it", name)
			return
		}
		for _, l := range literals[name] {
			if l.arg+1 < len(terms) {
				if msg := l.check(c, s.written(terms[l.arg+1])); msg != "" {
					c.refuse(file, terms[l.arg+1].Loc(), "%s: %s", name, msg)
				}
			}
		}
	}
	inScope(rule, func(x any, s *scope) {
		switch x := x.(type) {
		case *ast.Expr:
			if terms, ok := x.Terms.([]*ast.Term); ok {
				call(terms, s)
			}
		case ast.Call:
			call(x, s)
		case *ast.Term:
			if n, ok := x.Value.(ast.Number); ok && beyondMeasure(n) {
				c.refuse(file, x.Loc(), "the number %.20s… takes OPA seconds to compute with: write one of at most 30 digits and an exponent of at most 100", n)
			}
		}
	})
}

// literal is an argument that must be written in the rule, or be the name of a rule or variable
// that is nothing but the text.
type literal struct {
	arg   int
	check func(c *checker, t *ast.Term) string
}

var literals = map[string][]literal{
	"concat":                           {{0, part("delimiter", `concat(", ", names)`)}},
	"regex.find_all_string_submatch_n": {{0, expression}},
	"regex.find_n":                     {{0, expression}},
	"regex.match":                      {{0, expression}},
	"regex.replace":                    {{1, expression}, {2, part("replacement", "regex.replace(tag, `[^a-z]`, \"-\")")}},
	"regex.split":                      {{0, expression}},
	"replace":                          {{1, part("text that is replaced", `replace(tag, "_", "+")`)}, {2, part("replacement", `replace(tag, "_", "+")`)}},
	"sprintf":                          {{0, format}},
	"strings.replace_n":                {{0, replacements}},
	"time.clock":                       {{0, zone}},
	"time.date":                        {{0, zone}},
	"time.diff":                        {{0, zone}, {1, zone}},
	"time.format":                      {{0, zone}},
	"time.weekday":                     {{0, zone}},
}

// constant is the value of a literal, or of a rule that is one: `_pattern := "^v"`.
func (c *checker) constant(t *ast.Term) ast.Value {
	ref, ok := t.Value.(ast.Ref)
	if !ok {
		return t.Value
	}
	rules := c.rules[ref.String()]
	if len(rules) != 1 || len(rules[0].Head.Args) > 0 || len(rules[0].Head.Ref()) > 1 || rules[0].Else != nil {
		return t.Value
	}
	if v := fixed(rules[0]); v != nil {
		return v
	}
	return t.Value
}

func (c *checker) constantText(t *ast.Term, what, example string) (string, string) {
	s, ok := c.constant(t).(ast.String)
	if !ok {
		return "", fmt.Sprintf("the %s must be written here as a text, or a client could choose one that costs too much: write it like %s, or name a rule that is such a text", what, example)
	}
	return string(s), ""
}

// maxPart bounds what is put between or in place of other texts, and what is replaced: OPA
// builds a tree as deep as that is long.
const maxPart = 256

// part returns the check of an argument that is such a text.
func part(what, example string) func(*checker, *ast.Term) string {
	return func(c *checker, t *ast.Term) string {
		text, msg := c.constantText(t, what, example)
		if len(text) > maxPart {
			return fmt.Sprintf("the %s has %d bytes, more than %d: shorten it", what, len(text), maxPart)
		}
		return msg
	}
}

// maxExpression bounds a regular expression, in instructions of its program: matching takes a
// step for each of them and each byte of the text.
const maxExpression = 200

func expression(c *checker, t *ast.Term) string {
	text, msg := c.constantText(t, "regular expression", "regex.match(`^v[0-9]+$`, tag)")
	if msg != "" {
		return msg
	}
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return strings.TrimPrefix(err.Error(), "error parsing regexp: ") + ": correct the expression"
	}
	if prog, err := syntax.Compile(re.Simplify()); err != nil || len(prog.Inst) > maxExpression {
		return fmt.Sprintf("the regular expression has more than %d steps: shorten it, most of all counts like {100}", maxExpression)
	}
	return ""
}

func format(c *checker, t *ast.Term) string {
	text, msg := c.constantText(t, "format", `sprintf("%s is too old", [tag])`)
	if msg != "" {
		return msg
	}
	for rest := text; ; {
		_, verb, found := strings.Cut(rest, "%")
		if !found {
			return ""
		}
		spec := verb[:len(verb)-len(strings.TrimLeft(verb, "+-# 0123456789.*[]"))]
		for _, n := range strings.FieldsFunc(spec, func(r rune) bool { return r < '0' || r > '9' }) {
			if v, err := strconv.Atoi(n); err != nil || v > 999 {
				return "a width of " + n + " makes a huge text: write at most 999"
			}
		}
		if strings.Contains(spec, "*") {
			return "a width that comes from a value (*) may make a huge text: write the width as a number"
		}
		rest = strings.TrimPrefix(verb[len(spec):], "%")
	}
}

func replacements(c *checker, t *ast.Term) string {
	const fix = "the replacements must be written here as texts, or a client could choose one that makes a huge text: write them like {\"_\": \"+\"}"
	object, ok := c.constant(t).(ast.Object)
	if !ok {
		return fix
	}
	msg := ""
	object.Foreach(func(k, v *ast.Term) {
		from, ok := k.Value.(ast.String)
		to, also := v.Value.(ast.String)
		if !ok || !also {
			msg = fix
		} else if msg == "" && max(len(from), len(to)) > maxPart {
			msg = fmt.Sprintf("a replacement has more than %d bytes: shorten it", maxPart)
		}
	})
	return msg
}

// zone refuses the zone of the machine, and zones that a client could choose.
func zone(c *checker, t *ast.Term) string {
	array, ok := t.Value.(*ast.Array)
	if !ok || array.Len() < 2 {
		return ""
	}
	zone := array.Elem(1)
	if root, ref := rootOf(zone); root == "data" && strings.Join(words(ref)[1:min(3, len(ref))], ".") == "pullgate.customer" {
		return ""
	}
	switch name, ok := c.constant(zone).(ast.String); {
	case !ok:
		return "the zone must be written here as a text, or come from data.pullgate.customer: write it like [ns, \"Europe/Berlin\"]"
	case name == "Local":
		return "the zone \"Local\" is another one on every machine: write a zone's name, such as \"Europe/Berlin\", or \"UTC\""
	}
	return ""
}

// beyondMeasure reports whether a number has more digits or a larger exponent than any rule needs.
func beyondMeasure(n ast.Number) bool {
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(n)), "e")
	if exponent == "" {
		return len(mantissa) > 30
	}
	e, err := strconv.Atoi(exponent)
	return err != nil || e > 100 || e < -100 || len(mantissa) > 30
}
