package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/sync/durable"
)

// errChanged means that a file is not any more what was edited.
var errChanged = errors.New("it has changed meanwhile, and nothing is written: do it again")

// lockEvery is how often it is looked whether somebody else is done.
const lockEvery = 20 * time.Millisecond

// lock waits until nobody else edits the directory in this way. File systems that know no locks have
// none.
func (d Dir) lock(ctx context.Context) (unlock func(), err error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil || !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return func() { _ = f.Close() }, nil
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(lockEvery):
		}
	}
}

// replace writes a file aside and renames it, so that a reader finds the old one or the new one. It
// keeps owner and mode, and fails when the file does not hold the old text any more.
func replace(path string, old, text []byte, info fs.FileInfo) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".pullgate-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	defer f.Close()
	_, err = f.Write(text)
	if err = errors.Join(err, keepOwner(f, info), f.Chmod(info.Mode().Perm()), durable.Flush(f)); err != nil {
		return err
	}
	if now, err := os.ReadFile(path); err != nil {
		return err
	} else if !bytes.Equal(now, old) {
		return fmt.Errorf("%s: %w", path, errChanged)
	}
	return durable.Move(f, path)
}

// keepOwner gives a file the owner and group of another: who reads that must be able to read this.
func keepOwner(f *os.File, of fs.FileInfo) error {
	own, err := f.Stat()
	if err != nil {
		return err
	}
	is, ok := own.Sys().(*syscall.Stat_t)
	want, ok2 := of.Sys().(*syscall.Stat_t)
	if !ok || !ok2 || is.Uid == want.Uid && is.Gid == want.Gid {
		return nil
	}
	if err := f.Chown(int(want.Uid), int(want.Gid)); err != nil {
		return fmt.Errorf("the file belongs to user %d and group %d, who may not be able to read it any more: run it as that user: %w", want.Uid, want.Gid, err)
	}
	return nil
}
