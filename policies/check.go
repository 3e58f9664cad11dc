package policies

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// RuleError is one thing that is wrong with a vendor rule: where, what, and what to write instead.
type RuleError struct {
	File         string
	Line, Column int // from 1
	Msg          string
}

// Error returns file:line:column: message.
func (e *RuleError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Check refuses vendor rules that the library must not run: source by the name under which a
// file is shown. It compiles them with the library and evaluates nothing. Everything that is
// wrong is reported at once, as joined *RuleError in the order of files and lines.
func Check(rules map[string][]byte) error {
	if len(rules) == 0 {
		return nil
	}
	c := newChecker(rules)
	c.packages()
	c.compile()
	return c.result()
}

// checker gathers what is wrong with a set of rules.
type checker struct {
	modules map[string]*ast.Module // those that parse, by file
	errs    []*RuleError
}

func newChecker(rules map[string][]byte) *checker {
	c := &checker{modules: map[string]*ast.Module{}}
	for _, file := range slices.Sorted(maps.Keys(rules)) {
		m, err := ast.ParseModuleWithOpts(file, string(rules[file]), parserOptions())
		switch {
		case err != nil:
			c.opa(file, err)
		case m == nil:
			c.refuse(file, nil, "the file is empty: write `package vendor.NAME` and rules below it, or delete it")
		default:
			c.modules[file] = m
		}
	}
	return c
}

func parserOptions() ast.ParserOptions {
	return ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true, Capabilities: Capabilities()}
}

// refuse notes what is wrong at a place, of a file as a whole without one.
func (c *checker) refuse(file string, at *ast.Location, format string, args ...any) {
	e := &RuleError{File: file, Line: 1, Column: 1, Msg: fmt.Sprintf(format, args...)}
	if at != nil {
		e.Line, e.Column = at.Row, at.Col
	}
	c.errs = append(c.errs, e)
}

// opa notes errors of OPA's parser and compiler.
func (c *checker) opa(file string, err error) {
	var list ast.Errors
	if !errors.As(err, &list) {
		c.refuse(file, nil, "%v", err)
		return
	}
	for _, e := range list {
		msg := e.Message
		if e.Details != nil {
			msg += ": " + strings.Join(e.Details.Lines(), "; ")
		}
		at := file
		if e.Location != nil && e.Location.File != "" {
			at = e.Location.File
		}
		c.refuse(at, e.Location, "%s", strings.Join(strings.Fields(msg), " "))
	}
}

// packages refuses packages other than vendor.<name>.
func (c *checker) packages() {
	for file, m := range c.modules {
		if path := m.Package.Path; len(path) != 3 || path[1].Value.Compare(ast.String("vendor")) != 0 || !isName(path[2]) {
			c.refuse(file, m.Package.Loc(), "%s: a rule's package is `package vendor.NAME`, NAME of a-z, 0-9 and _, beginning with a letter", m.Package)
		}
	}
}

// isName reports whether a term is a string [a-z][a-z0-9_]*.
func isName(t *ast.Term) bool {
	s, ok := t.Value.(ast.String)
	if !ok || s == "" || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(string(s), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// ofTheLibrary are the library's modules, parsed, and one that gives rules the schemas.
var ofTheLibrary = sync.OnceValue(func() map[string]*ast.Module {
	out := map[string]*ast.Module{}
	texts := Modules()
	texts["vendor/schemas"] = []byte(`# METADATA
# scope: subpackages
# schemas:
#   - input: schema.input
#   - data.pullgate.customer: schema.customer
package vendor
`)
	for path, text := range texts {
		m, err := ast.ParseModuleWithOpts(path, string(text), parserOptions())
		if err != nil {
			panic("policies: " + err.Error())
		}
		out["library "+path] = m
	}
	return out
})

// compile compiles rules and library, as strictly as it gets.
func (c *checker) compile() {
	modules := maps.Clone(ofTheLibrary())
	for file, m := range c.modules {
		modules["rules "+file] = m
	}
	compiler := ast.NewCompiler().WithStrict(true).WithSchemas(Schemas()).WithUseTypeCheckAnnotations(true).
		WithCapabilities(Capabilities()).WithDefaultRegoVersion(ast.RegoV1).SetErrorLimit(0)
	if compiler.Compile(modules); compiler.Failed() {
		c.opa("", compiler.Errors)
	}
}

// result is everything that is wrong, sorted, once.
func (c *checker) result() error {
	slices.SortStableFunc(c.errs, func(a, b *RuleError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Msg, b.Msg))
	})
	var all []error
	for _, e := range slices.CompactFunc(c.errs, func(a, b *RuleError) bool { return *a == *b }) {
		all = append(all, e)
	}
	return errors.Join(all...)
}
