package policies

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// compilerErrors notes what OPA's compiler says, but for what the checks of this package say
// better.
func (c *checker) compilerErrors(list ast.Errors) {
	for _, e := range list {
		file := ""
		if e.Location != nil {
			file = e.Location.File
		}
		switch {
		case strings.HasPrefix(e.Message, "deprecated built-in function"), strings.HasPrefix(e.Message, "undefined function data."), strings.HasPrefix(e.Message, "multiple default rules"),
			c.reaches && e.Code == ast.RecursionErr:
		case strings.Contains(e.Message, "__local"): // a consequence of something else
			c.ofOthers = append(c.ofOthers, ruleError(file, e.Location, inOurWords(e)))
		case c.modules[file] == nil:
			c.ofOthers = append(c.ofOthers, ruleError(file, e.Location, inOurWords(e)))
		default:
			c.fromOPA = append(c.fromOPA, ruleError(file, e.Location, inOurWords(e)))
		}
	}
}

// ourWords are messages of OPA that a vendor could not act on, and what is said instead.
var ourWords = []struct {
	opa  *regexp.Regexp
	says string
}{
	{regexp.MustCompile(`^var (\S+) is unsafe.*$`), "${1} has no value here: no rule, import or variable is called so. Give it one (`${1} := …`, `some ${1} in …`) before it is used"},
	{regexp.MustCompile(`^assigned var (\S+) unused$`), "${1} is given a value that nothing uses: use it, or delete the line"},
	{regexp.MustCompile(`^declared var (\S+) unused$`), "${1} is declared and never used: use it, or write _"},
	{regexp.MustCompile(`^unused argument (\S+)\. .*$`), "the argument ${1} is never used: write _ in its place"},
	{regexp.MustCompile(`^import (.+) unused$`), "the import of ${1} is not used: delete the line"},
	{regexp.MustCompile(`^rule (\S+) (?:is|may be) recursive: (.*)$`), "the rule asks itself, ${2}: a rule must not need its own answer. For what a loop would do write `some` or `every` over a list"},
	{regexp.MustCompile(`^undefined function (\S+)$`), "there is no function ${1}: spell it as in OPA's reference of built-in functions, or write it in this package: `NAME(x) := … if { … }`"},
	{regexp.MustCompile(`^package expected$`), "the file does not say whose rules these are: begin it with `package vendor.NAME`"},
	{regexp.MustCompile(`^conflicting rules (\S+) found$`), "${1} is of different kinds in different places (a value, a set, a function): give one of them another name"},
	{regexp.MustCompile(`^unexpected eof token$`), "the file ends before a rule does: close what is open, such as { or \""},
	{regexp.MustCompile("^`contains` keyword is required.*$"), "the set is written as in older versions of Rego: write `deny contains {\"code\": \"outside\", \"message\": \"Use the office network.\"} if …`"},
	{regexp.MustCompile("^`if` keyword is required.*$"), "before { stands `if`: write `NAME if { … }`"},
	{regexp.MustCompile(`^(.*)unexpected keyword, must be one of .*$`), "${1}the keyword is an experiment of OPA: delete the import, and write `not NAME` with a rule NAME"},
	{regexp.MustCompile("^invalid import, `rego.v2`.*$"), "rules are written in version 1 of Rego: write `import rego.v1`, or nothing"},
	{regexp.MustCompile(`^variables must not shadow (\S+) .*$`), "${1} is what a rule reads: give the variable another name"},
	{regexp.MustCompile(`^args must not shadow (\S+) .*$`), "${1} is what a rule reads: give the argument another name"},
	{regexp.MustCompile(`^rules must not shadow (\S+) .*$`), "${1} is what a rule reads: give the rule another name"},
}

// inOurWords is what an error of OPA says to a vendor, on one line.
func inOurWords(e *ast.Error) string {
	if d, ok := e.Details.(*ast.RefErrInvalidDetail); ok && len(d.OneOf) > 0 && d.Ref != nil && d.Pos > 0 {
		return noSuchField(d)
	}
	for _, w := range ourWords {
		if w.opa.MatchString(e.Message) {
			return w.opa.ReplaceAllString(e.Message, w.says)
		}
	}
	if d, ok := e.Details.(*ast.UnificationErrDetail); ok {
		return fmt.Sprintf("the two sides are never equal, one is of the type %s and the other of the type %s: compare values of one type", typeName(d.Left), typeName(d.Right))
	}
	msg := e.Message
	if e.Code != ast.ParseErr && e.Details != nil {
		msg += ": " + strings.Join(e.Details.Lines(), "; ")
	}
	return strings.Join(strings.Fields(msg), " ")
}

// noSuchField says which fields there are.
func noSuchField(d *ast.RefErrInvalidDetail) string {
	names := make([]string, len(d.OneOf))
	for i, v := range d.OneOf {
		names[i] = v.String()
		if s, ok := v.(ast.String); ok {
			names[i] = string(s)
		}
	}
	return fmt.Sprintf("there is no %s: %s has %s", d.Ref[:d.Pos+1], d.Ref[:d.Pos], strings.Join(names, ", "))
}

// typeName is a type without its parts.
func typeName(t types.Type) string {
	name, _, _ := strings.Cut(types.Sprint(t), "<")
	name, _, _ = strings.Cut(name, "[")
	return name
}
