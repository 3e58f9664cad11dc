package postgres

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
)

// document is the document of a row. Its columns come as text; nil is null.
func (t *table) document(row [][]byte) (license.Raw, error) {
	doc := license.Raw{Fields: make([]license.RawField, 0, 12)}
	if t.kind != "" {
		doc.Fields = append(doc.Fields, license.RawField{Name: "kind", Value: t.kind})
	}
	for i, c := range t.columns {
		if row[i] == nil || t.name == "keys" && c.name == "customer" {
			continue
		}
		v, err := c.codec.field(string(row[i]))
		if err != nil {
			return doc, fmt.Errorf("%s/%s: %s: %w", t.name, row[0], c.name, err)
		}
		if v != nil {
			put(&doc, c.field, v)
		}
	}
	doc.Place = t.name + "/" + string(row[0])
	if t.name == "keys" {
		doc.Place += "/" + string(row[1])
	}
	return doc, nil
}

// put sets a field; those of one object come one after the other.
func put(r *license.Raw, path []string, v any) {
	if len(path) == 1 {
		r.Fields = append(r.Fields, license.RawField{Name: path[0], Value: v})
		return
	}
	last := len(r.Fields) - 1
	if last < 0 || r.Fields[last].Name != path[0] {
		r.Fields = append(r.Fields, license.RawField{Name: path[0], Value: license.Raw{}})
		last++
	}
	inner := r.Fields[last].Value.(license.Raw)
	put(&inner, path[1:], v)
	r.Fields[last].Value = inner
}

// field is what a column's text says in a document; nil: nothing.
func (c codec) field(text string) (any, error) {
	object := func(name string) any {
		return license.Raw{Fields: []license.RawField{{Name: name, Value: text}}}
	}
	switch c {
	case asData:
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, fmt.Errorf("cannot be read: %w", err)
		}
		return v, nil
	case asBool:
		return text == "true", nil // as the column is cast to text
	case asStatus:
		if text == "active" {
			return nil, nil
		}
	case asAligned:
		if text != "calendar-year" {
			return object("fiscal_year_ends"), nil
		}
	case asUpdates:
		switch {
		case text == "with-term" || text == "forever":
		case strings.HasPrefix(text, "P"):
			return object("period"), nil
		default:
			return object("until"), nil
		}
	}
	return text, nil
}

// row is the row of a document. What no column has room for is an error: a document that was
// checked has no such thing.
func (t *table) row(doc license.Raw) ([]any, error) {
	rest := doc
	row := make([]any, len(t.columns))
	for i, c := range t.columns {
		v, ok := take(&rest, c.field)
		if !ok {
			if c.codec == asStatus {
				row[i] = "active"
			}
			continue
		}
		var err error
		if row[i], err = c.codec.column(v); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", doc.Place, strings.Join(c.field, "."), err)
		}
	}
	for _, f := range rest.Fields {
		inner, isObject := f.Value.(license.Raw)
		switch {
		case f.Name == "kind" || f.Name == "keys": // the table, and rows of another one
		case f.Name == "status" && f.Value == "active" || isObject && len(inner.Fields) == 0: // says nothing
		default:
			return nil, fmt.Errorf("%s: %s: has no column in the table %s", doc.Place, f.Name, t.name)
		}
	}
	return row, nil
}

// take removes a field, and what became empty with it.
func take(r *license.Raw, path []string) (any, bool) {
	i := slices.IndexFunc(r.Fields, func(f license.RawField) bool { return f.Name == path[0] })
	if i < 0 {
		return nil, false
	}
	v, ok, empty := r.Fields[i].Value, true, true
	if len(path) > 1 {
		inner, isObject := v.(license.Raw)
		if !isObject {
			return nil, false
		}
		if v, ok = take(&inner, path[1:]); !ok {
			return nil, false
		}
		r.Fields = slices.Clone(r.Fields)
		r.Fields[i].Value, empty = inner, len(inner.Fields) == 0
	}
	if empty {
		r.Fields = slices.Concat(r.Fields[:i], r.Fields[i+1:])
	}
	return v, ok
}

// column is what a field's value is in a column.
func (c codec) column(v any) (any, error) {
	if inner, ok := v.(license.Raw); ok && (c == asAligned || c == asUpdates) && len(inner.Fields) == 1 {
		v = inner.Fields[0].Value
	}
	switch c {
	case asData:
		text, err := appendJSON(nil, v)
		return string(text), err
	case asBool:
		if b, ok := v.(bool); ok {
			return strconv.FormatBool(b), nil
		}
	default:
		if s, ok := v.(string); ok {
			return s, nil
		}
	}
	return nil, fmt.Errorf("a %T has no place in the column", v)
}

// appendJSON writes a value as JSON; of a document, whose fields stay in their order.
func appendJSON(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case license.Raw:
		b = append(b, '{')
		for i, f := range v.Fields {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSON(b, f.Name); err != nil {
				return nil, err
			}
			if b, err = appendJSON(append(b, ':'), f.Value); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, ',')
			}
			var err error
			if b, err = appendJSON(b, item); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case string:
		if strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("%q has a NUL character, which PostgreSQL does not keep: remove it", v)
		}
	}
	text, err := json.Marshal(v)
	return append(b, bytes.TrimSpace(text)...), err
}

// first are the fields that people want to read first; jsonb does not keep their order.
var first = []string{"id", "name", "product", "repository", "digest", "versions", "channels", "tags", "at", "jwt", "mtls", "issuer", "subject"}

// tidy puts the fields of objects that come from jsonb in an order that is always the same.
func tidy(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = tidy(v[i])
		}
	case license.Raw:
		for i := range v.Fields {
			v.Fields[i].Value = tidy(v.Fields[i].Value)
		}
	case map[string]any:
		r := license.Raw{Fields: make([]license.RawField, 0, len(v))}
		rank := func(name string) int {
			if i := slices.Index(first, name); i >= 0 {
				return i
			}
			return len(first)
		}
		names := slices.Sorted(maps.Keys(v))
		slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
		for _, name := range names {
			r.Fields = append(r.Fields, license.RawField{Name: name, Value: tidy(v[name])})
		}
		return r
	}
	return v
}
