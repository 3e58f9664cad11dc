package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/authz"
)

const (
	// flushBytes is how much of pending is written at once, and as soon as there is that much.
	flushBytes = 64 << 10
	// maxPending bounds what is kept in memory while the disk refuses to take anything.
	maxPending = 1 << 20
	// complainEvery bounds how often a failing disk is logged.
	complainEvery = time.Minute
)

// A file is what a writer needs of *os.File.
type file interface {
	io.WriteCloser
	Truncate(size int64) error
	Sync() error
	Stat() (fs.FileInfo, error)
}

// An opener opens a file for appending; create says that it must not exist yet.
type opener func(name string, create bool) (file, error)

func openFile(name string, create bool) (file, error) {
	flags := os.O_WRONLY | os.O_APPEND
	if create {
		flags |= os.O_CREATE | os.O_EXCL
	}
	f, err := os.OpenFile(name, flags, 0o600)
	if err != nil || !create {
		return f, err
	}
	// The name of a new file is in the directory, which is synced for itself.
	dir, err := os.Open(filepath.Dir(name))
	if err == nil {
		err = errors.Join(dir.Sync(), dir.Close())
	}
	if err != nil && !errors.Is(err, syscall.EINVAL) { // which says that this file system has no such thing
		return nil, errors.Join(err, f.Close(), os.Remove(name))
	}
	return f, nil
}

// A writer appends whole lines to the newest file. One goroutine uses it.
type writer struct {
	log  *Log
	open opener

	file file // nil before the first record, and after an error that left it in doubt
	name string
	size int64     // bytes of whole lines in file
	last time.Time // in the name of the newest file that this writer began

	pending    bytes.Buffer // whole lines
	ends       []int        // where each line of pending ends
	lost       bool         // the disk was full when last asked
	complained time.Time    // of an error
	missed     time.Time    // when it was last said that the file was gone
	lastErr    error
}

// resume goes on with the newest file if it has room, else with a new one. A line without
// its end, which a crash left behind, is cut off.
func (w *writer) resume() error {
	segments, err := list(w.log.cfg.Dir)
	if err != nil {
		return err
	}
	if len(segments) > 0 {
		if err := w.reopen(segments[len(segments)-1]); err != nil {
			return err
		}
	}
	if w.file == nil {
		if err := w.rotate(); errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			w.fail(err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) reopen(last segment) error {
	path := filepath.Join(w.log.cfg.Dir, last.name)
	whole, err := wholeLines(path)
	if err != nil {
		return err
	}
	if whole >= w.log.cfg.MaxFileBytes && whole == last.size {
		return nil
	}
	f, err := w.open(path, false)
	if err != nil {
		return err
	}
	if whole < last.size {
		if err := f.Truncate(whole); err != nil {
			return errors.Join(fmt.Errorf("audit: cut the unfinished last line of %s: %w", path, err), f.Close())
		}
		w.log.cfg.Logger.Warn("audit: the last line was unfinished, as after a crash, and was cut off", "file", path, "bytes", last.size-whole)
	}
	w.file, w.name, w.size = f, last.name, whole
	return nil
}

// wholeLines returns the length of a file up to its last line's end.
func wholeLines(path string) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	buf := make([]byte, 32<<10)
	for end > 0 {
		n := min(int64(len(buf)), end)
		if _, err := f.ReadAt(buf[:n], end-n); err == io.EOF { // the writer has cut something off: begin again
			if end, err = f.Seek(0, io.SeekEnd); err != nil {
				return 0, err
			}
			continue
		} else if err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			return end - n + int64(i) + 1, nil
		}
		end -= n
	}
	return 0, nil
}

// add encodes a record and writes when enough is pending.
func (w *writer) add(r *authz.Record) {
	if w.pending.Len() >= maxPending {
		w.log.droppedDisk.Add(1)
		return
	}
	line, err := appendRecord(w.pending.AvailableBuffer(), r)
	if err != nil { // a time outside years 0–9999
		w.log.droppedDisk.Add(1)
		w.complain(fmt.Errorf("encode record %s: %w", r.ID, err))
		return
	}
	w.pending.Write(line)
	w.ends = append(w.ends, w.pending.Len())
	if w.pending.Len() >= flushBytes && !w.lost {
		w.flush()
	}
}

// flush writes what is pending, piece by piece and in as many files as it takes. It returns
// false when something is left because the disk did not take it.
func (w *writer) flush() bool {
	w.checkThere()
	for len(w.ends) > 0 || w.lost && w.file == nil {
		if w.file == nil || w.size > 0 && w.size+int64(w.ends[0]) > w.log.cfg.MaxFileBytes {
			if err := w.begin(); err != nil {
				w.fail(err)
				return false
			}
			continue
		}
		lines := 1
		for lines < len(w.ends) && w.ends[lines] <= flushBytes && w.size+int64(w.ends[lines]) <= w.log.cfg.MaxFileBytes {
			lines++
		}
		if err := w.write(lines); err != nil {
			w.fail(err)
			return false
		}
	}
	if w.lost {
		w.lost, w.lastErr = false, nil
		w.log.trouble.end()
		w.log.cfg.Logger.Info("audit: records are written again", "file", w.name)
	}
	return true
}

