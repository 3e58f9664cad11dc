package bundle

import (
	"bytes"
	"errors"
	"strings"
)

// NewObjectLike is NewObject of a text that is much like another Object's, whose sections it shares
// where the text is the same byte for byte, which is compared and not checked again. Of the text itself
// it keeps nothing then.
func NewObjectLike(text []byte, like *Object) (*Object, error) {
	if like.Len() == 0 {
		return NewObject(text)
	}
	r := reading{scanner: scanner{data: text}, like: like.sections, made: editing{out: &Object{}}}
	if r.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	if err := r.over(r.object()); err != nil {
		return nil, err
	}
	r.flush()
	r.made.end()
	return r.made.out, nil
}

// reading finds in a text what differs from an Object.
type reading struct {
	scanner
	like    []*Section // those that may come yet
	skipped bool       // some of like did not come since the last one that did
	members []Member   // those that came since then
	made    editing
}

// flush gives what differs to the Object in the making.
func (r *reading) flush() {
	if r.skipped || len(r.members) > 0 {
		r.made.rewrite(r.members)
	}
	r.skipped, r.members = false, nil
}

func (r *reading) object() error {
	r.at++
	var last []byte
	for first := true; ; first = false {
		if done, err := r.closed('}', first); done || err != nil {
			return err
		}
		if s := r.section(last, first); s != nil {
			r.flush()
			r.made.section(s, nil)
			last = []byte(s.name(s.count() - 1))
			continue
		}
		key, value, err := r.member(0, last, first)
		if err != nil {
			return err
		}
		last = key
		r.members = append(r.members, Member{Name: string(key), Value: r.data[value:r.at:r.at]})
	}
}

// section takes a whole section of like if the next members are those; else it takes nothing.
func (r *reading) section(last []byte, first bool) *Section {
	start := r.at
	name, err := r.text()
	r.at = start
	if err != nil || !first && bytes.Compare(last, name) >= 0 {
		return nil // member says what is wrong
	}
	for len(r.like) > 0 && strings.Compare(r.like[0].name(0), string(name)) < 0 {
		r.like, r.skipped = r.like[1:], true
	}
	if len(r.like) == 0 || r.like[0].name(0) != string(name) {
		return nil
	}
	s := r.like[0]
	// Its text begins with a brace or a comma, and what follows must end its last value.
	end := start + s.length() - 1
	if s.begins() != first || end >= len(r.data) || r.data[end] != ',' && r.data[end] != '}' || !s.is(r.data[start:end]) {
		return nil
	}
	r.like, r.at = r.like[1:], end
	return s
}

// is says whether a text is the section's, but for its first byte.
func (s *Section) is(text []byte) bool {
	return s.length() == len(text)+1 && bytes.Equal(s.text()[1:], text)
}
