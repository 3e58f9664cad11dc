package redisstore

import (
	"encoding/binary"
	"errors"

	"github.com/pullgate/pullgate/authz"
)

// entryFormat is the first byte of an encoded entry. It changes with what follows: an older
// program takes a newer entry for none.
const entryFormat = 1

const allowed = 1 // flag

var errEntry = errors.New("not an entry of this format")

// appendEntry appends the encoding of an entry:
//
//	format, flags                        a byte each
//	From, Until, verdict's Until, Ends, ExpiringFrom   varints, each but the first as its difference to From
//	code, license, grant, message, enforcement         length and text
//	warnings, headers                    number + 1 or 0 for nil, then their texts
//	visible                              number + 1 or 0 for nil, then each as its difference to the one before
func appendEntry(b []byte, e *authz.Entry) []byte {
	v := &e.Verdict
	flags := byte(0)
	if v.Allow {
		flags |= allowed
	}
	b = append(b, entryFormat, flags)
	b = binary.AppendVarint(b, e.From)
	for _, t := range [...]int64{e.Until, v.Until, v.Ends, v.ExpiringFrom} {
		b = binary.AppendVarint(b, t-e.From) // which may wrap around, and does so back
	}
	for _, s := range [...]string{string(v.Code), v.License, v.Grant, v.Message, v.Enforcement} {
		b = appendText(b, s)
	}
	b = appendCount(b, len(v.Warnings), v.Warnings == nil)
	for i := range v.Warnings {
		b = appendText(appendText(b, v.Warnings[i].Code), v.Warnings[i].Message)
	}
	b = appendCount(b, len(v.Headers), v.Headers == nil)
	for i := range v.Headers {
		h := &v.Headers[i]
		b = appendText(appendText(appendText(b, h.Name), h.Value), h.To)
	}
	b = appendCount(b, len(e.Visible), e.Visible == nil)
	last := 0
	for _, i := range e.Visible {
		b = binary.AppendVarint(b, int64(i-last))
		last = i
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendCount(b []byte, n int, none bool) []byte {
	if none {
		return binary.AppendUvarint(b, 0)
	}
	return binary.AppendUvarint(b, uint64(n)+1)
}

// parseEntry is the entry that appendEntry has encoded. The error is errEntry, also of what follows it.
func parseEntry(b []byte) (authz.Entry, error) {
	var e authz.Entry
	if len(b) < 2 || b[0] != entryFormat || b[1]&^allowed != 0 {
		return authz.Entry{}, errEntry
	}
	v := &e.Verdict
	v.Allow = b[1]&allowed != 0
	r := reader{left: string(b[2:])} // of which all texts are parts
	e.From = r.varint()
	for _, t := range [...]*int64{&e.Until, &v.Until, &v.Ends, &v.ExpiringFrom} {
		*t = r.varint() + e.From
	}
	v.Code = authz.Code(r.text())
	for _, s := range [...]*string{&v.License, &v.Grant, &v.Message, &v.Enforcement} {
		*s = r.text()
	}
	if n, ok := r.count(2); ok {
		v.Warnings = make([]authz.Warning, n)
		for i := range v.Warnings {
			v.Warnings[i] = authz.Warning{Code: r.text(), Message: r.text()}
		}
	}
	if n, ok := r.count(3); ok {
		v.Headers = make([]authz.Header, n)
		for i := range v.Headers {
			v.Headers[i] = authz.Header{Name: r.text(), Value: r.text(), To: r.text()}
		}
	}
	if n, ok := r.count(1); ok {
		e.Visible = make([]int, n)
		last := 0
		for i := range e.Visible {
			last += int(r.varint())
			e.Visible[i] = last
		}
	}
	if r.bad || r.left != "" {
		return authz.Entry{}, errEntry
	}
	return e, nil
}

// reader reads the parts of an entry; after something that is none, only zeros.
type reader struct {
	left string
	bad  bool
}

func (r *reader) fail() { r.left, r.bad = "", true }

func (r *reader) uvarint() uint64 {
	var x uint64
	for i := range min(len(r.left), binary.MaxVarintLen64) {
		c := r.left[i]
		if i == binary.MaxVarintLen64-1 && c > 1 {
			break
		}
		x |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			r.left = r.left[i+1:]
			return x
		}
	}
	r.fail()
	return 0
}

func (r *reader) varint() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

func (r *reader) text() string {
	n := r.uvarint()
	if n > uint64(len(r.left)) {
		r.fail()
		return ""
	}
	s := r.left[:n]
	r.left = r.left[n:]
	return s
}

// count is the length of a list whose items take so many bytes at least, false when there is no list.
func (r *reader) count(least uint64) (int, bool) {
	n := r.uvarint()
	if n == 0 {
		return 0, false
	}
	if n--; n > uint64(len(r.left))/least {
		r.fail()
		return 0, false
	}
	return int(n), true
}
