package source

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// textEditor changes a YAML text at one place. It knows the forms that people write, and gives up at
// others: whoever calls it looks at what came of it.
type textEditor struct{ text []byte }

var errForm = errors.New("it is written in a form that is not edited automatically")

// document finds the document of a kind and id.
func (e *textEditor) document(kind, id string) (*yaml.Node, error) {
	dec := yaml.NewDecoder(bytes.NewReader(e.text))
	for {
		var n yaml.Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("no %s %s in it", kind, id)
		}
		if err != nil {
			return nil, err
		}
		if len(n.Content) == 0 {
			continue
		}
		doc := n.Content[0]
		_, k := field(doc, "kind")
		_, i := field(doc, "id")
		if k != nil && i != nil && k.Value == kind && i.Value == id {
			return doc, nil
		}
	}
}

// field is the key and value of a mapping's field, nil without it.
func field(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func flow(n *yaml.Node) bool { return n.Style&yaml.FlowStyle != 0 }

// offset is where a node begins, in bytes. Columns count characters.
func (e *textEditor) offset(line, column int) (int, error) {
	at := 0
	for range line - 1 {
		i := bytes.IndexByte(e.text[at:], '\n')
		if i < 0 {
			return 0, errForm
		}
		at += i + 1
	}
	for range column - 1 {
		_, n := utf8.DecodeRune(e.text[at:])
		at += n
	}
	if at > len(e.text) {
		return 0, errForm
	}
	return at, nil
}

// extent is where a scalar, or a flow collection, begins and ends.
func (e *textEditor) extent(n *yaml.Node) (from, to int, err error) {
	if from, err = e.offset(n.Line, n.Column); err != nil {
		return 0, 0, err
	}
	if n.Kind != yaml.ScalarNode {
		to, err = e.closing(from)
		return from, to, err
	}
	if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || n.Anchor != "" || n.Kind == yaml.AliasNode {
		return 0, 0, errForm
	}
	switch c := e.text[from]; c {
	case '\'', '"':
		to, err = e.quoted(from)
		return from, to, err
	case '!', '&', '*':
		return 0, 0, errForm
	}
	if !bytes.HasPrefix(e.text[from:], []byte(n.Value)) {
		return 0, 0, errForm
	}
	return from, from + len(n.Value), nil
}

// quoted is where a quoted scalar that begins at an offset ends.
func (e *textEditor) quoted(from int) (int, error) {
	quote := e.text[from]
	for i := from + 1; i < len(e.text); i++ {
		switch {
		case e.text[i] == '\\' && quote == '"':
			i++
		case e.text[i] == quote && quote == '\'' && i+1 < len(e.text) && e.text[i+1] == quote:
			i++
		case e.text[i] == quote:
			return i + 1, nil
		}
	}
	return 0, errForm
}

// closing is where a flow collection that begins at an offset ends.
func (e *textEditor) closing(from int) (int, error) {
	depth := 0
	for i := from; i < len(e.text); i++ {
		switch c := e.text[i]; {
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		case (c == '\'' || c == '"') && i > 0 && strings.IndexByte(" \t\n,:[{", e.text[i-1]) >= 0:
			to, err := e.quoted(i)
			if err != nil {
				return 0, err
			}
			i = to - 1
		case c == '#' && strings.IndexByte(" \t\n", e.text[i-1]) >= 0:
			return 0, errForm // a comment may hold anything
		}
	}
	return 0, errForm
}

// splice puts something in the place of a part.
func (e *textEditor) splice(from, to int, with string) []byte {
	return slices.Concat(e.text[:from], []byte(with), e.text[to:])
}

// set gives a field of a document a value, which it may have had another of.
func (e *textEditor) set(doc *yaml.Node, name, value string) ([]byte, error) {
	key, old := field(doc, name)
	if key == nil {
		return e.insert(doc, name+": "+value)
	}
	if old.Kind == yaml.MappingNode && !flow(old) {
		return nil, errForm
	}
	from, to, err := e.extent(old)
	if err != nil {
		return nil, err
	}
	return e.splice(from, to, value), nil
}

// insert writes a field after the document's id.
func (e *textEditor) insert(doc *yaml.Node, text string) ([]byte, error) {
	key, id := field(doc, "id")
	_, to, err := e.extent(id)
	if err != nil {
		return nil, err
	}
	if flow(doc) {
		return e.splice(to, to, ", "+text), nil
	}
	line := bytes.IndexByte(e.text[to:], '\n')
	if line < 0 {
		return e.splice(len(e.text), len(e.text), "\n"+strings.Repeat(" ", key.Column-1)+text+"\n"), nil
	}
	at := to + line + 1
	return e.splice(at, at, strings.Repeat(" ", key.Column-1)+text+e.newline(at)), nil
}

// newline is how the line before an offset ends.
func (e *textEditor) newline(at int) string {
	if at >= 2 && e.text[at-2] == '\r' {
		return "\r\n"
	}
	return "\n"
}

// add puts an item first into a list of the document, which may not be there.
func (e *textEditor) add(doc *yaml.Node, name, item string) ([]byte, error) {
	key, list := field(doc, name)
	switch {
	case key == nil && flow(doc):
		return e.insert(doc, name+": ["+item+"]")
	case key == nil:
		return e.insert(doc, name+": ["+item+"]")
	case list.Kind != yaml.SequenceNode:
		return nil, errForm
	case flow(list):
		from, err := e.offset(list.Line, list.Column)
		if err != nil {
			return nil, err
		}
		if len(list.Content) > 0 {
			item += ", "
		}
		return e.splice(from+1, from+1, item), nil
	}
	// A block list begins at its first dash.
	at, err := e.offset(list.Line, 1)
	if err != nil || at >= len(e.text) {
		return nil, errForm
	}
	return e.splice(at, at, strings.Repeat(" ", list.Column-1)+"- "+item+e.newline(at)), nil
}

// takeOut removes the item with an id from a list of the document.
func (e *textEditor) takeOut(doc *yaml.Node, name, id string) ([]byte, error) {
	_, list := field(doc, name)
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil, errForm
	}
	i := slices.IndexFunc(list.Content, func(n *yaml.Node) bool { _, v := field(n, "id"); return v != nil && v.Value == id })
	if i < 0 {
		return nil, errForm
	}
	if flow(list) {
		return e.takeOutFlow(list, i)
	}
	from, err := e.offset(list.Content[i].Line, 1)
	if err != nil {
		return nil, err
	}
	to, err := e.endOfItem(list, i)
	if err != nil {
		return nil, err
	}
	if len(list.Content) > 1 {
		return e.splice(from, to, ""), nil
	}
	// Without items the field has to go, too, with the line that it is alone on.
	key, _ := field(doc, name)
	start, err := e.offset(key.Line, 1)
	if err != nil {
		return nil, err
	}
	if line := strings.TrimSpace(string(e.text[start : start+bytes.IndexByte(e.text[start:], '\n')])); line != name+":" || flow(doc) {
		return nil, errForm
	}
	return e.splice(start, to, ""), nil
}

