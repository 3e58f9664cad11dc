package license

import (
	"encoding/json"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Raw is a document, or an object in one, as it is written, before anything is known of what it
// means. It carries documents between files and places that are none, such as a database.
type Raw struct {
	// Place stands in errors where those of a file have file, line and column, and in Position.File:
	// "licenses/acme-2026". "" of an object: that of what it is in.
	Place  string
	Fields []RawField // in the order of the file; names come once
}

// RawField is a field of a Raw.
type RawField struct {
	Name string
	// Value is a string (text, dates and periods too), bool, json.Number, []any of these, Raw, or nil,
	// which is an empty value. A map[string]any is taken too, and is never given.
	Value any
}

// Get returns the value of a field, and whether it is there.
func (r Raw) Get(name string) (any, bool) {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value, true
		}
	}
	return nil, false
}

// LoadRaw reads the documents of the files below the root of fsys that Load reads, in order of
// files and lines. What they say is not checked: a set that Load refuses may come through. The error is Errors.
func LoadRaw(fsys fs.FS) ([]Raw, error) {
	l := &loader{fsys: fsys, files: make(map[string][]byte)}
	l.folder(".", 0)
	errs := l.errs
	var out []Raw
	for _, part := range fileParts(l.files) {
		errs = append(errs, part.errs...)
		for _, n := range part.documents {
			if n.kind != objectNode {
				errs = append(errs, &FieldError{Pos: n.pos(), Msg: "a document is an object with `kind` and `id`"})
				continue
			}
			doc := rawOf(n).(Raw)
			doc.Place = part.place
			out = append(out, doc)
		}
	}
	if len(errs) > 0 {
		return nil, errs.sorted()
	}
	return out, nil
}

// rawOf is the value of a node. Numbers are written as JSON has them.
func rawOf(n *node) any {
	switch n.kind {
	case listNode:
		list := make([]any, len(n.fields))
		for i, f := range n.fields {
			list[i] = rawOf(f.value)
		}
		return list
	case objectNode:
		r := Raw{Fields: make([]RawField, len(n.fields))}
		for i, f := range n.fields {
			r.Fields[i] = RawField{f.key.text, rawOf(f.value)}
		}
		return r
	}
	switch n.tag {
	case "!!bool":
		return strings.EqualFold(n.text, "true")
	case "!!null":
		return nil
	case "!!int":
		if i, err := strconv.ParseInt(n.text, 10, 64); err == nil {
			return json.Number(strconv.FormatInt(i, 10))
		}
	case "!!float":
		if json.Valid([]byte(n.text)) {
			return json.Number(n.text)
		}
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && f-f == 0 {
			return json.Number(strconv.FormatFloat(f, 'g', -1, 64))
		}
	}
	return n.text
}

// RawParts are documents that are in no file. Each is a Part of its own, by its Place, of which
// there is one for each document.
func RawParts(docs []Raw) []Part {
	r := &reader{}
	out := make([]Part, len(docs))
	for i, doc := range docs {
		place := doc.Place
		out[i] = Part{place: place, documents: []*node{r.raw(&place, doc, 0)}, errs: r.errs}
		r.errs = nil
	}
	return out
}

// raw makes nodes of a value, without lines: their place is their position.
func (r *reader) raw(place *string, v any, depth int) *node {
	if depth > maxDepth {
		r.report(Position{File: *place}, nil, "nested more than %d deep: no license field is", maxDepth)
		v = nil
	}
	scalar := func(tag, text string) *node { return r.node(node{file: place, tag: tag, text: text}) }
	switch v := v.(type) {
	case string:
		return scalar("!!str", v)
	case bool:
		return scalar("!!bool", strconv.FormatBool(v))
	case json.Number:
		if _, err := strconv.ParseInt(string(v), 10, 64); err == nil {
			return scalar("!!int", string(v))
		}
		return scalar("!!float", string(v))
	case []any:
		n := r.node(node{file: place, kind: listNode, fields: make([]field, len(v))})
		for i, item := range v {
			n.fields[i].value = r.raw(place, item, depth+1)
		}
		return n
	case map[string]any:
		n := r.node(node{file: place, kind: objectNode, fields: make([]field, 0, len(v))})
		for _, name := range slices.Sorted(maps.Keys(v)) {
			n.fields = append(n.fields, field{r.node(node{file: place, text: r.name(name)}), r.raw(place, v[name], depth+1)})
		}
		return n
	case Raw:
		if v.Place != "" {
			place = &v.Place
		}
		n := r.node(node{file: place, kind: objectNode, fields: make([]field, len(v.Fields))})
		for i, f := range v.Fields {
			n.fields[i] = field{r.node(node{file: place, text: r.name(f.Name)}), r.raw(place, f.Value, depth+1)}
		}
		return n
	}
	return scalar("!!null", "")
}
