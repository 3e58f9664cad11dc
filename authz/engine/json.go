package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/open-policy-agent/opa/v1/ast"
)

// A decoder reads canonical JSON, which all of a bundle is: no white space, names ascending. It makes
// the values that ast.ValueFromReader makes, in a fifth of the time, because there is no tree of Go values in between and
// words that all documents have are terms already. Whatever is not canonical is an error.
type decoder struct {
	text  string
	at    int
	terms []ast.Term // to be taken from
}

// maxDepth of nesting; the deepest documents have six.
const maxDepth = 100

// decodeJSON reads one value, which is all of the text.
func decodeJSON(text []byte) (*ast.Term, error) {
	d := decoder{text: string(text)}
	t, err := d.value(0)
	if err == nil && d.at < len(d.text) {
		err = d.broken()
	}
	return t, err
}

func (d *decoder) broken() error { return fmt.Errorf("not canonical JSON at byte %d", d.at) }

// term is a new term. They come in lots: those of one document live as long as it.
func (d *decoder) term(v ast.Value) *ast.Term {
	if len(d.terms) == 0 {
		d.terms = make([]ast.Term, min(32, 4+(len(d.text)-d.at)/16))
	}
	t := &d.terms[0]
	d.terms = d.terms[1:]
	t.Value = v
	return t
}

// next takes off a byte that must come.
func (d *decoder) next(c byte) bool {
	if d.at < len(d.text) && d.text[d.at] == c {
		d.at++
		return true
	}
	return false
}

func (d *decoder) value(depth int) (*ast.Term, error) {
	if d.at == len(d.text) || depth > maxDepth {
		return nil, d.broken()
	}
	switch c := d.text[d.at]; c {
	case '{':
		return d.object(depth)
	case '[':
		return d.array(depth)
	case '"':
		s, err := d.string()
		if err != nil {
			return nil, err
		}
		return d.word(s), nil
	case 't':
		return d.literal("true", ast.InternedTerm(true))
	case 'f':
		return d.literal("false", ast.InternedTerm(false))
	case 'n':
		return d.literal("null", ast.InternedNullTerm)
	default:
		return d.number()
	}
}

func (d *decoder) literal(text string, t *ast.Term) (*ast.Term, error) {
	if !strings.HasPrefix(d.text[d.at:], text) {
		return nil, d.broken()
	}
	d.at += len(text)
	return t, nil
}

// word is the term of a text.
func (d *decoder) word(s string) *ast.Term {
	if t, ok := keyTerms[s]; ok {
		return t
	}
	return d.term(ast.String(s))
}

func (d *decoder) array(depth int) (*ast.Term, error) {
	d.at++
	if d.next(']') {
		return ast.InternedEmptyArray, nil
	}
	var room [8]*ast.Term
	elems := room[:0]
	for {
		e, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		elems = append(elems, e)
		if d.next(']') {
			return d.term(ast.NewArray(append([]*ast.Term(nil), elems...)...)), nil
		}
		if !d.next(',') {
			return nil, d.broken()
		}
	}
}

func (d *decoder) object(depth int) (*ast.Term, error) {
	d.at++
	if d.next('}') {
		return ast.InternedEmptyObject, nil
	}
	var room [16][2]*ast.Term
	members := room[:0]
	last := ""
	for {
		name, err := d.name()
		if err != nil {
			return nil, err
		}
		if len(members) > 0 && name <= last {
			return nil, d.broken()
		}
		last = name
		v, err := d.value(depth + 1)
		if err != nil {
			return nil, err
		}
		members = append(members, [2]*ast.Term{d.word(name), v})
		if d.next('}') {
			return d.term(ast.NewObject(members...)), nil
		}
		if !d.next(',') {
			return nil, d.broken()
		}
	}
}

// name reads the name of a member and the colon after it.
func (d *decoder) name() (string, error) {
	if d.at == len(d.text) || d.text[d.at] != '"' {
		return "", d.broken()
	}
	s, err := d.string()
	if err == nil && !d.next(':') {
		err = d.broken()
	}
	return s, err
}

// string reads a string, of which the first byte is known. One without escapes is a part of the text.
func (d *decoder) string() (string, error) {
	start, escaped, ascii := d.at+1, false, true
	for i := start; i < len(d.text); i++ {
		switch c := d.text[i]; {
		case c == '"':
			s := d.text[start:i]
			if escaped {
				if err := json.Unmarshal([]byte(d.text[start-1:i+1]), &s); err != nil {
					return "", d.broken()
				}
			}
			if !ascii && !utf8.ValidString(s) {
				return "", d.broken()
			}
			d.at = i + 1
			return s, nil
		case c == '\\':
			escaped = true
			i++
		case c < 0x20:
			return "", d.broken()
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", d.broken()
}

// number reads a number as RFC 8259 (6) writes it.
func (d *decoder) number() (*ast.Term, error) {
	start := d.at
	digits := func() bool {
		from := d.at
		for d.at < len(d.text) && d.text[d.at] >= '0' && d.text[d.at] <= '9' {
			d.at++
		}
		return d.at > from
	}
	d.next('-')
	if !d.next('0') && !digits() {
		return nil, d.broken()
	}
	if d.next('.') && !digits() {
		return nil, d.broken()
	}
	if d.next('e') || d.next('E') {
		if !d.next('+') {
			d.next('-')
		}
		if !digits() {
			return nil, d.broken()
		}
	}
	s := d.text[start:d.at]
	if t := ast.InternedIntNumberTermFromString(s); t != nil {
		return t, nil
	}
	n, err := ast.NumberChecked(s)
	if err != nil {
		return nil, err
	}
	return d.term(n), nil
}
