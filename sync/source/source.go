// Package source watches the places that licenses come from: a directory of license files and
// vendor rules.
//
// Whatever is read is whole: a Snapshot is a checked license.Set with the rules beside it, or it
// is an error and the caller keeps what it had. Nothing is decided here about what to do then.
package source

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
)

// Snapshot is what a directory said at one time. It is immutable.
type Snapshot struct {
	Set *license.Set
	// Rules are the vendor's modules by file name ("region.rego"): rules/*.rego without
	// *_test.rego. Nothing has checked them.
	Rules map[string][]byte
	// Hash differs between Snapshots of a source that differ. That of a directory is the SHA-256 of names
	// and contents, in hex: equal for equal files, wherever they lie.
	Hash string
}

// Dir is a directory of license files (docs/licenses.md), with vendor rules in rules/. The path
// may be a symbolic link, and so may everything below it. The zero intervals are the defaults.
type Dir struct {
	Path string
	// Poll is how often Watch looks by itself, beside the file system's own notices. Default
	// 250 ms, and longer for a directory that takes long to look through. Not for reload.
	Poll time.Duration
	// Settle is how long nothing must have changed before an edit is read, so that a checkout of
	// many files is one edit. Default 100 ms.
	Settle time.Duration

	deaf bool // without the file system's notices, for tests
}

// Load reads the directory once. The error holds everything that is wrong: license.Errors for
// license files, and one line for each rule that cannot be read.
func (d Dir) Load(ctx context.Context) (*Snapshot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// One resolution for the whole read: a link that is swapped meanwhile cannot mix two states.
	real, err := filepath.EvalSymlinks(d.Path)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(real); err == nil && !info.IsDir() {
			return nil, fmt.Errorf("license directory %s is not a directory; name the directory that holds the files", d.Path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("license directory %s cannot be read: %w; create it with `pullgate init`, or correct the path", d.Path, cause(err))
	}
	files := &recorder{dir: os.DirFS(real), sums: map[string][]byte{}}
	set, err := license.Load(files)
	rules, ruleErr := loadRules(files)
	if err := errors.Join(err, ruleErr); err != nil {
		return nil, err
	}
	return &Snapshot{Set: set, Rules: rules, Hash: files.hash()}, ctx.Err()
}

// loadRules reads rules/*.rego. A rule deeper down would silently not count, so it is an error.
func loadRules(files *recorder) (map[string][]byte, error) {
	rules := map[string][]byte{}
	var errs []error
	err := fs.WalkDir(files, "rules", func(name string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && name == "rules" {
			return nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: cannot be read: %w", name, cause(err)))
			return nil
		}
		base := path.Base(name)
		switch {
		case strings.HasPrefix(base, ".") && e.IsDir():
			return fs.SkipDir
		case strings.HasPrefix(base, "."), path.Ext(base) != ".rego", strings.HasSuffix(base, "_test.rego"):
			return nil
		case path.Dir(name) != "rules":
			errs = append(errs, fmt.Errorf("%s: is not read; rules lie directly in rules/", name))
			return nil
		}
		text, err := files.read(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: cannot be read: %w", name, cause(err)))
		}
		rules[base] = text
		return nil
	})
	return rules, errors.Join(append(errs, err)...)
}

// cause is an error without the operation and the path.
func cause(err error) error {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err
	}
	return err
}

// recorder remembers the hash of every file that was read through it.
type recorder struct {
	dir  fs.FS
	mu   sync.Mutex
	sums map[string][]byte
}

func (r *recorder) Open(name string) (fs.File, error) {
	f, err := r.dir.Open(name)
	if err != nil {
		return nil, err
	}
	return &recordedFile{File: f, name: name, r: r, sum: sha256.New()}, nil
}

func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.dir, name) }
func (r *recorder) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(r.dir, name) }

func (r *recorder) read(name string) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, license.MaxFileBytes+1))
	if err == nil && len(text) > license.MaxFileBytes {
		err = fmt.Errorf("larger than %d bytes", license.MaxFileBytes)
	}
	return text, err
}

func (r *recorder) hash() string {
	all := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(r.sums)) {
		fmt.Fprintf(all, "%s\x00%x\n", name, r.sums[name])
	}
	return hex.EncodeToString(all.Sum(nil))
}

type recordedFile struct {
	fs.File
	name string
	r    *recorder
	sum  hash.Hash
}

func (f *recordedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.sum.Write(p[:n])
	return n, err
}

func (f *recordedFile) Close() error {
	f.r.mu.Lock()
	f.r.sums[f.name] = f.sum.Sum(nil)
	f.r.mu.Unlock()
	return f.File.Close()
}

func (d Dir) poll() time.Duration   { return cmp.Or(d.Poll, 250*time.Millisecond) }
func (d Dir) settle() time.Duration { return cmp.Or(d.Settle, 100*time.Millisecond) }
