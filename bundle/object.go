package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"unicode/utf8"
)

// Object is a JSON object in canonical form whose members are kept in sections of about 128 KiB. It is
// immutable, and an edit shares the sections that it leaves alone with the Object it was made of. A
// nil Object has no members.
type Object struct {
	sections []*Section
	size     int // of the text
	count    int // of members
}

// Section is a run of members of an Object. It is immutable: one that is in two Objects is the same in
// both.
type Section struct {
	// plain are the members as they stand in the object, each after a comma, the first of the object
	// after its brace.
	plain   []byte
	members []Member // at least one
	dense   *dense   // in place of both, or nil
	forced  bool     // it begins where the one before it was full

	packed atomic.Pointer[[]byte]              // the text compressed, once it was written
	sums   atomic.Pointer[[][sha256.Size]byte] // of the values, once somebody wanted one
}

// text is the section's text.
func (s *Section) text() []byte {
	if s.dense != nil {
		return s.dense.text()
	}
	return s.plain
}

// length is that of the text.
func (s *Section) length() int {
	if s.dense != nil {
		return s.dense.size
	}
	return len(s.plain)
}

// count is the number of members.
func (s *Section) count() int {
	if s.dense != nil {
		return len(s.dense.ends) / 2
	}
	return len(s.members)
}

// begins says whether it is the first of an object.
func (s *Section) begins() bool {
	if s.dense != nil {
		return s.dense.first
	}
	return s.plain[0] == '{'
}

// name is that of member i.
func (s *Section) name(i int) string {
	if s.dense != nil {
		return s.dense.name(i)
	}
	return s.members[i].Name
}

// value is that of member i.
func (s *Section) value(i int) []byte {
	if s.dense != nil {
		return s.dense.value(i)
	}
	return s.members[i].Value
}

// Sums are the SHA-256 of the values of the members, in their order. They must not be changed.
func (s *Section) Sums() [][sha256.Size]byte {
	if sums := s.sums.Load(); sums != nil {
		return *sums
	}
	sums := make([][sha256.Size]byte, s.count())
	var buffer []byte
	for i := range sums {
		if s.dense == nil {
			sums[i] = sha256.Sum256(s.members[i].Value)
			continue
		}
		buffer = s.dense.unpack(buffer, i)
		sums[i] = sha256.Sum256(buffer)
	}
	s.sums.Store(&sums)
	return sums
}

// Place is where a member is in an Object.
type Place struct {
	section *Section
	member  int
}

// Value is the member's value, which must not be changed. From an Object that was read densely it is made
// anew each time.
func (p Place) Value() []byte { return p.section.value(p.member) }

// Sum is the SHA-256 of the value.
func (p Place) Sum() [sha256.Size]byte { return p.section.Sums()[p.member] }

// NewObject makes an Object of its text, of which it keeps parts. The error names the first byte
// that is not canonical.
func NewObject(text []byte) (*Object, error) {
	s := scanner{data: text}
	if s.peek() != '{' {
		return nil, errors.New("not a JSON object")
	}
	o, cut := &Object{}, cutter{}
	from := 0 // of the section in the making
	var members []Member
	var forced bool
	end := func(at int) {
		if len(members) > 0 {
			o.add(&Section{plain: text[from:at:at], members: members, forced: forced})
		}
		from, members = at, nil
	}
	err := s.members(0, func(name []byte, start, value int) {
		m := Member{Name: string(name), Value: text[value:s.at:s.at]}
		begins, full := cut.member(m.Name, s.at-start+1)
		if begins {
			end(start - 1)
			forced = full
		}
		members = append(members, m)
	})
	if err := s.over(err); err != nil {
		return nil, err
	}
	end(len(text) - 1)
	return o, nil
}

func (o *Object) add(s *Section) {
	o.sections = append(o.sections, s)
	o.size += s.length()
	o.count += s.count()
}

// Len is the number of members.
func (o *Object) Len() int {
	if o == nil {
		return 0
	}
	return o.count
}

// Size is the length of the text.
func (o *Object) Size() int {
	if o.Len() == 0 {
		return len("{}")
	}
	return o.size + len("}")
}

// Bytes returns the text; it is put together anew each time.
func (o *Object) Bytes() []byte {
	out := make([]byte, 0, o.Size())
	for p := range o.pieces {
		out = append(out, p...)
	}
	return out
}

