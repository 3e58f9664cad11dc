package license

import (
	"fmt"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// kinds are the documents a license file may have.
var kinds = []string{"Registry", "Product", "Release", "Plan", "Customer", "License", "Public"}

// document is one YAML document with a known kind and a valid id.
type document struct {
	kind, id string
	pos      Position // of its `kind`
	n        *node    // nil when it has been read and nobody asks again
	zone     *time.Location
}

// parser reads one set. It keeps what is wrong and goes on.
type parser struct {
	reader
	docs        map[string]map[string]*document // kind → id → document
	order       []*document                     // as read: by file, then by line
	zones       zones
	constraints map[string]constraint
	hashes      map[string]Position // key hash → its place
	identities  map[Identity]Position
	places      map[string]Position // of what may be written once
	guesses     int                 // suggestions still made: each looks at every id

	// Of an edit (Edited): what need not be read again is in base, but where replaced says so.
	base     *Set
	replaced map[string]bool // by place
}

func newParser() *parser {
	p := &parser{
		docs:        make(map[string]map[string]*document),
		zones:       make(zones),
		constraints: make(map[string]constraint),
		hashes:      make(map[string]Position),
		identities:  make(map[Identity]Position),
		places:      make(map[string]Position),
		guesses:     20,
	}
	for _, k := range kinds {
		p.docs[k] = make(map[string]*document)
	}
	return p
}

var idSyntax = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// reserved ids would be ambiguous in records and decision scripts.
var reserved = []string{"key", "anonymous", "jwt", "mtls"}

// collect sorts the documents of a file by kind and id.
func (p *parser) collect(roots []*node) {
	for _, n := range roots {
		if n.kind != objectNode {
			p.report(n.pos(), nil, "a document is an object with `kind` and `id`")
			continue
		}
		start := n.pos()
		if len(n.fields) > 0 {
			start = n.fields[0].key.pos()
		}
		kind := n.get("kind")
		if kind == nil {
			p.report(start, &fieldPath{name: "kind"}, "is missing: write %s", either(kinds))
			continue
		}
		doc := &document{pos: kind.key.pos(), n: n}
		o := &object{v: value{p: p, n: n, missing: doc.pos}}
		v, _ := o.take("kind")
		if v.n.kind == scalarNode && v.n.text == "Catalog" {
			v.fail("a catalog is no license file: keep it elsewhere and name it with --catalog")
			continue
		}
		var ok bool
		if doc.kind, ok = v.oneOf(kinds...); !ok {
			continue
		}
		id, ok := o.need("id", "every document has one, unique among those of its kind")
		if !ok {
			p.order = append(p.order, doc) // read for its other mistakes
			continue
		}
		if doc.id, ok = id.id(true); ok {
			if first := p.docs[doc.kind][doc.id]; first != nil {
				id.fail("there is a %s %q already, at %s: ids are unique per kind", doc.kind, doc.id, first.pos)
			} else if p.unchanged(doc.kind, doc.id) {
				id.fail("there is a %s %q already: ids are unique per kind", doc.kind, doc.id)
			} else {
				p.docs[doc.kind][doc.id] = doc
			}
		}
		p.order = append(p.order, doc)
	}
}

// id reads an id; the ids of documents must not be reserved.
func (v value) id(document bool) (string, bool) {
	s, ok := v.text()
	switch {
	case !ok:
		return "", false
	case !idSyntax.MatchString(s):
		v.fail("%q is no id: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or a digit%s", s, lower(s))
		return "", false
	case document && slices.Contains(reserved, s):
		v.fail("the id %q is reserved, as are %s: choose another", s, strings.Join(reserved, ", "))
		return "", false
	}
	return s, true
}

func lower(s string) string {
	if l := strings.ToLower(s); l != s && idSyntax.MatchString(l) {
		return fmt.Sprintf(", such as %q", l)
	}
	return ""
}

// reference reads the id of another document, which must exist.
func (v value) reference(kind string) (string, bool) {
	s, ok := v.text()
	if !ok {
		return "", false
	}
	if !v.p.has(kind, s) {
		guess := ""
		if v.p.guesses > 0 {
			v.p.guesses--
			guess = meant(s, maps.Keys(v.p.docs[kind]))
		}
		if guess == "" {
			guess = v.p.known(kind)
		}
		v.fail("unknown %s %q%s", strings.ToLower(kind), s, guess)
		return "", false
	}
	return s, true
}

// known says which documents of a kind there are, when they are few.
func (p *parser) known(kind string) string {
	switch n := len(p.docs[kind]); {
	case n == 0:
		return fmt.Sprintf(": there is no document `kind: %s`, write one", kind)
	case n <= 5:
		return ": known here: " + strings.Join(slices.Sorted(maps.Keys(p.docs[kind])), ", ")
	default:
		return fmt.Sprintf(": none of %d has this id; correct it, or write the document", n)
	}
}

// each calls f with every document of a kind, in the order read.
func (p *parser) each(kind string, f func(*document, *object)) {
	known := append(make([]string, 0, 32), "kind", "id")
	for _, doc := range p.order {
		if doc.kind == kind {
			p.read(doc, known, f)
		}
	}
}

// read calls f with a document, whose fields known has; known is not kept.
func (p *parser) read(doc *document, known []string, f func(*document, *object)) {
	o := &object{v: value{p: p, n: doc.n, missing: doc.pos}, known: known}
	f(doc, o)
	o.done()
	// Customers and licenses are many: what is kept of them is in the Set.
	if doc.kind == "Customer" || doc.kind == "License" && doc.n.get("replaces") == nil {
		doc.n = nil
	}
}

// part is how many licenses are read at a time; it is no number of processors, so that what is
// reported is the same on every machine.
const part = 4096

// licenses reads the licenses, parts of them side by side: they refer to documents of other kinds
// only, which have been read, and to other licenses by id.
func (p *parser) licenses() []License {
	var docs []*document
	for _, doc := range p.order {
		if doc.kind == "License" {
			docs = append(docs, doc)
		}
	}
	out := make([]License, len(docs))
	errs := make([]Errors, (len(docs)+part-1)/part)
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range errs {
		group.Go(func() error {
			q := newParser()
			q.docs, q.base, q.replaced = p.docs, p.base, p.replaced
			known := append(make([]string, 0, 32), "kind", "id")
			for n := i * part; n < min((i+1)*part, len(docs)); n++ {
				q.read(docs[n], known, func(d *document, o *object) {
					out[n] = q.license(d, o)
					q.inCalendar(d, &out[n])
				})
			}
			errs[i] = q.errs
			return nil
		})
	}
	_ = group.Wait() // no function fails: mistakes are collected
	p.errs = append(p.errs, slices.Concat(errs...)...)
	return out
}
