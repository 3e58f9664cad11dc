package catalog

import (
	"iter"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// object returns the fields of a mapping by name; unknown and repeated ones are errors. False if
// n is no mapping.
func (r *reader) object(n *yaml.Node, path string, known ...string) (map[string]*yaml.Node, bool) {
	fields := map[string]*yaml.Node{}
	if n.Kind != yaml.MappingNode {
		r.wrongKind(n, path, "a mapping")
		return nil, false
	}
	for k, v := range r.entries(n, path) {
		if !slices.Contains(known, k.Value) {
			r.fail(k, join(path, k.Value), "unknown field; known here: %s", strings.Join(known, ", "))
			continue
		}
		fields[k.Value] = v
	}
	return fields, true
}

// entries yields a mapping's keys and values; nothing for a missing (nil) node. Keys are taken as
// written, so that 1.10 stays 1.10; a repeated one is an error.
func (r *reader) entries(n *yaml.Node, path string) iter.Seq2[*yaml.Node, *yaml.Node] {
	return func(yield func(k, v *yaml.Node) bool) {
		if n == nil {
			return
		}
		if n.Kind != yaml.MappingNode {
			r.wrongKind(n, path, "a mapping")
			return
		}
		r.noAnchor(n, path)
		seen := map[string]bool{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			k, v := n.Content[i], n.Content[i+1]
			switch {
			case k.Kind != yaml.ScalarNode || k.Value == "<<" && k.Style == 0:
				r.fail(k, path, "keys are plain text here; merge keys, aliases and compound keys are refused")
				continue
			case seen[k.Value]:
				r.fail(k, join(path, k.Value), "written twice")
				continue
			}
			r.noAnchor(k, path)
			seen[k.Value] = true
			if !yield(k, v) {
				return
			}
		}
	}
}

// items yields a sequence's elements; nothing for a missing (nil) node.
func (r *reader) items(n *yaml.Node, path string) []*yaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind != yaml.SequenceNode {
		r.wrongKind(n, path, "a list")
		return nil
	}
	r.noAnchor(n, path)
	return n.Content
}

// text is a scalar as written, whatever YAML would make of it; "" and an error for anything else.
func (r *reader) text(n *yaml.Node, path string) string {
	if n.Kind != yaml.ScalarNode || isNull(n) {
		r.wrongKind(n, path, "text")
		return ""
	}
	r.noAnchor(n, path)
	return n.Value
}

func (r *reader) wrongKind(n *yaml.Node, path, want string) {
	switch {
	case n.Kind == yaml.AliasNode:
		r.fail(n, path, "aliases are refused; write the value out")
	case isNull(n):
		r.fail(n, path, "no value; wants %s", want)
	default:
		r.fail(n, path, "wants %s", want)
	}
}

func (r *reader) noAnchor(n *yaml.Node, path string) {
	if n.Anchor != "" {
		r.fail(n, path, "anchors are refused; write the value out where it is needed")
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

func join(path, field string) string {
	if path == "" {
		return field
	}
	return path + "." + field
}
