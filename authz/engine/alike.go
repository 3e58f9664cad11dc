package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/util"
)

// Alike says which customers a policy cannot tell apart, for whoever asks about all of them: it is
// told from the compiled rules, and errs on the side of telling them apart.
type Alike struct {
	// Shared: what a decision about a resource says, but for messages, warnings and features, comes
	// of these parts of the customer's document: `banned`, whether there are licenses, Fields, the
	// grants that have the resource's product or repository, and LicenseFields of the licenses of
	// those. Ids count by their order alone, and the customer's id where a candidate's `except`
	// names it.
	Shared        bool
	Fields        []string // further members of the document, ascending
	LicenseFields []string // members of a license, ascending
	// Order: with Shared, instants of grants and licenses are compared with each other, with the
	// clock and with the candidates', and nothing is computed from them.
	Order bool
	// Tags: vendor rules read what may tell tags of one repository apart.
	Tags bool
	// Because says why Shared or Order does not hold.
	Because string
}

// Alike is that of the active generation's policy.
func (e *Engine) Alike() Alike { return e.active.Load().policy.alike() }

func (p *policy) alike() Alike {
	a := &alikeness{Alike: Alike{Shared: true, Order: true}}
	if p.allData != "" {
		a.tellsApart("the policy reads %s", p.allData)
	}
	for _, r := range p.reached(decisionQuery) {
		a.rule(r)
	}
	a.Order = a.Order && a.Shared
	for _, fields := range []*[]string{&a.Fields, &a.LicenseFields} {
		slices.Sort(*fields)
		*fields = slices.Compact(*fields)
	}
	return a.Alike
}

// reached are the rules that an entry point may evaluate, and all rules of vendors.
func (p *policy) reached(entry string) []*ast.Rule {
	c, seen := p.compiler, map[*ast.Rule]bool{}
	var out []*ast.Rule
	var visit func(x util.T)
	visit = func(x util.T) {
		r, ok := x.(*ast.Rule)
		if !ok || r == nil || seen[r] {
			return
		}
		seen[r] = true
		out = append(out, r)
		visit(r.Else)
		for on := range c.Graph.Dependencies(r) {
			visit(on)
		}
	}
	for _, r := range c.GetRulesExact(ast.MustParseRef(entry)) {
		visit(r)
	}
	for _, m := range c.Modules {
		for _, r := range m.Rules {
			if isVendors(r) {
				visit(r)
			}
		}
	}
	return out
}

func isVendors(r *ast.Rule) bool { return strings.HasPrefix(r.Ref().String(), "data.vendor.") }

// writesMessages says that a rule is of the package whose values are in messages and nowhere else.
func writesMessages(r *ast.Rule) bool {
	return r.Module.Package.Path.String() == "data.pullgate.reason"
}

// alikeness is an Alike in the making.
type alikeness struct{ Alike }

func (a *alikeness) tellsApart(format string, args ...any) {
	if a.Shared {
		a.Shared, a.Because = false, fmt.Sprintf(format, args...)
	}
}

func (a *alikeness) computes(format string, args ...any) {
	if a.Order && a.Shared {
		a.Because = fmt.Sprintf(format, args...)
	}
	a.Order = false
}

// rule looks at one rule without its else, which is one of its own.
func (a *alikeness) rule(r *ast.Rule) {
	alone := *r
	alone.Else = nil
	at := r.Ref().String()
	existence := map[*ast.Term]bool{}
	ast.WalkExprs(&alone, func(e *ast.Expr) bool {
		if t, ok := e.Terms.(*ast.Term); ok {
			existence[t] = true
		}
		return false
	})
	ast.WalkTerms(&alone, func(t *ast.Term) bool {
		ref, ok := t.Value.(ast.Ref)
		if !ok {
			return false
		}
		words := constantWords(ref)
		a.Tags = a.Tags || isVendors(r) && words[0] == "input" && !ofAllTags(words[1:])
		switch dotted := strings.Join(words, ".") + "."; {
		case strings.HasPrefix(dotted, "data.pullgate.customer."):
			a.customer(&alone, ref, words, existence[t])
		case strings.HasPrefix(dotted, "data.pullgate.customers."), strings.HasPrefix(dotted, "input.subject.customer."):
			if at != "data.pullgate.customer" {
				a.tellsApart("%s reads %s", at, ref)
			}
		case dotted == "data." || dotted == "data.pullgate." || dotted == "input." || dotted == "input.subject.":
			a.tellsApart("%s reads %s", at, ref)
		}
		return false
	})
	if isVendors(r) {
		if strings.HasSuffix(at, ".boundary") {
			a.computes("%s has boundaries of its own", at)
		}
		return
	}
	if !writesMessages(r) {
		a.calls(&alone, at)
	}
}

// ofAllTags says that what stands here of the input is the same for all tags of a repository.
func ofAllTags(words []string) bool {
	switch {
	case len(words) > 0 && (words[0] == "time" || words[0] == "action" || words[0] == "subject"):
		return true
	case len(words) > 1 && words[0] == "resource":
		return slices.Contains([]string{"kind", "product", "registry", "repository"}, words[1])
	case len(words) > 1 && words[0] == "request":
		return slices.Contains([]string{"address", "headers", "host", "method"}, words[1])
	}
	return false
}

