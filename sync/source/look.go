package source

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
)

// look is what a directory looks like from outside: it changes whenever a file could have.
type look struct {
	key   [32]byte
	paths []string // the directory's path and those of the links it goes through
	dirs  []string // its folders
	took  time.Duration
}

// look takes in names, links, sizes and times of everything that may matter, and reads no file.
func (d Dir) look() look {
	start := time.Now()
	l := &looker{h: sha256.New()}
	out := look{paths: links(d.Path)}
	real, err := filepath.EvalSymlinks(d.Path)
	if err != nil {
		fmt.Fprintf(l.h, "%v", err)
	} else {
		fmt.Fprintf(l.h, "%s\n", real)
		l.folder(real, 0)
	}
	out.dirs, out.took = l.dirs, time.Since(start)
	l.h.Sum(out.key[:0])
	return out
}

// links returns a path and those of the links it goes through.
func links(path string) (paths []string) {
	for p, hops := filepath.Clean(path), 0; hops < 40; hops++ {
		paths = append(paths, p)
		target, err := os.Readlink(p)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(p), target)
		}
		p = target
	}
	return paths
}

type looker struct {
	h    hash.Hash
	dirs []string
}

func (l *looker) folder(dir string, depth int) {
	l.dirs = append(l.dirs, dir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		fmt.Fprintf(l.h, "%s: %v\n", dir, err)
	}
	if depth > license.MaxFolders {
		return
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // also Kubernetes' ..data, which the links in the folder lead through
		}
		name := filepath.Join(dir, e.Name())
		info, err := e.Info()
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			name, err = filepath.EvalSymlinks(name)
			if err == nil {
				info, err = os.Stat(name)
			}
		}
		switch ext := filepath.Ext(e.Name()); {
		case err != nil:
			fmt.Fprintf(l.h, "%s: %v\n", filepath.Join(dir, e.Name()), err)
		case info.IsDir():
			fmt.Fprintf(l.h, "%s %s %v\n", e.Name(), name, info.Mode())
			l.folder(name, depth+1)
		case ext == ".yaml" || ext == ".yml" || ext == ".rego":
			fmt.Fprintf(l.h, "%s %s %v %d %d %d\n", e.Name(), name, info.Mode(), info.Size(), info.ModTime().UnixNano(), changed(info))
		}
	}
}
