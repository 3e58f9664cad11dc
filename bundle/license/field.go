package license

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// fieldPath names a field inside a document; it is written out only for an error. The zero
// value is the document.
type fieldPath struct {
	parent *fieldPath
	name   string
	index  int // of a list item, when name is ""
}

func (p *fieldPath) String() string {
	if p == nil || *p == (fieldPath{}) {
		return ""
	}
	if p.name == "" {
		return p.parent.String() + "[" + strconv.Itoa(p.index) + "]"
	}
	if above := p.parent.String(); above != "" {
		return above + "." + p.name
	}
	return p.name
}

// value is a node and where it is in its document.
type value struct {
	p       *parser
	n       *node
	path    fieldPath
	missing Position // where a field that is missing below is reported
}

func (v value) fail(format string, args ...any) { v.p.report(v.n.pos(), &v.path, format, args...) }

// what describes the value for messages about a wrong type.
func (v value) what() string {
	switch {
	case v.n.kind == listNode:
		return "a list"
	case v.n.kind == objectNode:
		return "an object"
	case v.n.tag == "!!null":
		return "empty"
	case v.n.tag == "!!int" || v.n.tag == "!!float":
		return "the number " + v.n.text
	case v.n.tag == "!!bool":
		return "the truth value " + v.n.text
	case v.n.text == "":
		return "empty text"
	default:
		return strconv.Quote(v.n.text)
	}
}

// text reads a non-empty line of text. Numbers and truth values must be quoted, because YAML
// would read 1.40 as 1.4.
func (v value) text() (string, bool) { return v.textLike("") }

// textLike is text for what is no number even in quotes; like says what it must be.
func (v value) textLike(like string) (string, bool) {
	switch {
	case like != "" && (v.n.kind != scalarNode || v.n.tag != "!!str" && v.n.tag != "!!timestamp" || v.n.text == ""):
		v.fail("is %s, it must be %s", v.what(), like)
	case v.n.kind != scalarNode:
		v.fail("is %s, it must be one line of text", v.what())
	case v.n.tag == "!!int" || v.n.tag == "!!float":
		v.fail("is the number %s where text is meant (1.4 and 1.40 are the same number): quote it, %q", v.n.text, v.n.text)
	case v.n.tag == "!!bool":
		v.fail("is the truth value %s where text is meant: quote it, %q", v.n.text, v.n.text)
	case v.n.tag == "!!null":
		v.fail("is empty: write a value or leave the field out")
	case v.n.text == "":
		v.fail("is empty text: write a value or leave the field out")
	case strings.ContainsAny(v.n.text, "\n\r\x00"):
		v.fail("has several lines, it must be one line of text")
	default:
		return v.n.text, true
	}
	return "", false
}

// oneOf reads one of the given words.
func (v value) oneOf(words ...string) (string, bool) {
	if v.n.kind == scalarNode && slices.Contains(words, v.n.text) {
		return v.n.text, true
	}
	v.fail("is %s, it must be %s%s", v.what(), either(words), meant(v.n.text, slices.Values(words)))
	return "", false
}

func (v value) boolean() (b, ok bool) {
	if v.n.kind == scalarNode && v.n.tag == "!!bool" {
		return v.n.text == "true" || v.n.text == "True" || v.n.text == "TRUE", true
	}
	v.fail("is %s, it must be true or false", v.what())
	return false, false
}

func (v value) list() ([]value, bool) {
	if v.n.kind != listNode {
		v.fail("is %s, it must be a list: write %s", v.what(), v.example("[%s]"))
		return nil, false
	}
	out := make([]value, len(v.n.fields))
	for i, f := range v.n.fields {
		out[i] = value{v.p, f.value, fieldPath{parent: &v.path, index: i}, v.missing}
	}
	return out, true
}

// texts reads a list of text and checks each with valid, which may be nil. Items that come
// twice are errors.
func (v value) texts(valid func(string) error) ([]string, bool) {
	items, ok := v.list()
	out := make([]string, 0, len(items))
	for _, item := range items {
		s, good := item.text()
		switch {
		case !good:
			ok = false
		case valid != nil && valid(s) != nil:
			item.fail("%v", valid(s))
			ok = false
		case slices.Contains(out, s) && len(out) < 1000:
			item.fail("%q is in the list already: remove one", s)
			ok = false
		default:
			out = append(out, s)
		}
	}
	return out, ok
}

// object reads an object; done must be called when its fields have been taken.
func (v value) object() (*object, bool) {
	if v.n.kind != objectNode {
		v.fail("is %s, it must be an object with fields: write %s", v.what(), v.example("%s"))
		return nil, false
	}
	return &object{v: v}, true
}

