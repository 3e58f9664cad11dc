package envoy

import "errors"

// A message is what is left to read of an encoded protocol buffer. It is a string so that the
// text of its fields shares its memory: a CheckRequest is copied once, not once for each header.
// https://protobuf.dev/programming-guides/encoding/
type message string

// The kinds of fields on the wire. Groups, long deprecated, are an error like everything else.
const (
	kindVarint = 0
	kind64     = 1
	kindBytes  = 2
	kind32     = 5
)

var errWire = errors.New("not a protocol buffer")

// field is one field: bytes of kindBytes are its value, a number of kindVarint is too.
type field struct {
	number int
	kind   int
	value  message
	varint uint64
}

// next takes the next field off; false means the end, or an error.
func (m *message) next(err *error) (f field, ok bool) {
	if *m == "" || *err != nil {
		return field{}, false
	}
	tag, ok := m.varint()
	if f.number, f.kind = int(tag>>3), int(tag&7); !ok || tag>>3 == 0 || tag>>3 >= 1<<29 {
		*err = errWire
		return field{}, false
	}
	size := uint64(0)
	switch f.kind {
	case kindVarint:
		f.varint, ok = m.varint()
	case kindBytes:
		size, ok = m.varint()
	case kind64:
		size = 8
	case kind32:
		size = 4
	default:
		ok = false
	}
	if !ok || size > uint64(len(*m)) {
		*err = errWire
		return field{}, false
	}
	f.value, *m = (*m)[:size], (*m)[size:]
	return f, true
}

// varint takes off a number: seven bits a byte, the lowest first, at most 64.
func (m *message) varint() (n uint64, ok bool) {
	for i := range min(len(*m), 10) {
		c := (*m)[i]
		if i == 9 && c > 1 {
			return 0, false
		}
		n |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			*m = (*m)[i+1:]
			return n, true
		}
	}
	return 0, false
}

// is reports whether the field is the one of a number that holds bytes. A field of another kind
// is one that the reader does not know, as for every reader of protocol buffers.
func (f *field) is(number int) bool { return f.number == number && f.kind == kindBytes }
