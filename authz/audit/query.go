package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// An Order is that of the answer. Records are in the order in which they were written,
// which is that of their times but for requests that were decided at once.
type Order bool

// The orders of Query. NewestFirst reads files from their ends.
const (
	OldestFirst Order = false
	NewestFirst Order = true
)

// Query calls fn with every record in dir that the filter means, until fn returns false.
// Lines that are no record are left out: the unfinished last line of a file, and damage.
// A file that is removed meanwhile, as the oldest ones are, is left out too. The record is
// fn's to keep. Without the directory the error is fs.ErrNotExist.
func Query(dir string, f Filter, order Order, fn func(*authz.Record) bool) error {
	segments, err := list(dir)
	if err != nil {
		return err
	}
	segments = f.prune(segments)
	if order == NewestFirst {
		slices.Reverse(segments)
	}
	sieve := f.sieve()
	for _, s := range segments {
		more := true
		err := eachLine(filepath.Join(dir, s.name), order, func(line []byte) bool {
			if r := f.decode(sieve, line); r != nil {
				more = fn(r)
			}
			return more
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read decisions: %w", err)
		}
		if !more {
			return nil
		}
	}
	return nil
}

// Find returns the record with that id, nil when no file has it.
func Find(dir, id string) (*authz.Record, error) {
	if id == "" {
		return nil, nil
	}
	var found *authz.Record
	one := func(r *authz.Record) bool {
		found = r
		return false
	}
	if at, ok := idTime(id); ok { // nearly always in one of two files
		near := Filter{ID: id, Since: at.Add(-slack), Until: at.Add(slack)}
		if err := Query(dir, near, NewestFirst, one); err != nil || found != nil {
			return found, err
		}
	}
	err := Query(dir, Filter{ID: id}, NewestFirst, one)
	return found, err
}

// prune leaves out segments that cannot have a record of the filter's time. A segment's
// records lie between its own begin and the next one's.
func (f *Filter) prune(all []segment) []segment {
	var some []segment
	for i, s := range all {
		if !f.Until.IsZero() && s.begin.Add(-slack).After(f.Until) {
			continue
		}
		if !f.Since.IsZero() && i+1 < len(all) && all[i+1].begin.Add(slack).Before(f.Since) {
			continue
		}
		some = append(some, s)
	}
	return some
}

// decode returns the record of a line if the filter means it.
func (f *Filter) decode(s sieve, line []byte) *authz.Record {
	if !s.passes(line) {
		return nil
	}
	r := new(authz.Record)
	if json.Unmarshal(line, r) != nil || !f.Match(r) {
		return nil
	}
	return r
}

const chunk = 256 << 10

// eachLine calls fn with every finished line, without its end, until fn returns false.
func eachLine(path string, order Order, fn func([]byte) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if order == NewestFirst {
		return linesBackward(f, fn)
	}
	_, err = linesForward(f, 0, fn)
	return err
}

// linesForward reads from an offset and returns that of the first byte that belongs to no
// finished line.
func linesForward(f io.ReaderAt, at int64, fn func([]byte) bool) (int64, error) {
	buf := make([]byte, chunk)
	var rest []byte // the beginning of a line
	for pos := at; ; {
		n, err := f.ReadAt(buf, pos)
		pos += int64(n)
		data := buf[:n]
		for {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				break
			}
			line := data[:i]
			if len(rest) > 0 {
				rest = append(rest, line...)
				line = rest
			}
			at += int64(len(line)) + 1
			if !fn(line) {
				return at, nil
			}
			rest = rest[:0]
			data = data[i+1:]
		}
		rest = append(rest, data...)
		if err == io.EOF {
			return at, nil
		}
		if err != nil {
			return at, err
		}
	}
}

// linesBackward reads from the last finished line to the first.
func linesBackward(f *os.File, fn func([]byte) bool) error {
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	buf := make([]byte, chunk)
	var rest []byte // the end of a line whose beginning lies further forward
	finished := false
	for end > 0 {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err == io.EOF && !finished {
			// The writer cut off what a full disk took only half of. Begin again.
			if end, err = f.Seek(0, io.SeekEnd); err != nil {
				return err
			}
			rest = nil
			continue
		} else if err != nil {
			return err
		}
		end -= n
		data := buf[:n]
		for {
			i := bytes.LastIndexByte(data, '\n')
			if i < 0 {
				break
			}
			line := data[i+1:]
			if len(rest) > 0 {
				line = slices.Concat(line, rest)
			}
			if finished && !fn(line) {
				return nil
			}
			finished, rest = true, nil
			data = data[:i]
		}
		rest = slices.Concat(data, rest)
	}
	if finished {
		fn(rest)
	}
	return nil
}

// followEvery is how often Follow looks for new records.
const followEvery = 200 * time.Millisecond

// Follow calls fn with records as they are written, oldest first, until fn returns false or
// ctx ends, which is no error. With Since set it begins with the records that are already
// there from then on, otherwise with the next one. It goes on over rotation and waits for a
// directory that does not exist yet.
func Follow(ctx context.Context, dir string, f Filter, fn func(*authz.Record) bool) error {
	read := map[string]int64{} // how far each file has been read
	segments, err := list(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if f.Since.IsZero() {
		for _, s := range segments {
			if read[s.name], err = wholeLines(filepath.Join(dir, s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	sieve := f.sieve()
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		for _, s := range segments {
			if s.size <= read[s.name] {
				continue
			}
			more, err := f.follow(filepath.Join(dir, s.name), read, s.name, sieve, fn)
			if err != nil || !more {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if segments, err = list(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
}

// follow reads on in one file. It returns false when fn has had enough.
func (f *Filter) follow(path string, read map[string]int64, name string, s sieve, fn func(*authz.Record) bool) (bool, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer file.Close()
	more := true
	read[name], err = linesForward(file, read[name], func(line []byte) bool {
		if r := f.decode(s, line); r != nil {
			more = fn(r)
		}
		return more
	})
	return more, err
}
