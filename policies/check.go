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
	c := &checker{modules: map[string]*ast.Module{}, wholes: map[*ast.Location]bool{}}
	for _, file := range slices.Sorted(maps.Keys(rules)) {
		c.parse(file, rules[file])
	}
	c.compile()
	return c.result()
}

// checker gathers what is wrong with a set of rules.
type checker struct {
	modules   map[string]*ast.Module // those that parse and have a vendor's package, by file
	rules     map[string][]*ast.Rule // their rules, references resolved, by package and name: data.vendor.region.inside
	ruleCount int
	broken    bool                   // a file is missing from modules
	wholes    map[*ast.Location]bool // where the whole input is read, and refused
	reaches   bool                   // a reference into data was refused: it may also close a circle
	errs      []*RuleError
	fromOPA   []*RuleError // of the compiler, but for those said better by errs
	ofOthers  []*RuleError // of the compiler, in modules of the library
}

func parserOptions() ast.ParserOptions {
	return ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true, Capabilities: Capabilities()}
}

// refuse notes what is wrong at a place, of a file as a whole without one.
func (c *checker) refuse(file string, at *ast.Location, format string, args ...any) {
	c.errs = append(c.errs, ruleError(file, at, fmt.Sprintf(format, args...)))
}

func ruleError(file string, at *ast.Location, msg string) *RuleError {
	e := &RuleError{File: file, Line: 1, Column: 1, Msg: msg}
	if at != nil {
		e.Line, e.Column = at.Row, max(at.Col, 1) // the end of a file is in column 0
	}
	return e
}

// offered is what rules see of the library, with the schemas of what they read.
const offered = `# METADATA
# scope: subpackages
# schemas:
#   - input: schema.input
#   - data.pullgate.customer: schema.customer
package vendor
---
package pullgate

customer := data.pullgate.customers[input.subject.customer]
`

// parsed are modules of the program: what is offered, and the library.
var parsed = sync.OnceValues(func() (stub, library map[string]*ast.Module) {
	parse := func(path, text string) *ast.Module {
		m, err := ast.ParseModuleWithOpts(path, text, parserOptions())
		if err != nil {
			panic("policies: " + err.Error())
		}
		return m
	}
	stub, library = map[string]*ast.Module{}, map[string]*ast.Module{}
	for i, text := range strings.Split(offered, "---\n") {
		stub[fmt.Sprint("library ", i)] = parse("pullgate/offered.rego", text)
	}
	for path, text := range Modules() {
		library["library "+path] = parse(path, string(text))
	}
	return stub, library
})

// compile compiles the rules, as strictly as it gets, and looks at them as soon as their
// references are resolved: imports and aliases hide nothing then, and everything still has its
// place. Without some of the files the compiler would report what it misses; it goes no further.
func (c *checker) compile() {
	stub, library := parsed()
	capabilities := Capabilities()
	capabilities.Builtins = ast.CapabilitiesForThisVersion().Builtins // calls refuses the others, and the compiler goes on
	compiler := ast.NewCompiler().WithStrict(true).WithSchemas(Schemas()).WithUseTypeCheckAnnotations(true).
		WithCapabilities(capabilities).WithDefaultRegoVersion(ast.RegoV1).SetErrorLimit(0).
		WithStageAfterID(ast.StageResolveRefs, ast.CompilerStageDefinition{
			Name: "CheckVendorRules",
			Stage: func(resolving *ast.Compiler) *ast.Error {
				c.look(resolving.Modules)
				return nil
			},
		})
	if c.broken {
		compiler = compiler.WithOnlyStagesUpTo(ast.StageResolveRefs)
	}
	c.compileWith(compiler, stub)
	if c.broken || len(c.errs)+len(c.fromOPA)+len(c.ofOthers) > 0 {
		return
	}
	// Together with the library, as the engine does it.
	c.compileWith(ast.NewCompiler().WithStrict(true).WithCapabilities(Capabilities()).WithDefaultRegoVersion(ast.RegoV1), library)
}

func (c *checker) compileWith(compiler *ast.Compiler, others map[string]*ast.Module) {
	modules := maps.Clone(others)
	for file, m := range c.modules {
		modules["rules "+file] = m
	}
	if Alone(func() { compiler.Compile(modules) }); compiler.Failed() {
		c.compilerErrors(compiler.Errors)
	}
}

// look looks at the rules, whose references are resolved.
func (c *checker) look(modules map[string]*ast.Module) {
	c.rules = map[string][]*ast.Rule{}
	for _, file := range slices.Sorted(maps.Keys(c.modules)) {
		for _, rule := range modules["rules "+file].Rules {
			name := nameOf(rule)
			c.rules[name] = append(c.rules[name], rule)
		}
	}
	permitted := map[string]bool{} // packages whose rules may read the whole input
	for _, m := range c.modules {
		if uncacheable(m.Annotations, "package", "subpackages") {
			permitted[m.Package.Path.String()] = true
		}
	}
	for _, file := range slices.Sorted(maps.Keys(c.modules)) {
		m := c.modules[file]
		for i, rule := range modules["rules "+file].Rules {
			c.head(file, rule)
			c.reads(file, rule, permitted[m.Package.Path.String()] || uncacheable(m.Rules[i].Annotations, "rule", "document"))
			c.negations(file, rule)
			c.calls(file, rule)
			c.instants(file, rule)
		}
	}
	c.boundaries()
	c.values()
	c.headersOfTwo()
	c.mistaken()
}

// nameOf is a rule's package and name: data.vendor.region.inside.
func nameOf(rule *ast.Rule) string {
	return rule.Module.Package.Path.String() + "." + headName(rule)
}

// headName is the first word of a rule's head.
func headName(rule *ast.Rule) string {
	if ref := rule.Head.Ref(); len(ref) > 0 {
		if v, ok := ref[0].Value.(ast.Var); ok {
			return string(v)
		}
	}
	return ""
}

// result is everything that is wrong, sorted, once.
func (c *checker) result() error {
	if len(c.errs)+len(c.fromOPA) == 0 {
		c.errs = c.ofOthers
	}
	said := map[RuleError]bool{}
	var list []*RuleError
	for _, e := range append(c.errs, c.fromOPA...) {
		if !said[*e] {
			list = append(list, e)
		}
		said[*e] = true
	}
	slices.SortFunc(list, func(a, b *RuleError) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Msg, b.Msg))
	})
	all := make([]error, len(list))
	for i, e := range list {
		all[i] = e
	}
	return errors.Join(all...)
}
