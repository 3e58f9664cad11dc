package bundle

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// maxDepth is how deep JSON in a bundle may nest.
const maxDepth = 1000

// CanonicalJSON encodes v as bundles need it: exactly as Go's encoding/json writes maps (keys
// sorted, no white space), HTML escaping off, no final newline. The fields of structs are sorted
// too, text that is not UTF-8 becomes U+FFFD, and numbers stay as they are written. Because of
// this form, OPA's hash of the JSON is the SHA-256 of its bytes. Errors: what encoding/json
// cannot encode, and nesting deeper than 1,000.
func CanonicalJSON(v any) ([]byte, error) {
	data, err := marshal(v)
	if err != nil {
		return nil, err
	}
	if CheckCanonical(data) == nil {
		return data, nil
	}
	// Decoded into maps and encoded again, fields are sorted and escapes normal.
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if data, err = marshal(tree); err != nil {
		return nil, err
	}
	if err := CheckCanonical(data); err != nil {
		return nil, err
	}
	return data, nil
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// CheckCanonical says whether data is a JSON value exactly as CanonicalJSON makes it. The error
// names the first byte that is not. It reads data once, without decoding it.
func CheckCanonical(data []byte) error {
	s := scanner{data: data}
	return s.over(s.value(0))
}

// over is the outcome of a check that must have come to the end.
func (s *scanner) over(err error) error {
	if err == nil && s.at != len(s.data) {
		err = errors.New("something after the value")
	}
	if err != nil {
		return fmt.Errorf("not canonical JSON: byte %d: %w", s.at, err)
	}
	return nil
}

// scanner checks canonical JSON from at on.
type scanner struct {
	data []byte
	at   int
}

// peek is the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.data) {
		return s.data[s.at]
	}
	return 0
}

func (s *scanner) word(w string) error {
	if !bytes.HasPrefix(s.data[s.at:], []byte(w)) {
		return errors.New("not a value")
	}
	s.at += len(w)
	return nil
}

func (s *scanner) value(depth int) error {
	if depth > maxDepth {
		return errors.New("nested too deeply")
	}
	switch c := s.peek(); {
	case c == '{':
		return s.object(depth)
	case c == '[':
		return s.array(depth)
	case c == '"':
		_, err := s.text()
		return err
	case c == 't':
		return s.word("true")
	case c == 'f':
		return s.word("false")
	case c == 'n':
		return s.word("null")
	case c == '-' || '0' <= c && c <= '9':
		return s.number()
	}
	return errors.New("not a value")
}

// closed says whether the container that ends with end is over; first is false after a value.
func (s *scanner) closed(end byte, first bool) (bool, error) {
	switch c := s.peek(); {
	case c == end:
		s.at++
		return true, nil
	case first:
		return false, nil
	case c == ',':
		s.at++
		return false, nil
	}
	return false, errors.New("want a comma or the end")
}

func (s *scanner) array(depth int) error {
	s.at++
	for first := true; ; first = false {
		if done, err := s.closed(']', first); done || err != nil {
			return err
		}
		if err := s.value(depth + 1); err != nil {
			return err
		}
	}
}

func (s *scanner) object(depth int) error { return s.members(depth, nil) }

// members checks an object and tells found, if it is not nil, of each member: its name, where its text
// starts, and where its value. The text ends where the scanner is.
func (s *scanner) members(depth int, found func(name []byte, start, value int)) error {
	s.at++
	var last []byte
	for first := true; ; first = false {
		if done, err := s.closed('}', first); done || err != nil {
			return err
		}
		start := s.at
		key, value, err := s.member(depth, last, first)
		if err != nil {
			return err
		}
		last = key
		if found != nil {
			found(key, start, value)
		}
	}
}

// member checks a member after last and says its name and where its value starts.
func (s *scanner) member(depth int, last []byte, first bool) (key []byte, value int, err error) {
	start := s.at
	if key, err = s.text(); err != nil {
		return nil, 0, err
	}
	if !first && bytes.Compare(last, key) >= 0 {
		s.at = start
		return nil, 0, errors.New("key is not after the one before")
	}
	if s.peek() != ':' {
		return nil, 0, errors.New("want a colon")
	}
	s.at++
	value = s.at
	return key, value, s.value(depth + 1)
}

// number checks a number (RFC 8259 section 6); there is more than one way to write it, and each
// keeps its own.
func (s *scanner) number() error {
	if s.peek() == '-' {
		s.at++
	}
	if s.peek() == '0' {
		s.at++
	} else if s.digits() == 0 {
		return errors.New("not a number")
	}
	if s.peek() == '.' {
		s.at++
		if s.digits() == 0 {
			return errors.New("not a number")
		}
	}
	if c := s.peek(); c == 'e' || c == 'E' {
		s.at++
		if c := s.peek(); c == '+' || c == '-' {
			s.at++
		}
		if s.digits() == 0 {
			return errors.New("not a number")
		}
	}
	return nil
}

func (s *scanner) digits() int {
	data, i := s.data, s.at
	for i < len(data) && '0' <= data[i] && data[i] <= '9' {
		i++
	}
	n := i - s.at
	s.at = i
	return n
}

// plain are the bytes that stand for themselves in a string.
var plain = func() (t [256]bool) {
	for c := 0x20; c < utf8.RuneSelf; c++ {
		t[c] = c != '"' && c != '\\'
	}
	return t
}()

// text checks a string and returns what it stands for.
func (s *scanner) text() ([]byte, error) {
	if s.peek() != '"' {
		return nil, errors.New("want a string")
	}
	s.at++
	start := s.at
	var decoded []byte // once there was an escape
	from := s.at       // of what decoded lacks
	for {
		data, i := s.data, s.at // in registers
		for i < len(data) && plain[data[i]] {
			i++
		}
		s.at = i
		switch c := s.peek(); {
		case c == '"':
			end := s.at
			s.at++
			if decoded == nil {
				return s.data[start:end], nil
			}
			return append(decoded, s.data[from:end]...), nil
		case c == '\\':
			decoded = append(decoded, s.data[from:s.at]...)
			r, n := escape(s.data[s.at:])
			if n == 0 {
				return nil, errors.New("escaped in another way")
			}
			decoded = utf8.AppendRune(decoded, r)
			s.at += n
			from = s.at
		case c < utf8.RuneSelf:
			return nil, errors.New("control character or end in a string")
		default:
			r, n := utf8.DecodeRune(s.data[s.at:])
			if r == utf8.RuneError && n == 1 {
				return nil, errors.New("not UTF-8")
			}
			if r == '\u2028' || r == '\u2029' {
				return nil, errors.New("line separator is not escaped")
			}
			s.at += n
		}
	}
}

// escape decodes the escape that data begins with; its length is 0 unless encoding/json writes it.
func escape(data []byte) (r rune, n int) {
	if len(data) < 2 {
		return 0, 0
	}
	if i := strings.IndexByte(`"\bfnrt`, data[1]); i >= 0 {
		return rune("\"\\\b\f\n\r\t"[i]), 2
	}
	if len(data) < 6 || data[1] != 'u' {
		return 0, 0
	}
	for _, c := range data[2:6] {
		i := strings.IndexByte("0123456789abcdef", c)
		if i < 0 {
			return 0, 0
		}
		r = r<<4 | rune(i)
	}
	switch {
	case r == '\u2028' || r == '\u2029':
		return r, 6
	case r < 0x20 && !strings.ContainsRune("\b\f\n\r\t", r):
		return r, 6
	}
	return 0, 0
}
