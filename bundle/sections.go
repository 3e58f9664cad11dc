package bundle

import (
	"slices"
)

// Sizes of sections, in bytes of their text.
const (
	sectionSize = 128 << 10 // about
	maxSection  = 1 << 20   // but for a member that is larger alone
)

// cutter says where sections begin, from the first member of an object on. All but a few begin with a
// member that is chosen by its name and length alone, so that members that are the same are in
// sections that are the same, whatever comes before them.
type cutter struct {
	size int  // of the section so far
	any  bool // there was a member
}

// member says whether a section begins with the next member, whose text has this length with its
// comma, and whether that is only because the one before is full.
func (c *cutter) member(name string, length int) (begins, forced bool) {
	natural := !c.any || chosen(name, length)
	begins = natural || c.size+length > maxSection
	if begins {
		c.size = 0
	}
	c.size += length
	c.any = true
	return begins, !natural
}

// chosen is true once in sectionSize bytes.
func chosen(name string, length int) bool {
	h := uint64(14695981039346656037) // FNV-1a, mixed as MurmurHash3 ends
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	h = (h ^ h>>33) * 0xff51afd7ed558ccd
	h = (h ^ h>>33) * 0xc4ceb9fe1a85ec53
	h ^= h >> 33
	return h>>32 < uint64(length)<<32/sectionSize
}

// editing makes an Object of the sections of another one, in order.
type editing struct {
	out     *Object
	open    bool     // sections are being written anew
	members []Member // theirs
	forced  bool     // whether the first of them begins so
}

// section takes the next section, with what changes in it.
func (e *editing) section(s *Section, changes []Member) {
	if len(changes) == 0 && !(e.open && s.forced) {
		e.end()
		if len(e.out.sections) == 0 {
			s = s.first()
		}
		e.out.add(s)
		return
	}
	members := make([]Member, 0, s.count()+len(changes))
	for _, m := range s.Members() {
		for len(changes) > 0 && changes[0].Name < m.Name {
			members, changes = append(members, changes[0]), changes[1:]
		}
		if len(changes) > 0 && changes[0].Name == m.Name {
			m, changes = changes[0], changes[1:]
		}
		members = append(members, m)
	}
	e.rewrite(append(members, changes...))
}

// rewrite takes members in place of those of a section; those without a value are left out.
func (e *editing) rewrite(members []Member) {
	members = slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return m.Value == nil })
	e.open = true
	if len(members) == 0 {
		return
	}
	if last := len(e.out.sections) - 1; len(e.members) == 0 && last >= 0 && !chosen(members[0].Name, textLength(&members[0])) {
		// What they began with is gone: they go on where the section before ends.
		before := e.out.sections[last]
		e.out.sections = e.out.sections[:last]
		e.out.size -= before.length()
		e.out.count -= before.count()
		e.members, e.forced = slices.Clone(before.Members()), before.forced
	}
	e.members = append(e.members, members...)
}

// end writes the sections of the members that were taken.
func (e *editing) end() {
	var cut cutter
	from := 0
	forced := e.forced
	for i := range e.members {
		m := &e.members[i]
		if begins, full := cut.member(m.Name, textLength(m)); begins && i > 0 {
			e.write(e.members[from:i], forced)
			from, forced = i, full
		}
	}
	if len(e.members) > 0 {
		e.write(e.members[from:], forced)
	}
	*e = editing{out: e.out}
}

func (e *editing) write(members []Member, forced bool) {
	size := 0
	for i := range members {
		size += textLength(&members[i])
	}
	s := &Section{plain: make([]byte, 0, size), members: make([]Member, len(members)), forced: forced}
	for i, m := range members {
		if i == 0 && len(e.out.sections) == 0 {
			s.plain = append(s.plain, '{')
		} else {
			s.plain = append(s.plain, ',')
		}
		s.plain = append(append(append(s.plain, quoted(m.Name)...), ':'), m.Value...)
		end := len(s.plain)
		s.members[i] = Member{Name: m.Name, Value: s.plain[end-len(m.Value) : end : end]}
	}
	e.out.add(s)
}

// first is the section as the first one of an object.
func (s *Section) first() *Section {
	if s.begins() {
		return s
	}
	e := editing{out: &Object{}}
	e.write(s.Members(), false)
	return e.out.sections[0]
}

// textLength is the length of a member's text with its comma.
func textLength(m *Member) int { return len(",:") + len(quoted(m.Name)) + len(m.Value) }

// quoted is a string in canonical JSON.
func quoted(s string) string {
	for i := range len(s) {
		if !plain[s[i]] {
			text, err := CanonicalJSON(s)
			if err != nil {
				panic(err) // every string has a text
			}
			return string(text)
		}
	}
	return `"` + s + `"`
}
