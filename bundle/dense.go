package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"slices"

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
	first bool     // the text begins with a brace
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
	sum  bool   // with the sums of their values
	data []byte // of the section in the making
	ends []uint32
	sums [][sha256.Size]byte
	one  []byte // a value compressed
	back []byte // and decompressed again
}

var errNotTheSame = errors.New("a compressed value is not what it was")

// add adds a value, which may have been at a place before.
func (c *compressor) add(nameEnd int, value []byte, was Place) error {
	if s := was.section; s != nil && s.dense != nil && s.dense.dict == c.dict {
		c.data = append(c.data, s.dense.packed(was.member)...)
	} else {
		c.one = c.dict.Encode(c.one[:cap(c.one)], value)
		var err error
		if c.back, err = c.dict.Decode(c.back[:cap(c.back)], c.one); err != nil || !bytes.Equal(c.back, value) {
			return errNotTheSame
		}
		c.data = append(c.data, c.one...)
	}
	c.ends = append(c.ends, uint32(nameEnd), uint32(len(c.data)))
	if c.sum {
		c.sums = append(c.sums, sumOf(value, was))
	}
	return nil
}

// sumOf is the SHA-256 of a value, which is known where it was before.
func sumOf(value []byte, was Place) [sha256.Size]byte {
	if was.section != nil {
		if sums := was.section.sums.Load(); sums != nil {
			return (*sums)[was.member]
		}
	}
	return sha256.Sum256(value)
}

// section ends the section in the making, whose text has this size.
func (c *compressor) section(size int, names string, first, forced bool) *Section {
	s := &Section{forced: forced, dense: &dense{
		dict: c.dict, names: names, ends: slices.Clone(c.ends), data: bytes.Clone(c.data), size: size, first: first,
	}}
	if c.sum {
		sums := slices.Clone(c.sums)
		s.sums.Store(&sums)
	}
	c.data, c.ends, c.sums = c.data[:0], c.ends[:0], c.sums[:0]
	return s
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

// packed is a value as it is kept.
func (d *dense) packed(i int) []byte {
	from, to := d.bounds(i, 1)
	return d.data[from:to]
}

// value decompresses a value. It is nil where that fails, which add has made sure of that it does not.
func (d *dense) value(i int) []byte {
	v := d.unpack(nil, i)
	return v[:len(v):len(v)]
}

// unpack is value, in a buffer if that is large enough.
func (d *dense) unpack(buffer []byte, i int) []byte {
	v, err := d.dict.Decode(buffer[:0], d.packed(i))
	if err != nil {
		return nil
	}
	return v
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
