package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
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

	like    []*Section // those that may come yet
	made    Object
	cut     cutter
	from    int // of the section in the making, in the window
	forced  bool
	names   []byte // of its members
	members []extent
	small   compressor
}

// extent is where a member's name ends in names, and where its value is, from the section's start.
type extent struct{ name, value, end int }

// readDensely reads the text of an Object, of a length, as NewObjectLike reads one that is in memory. bad is
// what is wrong with the text, err that it cannot be read; h has seen the whole text unless err is set.
func readDensely(r io.Reader, size int64, h hash.Hash, like *Object) (o *Object, bad, err error) {
	return readDenselyIn(windowSize, r, size, h, like)
}

func readDenselyIn(window int64, r io.Reader, size int64, h hash.Hash, like *Object) (o *Object, bad, err error) {
	d := &densely{r: r, left: size, hash: h, like: like.Sections()}
	for _, s := range d.like {
		if s.dense != nil {
			d.small.dict = s.dense.dict
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
	return &d.made, nil, nil
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
	room := d.data[end:min(int64(cap(d.data)), int64(end)+d.left)]
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
		s, err := d.section(last, first)
		if err != nil {
			return err
		}
		if s != nil {
			last = append(last[:0], s.name(s.count()-1)...)
			continue
		}
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
		key, value, err := d.scanner.member(0, last, first)
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
			d.members = append(d.members, extent{len(d.names), value - d.from, d.at - d.from})
			return append(last[:0], key...), nil
		}
		if d.left == 0 {
			return nil, err
		}
		// It may be that the member does not end in the window: try again with twice as much.
		d.at = start
		read = max(2*read, cap(d.data)/2, len(d.data)-d.at+1)
		if err := d.see(read); err != nil {
			return nil, err
		}
	}
}

// end ends the section in the making, whose text ends here; the next one begins here.
func (d *densely) end(at int) error {
	defer func() { d.from, d.names, d.members = at, d.names[:0], d.members[:0] }()
	if len(d.members) == 0 {
		return nil
	}
	text := d.data[d.from:at]
	if d.small.dict == nil {
		d.small.dict = newDict(text)
	}
	for _, m := range d.members {
		if err := d.small.add(m.name, text[m.value:m.end]); err != nil {
			return err
		}
	}
	d.made.add(d.small.section(text, string(d.names), d.forced))
	return nil
}

// section takes a whole section of like if the next members are those, after the end of the one in the
// making; else it takes nothing.
func (d *densely) section(last []byte, first bool) (*Section, error) {
	if len(d.like) == 0 {
		return nil, nil
	}
	start := d.at
	name, err := d.text()
	d.at = start
	if err != nil || !first && bytes.Compare(last, name) >= 0 {
		return nil, nil // one says what is wrong, or sees more
	}
	for len(d.like) > 0 && strings.Compare(d.like[0].name(0), string(name)) < 0 {
		d.like = d.like[1:]
	}
	if len(d.like) == 0 || d.like[0].name(0) != string(name) {
		return nil, nil
	}
	s := d.like[0]
	// Its text begins with a brace or a comma, and what follows must end its last value.
	n := s.length() - 1
	if err := d.see(n + 1); err != nil {
		return nil, err
	}
	if s.begins() != first || len(d.data) <= d.at+n || d.data[d.at+n] != ',' && d.data[d.at+n] != '}' || !s.is(d.data[d.at:d.at+n]) {
		return nil, nil
	}
	if err := d.end(d.at - 1); err != nil {
		return nil, err
	}
	d.like = d.like[1:]
	d.made.add(s)
	d.at += n
	d.from = d.at
	d.cut = cutter{}
	return s, nil
}

// is says whether a text is the section's, but for its first byte.
func (s *Section) is(text []byte) bool {
	if s.dense != nil {
		return s.dense.size == len(text)+1 && s.dense.sum == sha256.Sum256(text)
	}
	return bytes.Equal(s.plain[1:], text)
}