// examples are what lists and objects are like, by the name of their field; an item is found
// under the name of its list.
var examples = map[string]string{
	"hosts":           `registry.acme.example`,
	"revoked_digests": `{repository: acme/app, digest: "sha256:…", at: 2026-03-01}`,
	"repositories":    `acme/app`,
	"variants":        `alpine*`,
	"requires":        `sso`,
	"withdrawn":       `{at: 2026-06-01}`,
	"except":          `acme`,
	"labels":          `{region: eu}`,
	"keys":            `{id: ci, hash: "sha256:…"}`,
	"addresses":       `10.0.0.0/8`,
	"identities":      `{mtls: {san: "spiffe://acme/ci"}}`,
	"jwt":             `{issuer: https://idp.acme.example, subject: ci}`,
	"mtls":            `{san: "spiffe://acme/ci"}`,
	"suspended":       `{at: 2026-06-01}`,
	"revoked":         `{at: 2026-06-01}`,
	"renews":          `{every: P1Y}`,
	"grants":          `{product: app, versions: ">=1.0.0 <2.0.0"}`,
	"channels":        `stable, rc`,
	"current":         `{} or {as_of: 2026-02-01}`,
	"features":        `{sso: true}`,
}

// example is what the value should be like: of a list with the text that stands there instead.
func (v value) example(format string) string {
	if format == "[%s]" && v.n.kind == scalarNode && v.n.tag == "!!str" && !strings.ContainsAny(v.n.text, "[]{},\"\n") && v.n.text != "" {
		return fmt.Sprintf(format, v.n.text)
	}
	name := v.path.name
	if name == "" && v.path.parent != nil {
		name = v.path.parent.name
	}
	return fmt.Sprintf(format, examples[name])
}

// object is an object whose fields are taken one by one, so that what is left is unknown.
type object struct {
	v     value
	known []string
}

// take returns the field, if it is there.
func (o *object) take(name string) (value, bool) {
	o.known = append(o.known, name)
	f := o.v.n.get(name)
	if f == nil {
		return value{}, false
	}
	return o.field(f), true
}

func (o *object) field(f *field) value {
	v := value{o.v.p, f.value, fieldPath{parent: &o.v.path, name: f.key.text}, o.v.missing}
	if f.value.kind == scalarNode && f.value.text == "" && f.value.tag == "!!null" {
		v.n = &node{file: f.key.file, line: f.key.line, col: f.key.col, tag: "!!null"} // an empty value is nowhere: point at its name
	}
	return v
}

// need is take for a field that must be there; why says what to write.
func (o *object) need(name, why string) (value, bool) {
	v, ok := o.take(name)
	if !ok {
		o.lack(name, why)
	}
	return v, ok
}

func (o *object) lack(name, why string) {
	o.v.p.report(o.v.missing, &fieldPath{parent: &o.v.path, name: name}, "is missing: %s", why)
}

// done reports the fields that nobody took.
func (o *object) done() {
	for i := range o.v.n.fields {
		if f := &o.v.n.fields[i]; !slices.Contains(o.known, f.key.text) {
			o.v.p.report(f.key.pos(), &fieldPath{parent: &o.v.path, name: f.key.text},
				"unknown field %q%s; known here: %s", f.key.text, meant(f.key.text, slices.Values(o.known)), strings.Join(o.known, ", "))
		}
	}
}

// data reads free data: what JSON can say, without null.
func (v value) data() (any, bool) {
	switch v.n.kind {
	case listNode:
		items, _ := v.list()
		out, ok := make([]any, 0, len(items)), true
		for _, item := range items {
			x, good := item.data()
			out, ok = append(out, x), ok && good
		}
		return out, ok
	case objectNode:
		return v.fields()
	}
	switch v.n.tag {
	case "!!int":
		if n, err := strconv.ParseInt(v.n.text, 10, 64); err == nil {
			return n, true
		}
		v.fail("is the number %s: write a decimal number of at most 18 digits, or quote it", v.n.text)
		return nil, false
	case "!!float":
		if f, err := strconv.ParseFloat(v.n.text, 64); err == nil && f-f == 0 && !strings.ContainsAny(v.n.text, "xXpP_iInN") {
			return f, true
		}
		v.fail("is the number %s: write a finite decimal number, or quote it", v.n.text)
		return nil, false
	case "!!bool":
		return v.boolean()
	case "!!null":
		v.fail("is empty: write a value or leave the field out")
		return nil, false
	}
	return v.n.text, true
}

// fields reads an object of free data.
func (v value) fields() (map[string]any, bool) {
	if v.n.kind != objectNode {
		v.fail("is %s, it must be an object with fields: write %s", v.what(), v.example("%s"))
		return nil, false
	}
	out, ok := make(map[string]any, len(v.n.fields)), true
	o := &object{v: v}
	for i := range v.n.fields {
		f := &v.n.fields[i]
		if f.key.text == "" {
			v.p.report(f.key.pos(), &v.path, "a field name is empty")
			ok = false
			continue
		}
		x, good := o.field(f).data()
		out[f.key.text], ok = x, ok && good
	}
	return out, ok
}

func either(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = fmt.Sprintf("`%s`", w)
	}
	if len(quoted) == 1 {
		return quoted[0]
	}
	return strings.Join(quoted[:len(quoted)-1], ", ") + " or " + quoted[len(quoted)-1]
}
