package publish

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/durable"
)

// issued is what a publisher of its own, with a key of its own, issues of a vendor with its file.
func issued(t *testing.T, versions string) (*Issue, *bundle.KeyRing) {
	t.Helper()
	var issue *Issue
	var ring *bundle.KeyRing
	p, _ := newPublisher(t, func(cfg *Config) {
		ring = cfg.Ring
		cfg.Bundles = []Bundle{{Deliver: func(_ context.Context, i *Issue) error { issue = i; return nil }}}
	})
	if err := errors.Join(p.SetCatalog(t.Context(), "main", tagged("1.0.0")), p.SetLicenses(t.Context(), licenses(t, versions, 0), nil)); err != nil {
		t.Fatal(err)
	}
	return issue, ring
}

func leads(ctx context.Context, step func(context.Context) error) error { return step(ctx) }

// At every moment there is a whole file at the name, so that it does not matter when a publisher is killed:
// a new file takes the place of the old one. In the middle of a write nobody can be killed for sure.
func TestFilesAreReplacedWhole(t *testing.T) {
	first, ring := issued(t, "all")
	dir := t.TempDir()
	path := filepath.Join(dir, "default.tar.gz")
	d := &Directory{Path: dir, Ring: ring}
	second := *first
	second.File = append(bytes.Clone(first.File), 0) // anything else
	for name, put := range map[string]func(issue *Issue) error{
		"directory": func(issue *Issue) error { return d.Put(t.Context(), issue, leads) },
		"history":   func(issue *Issue) error { return durable.Replace(path, issue.File, 0o600) },
	} {
		if err := put(first); err != nil {
			t.Fatal(name, err)
		}
		old, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer old.Close()
		if name == "directory" { // what is there is older
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}
		was, err := old.Stat()
		if err != nil {
			t.Fatal(err)
		}
		_ = put(&second)
		now, err := os.Stat(path)
		if err != nil || os.SameFile(was, now) {
			t.Errorf("%s: written over: %v", name, err)
		}
		if file, err := os.ReadFile(path); err != nil || !bytes.Equal(file, second.File) {
			t.Errorf("%s: %d bytes, %v", name, len(file), err)
		}
		if left, err := filepath.Glob(filepath.Join(dir, "*new*")); err != nil || len(left) > 0 {
			t.Errorf("%s: left behind: %v %v", name, left, err)
		}
	}
}

// What another key has signed may be newer, and is not for this publisher to judge; what nobody can
// read is put right.
func TestDirectoryReplacesNothingOfAnotherKey(t *testing.T) {
	theirs, ring := issued(t, "all")
	ours, own := issued(t, "<2.0.0")
	dir := t.TempDir()
	if err := (&Directory{Path: dir, Ring: ring}).Put(t.Context(), theirs, leads); err != nil {
		t.Fatal(err)
	}
	d := &Directory{Path: dir, Ring: own}
	for _, err := range []error{d.Look(t.Context(), ours), d.Put(t.Context(), ours, leads)} {
		if !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "--key-file") {
			t.Errorf("%v, want that it is taken and what to do", err)
		}
	}
	file := filepath.Join(dir, "default.tar.gz")
	if found, err := os.ReadFile(file); err != nil || string(found) != string(theirs.File) {
		t.Errorf("what was there is gone: %v", err)
	}
	if err := os.WriteFile(file, theirs.File[:100], 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), ours, leads); err != nil {
		t.Error(err)
	}
	if found, err := os.ReadFile(file); err != nil || string(found) != string(ours.File) {
		t.Errorf("a damaged file was left: %v", err)
	}
}

// What a newer pullgate wrote is newer, whatever this one can read of it.
func TestDirectoryReplacesNothingOfANewerFormat(t *testing.T) {
	issue, ring := issued(t, "all")
	in, err := gzip.NewReader(bytes.NewReader(issue.File))
	if err != nil {
		t.Fatal(err)
	}
	tar, err := io.ReadAll(in)
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(tar, []byte(`"format":1`), []byte(`"format":2`), 1)
	var packed bytes.Buffer
	out := gzip.NewWriter(&packed)
	if _, err := out.Write(newer); err != nil || out.Close() != nil || bytes.Equal(tar, newer) {
		t.Fatal(err)
	}
	d := &Directory{Path: t.TempDir(), Ring: ring}
	file := filepath.Join(d.Path, "default.tar.gz")
	if err := os.WriteFile(file, packed.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Put(t.Context(), issue, leads); !errors.Is(err, ErrTaken) || !strings.Contains(err.Error(), "update this publisher") {
		t.Error(err)
	}
	if found, err := os.ReadFile(file); err != nil || !bytes.Equal(found, packed.Bytes()) {
		t.Errorf("what was there is gone: %v", err)
	}
}
