package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/durable"
)

// Place is where bundles are put for whoever looks there: a directory, or a repository of a registry.
// It knows nothing of serials, so that whoever puts something there has to look first, and to lead.
type Place interface {
	// Put makes a bundle what is found there, within move. It is ErrTaken when what is there must not
	// be replaced; nothing is done when the bundle is there already.
	Put(ctx context.Context, issue *Issue, move Move) error
	// Look is nil when the bundle is what is found there, ErrMissing when something older is, or
	// nothing, and ErrTaken. Another error says that nobody knows.
	Look(ctx context.Context, issue *Issue) error
	// Find reads and verifies the bundle of a name that is there; nil when there is none.
	Find(ctx context.Context, name string) (*bundle.Bundle, error)
}

// Move runs the one step that makes a bundle what others find, while no other publisher may take
// its turn. It returns the step's error, or why the step was not made.
type Move func(ctx context.Context, step func(context.Context) error) error

// Answers of Look.
var (
	ErrMissing = errors.New("it is not there")
	ErrTaken   = errors.New("another publisher writes there, or this one was set back")
)

// errTakenByNewer is ErrTaken by a program that is newer than this one.
func errTakenByNewer(err error) error {
	return fmt.Errorf("%w: what is there: %w; update this publisher, or remove what is there", ErrTaken, err)
}

// compare judges what is found by its serial, 0 for nothing or for what nobody can read, when it is not
// the same bytes.
func compare(found int64, b *bundle.Bundle) error {
	switch {
	case found == 0:
		return ErrMissing
	case found < b.Serial():
		return fmt.Errorf("%w, but serial %d, which is older", ErrMissing, found)
	}
	return fmt.Errorf("%w: serial %d is there, this one is %d; remove what is there if it is wrong", ErrTaken, found, b.Serial())
}

// Directory is the Place where NAME.tar.gz is, each file whole or not at all, 0644: bundles name
// customers, and whoever may read the directory may have them.
type Directory struct {
	Path string // made when it is missing, 0755
	Ring *bundle.KeyRing

	mu    sync.Mutex
	known map[string]placed // by name: what was put there last
}

type placed struct {
	issue *Issue
	file  os.FileInfo
}

func (d *Directory) path(name string) string { return filepath.Join(d.Path, name+".tar.gz") }

// Find reads the file.
func (d *Directory) Find(_ context.Context, name string) (*bundle.Bundle, error) {
	file, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := bundle.Read(file, d.Ring, bundle.ReadOptions{Name: name})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path(name), err)
	}
	return b, nil
}

// Look reads the file only when it is not the one that was put there.
func (d *Directory) Look(_ context.Context, issue *Issue) error {
	path := d.path(issue.Bundle.Name())
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrMissing
	}
	if err != nil {
		return err
	}
	d.mu.Lock()
	known := d.known[issue.Bundle.Name()]
	d.mu.Unlock()
	if known.issue == issue && os.SameFile(known.file, info) && known.file.Size() == info.Size() && known.file.ModTime().Equal(info.ModTime()) {
		return nil
	}
	file, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if bytes.Equal(file, issue.File) {
		return nil
	}
	found, err := bundle.Read(bytes.NewReader(file), d.Ring, bundle.ReadOptions{Name: issue.Bundle.Name()})
	if errors.Is(err, bundle.ErrUnknownKey) {
		return fmt.Errorf("%w: what is there is %w; give it with --key-file, or remove what is there", ErrTaken, err)
	}
	if errors.Is(err, bundle.ErrNewer) {
		return errTakenByNewer(err)
	}
	if err != nil {
		return fmt.Errorf("%w: what is there cannot be read: %w", ErrMissing, err)
	}
	return compare(found.Serial(), issue.Bundle)
}

// Put writes the file beside the old one, and moves it there.
func (d *Directory) Put(ctx context.Context, issue *Issue, move Move) error {
	if err := d.Look(ctx, issue); !errors.Is(err, ErrMissing) {
		return err
	}
	if err := os.MkdirAll(d.Path, 0o755); err != nil {
		return err
	}
	path := d.path(issue.Bundle.Name())
	d.sweep(path)
	f, err := os.CreateTemp(d.Path, filepath.Base(path)+leftover) // another publisher may be writing as well
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // unless it was moved
	defer f.Close()
	_, err = f.Write(issue.File)
	if err = errors.Join(err, f.Chmod(0o644), durable.Flush(f)); err != nil { // what takes time is done before it leads
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := move(ctx, func(context.Context) error { return durable.Move(f, path) }); err != nil {
		return err
	}
	d.mu.Lock()
	if d.known == nil {
		d.known = map[string]placed{}
	}
	d.known[issue.Bundle.Name()] = placed{issue, info}
	d.mu.Unlock()
	return d.Look(ctx, issue)
}

// leftover is what names of files end with that a publisher which was killed leaves behind.
const leftover = ".new-*"

// sweep removes them.
func (d *Directory) sweep(path string) {
	left, _ := filepath.Glob(path + leftover)
	for _, name := range left {
		if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(name)
		}
	}
}