// customer looks at a reference into the customer's document.
func (a *alikeness) customer(r *ast.Rule, ref ast.Ref, words []string, existence bool) {
	at, field := r.Ref().String(), ""
	if len(words) > 3 {
		field = words[3]
	}
	switch field {
	case "":
		if len(ref) > 3 || !existence {
			a.tellsApart("%s reads %s", at, ref)
		}
		return
	case "banned":
		return
	case "name", "hash":
	case "id":
		if !isVendors(r) && mentions(r, "except") {
			return
		}
	case "products", "repositories":
		of := map[string]string{"products": "input.resource.product", "repositories": "input.resource.repository"}[field]
		if !isVendors(r) && len(ref) > 4 && standsFor(r, ref[4], of) {
			return
		}
	case "licenses": // by the id that a grant has, or how many there are
		if !isVendors(r) && (writesMessages(r) || len(ref) > 4 && a.license(r, ref) || len(ref) == 4 && isCounted(r, ref)) {
			return
		}
	default:
		a.Fields = append(a.Fields, field)
		return
	}
	a.tellsApart("%s reads %s", at, ref)
}

// license notes what a rule reads of a license; false when it cannot be told.
func (a *alikeness) license(r *ast.Rule, ref ast.Ref) bool {
	holder, n := holderOf(r, ref)
	if len(ref) > 5 {
		field, ok := ref[5].Value.(ast.String)
		if ok && (string(field) != "features" || n != 2 || !isSaid(r, holder, "features")) {
			a.LicenseFields = append(a.LicenseFields, string(field))
		}
		return ok
	}
	fields := 0
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		if v, ok := ref[0].Value.(ast.Var); ok && v == holder && len(ref) > 1 {
			if field, ok := ref[1].Value.(ast.String); ok {
				a.LicenseFields = append(a.LicenseFields, string(field))
				fields++
			}
		}
		return false
	})
	return holder != "" && n == fields+1
}

// holderOf is the variable that a compiled rule keeps what a reference stands for in, "" when there
// is none, and how often it occurs.
func holderOf(r *ast.Rule, ref ast.Ref) (holder ast.Var, occurrences int) {
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if v, ok := variable(e, 0); ok && e.IsEquality() && e.Operand(1).Value.Compare(ref) == 0 {
			holder = v
		}
		return false
	})
	ast.WalkVars(r, func(v ast.Var) bool {
		if v == holder {
			occurrences++
		}
		return false
	})
	return holder, occurrences
}

// isSaid says that a variable is the value of an object's member of this name.
func isSaid(r *ast.Rule, v ast.Var, member string) (found bool) {
	ast.WalkTerms(r, func(t *ast.Term) bool {
		if o, ok := t.Value.(ast.Object); ok && v != "" {
			value := o.Get(ast.StringTerm(member))
			found = found || value != nil && value.Value.Compare(v) == 0
		}
		return found
	})
	return found
}

// mentions says that a rule reads a field of this name of something.
func mentions(r *ast.Rule, field string) (found bool) {
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		for _, t := range ref[1:] {
			found = found || t.Value.Compare(ast.String(field)) == 0
		}
		return found
	})
	return found
}

// standsFor says that a term is a reference, or the variable that a compiled rule has in its place.
func standsFor(r *ast.Rule, t *ast.Term, ref string) (found bool) {
	want := ast.MustParseRef(ref)
	if t.Value.Compare(want) == 0 {
		return true
	}
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		found = found || e.IsEquality() && e.Operand(0).Equal(t) && e.Operand(1).Value.Compare(want) == 0
		return found
	})
	return found
}

// isCounted says that what a reference stands for is counted and not looked into.
func isCounted(r *ast.Rule, ref ast.Ref) bool {
	counted := false
	holder, occurrences := holderOf(r, ref)
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if v, ok := variable(e, 0); ok && v == holder && e.IsCall() && e.Operator().Equal(ast.Count.Ref()) {
			counted = true
		}
		return false
	})
	return holder != "" && counted && occurrences == 2
}

// comparing are the builtins that a rule may call about instants or anything else without
// computing from them: what they say of instants depends on their order alone.
var comparing = func() map[string]bool {
	names := map[string]bool{}
	for _, b := range []*ast.Builtin{
		ast.Equality, ast.Assign, ast.Equal, ast.NotEqual, ast.LessThan, ast.LessThanEq, ast.GreaterThan, ast.GreaterThanEq,
		ast.Min, ast.Max, ast.Sort, ast.Count, ast.And, ast.Or, ast.Member, ast.MemberWithKey,
		ast.ArrayConcat, ast.ObjectUnion, ast.ObjectGet, ast.Sprintf,
		ast.RegexMatch, ast.RegexReplace, ast.Replace, ast.Concat, ast.Lower, // which take no numbers
		ast.IsNumber, ast.IsString, ast.IsArray, ast.Floor, // instants are whole
	} {
		names[b.Name] = true
	}
	return names
}()

// calls looks at the builtins that a rule of the library calls.
func (a *alikeness) calls(r *ast.Rule, at string) {
	sets := map[ast.Var]bool{}
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if v, ok := variable(e, 0); ok && e.IsEquality() {
			if _, isSet := e.Operand(1).Value.(*ast.SetComprehension); isSet {
				sets[v] = true
			}
		}
		return false
	})
	ast.WalkExprs(r, func(e *ast.Expr) bool {
		if !e.IsCall() {
			return false
		}
		name := e.Operator().String()
		if _, builtin := ast.BuiltinMap[name]; !builtin || comparing[name] {
			return false
		}
		one, ok := variable(e, 0)
		other, ok2 := variable(e, 1)
		if name == ast.Minus.Name && ok && ok2 && sets[one] && sets[other] {
			return false
		}
		a.computes("%s calls %s", at, name)
		return false
	})
}
