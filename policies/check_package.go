package policies

import (
	"errors"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

var (
	fileName = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]*\.rego$`)
	ruleName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

// parse parses a file into modules, when it is one of a vendor's package.
func (c *checker) parse(file string, text []byte) {
	if !fileName.MatchString(path.Base(file)) {
		c.refuse(file, nil, "the file's name has other characters than a-z, 0-9, _, . and -: rename it, such as region.rego")
	}
	if len(text) > maxRuleFile {
		c.broken = true
		c.refuse(file, nil, "the file has %d bytes, more than %d: move lists into labels of customers, or into several files", len(text), maxRuleFile)
		return
	}
	m, err := ast.ParseModuleWithOpts(file, string(text), parserOptions())
	switch {
	case m == nil && (err == nil || strings.HasSuffix(err.Error(), "empty module")):
		c.refuse(file, nil, "the file has no rules: write `package vendor.NAME` and rules below it, or delete it")
	case err != nil:
		c.broken = true
		c.parserErrors(file, err)
	case !c.vendorPackage(file, m.Package), c.schemas(file, m), !c.small(file, m):
		c.broken = true
	default:
		c.modules[file] = m
	}
}

// vendorPackage refuses packages other than vendor.<name>.
func (c *checker) vendorPackage(file string, p *ast.Package) bool {
	var name string
	if len(p.Path) > 1 {
		last, _ := p.Path[len(p.Path)-1].Value.(ast.String)
		name = string(last)
	}
	if !ruleName.MatchString(name) || name == "vendor" {
		name = "region"
	}
	written := "package " + packageName(p)
	fix := "write `package vendor." + name + "`"
	switch words := words(p.Path); {
	case len(words) == 3 && words[1] == "vendor" && ruleName.MatchString(words[2]):
		return true
	case len(words) > 1 && words[1] == "pullgate":
		c.refuse(file, p.Loc(), "%s would change the library: %s", written, fix)
	case len(words) > 3 && words[1] == "vendor":
		c.refuse(file, p.Loc(), "%s: a rule's package has one name after vendor: %s", written, fix)
	case len(words) == 3 && words[1] == "vendor":
		c.refuse(file, p.Loc(), "%s: the name has other characters than a-z, 0-9 and _, or does not begin with a letter: %s", written, fix)
	default:
		c.refuse(file, p.Loc(), "%s: nothing asks the rules of this package: %s", written, fix)
	}
	return false
}

// packageName is a package's path as written, without data.
func packageName(p *ast.Package) string {
	ref := make(ast.Ref, 0, len(p.Path))
	for i, t := range p.Path[1:] {
		if s, ok := t.Value.(ast.String); ok && i == 0 {
			t = ast.VarTerm(string(s))
		}
		ref = append(ref, t)
	}
	return ref.String()
}

// schemas refuses schemas of a rule's own: they may name a file or an address, which would be read.
func (c *checker) schemas(file string, m *ast.Module) (found bool) {
	for _, a := range m.Annotations {
		if len(a.Schemas) > 0 {
			c.refuse(file, a.Location, "rules are checked against pullgate's own schemas of input and customer: delete `schemas`")
			found = true
		}
	}
	return found
}

// words are the root of a ref and the texts that follow it, up to what is no constant text.
func words(ref ast.Ref) []string {
	if len(ref) == 0 {
		return nil
	}
	out := []string{ref[0].String()}
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		out = append(out, string(s))
	}
	return out
}

// uncacheable reports whether annotations of one of these scopes say `custom: {uncacheable: true}`.
func uncacheable(all []*ast.Annotations, scopes ...string) bool {
	return slices.ContainsFunc(all, func(a *ast.Annotations) bool {
		return slices.Contains(scopes, a.Scope) && a.Custom["uncacheable"] == true
	})
}

// parserErrors notes what OPA's parser says.
func (c *checker) parserErrors(file string, err error) {
	var list ast.Errors
	if !errors.As(err, &list) {
		c.refuse(file, nil, "%v", err)
		return
	}
	for _, e := range list[:min(len(list), 20)] { // what comes later follows from what was first
		c.refuse(file, e.Location, "%s", inOurWords(e))
	}
}
