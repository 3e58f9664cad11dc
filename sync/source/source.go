// Package source watches the places that licenses come from: a directory of license files and
// vendor rules.
//
// Whatever is read is whole: a Snapshot is a checked license.Set with the rules beside it, or it
// is an error and the caller keeps what it had. Nothing is decided here about what to do then.
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
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
	// Saved is when the newest change against the Snapshot before it was saved, by the clock of whoever
	// keeps it, or, of a database, when it was first seen; zero for a first one.
	Saved time.Time
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
	snap, _, err := d.load(ctx)
	return snap, err
}

func (d Dir) load(ctx context.Context) (*Snapshot, *recorder, error) {
	if err := ctx.Err(); err != nil {
		return nil, nil, err
	}
	// One resolution for the whole read: a link that is swapped meanwhile cannot mix two states.
	real, err := filepath.EvalSymlinks(d.Path)
	if err == nil {
		var info fs.FileInfo
		if info, err = os.Stat(real); err == nil && !info.IsDir() {
			return nil, nil, fmt.Errorf("license directory %s is not a directory; name the directory that holds the files", d.Path)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("license directory %s cannot be read: %w; create it with `pullgate init`, or correct the path", d.Path, cause(err))
	}
	files := record(real)
	set, err := license.Load(files)
	rules, ruleErr := loadRules(files)
	if err := errors.Join(err, ruleErr); err != nil {
		return nil, nil, err
	}
	return &Snapshot{Set: set, Rules: rules, Hash: files.sums.hash(files.sums.names())}, files, ctx.Err()
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

func (d Dir) poll() time.Duration   { return cmp.Or(d.Poll, 250*time.Millisecond) }
func (d Dir) settle() time.Duration { return cmp.Or(d.Settle, 100*time.Millisecond) }
