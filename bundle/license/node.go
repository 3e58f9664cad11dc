package license

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"unicode/utf8"

	yaml "go.yaml.in/yaml/v4"
)

// MaxFileBytes is the largest license file that is read. A larger set is split into files.
const MaxFileBytes = 8 << 20

// maxDepth bounds how deep lists and objects nest.
const maxDepth = 32

type nodeKind uint8

const (
	scalarNode nodeKind = iota
	listNode
	objectNode
)

// node is a YAML value: what yaml.Node says, without what license files may not use, and
// with the file it is from, because a plan and its license may be in different ones.
type node struct {
	file      *string
	line, col int32
	kind      nodeKind
	tag       string  // of a scalar: !!str, !!int, !!float, !!bool, !!null or !!timestamp
	text      string  // of a scalar, as written
	fields    []field // of an object its fields, of a list its items
}

// field is a field of an object, or an item of a list, which has no key.
type field struct {
	key   *node
	value *node
}

func (n *node) pos() Position {
	return Position{File: *n.file, Line: int(n.line), Column: int(n.col)}
}

// get returns the field of an object, or nil.
func (n *node) get(name string) *field {
	for i := range n.fields {
		if n.fields[i].key.text == name {
			return &n.fields[i]
		}
	}
	return nil
}

// reader reads one file, without regard to others.
type reader struct {
	errs  Errors
	nodes []node            // made in advance: a set has millions
	names map[string]string // field names, each kept once
}

func (r *reader) node(n node) *node {
	if len(r.nodes) == cap(r.nodes) {
		r.nodes = make([]node, 0, 256)
	}
	r.nodes = append(r.nodes, n)
	return &r.nodes[len(r.nodes)-1]
}

func (r *reader) report(pos Position, at *fieldPath, format string, args ...any) {
	r.errs = append(r.errs, &FieldError{Pos: pos, Path: at.String(), Msg: fmt.Sprintf(format, args...)})
}

// documents reads the YAML documents of a file; those without content are left out. What YAML
// allows and license files do not (anchors, aliases, merge keys, duplicate keys, tags of one's
// own) is reported and left out.
func (r *reader) documents(name string, data []byte) []*node {
	file := &name
	whole := func(line, col int, format string, args ...any) {
		r.report(Position{File: name, Line: line, Column: col}, nil, format, args...)
	}
	if len(data) > MaxFileBytes {
		whole(0, 0, "larger than %d MiB, the most a license file may have: split it into several files", MaxFileBytes>>20)
		return nil
	}
	if line, col, what := unreadable(data); what != "" {
		whole(line, col, "%s: license files are UTF-8 text, save it as such", what)
		return nil
	}
	if len(bytes.TrimSpace(data)) == 0 {
		whole(0, 0, "is empty, as a write that failed leaves a file: restore it, or delete it if what it held is to be gone")
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(data))
	if err != nil {
		whole(0, 0, "not YAML: %v", err)
		return nil
	}
	var out []*node
	for {
		var doc yaml.Node
		err := loader.Load(&doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			line, col, msg := 0, 0, err.Error()
			if le := (*yaml.LoadError)(nil); errors.As(err, &le) {
				line, col, msg = max(le.Mark.Line, 0), max(le.Mark.Column, 0), le.Message
			}
			whole(line, col, "not YAML: %s", msg)
			return out
		}
		if len(doc.Content) != 1 {
			continue
		}
		if root := doc.Content[0]; root.Kind != yaml.ScalarNode || root.Tag != "!!null" {
			if n := r.convert(file, root, 0); n != nil {
				out = append(out, n)
			}
		}
	}
}

// unreadable finds the first byte that is no UTF-8 or a control character that YAML forbids.
func unreadable(data []byte) (line, col int, what string) {
	line, col = 1, 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			return line, col, fmt.Sprintf("byte 0x%02x is not UTF-8", data[i])
		case r < 0x20 && r != '\t' && r != '\n' && r != '\r', r == 0x7f, r >= 0x80 && r < 0xa0 && r != 0x85, r == 0xfffe, r == 0xffff:
			return line, col, fmt.Sprintf("control character U+%04X", r)
		case r == '\n':
			line, col = line+1, 0
		}
		col++
		i += size
	}
	return 0, 0, ""
}

// convert returns nil for what was reported and cannot be used.
func (r *reader) convert(file *string, y *yaml.Node, depth int) *node {
	n := r.node(node{file: file, line: int32(y.Line), col: int32(y.Column)})
	if depth > maxDepth {
		r.report(n.pos(), nil, "nested more than %d deep: no license field is", maxDepth)
		return nil
	}
	if y.Anchor != "" {
		r.report(n.pos(), nil, "anchors are not allowed (&%s): write the value where it is meant, or use a Plan for what licenses share", y.Anchor)
	}
	switch y.Kind {
	case yaml.AliasNode:
		r.report(n.pos(), nil, "aliases are not allowed (*%s): write the value where it is meant, or use a Plan for what licenses share", y.Value)
		return nil
	case yaml.SequenceNode:
		n.kind = listNode
		n.fields = make([]field, 0, len(y.Content))
		for _, c := range y.Content {
			if item := r.convert(file, c, depth+1); item != nil {
				n.fields = append(n.fields, field{value: item})
			}
		}
	case yaml.MappingNode:
		n.kind = objectNode
		n.fields = make([]field, 0, len(y.Content)/2)
		for i := 0; i+1 < len(y.Content); i += 2 {
			r.convertField(n, y.Content[i], y.Content[i+1], depth)
		}
		r.duplicates(n)
	default:
		n.text, n.tag = y.Value, y.ShortTag()
	}
	if y.Style&yaml.TaggedStyle != 0 {
		r.report(n.pos(), nil, "tags are not allowed (%s): write the plain value, quoted if it is text", y.Tag)
		return nil
	}
	return n
}

func (r *reader) convertField(n *node, k, v *yaml.Node, depth int) {
	pos := Position{File: *n.file, Line: k.Line, Column: k.Column}
	switch {
	case k.Tag == "!!merge":
		r.report(pos, nil, "merge keys are not allowed (<<): write the fields where they are meant, or use a Plan for what licenses share")
		return
	case k.Kind != yaml.ScalarNode:
		r.report(pos, nil, "a field name is text")
		return
	}
	key := r.convert(n.file, k, depth+1)
	value := r.convert(n.file, v, depth+1)
	if key != nil {
		key.text = r.name(key.text)
	}
	if key != nil && value != nil {
		n.fields = append(n.fields, field{key, value})
	}
}

// name returns one text for equal names.
func (r *reader) name(s string) string {
	if known, ok := r.names[s]; ok {
		return known
	}
	if r.names == nil {
		r.names = make(map[string]string)
	}
	r.names[s] = s
	return s
}

// duplicates reports field names that come twice and keeps the first.
func (r *reader) duplicates(n *node) {
	var seen map[string]*node
	if len(n.fields) > 16 {
		seen = make(map[string]*node, len(n.fields))
	}
	kept := n.fields[:0]
	for _, f := range n.fields {
		var first *node
		if seen != nil {
			first = seen[f.key.text]
			seen[f.key.text] = cmp.Or(first, f.key)
		} else if i := slices.IndexFunc(kept, func(k field) bool { return k.key.text == f.key.text }); i >= 0 {
			first = kept[i].key
		}
		if first != nil {
			r.report(f.key.pos(), nil, "duplicate field %q, written already at %s: keep one of them", f.key.text, first.pos())
			continue
		}
		kept = append(kept, f)
	}
	n.fields = kept
}
