package upstream

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// maxSecret is the largest password file.
const maxSecret = 4096

// settled is how old a file's modification must be before an unchanged stamp is believed:
// file systems stamp coarsely, so that a second write may leave the first one's time.
const settled = 2 * time.Second

// stamp tells one state of a file from another. The zero stamp is no state.
type stamp struct {
	info fs.FileInfo
	read time.Time
}

// same reports whether the file is certainly the one that was read.
func (s stamp) same(now fs.FileInfo) bool {
	return s.info != nil && os.SameFile(s.info, now) && s.info.Size() == now.Size() && s.info.Mode() == now.Mode() &&
		s.info.ModTime().Equal(now.ModTime()) && s.read.Sub(s.info.ModTime()) > settled
}

// refresh reads the file when it may have changed. Links are followed, so that the symlink
// swap of a mounted secret counts.
func (b *basic) refresh() error {
	info, err := os.Stat(b.file)
	if err != nil {
		return err
	}
	if b.seen.same(info) {
		return nil
	}
	return b.read()
}

// read reads the file whatever its stamp. On error the last good credential stays.
func (b *basic) read() error {
	f, err := os.Open(b.file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is no regular file", b.file)
	case info.Mode().Perm()&0o007 != 0:
		return fmt.Errorf("%s is open to others (mode %04o): run chmod 0600 on it", b.file, info.Mode().Perm())
	case info.Size() > maxSecret:
		return fmt.Errorf("%s has %d bytes, more than %d: it should hold one password", b.file, info.Size(), maxSecret)
	}
	started := b.clock()
	data, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err != nil {
		return err
	}
	if len(data) > maxSecret {
		return fmt.Errorf("%s has more than %d bytes: it should hold one password", b.file, maxSecret)
	}
	if err := b.set(string(data)); err != nil {
		return fmt.Errorf("%s: %w", b.file, err)
	}
	b.seen = stamp{info, started}
	return nil
}