// Equal says whether two objects have the same text.
func (o *Object) Equal(other *Object) bool {
	if o.Size() != other.Size() {
		return false
	}
	isDense := func(s *Section) bool { return s.dense != nil }
	if slices.ContainsFunc(o.Sections(), isDense) || slices.ContainsFunc(other.Sections(), isDense) {
		return slices.Equal(o.Sections(), other.Sections()) || bytes.Equal(o.Bytes(), other.Bytes())
	}
	return slices.EqualFunc(o.Sections(), other.Sections(), func(a, b *Section) bool {
		return a == b || bytes.Equal(a.plain, b.plain)
	})
}

// pieces yields the text in parts.
func (o *Object) pieces(yield func([]byte) bool) {
	if o.Len() == 0 {
		yield([]byte("{}"))
		return
	}
	for _, s := range o.sections {
		if !yield(s.text()) {
			return
		}
	}
	yield([]byte("}"))
}

// Sections returns the sections in order of names. They must not be changed.
func (o *Object) Sections() []*Section {
	if o == nil {
		return nil
	}
	return o.sections
}

// Members returns the section's members in order of names. They must not be changed.
func (s *Section) Members() []Member {
	if s.dense != nil {
		return s.dense.members()
	}
	return s.members
}

// Names yields the names of the section's members in order.
func (s *Section) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := range s.count() {
			if !yield(s.name(i)) {
				return
			}
		}
	}
}

// Members yields the members in order of names. Values must not be changed.
func (o *Object) Members() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, s := range o.Sections() {
			for i := range s.count() {
				if !yield(s.name(i), s.value(i)) {
					return
				}
			}
		}
	}
}

// List returns the members in order of names; values must not be changed. Where like, another list,
// has the same value under the same name, it is that of like: what is equal need not be compared again.
func (o *Object) List(like []Member) []Member {
	out := make([]Member, 0, o.Len())
	for _, s := range o.Sections() {
		for _, m := range s.Members() {
			for len(like) > 0 && like[0].Name < m.Name {
				like = like[1:]
			}
			if len(like) > 0 && like[0].Name == m.Name && bytes.Equal(like[0].Value, m.Value) {
				m = like[0]
			}
			out = append(out, m)
		}
	}
	return out
}

// Get returns the value of a member, which must not be changed; nil when there is none.
func (o *Object) Get(name string) []byte {
	if p, ok := o.Find(name); ok {
		return p.Value()
	}
	return nil
}

// Find finds a member.
func (o *Object) Find(name string) (Place, bool) {
	sections := o.Sections()
	i := sort.Search(len(sections), func(i int) bool { return sections[i].name(0) > name }) - 1
	if i < 0 {
		return Place{}, false
	}
	s := sections[i]
	j := sort.Search(s.count(), func(j int) bool { return s.name(j) >= name })
	return Place{s, j}, j < s.count() && s.name(j) == name
}

// Edit returns the Object with some members changed or added, or without those whose new value is
// nil. The names of the changes are different. It keeps nothing of them, and costs what changes. The
// error says which value is not canonical.
func (o *Object) Edit(changes []Member) (*Object, error) {
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b Member) int { return strings.Compare(a.Name, b.Name) })
	for i, m := range changes {
		if i > 0 && changes[i-1].Name == m.Name {
			return nil, fmt.Errorf("%s: twice among the changes", m.Name)
		}
		if !utf8.ValidString(m.Name) {
			return nil, fmt.Errorf("%q: not UTF-8", m.Name)
		}
		if m.Value == nil {
			continue
		}
		s := scanner{data: m.Value}
		if err := s.over(s.value(1)); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	e := editing{out: &Object{}}
	sections := o.Sections()
	for i, s := range sections {
		n := len(changes) // of those in this section
		if i+1 < len(sections) {
			next := sections[i+1].name(0)
			n = slices.IndexFunc(changes, func(m Member) bool { return m.Name >= next })
			if n < 0 {
				n = len(changes)
			}
		}
		e.section(s, changes[:n])
		changes = changes[n:]
	}
	if len(changes) > 0 { // of an empty object
		e.rewrite(changes)
	}
	e.end()
	return e.out, nil
}
