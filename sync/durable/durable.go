// Package durable puts files in place so that a machine that stops, at any moment, leaves the old one
// or the new one whole, and never the old one again once a function here has returned nil.
//
// Libraries that replace files (google/renameio, natefinch/atomic) leave out the directory: what they have
// put in place may be gone.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace makes data the content of the file at path. What it writes to meanwhile is .new-BASE beside
// it, which a process that is killed leaves behind: two may not replace one file at the same time.
// After an error the file is as it was, or it is the new one, which may not last.
func Replace(path string, data []byte, mode fs.FileMode) error {
	return replace(system{}, path, data, mode)
}

// Flush makes a file last that was made by this process: its bytes, and its name.
func Flush(f *os.File) error { return flush(system{}, f) }

// Move makes a file that was written beside another, and is still open, take its place. It may be called
// again after an error.
func Move(f *os.File, path string) error { return move(system{}, f, path) }

// disk is what the functions above ask of the system.
type disk interface {
	create(path string) (*os.File, error) // or empties it
	sync(f *os.File) error                // its bytes
	rename(old, path string) error
	syncDir(dir string) error // names in it
}

func replace(d disk, path string, data []byte, mode fs.FileMode) error {
	f, err := d.create(filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path)))
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = move(d, f, path)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = os.Remove(f.Name()) // it takes room on a full disk
	}
	return err
}

func flush(d disk, f *os.File) error {
	return errors.Join(d.sync(f), d.syncDir(filepath.Dir(f.Name())))
}

func move(d disk, f *os.File, path string) error {
	if err := d.sync(f); err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Lstat(path); err != nil || !os.SameFile(mine, there) {
		if err := d.rename(f.Name(), path); err != nil {
			return err
		}
	}
	return d.syncDir(filepath.Dir(path))
}

type system struct{}

func (system) create(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
}
func (system) sync(f *os.File) error         { return f.Sync() }
func (system) rename(old, path string) error { return os.Rename(old, path) }

func (system) syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
