package license

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// Origin is where a field of a license was taken from.
type Origin struct {
	Field string   // its path, such as renews.every
	Value string   // as written; "" of an object, a list or a default
	Kind  string   // the kind of the document that has it: License, Plan or Customer; "" of a default
	ID    string   // of that document
	Pos   Position // of the value
}

// Default reports whether no file says anything about the field.
func (o Origin) Default() bool { return o.Kind == "" }

// String is `default`, or the place with what it belongs to where that is not the license itself
// (which is called own): "acme.yaml:12", "plan gold (plans.yaml:5)".
func (o Origin) String() string {
	place := o.Pos.Short()
	switch o.Kind {
	case "":
		return "default"
	case "License":
		return place
	default:
		return fmt.Sprintf("%s %s (%s)", strings.ToLower(o.Kind), o.ID, place)
	}
}

// origins are the documents that a license is made of, read again for their positions: a Set
// keeps none, because it may hold hundreds of thousands of licenses.
type origins struct {
	license, plan, customer *document // plan may be nil
	merged                  *node
	replaces                Origin // of the license that replaces this one
}

// origins reads the files of a license, of its plan, its customer and the license by which it
// is replaced. It fails when they do not say any more what the Set says.
func (s *Set) origins(l *License, read func(file string) ([]byte, error)) (*origins, error) {
	customer := s.Customer(l.Customer)
	by := s.replacedBy(l)
	files := []string{l.Pos.File, customer.Pos.File}
	if by != nil {
		files = append(files, by.Pos.File)
	}
	if i := slices.IndexFunc(s.Plans, func(p Plan) bool { return p.ID == l.Plan }); i >= 0 {
		files = append(files, s.Plans[i].Pos.File)
	}
	slices.Sort(files)
	p := newParser()
	for _, file := range slices.Compact(files) {
		text, err := read(file)
		if err != nil {
			return nil, err
		}
		p.collect(p.documents(file, text))
	}

	o := &origins{license: p.docs["License"][l.ID], customer: p.docs["Customer"][l.Customer], plan: p.docs["Plan"][l.Plan]}
	if o.license == nil || o.customer == nil || o.plan == nil && l.Plan != "" {
		return nil, errChanged(l)
	}
	o.merged = o.license.n
	if o.plan != nil {
		o.merged = merged(o.plan.n, o.license.n)
	}
	// References to documents of other files are reported here, and do not matter.
	again := p.license(o.license, &object{v: value{p: p, n: o.license.n, missing: o.license.pos}})
	if !sameTime(l, &again) {
		return nil, errChanged(l)
	}
	if by != nil {
		doc := p.docs["License"][by.ID]
		if doc == nil || doc.n.get("replaces") == nil {
			return nil, errChanged(by)
		}
		o.replaces = origin("replaces", doc.n.get("replaces"), doc)
	}
	return o, nil
}

func errChanged(l *License) error {
	return fmt.Errorf("license %s changed while it was read: ask again", l.ID)
}

// sameTime reports whether two licenses have the same clocks.
func sameTime(a, b *License) bool {
	x, y := a.terms, b.terms
	x.loc, y.loc = nil, nil // the same zone read twice is two values
	return a.Zone == b.Zone && reflect.DeepEqual(x, y) &&
		reflect.DeepEqual(a.Suspended, b.Suspended) && reflect.DeepEqual(a.Revoked, b.Revoked)
}

// replacedBy is the license whose start is l's ReplacedAt, or nil; of several the first.
func (s *Set) replacedBy(l *License) *License {
	if l.ReplacedAt == Never {
		return nil
	}
	for i := range s.Licenses {
		if by := &s.Licenses[i]; by.Replaces == l.ID && by.terms.starts == l.ReplacedAt {
			return by
		}
	}
	return nil
}

// of is the origin of a field of the license, given by its path.
func (o *origins) of(path string) Origin {
	f := lookUp(o.merged, path)
	if f == nil {
		return Origin{Field: path}
	}
	if o.plan != nil && lookUp(o.license.n, path) == nil {
		return origin(path, f, o.plan)
	}
	return origin(path, f, o.license)
}

// given are the origins of those paths that a file has, or that of the first, a default.
func (o *origins) given(paths ...string) []Origin {
	var out []Origin
	for _, path := range paths {
		if got := o.of(path); !got.Default() {
			out = append(out, got)
		}
	}
	if out == nil {
		out = []Origin{{Field: paths[0]}}
	}
	return out
}

// zone is where the zone of the license's dates comes from.
func (o *origins) zone() Origin {
	if own := o.of("zone"); !own.Default() {
		return own
	}
	if f := o.customer.n.get("zone"); f != nil {
		return origin("zone", f, o.customer)
	}
	return Origin{Field: "zone"}
}

func lookUp(n *node, path string) *field {
	name, rest, deeper := strings.Cut(path, ".")
	f := n.get(name)
	if f == nil || !deeper {
		return f
	}
	return lookUp(f.value, rest)
}

func origin(path string, f *field, doc *document) Origin {
	at := f.value
	if at.kind != scalarNode {
		at = f.key // an object or a list in several lines begins where its name stands
	}
	return Origin{Field: path, Value: f.value.text, Kind: doc.kind, ID: doc.id, Pos: at.pos()}
}
