package license

import (
	"slices"
	"time"
)

// planFields are the fields that a license takes from its plan.
var planFields = []string{
	"type", "zone", "starts", "ends", "term", "aligned", "minimum_term", "renews", "grace", "updates",
	"terminates", "keep_versions", "enforcement", "grants", "features",
}

// endFields exclude each other.
var endFields = []string{"ends", "term", "aligned"}

// merged is the license with its plan's fields below it: objects merge, but for `updates` and
// `aligned`; lists and plain values are the license's. A license that writes one of the fields
// that say when it ends drops the plan's, and the plan's minimum_term with it.
func merged(plan, license *node) *node {
	ends := slices.ContainsFunc(endFields, func(name string) bool { return license.get(name) != nil })
	return merge(plan, license, func(name string) bool {
		return slices.Contains(planFields, name) &&
			!(ends && (slices.Contains(endFields, name) || name == "minimum_term"))
	})
}

func merge(below, above *node, wanted func(string) bool) *node {
	out := *above
	out.fields = slices.Clone(above.fields)
	for _, f := range below.fields {
		name := f.key.text
		if wanted != nil && !wanted(name) {
			continue
		}
		own := out.get(name)
		switch {
		case own == nil:
			out.fields = append(out.fields, f)
		case own.value.kind == objectNode && f.value.kind == objectNode && name != "updates" && name != "aligned":
			own.value = merge(f.value, own.value, nil)
		}
	}
	return &out
}

// plan reads a plan for its mistakes; what it gives is read again for every license that uses
// it, because the zone of dates is the license's.
func (p *parser) plan(doc *document, o *object) Plan {
	d := o.draft(time.UTC)
	d.read(o)
	p.oneEnd(doc)
	if d.minimum != nil && doc.n.get("aligned") == nil {
		p.failAt(doc, "minimum_term", "only stands beside `aligned`: remove it")
	}
	return Plan{ID: doc.id, Pos: doc.pos}
}

// oneEnd reports a document that says twice when it ends.
func (p *parser) oneEnd(doc *document) {
	var first string
	for _, f := range doc.n.fields {
		name := f.key.text
		if !slices.Contains(endFields, name) {
			continue
		}
		if first != "" {
			p.report(f.key.pos(), &fieldPath{name: name}, "`%s` is here already: a license ends by one of %s, remove the others", first, either(endFields))
			return
		}
		first = name
	}
}

// failAt reports something about a field of a license: at the field, or where the license
// names the plan that the field comes from.
func (p *parser) failAt(doc *document, name, format string, args ...any) {
	at := doc.pos
	if f := doc.n.get(name); f != nil {
		at = f.value.pos()
		if f.value.tag == "!!null" {
			at = f.key.pos()
		}
	} else if f := doc.n.get("plan"); f != nil {
		at = f.value.pos()
		format += ` (from the plan %q)`
		args = append(args, f.value.text)
	}
	p.report(at, &fieldPath{name: name}, format, args...)
}
