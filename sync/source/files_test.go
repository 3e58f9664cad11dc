package source

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func scripts(name string) bool { return strings.HasSuffix(name, ".txtar") }

// waitFor runs Wait until it has something, and fails the test when it takes too long.
func waitFor(t *testing.T, f Files, dirs []string, seen Sight) ([]string, Sight) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	paths, now := f.Wait(ctx, dirs, seen)
	if paths == nil {
		t.Fatal("nothing was noticed")
	}
	return paths, now
}

func TestFilesWaitNamesWhatChanged(t *testing.T) {
	f := Files{Match: scripts, Settle: 20 * time.Millisecond}
	dir := directory(t, map[string]string{"a.txtar": "1", "sub/b.txtar": "1", "c.yaml": "1"})
	later := filepath.Join(t.TempDir(), "later") // a directory that is not there yet
	dirs := []string{dir, later}
	in := func(names ...string) (paths []string) {
		for _, n := range names {
			paths = append(paths, filepath.Join(dir, n))
		}
		return paths
	}
	seen := f.Look(dirs)
	for _, step := range []struct {
		name   string
		change func()
		want   []string
	}{
		{"written before it waits, many as one", func() {
			write(t, filepath.Join(dir, "a.txtar"), "2")
			write(t, filepath.Join(dir, "new/deep/d.txtar"), "1")
			write(t, filepath.Join(dir, "c.yaml"), "2") // does not count
			write(t, filepath.Join(dir, ".hidden.txtar"), "1")
		}, in("a.txtar", "new/deep/d.txtar")},
		{"the same length again", func() { write(t, filepath.Join(dir, "a.txtar"), "3") }, in("a.txtar")},
		{"in a folder that came later", func() { write(t, filepath.Join(dir, "new/deep/d.txtar"), "2") }, in("new/deep/d.txtar")},
		{"deleted", func() { must(t, os.Remove(filepath.Join(dir, "sub/b.txtar"))) }, in("sub/b.txtar")},
		{"a directory that comes", func() { write(t, filepath.Join(later, "e.txtar"), "1") }, []string{later, filepath.Join(later, "e.txtar")}},
		{"a directory that goes", func() { must(t, os.RemoveAll(later)) }, []string{later, filepath.Join(later, "e.txtar")}},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.change()
			var got []string
			if got, seen = waitFor(t, f, dirs, seen); !slices.Equal(got, step.want) {
				t.Errorf("got %q, want %q", got, step.want)
			}
		})
	}
}

// A change while Wait waits is noticed by the file system's notice.
func TestFilesWaitIsToldOfChanges(t *testing.T) {
	f := Files{Match: scripts, Settle: 10 * time.Millisecond, poll: time.Hour}
	dir := directory(t, map[string]string{"a.txtar": "1", "sub/b.txtar": "1"})
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	seen := f.Look([]string{link})
	go func() {
		time.Sleep(200 * time.Millisecond)
		_ = os.WriteFile(filepath.Join(dir, "sub/b.txtar"), []byte("2"), 0o644)
	}()
	got, _ := waitFor(t, f, []string{link}, seen)
	if want := []string{filepath.Join(link, "sub/b.txtar")}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What follows within Settle is one change.
func TestFilesWaitUntilTheyRest(t *testing.T) {
	dir := directory(t, map[string]string{"a": "1", "b": "1"})
	looks := 0
	f := Files{Settle: 20 * time.Millisecond, Match: func(name string) bool {
		if name == "a" {
			looks++
		}
		if name == "a" && (looks == 3 || looks == 4) { // while it waits for them to rest
			write(t, filepath.Join(dir, "b"), strings.Repeat("2", looks))
		}
		return true
	}}
	seen := f.Look([]string{dir})
	write(t, filepath.Join(dir, "a"), "2")
	got, now := waitFor(t, f, []string{dir}, seen)
	if want := []string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}; !slices.Equal(got, want) || looks < 5 {
		t.Errorf("got %q, want %q; looked %d times", got, want, looks)
	}
	if again := now.differs(f.Look([]string{dir})); again != nil {
		t.Errorf("%q changed after it rested", again)
	}
}

func TestFilesWaitEndsWithItsContext(t *testing.T) {
	dir := directory(t, map[string]string{"a.txtar": "1"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	f := Files{}
	if paths, _ := f.Wait(ctx, []string{dir}, f.Look([]string{dir})); paths != nil {
		t.Errorf("%q changed", paths)
	}
}
