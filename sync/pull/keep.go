package pull

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/durable"
)

// The files of a bundle's directory.
const (
	bundleFile   = "bundle.tar.gz" // the last one that was made active
	incomingFile = "incoming-*.tmp"
	stateFile    = "state"
)

// version is a bundle's serial with the SHA-256 of its file, in hex.
type version struct {
	Serial int64  `json:"serial"`
	Sum    string `json:"sum"`
}

// state is what must outlive the process. It is written before a bundle is made active, so that
// nothing that was ever active can be followed by something older.
type state struct {
	Format  int     `json:"format"`
	Name    string  `json:"name"`
	Highest version `json:"highest"` // taken; nothing below is, from then on
	// Good is a file below Highest that may still be used at a start, because Highest could not be made
	// active. Where Highest was active but the disk has not taken it, there is none: using what
	// came before would take a revocation back.
	Good version `json:"good"`
	// Refreshed is when the publisher last had nothing newer than what was active (Unix seconds).
	Refreshed int64 `json:"refreshed"`
}

// admits says whether a file on disk may be used at a start.
func (st *state) admits(v version) error {
	switch {
	case v == st.Highest, v == st.Good, v.Serial > st.Highest.Serial:
		return nil
	case v.Serial == st.Highest.Serial:
		return errChanged
	}
	return fmt.Errorf("%w: serial %d, at least %d", bundle.ErrRollback, v.Serial, st.Highest.Serial)
}

// store is the directory of one bundle.
type store struct {
	dir    string
	create func(dir string) (*os.File, error) // an incomingFile
	flush  func(*os.File) error               // makes it last
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	create := func(dir string) (*os.File, error) { return os.CreateTemp(dir, incomingFile) }
	return &store{dir: dir, create: create, flush: durable.Flush}, nil
}

func (s *store) path(name string) string { return filepath.Join(s.dir, name) }

// load reads the state. Errors: os.ErrNotExist, errDamaged (also for another bundle's and for a
// format of the future), or the file's.
func (s *store) load(name string) (state, error) {
	var st state
	if err := readChecked(s.path(stateFile), &st); err != nil {
		return state{}, err
	}
	if st.Format != 1 || st.Name != name {
		return state{}, fmt.Errorf("%w: it is for bundle %q, format %d", errDamaged, st.Name, st.Format)
	}
	return st, nil
}

func (s *store) save(st state) error { return writeChecked(s.path(stateFile), &st) }

// recover makes the incoming file with a sum the kept one, and removes all others: what a process
// that was killed has left. A file that was written whole before the state was is as good as kept.
func (s *store) recover(sum string) {
	left, _ := filepath.Glob(s.path(incomingFile)) // the pattern is good
	for _, path := range left {
		if sum != "" && fileSum(path) == sum && os.Rename(path, s.path(bundleFile)) == nil {
			continue
		}
		_ = os.Remove(path)
	}
}

// fileSum is the SHA-256 of a file in hex, "" when it cannot be read.
func fileSum(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return ""
	}
	return hex.EncodeToString(h.Sum(nil))
}

// spool takes a bundle's bytes on their way to disk. What the disk does not take stays in memory,
// so that a full disk keeps no bundle from being used, and flush can be tried again.
type spool struct {
	store   *store
	hash    hash.Hash
	file    *os.File // nil: there is none
	written int64    // bytes in file
	rest    []byte   // what comes after them
	err     error    // why there is a rest
	failed  bool     // at writing: what is written must be looked at
	flushed bool
}

func (s *store) spool() *spool {
	sp := &spool{store: s, hash: sha256.New()}
	if sp.file, sp.err = s.create(s.dir); sp.err != nil {
		sp.file = nil
	}
	return sp
}

// Write never fails.
func (sp *spool) Write(p []byte) (int, error) {
	sp.hash.Write(p)
	n := 0
	if sp.err == nil {
		n, sp.err = sp.file.Write(p)
		sp.written += int64(n)
	}
	sp.rest = append(sp.rest, p[n:]...)
	return len(p), nil
}

// sum is the SHA-256 of what was written, in hex.
func (sp *spool) sum() string { return hex.EncodeToString(sp.hash.Sum(nil)) }

// flush makes the bytes last on disk, in a file that recover finds. On error they are all still there.
func (sp *spool) flush() (err error) {
	if sp.flushed {
		return nil
	}
	defer func() { sp.failed = sp.failed || err != nil }()
	if sp.file == nil {
		f, err := sp.store.create(sp.store.dir)
		if err != nil {
			return err
		}
		sp.file = f
	}
	n, err := sp.file.WriteAt(sp.rest, sp.written)
	sp.written += int64(n)
	if sp.rest = sp.rest[n:]; len(sp.rest) == 0 {
		sp.rest = nil
	}
	if err != nil {
		return err
	}
	if err := sp.store.flush(sp.file); err != nil {
		return err
	}
	// A sync that follows a failed one may succeed although pages were lost.
	if sp.failed && fileSum(sp.file.Name()) != sp.sum() {
		return errors.New("the disk has lost a part of the bundle; the next one is kept")
	}
	sp.flushed = true
	return nil
}

// keep makes the bytes the bundle on disk. On error everything is still there and the file that was
// kept before is as it was.
func (sp *spool) keep() error {
	if err := sp.flush(); err != nil {
		return err
	}
	if err := durable.Move(sp.file, sp.store.path(bundleFile)); err != nil {
		return err
	}
	_ = sp.file.Close()
	sp.file, sp.rest = nil, nil
	return nil
}

// discard gives up what keep has not kept.
func (sp *spool) discard() {
	if sp == nil || sp.file == nil {
		return
	}
	_ = sp.file.Close()
	_ = os.Remove(sp.file.Name()) // unless it was moved
	sp.file, sp.rest = nil, nil
}