// endOfItem is where the lines of a block list's item end: where the next line of text begins that is
// not further in than its dash.
func (e *textEditor) endOfItem(list *yaml.Node, i int) (int, error) {
	item := list.Content[i]
	at, err := e.offset(item.Line, 1)
	if err != nil {
		return 0, err
	}
	if !flow(item) && item.Kind != yaml.MappingNode {
		return 0, errForm
	}
	for first := true; at < len(e.text); first = false {
		end := bytes.IndexByte(e.text[at:], '\n')
		line := e.text[at:]
		next := len(e.text)
		if end >= 0 {
			line, next = e.text[at:at+end], at+end+1
		}
		trimmed := bytes.TrimLeft(line, " ")
		if !first && (len(bytes.TrimSpace(trimmed)) == 0 || len(line)-len(trimmed) <= list.Column-1) {
			return at, nil
		}
		at = next
	}
	return at, nil
}

func (e *textEditor) takeOutFlow(list *yaml.Node, i int) ([]byte, error) {
	from, to, err := e.extent(list.Content[i])
	if err != nil {
		return nil, err
	}
	if i+1 < len(list.Content) {
		next, err := e.offset(list.Content[i+1].Line, list.Content[i+1].Column)
		return e.splice(from, next, ""), err
	}
	if i > 0 {
		_, before, err := e.extent(list.Content[i-1])
		return e.splice(before, to, ""), err
	}
	return e.splice(from, to, ""), nil
}
