package source

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
)

// Files watches the files below directories, whatever they hold. Hidden files are left out and
// links are followed, as in license directories.
type Files struct {
	// Match says which files count, by their name without the directory; nil: all.
	Match func(name string) bool
	// Settle is how long nothing must have changed before a change is reported, so that a
	// checkout of many files is one. Default 100 ms.
	Settle time.Duration

	poll time.Duration // instead of pollFiles, for tests
}

// Sight is what watched directories look like at one time.
type Sight struct {
	files map[string]string // what changes with a file, by path
	look  look
}

// pollFiles is how often Wait looks by itself, for file systems without notices of changes.
const pollFiles = 2 * time.Second

// Look takes in names, sizes and times of the files below the directories, and reads none. What
// cannot be read, or is not there yet, is a sight too. A directory may be a file.
func (f Files) Look(dirs []string) Sight {
	s := Sight{files: map[string]string{}}
	for _, dir := range dirs {
		s.look.paths = append(s.look.paths, links(dir)...)
		f.folder(&s, filepath.Clean(dir), 0)
	}
	return s
}

func (f Files) folder(s *Sight, dir string, depth int) {
	info, err := os.Stat(dir)
	if err != nil || !info.IsDir() {
		s.add(dir, info, err)
		return
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		s.look.dirs = append(s.look.dirs, real)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		s.add(dir, nil, err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		name := filepath.Join(dir, e.Name())
		info, err := os.Stat(name)
		switch {
		case err == nil && info.IsDir():
			if depth < license.MaxFolders {
				f.folder(s, name, depth+1)
			}
		case f.Match == nil || f.Match(e.Name()):
			s.add(name, info, err)
		}
	}
}

func (s *Sight) add(path string, info fs.FileInfo, err error) {
	if err != nil {
		s.files[path] = err.Error()
		return
	}
	s.files[path] = fmt.Sprintf("%v %d %d %v", info.Mode(), info.Size(), info.ModTime().UnixNano(), changed(info))
}

// differs returns the paths at which two sights differ, sorted.
func (s Sight) differs(other Sight) []string {
	var paths []string
	for path, was := range s.files {
		if now, there := other.files[path]; !there || now != was {
			paths = append(paths, path)
		}
	}
	for path := range other.files {
		if _, there := s.files[path]; !there {
			paths = append(paths, path)
		}
	}
	slices.Sort(paths)
	return paths
}

// Wait waits until the files below the directories differ from what was seen and have come to
// rest. It returns the paths that changed and the new sight, or nil when ctx is done.
func (f Files) Wait(ctx context.Context, dirs []string, seen Sight) ([]string, Sight) {
	n := newNotices(false)
	defer n.close()
	n.follow(seen.look)
	for ctx.Err() == nil {
		// After following: what changed before is seen here, what changes from here is noticed.
		now := f.Look(dirs)
		n.follow(now.look)
		if len(seen.differs(now)) == 0 {
			timer := time.NewTimer(cmp.Or(f.poll, pollFiles))
			select {
			case <-ctx.Done():
			case <-n.wake:
			case <-timer.C:
			}
			timer.Stop()
			continue
		}
		now = f.rest(ctx, dirs, now)
		if paths := seen.differs(now); len(paths) > 0 && ctx.Err() == nil {
			return paths, now
		}
	}
	return nil, seen
}

// rest waits until the files have looked the same for Settle, but not for ever.
func (f Files) rest(ctx context.Context, dirs []string, was Sight) Sight {
	settle := Dir{Settle: f.Settle}.settle()
	for end := time.Now().Add(maxSettle); ctx.Err() == nil; {
		timer := time.NewTimer(settle)
		select {
		case <-ctx.Done():
			timer.Stop()
			return was
		case <-timer.C:
		}
		now := f.Look(dirs)
		if len(was.differs(now)) == 0 || time.Now().After(end) {
			return now
		}
		was = now
	}
	return was
}
