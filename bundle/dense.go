package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"

	"github.com/klauspost/compress/s2"
)

// dense are the members of a Section compressed one by one, so that one is read without the others:
// documents of customers differ in a few words, and take a tenth of their text. It is immutable.
type dense struct {
	dict  *s2.Dict // what values are compressed against
	names string   // of all members, one after the other
	ends  []uint32 // of the first member's name in names and value in data, of the second's …
	data  []byte   // compressed values
	size  int      // of the text
	sum   [sha256.Size]byte
	first bool // the text begins with a brace
}

// dictSize is how much of an object's text values are compressed against: some customers. What is to
// be found there need not be said again.
const dictSize = 24 << 10

// newDict makes a dictionary of the beginning of a text.
func newDict(text []byte) *s2.Dict {
	if len(text) < s2.MinDictSize {
		text = append(bytes.Clone(text), make([]byte, s2.MinDictSize)...)
	}
	return s2.MakeDict(bytes.Clone(text[:min(len(text), dictSize)]), nil)
}

// compressor makes sections dense.
type compressor struct {
	dict *s2.Dict
	data []byte // of the section in the making
	ends []uint32
	one  []byte // a value compressed
	back []byte // and decompressed again
}

var errNotTheSame = errors.New("a compressed value is not what it was")

func (c *compressor) add(nameEnd int, value []byte) error {
	c.one = c.dict.Encode(c.one[:cap(c.one)], value)
	var err error
	if c.back, err = c.dict.Decode(c.back[:cap(c.back)], c.one); err != nil || !bytes.Equal(c.back, value) {
		return errNotTheSame
	}
	c.data = append(c.data, c.one...)
	c.ends = append(c.ends, uint32(nameEnd), uint32(len(c.data)))
	return nil
}

// section ends the section in the making, whose text this is.
func (c *compressor) section(text []byte, names string, forced bool) *Section {
	d := &dense{
		dict: c.dict, names: names, ends: append([]uint32(nil), c.ends...), data: bytes.Clone(c.data),
		size: len(text), sum: sha256.Sum256(text[1:]), first: text[0] == '{',
	}
	c.data, c.ends = c.data[:0], c.ends[:0]
	return &Section{dense: d, forced: forced}
}

// bounds are where something of member i begins and ends; which is 0 for its name and 1 for its value.
func (d *dense) bounds(i, which int) (from, to uint32) {
	if i > 0 {
		from = d.ends[2*i-2+which]
	}
	return from, d.ends[2*i+which]
}

func (d *dense) name(i int) string {
	from, to := d.bounds(i, 0)
	return d.names[from:to]
}

// value decompresses a value. It is nil where that fails, which add has made sure of that it does not.
func (d *dense) value(i int) []byte {
	from, to := d.bounds(i, 1)
	n, _ := binary.Uvarint(d.data[from:to])
	v, err := d.dict.Decode(make([]byte, 0, n), d.data[from:to])
	if err != nil {
		return nil
	}
	return v[:len(v):len(v)]
}

func (d *dense) members() []Member {
	out := make([]Member, len(d.ends)/2)
	for i := range out {
		out[i] = Member{Name: d.name(i), Value: d.value(i)}
	}
	return out
}

// text puts the text together.
func (d *dense) text() []byte {
	out := make([]byte, 0, d.size)
	for i := range len(d.ends) / 2 {
		if i == 0 && d.first {
			out = append(out, '{')
		} else {
			out = append(out, ',')
		}
		out = append(append(append(out, quoted(d.name(i))...), ':'), d.value(i)...)
	}
	return out
}