// checkThere gives the file up when its name no longer leads to it, because somebody removed
// it, perhaps to make room, or moved the directory: nobody would find what is written to it.
func (w *writer) checkThere() {
	if w.file == nil || len(w.ends) == 0 {
		return
	}
	path := filepath.Join(w.log.cfg.Dir, w.name)
	there, err := os.Stat(path)
	if err == nil {
		if own, err := w.file.Stat(); err != nil || os.SameFile(there, own) {
			return
		}
	} else if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return
	}
	_ = w.file.Close()
	w.file = nil
	w.log.writeErrors.Add(1)
	if now := w.log.cfg.Clock(); w.missed.IsZero() || now.Sub(w.missed) >= complainEvery {
		w.missed = now
		w.log.cfg.Logger.Error("audit: the file that records were written to is gone; a new one is begun", "file", path)
	}
}

// write appends the first lines of pending and forgets those that are in the file, also when
// there was no room for all. What was written of one more line is cut off again, or else the
// file is given up, and readers skip its unfinished end.
func (w *writer) write(lines int) error {
	text := w.pending.Bytes()[:w.ends[lines-1]]
	n, err := w.file.Write(text)
	if err != nil {
		lines = bytes.Count(text[:n], []byte("\n"))
	}
	whole := 0
	if lines > 0 {
		whole = w.ends[lines-1]
		w.size += int64(whole)
		w.wrote(lines)
		w.log.syncer.wrote(w.file)
	}
	if err != nil && n > whole {
		if cut := w.file.Truncate(w.size); cut != nil {
			err = errors.Join(err, cut, w.file.Close())
			w.file = nil
		}
	}
	return err
}

// wrote forgets the first lines of pending.
func (w *writer) wrote(lines int) {
	w.log.written.Add(uint64(lines))
	n := w.ends[lines-1]
	w.pending.Next(n)
	if w.pending.Len() == 0 {
		w.pending.Reset()
	}
	w.ends = append(w.ends[:0], w.ends[lines:]...)
	for i := range w.ends {
		w.ends[i] -= n
	}
}

// begin begins a new file. A directory that is gone is made again.
func (w *writer) begin() error {
	err := w.rotate()
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(w.log.cfg.Dir, 0o700); err != nil {
			return err
		}
		err = w.rotate()
	}
	return err
}

// rotate closes the file, removes the oldest ones and begins a new one.
func (w *writer) rotate() error {
	if w.file != nil {
		err := errors.Join(w.file.Sync(), w.file.Close())
		w.file = nil
		if err != nil {
			return err
		}
	}
	segments, err := list(w.log.cfg.Dir)
	if err != nil {
		return err
	}
	var total int64
	for _, s := range segments {
		total += s.size
	}
	for len(segments) > 0 && total+w.log.cfg.MaxFileBytes > w.log.cfg.MaxTotalBytes {
		oldest := segments[0]
		if err := os.Remove(filepath.Join(w.log.cfg.Dir, oldest.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		w.log.cfg.Logger.Info("audit: removed the oldest decisions to stay within the size set", "file", oldest.name, "bytes", oldest.size)
		total -= oldest.size
		segments = segments[1:]
	}
	begin, last := w.log.cfg.Clock(), w.last
	if len(segments) > 0 {
		if newest := segments[len(segments)-1].begin; newest.After(last) {
			last = newest
		}
	}
	// Names never go back nor come again, whatever the clock does and whoever removed a file.
	if after := last.Add(time.Millisecond); begin.Before(after) {
		begin = after
	}
	name := segmentName(begin)
	f, err := w.open(filepath.Join(w.log.cfg.Dir, name), true)
	if err != nil {
		return err
	}
	w.file, w.name, w.size, w.last = f, name, 0, begin
	return nil
}

// notSynced gives a file up that the disk did not keep: what it says of it afterwards is not to be relied
// on (fsync(2)). What was written to it since the last time may be lost.
func (w *writer) notSynced(failed failedSync) {
	if w.file == failed.file {
		_ = w.file.Close()
		w.file = nil
	}
	w.fail(failed.err)
}

// fail counts and, once a minute, says that the disk did not take records.
func (w *writer) fail(err error) {
	w.lost, w.lastErr = true, err
	w.log.writeErrors.Add(1)
	w.log.trouble.begin(err, w.log.cfg.Clock(), w.log.lost())
	w.complain(err)
}

func (w *writer) complain(err error) {
	now := w.log.cfg.Clock()
	if !w.complained.IsZero() && now.Sub(w.complained) < complainEvery {
		return
	}
	w.complained = now
	w.log.cfg.Logger.Error("audit: records cannot be written; make room or check the directory", "dir", w.log.cfg.Dir,
		"error", err, "waiting", len(w.ends), "dropped", w.log.droppedDisk.Load())
}

// close writes what is left. What the disk does not take is lost.
func (w *writer) close() error {
	w.flush()
	err := w.lastErr
	if n := len(w.ends); n > 0 {
		w.log.droppedDisk.Add(uint64(n))
		err = fmt.Errorf("audit: %d records lost: %w", n, err)
	}
	if w.file == nil {
		return err
	}
	return errors.Join(err, w.file.Sync(), w.file.Close())
}
