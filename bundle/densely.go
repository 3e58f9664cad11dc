package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"hash"
	"io"
)

// windowSize is how much of an object's text is in memory at least while it is read densely.
const windowSize = 1 << 20

// densely reads an Object from a stream into dense sections. Of the text it holds a section at a time.
type densely struct {
	scanner // over a window of the text
	r       io.Reader
	left    int64     // of the text, not read yet
	hash    hash.Hash // of what was read
	base    int64     // where the window begins in the text

	like    []*Section // those whose members may come yet
	next    int        // of the first of them
	plain   []byte     // a value of like, decompressed
	made    Object
	cut     cutter
	from    int // of the section in the making, in the window
	forced  bool
	names   []byte // of its members
	members []extent
	small   compressor
}

// extent is where a member's name ends in names, and where its value is, from the section's start; and
// its place in like, where it was the same.
type extent struct {
	name, value, end int
	was              Place
}

// readDensely reads the text of an Object, of a length, as NewObjectLike reads one that is in memory. bad is
// what is wrong with the text, err that it cannot be read; h has seen the whole text unless err is set.
func readDensely(r io.Reader, size int64, h hash.Hash, like *Object) (o *Object, bad, err error) {
	return readDenselyIn(windowSize, r, size, h, like)
}

func readDenselyIn(window int64, r io.Reader, size int64, h hash.Hash, like *Object) (o *Object, bad, err error) {
	d := &densely{r: r, left: size, hash: h, like: like.Sections()}
	for _, s := range d.like {
		if s.dense != nil {
			d.small.dict, d.small.sum = s.dense.dict, s.sums.Load() != nil
			break
		}
	}
	d.data = make([]byte, 0, min(window, size))
	err = d.object()
	if unread := (*readingError)(nil); errors.As(err, &unread) {
		return nil, nil, unread.err
	}
	if err == nil && (d.left > 0 || d.at < len(d.data)) {
		err = errors.New("something after the value")
	}
	if err != nil {
		bad = fmt.Errorf("not canonical JSON: byte %d: %w", d.base+int64(d.at), err)
		_, err = io.CopyN(h, r, d.left) // the text may still be what was signed
		return nil, bad, err
	}
	made := d.made // a copy, which keeps nothing of what it was read with
	return &made, nil, nil
}

// readingError is the failure of the reader.
type readingError struct{ err error }

func (e *readingError) Error() string { return e.err.Error() }

// more reads more of the text into the window, from which it drops what is done with. It returns
// false when there is no more.
func (d *densely) more() (bool, error) {
	if d.left == 0 {
		return false, nil
	}
	if d.from > 0 {
		d.data = d.data[:copy(d.data, d.data[d.from:])]
		d.at -= d.from
		d.base += int64(d.from)
		d.from = 0
	}
	if len(d.data) > cap(d.data)/2 {
		d.data = append(make([]byte, 0, 2*cap(d.data)), d.data...)
	}
	end := len(d.data)
	room := d.data[end:min(int64(cap(d.data)), int64(end)+min(d.left, sectionSize))] // no more at a time than a section
	if _, err := io.ReadFull(d.r, room); err != nil {
		return false, &readingError{err}
	}
	d.hash.Write(room)
	d.left -= int64(len(room))
	d.data = d.data[:end+len(room)]
	return true, nil
}

// see makes so many bytes from at on be in the window, or all there are.
func (d *densely) see(n int) error {
	for len(d.data)-d.at < n {
		if ok, err := d.more(); !ok {
			return err
		}
	}
	return nil
}

func (d *densely) object() error {
	if err := d.see(1); err != nil {
		return err
	}
	if d.peek() != '{' {
		return errors.New("not a JSON object")
	}
	d.at++
	var last []byte
	for first := true; ; first = false {
		if err := d.see(1); err != nil {
			return err
		}
		if done, err := d.closed('}', first); done || err != nil {
			if done {
				err = d.end(d.at - 1)
			}
			return err
		}
		var err error
		if last, err = d.one(last, first); err != nil {
			return err
		}
	}
}

// one reads a member, and ends the section before it where one ends.
func (d *densely) one(last []byte, first bool) ([]byte, error) {
	read := 0
	for {
		start := d.at
		key, value, was := d.known(last, first)
		var err error
		if was.section == nil {
			key, value, err = d.scanner.member(0, last, first)
		}
		if err == nil && d.at < len(d.data) || d.left == 0 && err == nil {
			length := d.at - start + 1
			begins, full := d.cut.member(string(key), length)
			if begins {
				if err := d.end(start - 1); err != nil {
					return nil, err
				}
				d.forced = full
			}
			d.names = append(d.names, key...)
			d.members = append(d.members, extent{len(d.names), value - d.from, d.at - d.from, was})
			return append(last[:0], key...), nil
		}
		if d.left == 0 {
			return nil, err
		}
		// It may be that the member does not end in the window: try again with twice as much.
		d.at = start
		read = max(2*read, len(d.data)-d.at+1)
		if err := d.see(read); err != nil {
			return nil, err
		}
	}
}

// known takes the next member if like has it, which is compared and not checked again; else it takes
// nothing.
func (d *densely) known(last []byte, first bool) (key []byte, value int, was Place) {
	start := d.at
	defer func() {
		if was.section == nil {
			d.at = start
		}
	}()
	if len(d.like) == 0 {
		return nil, 0, was
	}
	key, err := d.text()
	if err != nil || d.peek() != ':' || !first && bytes.Compare(last, key) >= 0 {
		return nil, 0, was // the scanner says what is wrong, or sees more
	}
	for len(d.like) > 0 && d.like[0].name(d.next) < string(key) {
		if d.next++; d.next == d.like[0].count() {
			d.like, d.next = d.like[1:], 0
		}
	}
	if len(d.like) == 0 || d.like[0].name(d.next) != string(key) {
		return nil, 0, was
	}
	s := d.like[0]
	var before []byte
	if s.dense != nil {
		d.plain = s.dense.unpack(d.plain, d.next)
		before = d.plain
	} else {
		before = s.members[d.next].Value
	}
	value = d.at + 1
	end := value + len(before)
	// What follows must end it: 12 begins with 1.
	if len(before) == 0 || end >= len(d.data) || d.data[end] != ',' && d.data[end] != '}' || !bytes.Equal(d.data[value:end], before) {
		return nil, 0, was
	}
	d.at = end
	return key, value, Place{s, d.next}
}

// end ends the section in the making, whose text ends here; the next one begins here.
func (d *densely) end(at int) error {
	defer func() { d.from, d.names, d.members = at, d.names[:0], d.members[:0] }()
	if len(d.members) == 0 {
		return nil
	}
	text := d.data[d.from:at]
	if s := d.same(text[0] == '{'); s != nil {
		d.made.add(s)
		return nil
	}
	if d.small.dict == nil {
		d.small.dict = newDict(text)
	}
	for _, m := range d.members {
		if err := d.small.add(m.name, text[m.value:m.end], m.was); err != nil {
			return err
		}
	}
	d.made.add(d.small.section(len(text), string(d.names), text[0] == '{', d.forced))
	return nil
}

// same is the section of like that the one in the making is the same as, or nil.
func (d *densely) same(first bool) *Section {
	s := d.members[0].was.section
	if s == nil || s.count() != len(d.members) || s.begins() != first || s.forced != d.forced {
		return nil
	}
	for i, m := range d.members {
		if m.was != (Place{s, i}) {
			return nil
		}
	}
	return s
}
