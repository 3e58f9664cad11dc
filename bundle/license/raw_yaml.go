package license

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// AppendYAML appends the document as a license file has it: a field a line, the items of a list
// of objects a line each. Equal documents give equal bytes, and LoadRaw reads them again as they were.
func (r Raw) AppendYAML(b []byte) []byte {
	for _, f := range r.Fields {
		b = appendKey(b, f.Name)
		list, _ := f.Value.([]any)
		if !slices.ContainsFunc(list, isObject) {
			b = append(appendFlow(append(b, ' '), f.Value), '\n')
			continue
		}
		b = append(b, '\n')
		for _, item := range list {
			b = append(appendFlow(append(b, "  - "...), item), '\n')
		}
	}
	return b
}

func isObject(v any) bool {
	switch v.(type) {
	case Raw, map[string]any:
		return true
	}
	return false
}

// appendKey appends a field's name and the colon. A name too long for YAML's usual form is marked.
func appendKey(b []byte, name string) []byte {
	if len(name) > 200 {
		b = append(b, "? "...)
	}
	return append(appendText(b, name), ':')
}

// appendFlow appends a value in one line.
func appendFlow(b []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return appendText(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case json.Number:
		return append(b, v...)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			b = appendFlow(separate(b, i), item)
		}
		return append(b, ']')
	case map[string]any:
		r := Raw{}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			r.Fields = append(r.Fields, RawField{name, v[name]})
		}
		return appendFlow(b, r)
	case Raw:
		b = append(b, '{')
		for i, f := range v.Fields {
			b = appendFlow(append(appendKey(separate(b, i), f.Name), ' '), f.Value)
		}
		return append(b, '}')
	case nil:
		return append(b, "null"...)
	}
	panic(fmt.Sprintf("license: a Raw holds a %T", v))
}

func separate(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ", "...)
}

var (
	// plainText means itself in YAML, wherever it stands, unless it is one of plainWords.
	plainText  = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_./+-]*$|^\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d))?$`)
	plainWords = []string{"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}
)

func appendText(b []byte, s string) []byte {
	if len(s) <= 200 && plainText.MatchString(s) && !slices.Contains(plainWords, strings.ToLower(s)) {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s) // every escape of Go is one of YAML
}
