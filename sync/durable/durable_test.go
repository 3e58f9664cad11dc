package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// A fragile is a disk that keeps what was synced and loses everything else when the machine stops. What
// it may lose it may also have kept: a name in a directory lasts from a sync on, and may before.
type fragile struct {
	t     *testing.T
	dir   string
	bytes map[string][]byte  // by name, of the file that had the name when it was synced
	names map[string][]byte  // what lasts: by name, what is read there after a stop
	step  func(after string) // called after each step
	fails string             // the step that fails
}

func newFragile(t *testing.T) *fragile {
	return &fragile{t: t, dir: t.TempDir(), bytes: map[string][]byte{}, names: map[string][]byte{}, step: func(string) {}}
}

var errStep = errors.New("the step fails")

func (d *fragile) done(step string) error {
	d.step(step)
	if d.fails == step {
		return errStep
	}
	return nil
}

func (d *fragile) create(path string) (*os.File, error) {
	f, err := system{}.create(path)
	d.bytes[filepath.Base(path)] = nil
	return f, errors.Join(err, d.done("create"))
}

func (d *fragile) sync(f *os.File) error {
	if d.fails == "sync" {
		return errStep
	}
	name := filepath.Base(f.Name())
	if text, err := os.ReadFile(f.Name()); err == nil { // it is not there when it was moved before
		d.bytes[name] = text
	}
	return d.done("sync")
}

func (d *fragile) rename(old, path string) error {
	must(d.t, os.Rename(old, path))
	d.bytes[filepath.Base(path)] = d.bytes[filepath.Base(old)]
	return d.done("rename")
}

func (d *fragile) syncDir(path string) error {
	if path != d.dir {
		d.t.Errorf("the directory %s is synced, not %s", path, d.dir)
	}
	if d.fails == "syncDir" {
		return errStep
	}
	d.names = d.now()
	return d.done("syncDir")
}

// now is what is read after a stop if the directory lasts as it is now.
func (d *fragile) now() map[string][]byte {
	entries, err := os.ReadDir(d.dir)
	must(d.t, err)
	all := map[string][]byte{}
	for _, e := range entries {
		all[e.Name()] = d.bytes[e.Name()]
	}
	return all
}

// old puts a file there that lasts.
func (d *fragile) old(name string) string {
	path := filepath.Join(d.dir, name)
	must(d.t, os.WriteFile(path, []byte("old"), 0o600))
	d.bytes[name] = []byte("old")
	d.names = d.now()
	return path
}

// Whenever the machine stops the file is whole, the old one or the new one; and the new one from the
// moment when it is said to be there.
func TestNothingIsLostWhenTheMachineStops(t *testing.T) {
	ways := map[string]func(d *fragile, path string) error{
		"replace": func(d *fragile, path string) error { return replace(d, path, []byte("new"), 0o644) },
		"move": func(d *fragile, path string) error {
			f, err := d.create(filepath.Join(d.dir, "beside"))
			must(d.t, err)
			defer f.Close()
			_, err = f.WriteString("new")
			must(d.t, err)
			return move(d, f, path)
		},
		"flush, then move": func(d *fragile, path string) error {
			f, err := d.create(filepath.Join(d.dir, "beside"))
			must(d.t, err)
			defer f.Close()
			_, err = f.WriteString("new")
			must(d.t, err, flush(d, f))
			if string(d.names["beside"]) != "new" {
				d.t.Errorf("what was flushed is %q after a stop", d.names["beside"])
			}
			return move(d, f, path)
		},
		"move, again after an error": func(d *fragile, path string) error {
			f, err := d.create(filepath.Join(d.dir, "beside"))
			must(d.t, err)
			defer f.Close()
			_, err = f.WriteString("new")
			must(d.t, err)
			for _, d.fails = range []string{"sync", "syncDir"} {
				if err := move(d, f, path); !errors.Is(err, errStep) {
					d.t.Errorf("%s fails: %v", d.fails, err)
				}
			}
			d.fails = ""
			return move(d, f, path)
		},
	}
	for name, put := range ways {
		t.Run(name, func(t *testing.T) {
			d := newFragile(t)
			path := d.old("file")
			steps := 0
			d.step = func(after string) {
				steps++
				for which, text := range map[string][]byte{"as synced": d.names["file"], "as it is": d.now()["file"]} {
					if string(text) != "old" && string(text) != "new" {
						t.Errorf("after %s, directory %s: %q", after, which, text)
					}
				}
			}
			must(t, put(d, path))
			if steps < 4 || string(d.names["file"]) != "new" {
				t.Errorf("after %d steps and a stop it is %q", steps, d.names["file"])
			}
			if len(d.names) != 1 {
				t.Errorf("left behind: %v", d.names)
			}
		})
	}
}

// What fails is told, and leaves a whole file and nothing beside it.
func TestReplaceThatFails(t *testing.T) {
	for _, step := range []string{"sync", "syncDir"} {
		d := newFragile(t)
		path := d.old("file")
		d.fails = step
		if err := replace(d, path, []byte("new"), 0o600); !errors.Is(err, errStep) {
			t.Errorf("%s fails: %v", step, err)
		}
		entries, err := os.ReadDir(d.dir)
		must(t, err)
		if len(entries) != 1 {
			t.Errorf("%s fails: left behind: %v", step, entries)
		}
	}
	d := t.TempDir()
	must(t, os.Mkdir(filepath.Join(d, "directory"), 0o700))
	if err := Replace(filepath.Join(d, "directory"), nil, 0o600); err == nil {
		t.Error("a directory is replaced")
	}
}

func TestReplaceHasTheMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("old"), 0o600), Replace(path, []byte("new"), 0o644))
	info, err := os.Stat(path)
	must(t, err)
	if text, err := os.ReadFile(path); err != nil || string(text) != "new" || info.Mode() != 0o644 {
		t.Errorf("%q %v %v", text, info.Mode(), err)
	}
}

// Whoever renames a file elsewhere, or syncs one, has a reason here.
func TestFilesArePutInPlaceHere(t *testing.T) {
	reasons := map[string]string{
		"sync/durable/durable.go":  "this",
		"sync/catalog/kept.go":     "a snapshot that is lost is read again from the store",
		"sync/catalog/store.go":    "a damaged store is moved aside",
		"sync/pull/keep.go":        "recover: what it moves is there already, and is moved again at the next start",
		"authz/audit/writer.go":    "records are appended",
		"authz/audit/syncer.go":    "the same",
		"cmd/pullgate/licenses.go": "a directory that a person exports to",
		"cmd/pullgate/output.go":   "reports for people and CI",
	}
	root := "../.."
	found := map[string]bool{}
	for _, top := range []string{"authz", "bundle", "cmd", "policies", "sync"} {
		must(t, filepath.WalkDir(filepath.Join(root, top), func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, path)
			if !strings.Contains(string(text), "os.Rename(") && !strings.Contains(string(text), ".Sync()") {
				return err
			}
			found[filepath.ToSlash(name)] = true
			return err
		}))
	}
	for name := range found {
		if reasons[name] == "" {
			t.Errorf("%s renames or syncs a file: let package durable do it, or say here why not", name)
		}
	}
	for name := range reasons {
		if !found[name] {
			t.Errorf("%s neither renames nor syncs a file any more: take it out here", name)
		}
	}
}
