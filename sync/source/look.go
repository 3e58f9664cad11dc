package source

import (
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
)

// look is what a directory looks like from outside: it differs whenever a file could.
type look struct {
	at      time.Time // when it was taken
	took    time.Duration
	real    string   // the directory, links resolved
	err     string   // why there is none
	paths   []string // the directory's path and those of the links it goes through
	dirs    []string // its folders
	folders []folder // as they are walked through
	links   bool     // something in it is a link
	odd     bool     // something in it cannot be read, or is neither a folder nor a file

	byNotice bool // the file system told what differs from the look before
}

// folder is one of a directory, with what may matter in it. Its entries are never changed.
type folder struct {
	name    string // below the directory, "." for itself
	dir     string // its path, links resolved
	err     string
	entries []entry // by name
}

// entry is what is known of a file without reading it; of a folder only the first three.
type entry struct {
	name    string
	link    string // where it leads to; "" when it is no link
	mode    fs.FileMode
	size    int64
	mtime   int64
	changed stamp
	err     string
}

// look takes in names, links, sizes and times of everything that may matter, and reads no file.
func (d Dir) look() look {
	l := look{at: time.Now(), paths: links(d.Path)}
	var err error
	if l.real, err = filepath.EvalSymlinks(d.Path); err != nil {
		l.err = err.Error()
	} else {
		l.folder(l.real, ".", 0)
	}
	l.took = time.Since(l.at)
	return l
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

func (l *look) folder(dir, name string, depth int) {
	l.dirs = append(l.dirs, dir)
	f := folder{name: name, dir: dir}
	entries, err := os.ReadDir(dir)
	if err != nil {
		f.err, l.odd = err.Error(), true
	}
	if depth > license.MaxFolders {
		entries, l.odd = nil, true
	}
	type below struct{ dir, name string }
	var folders []below
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue // also Kubernetes' ..data, which the links in the folder lead through
		}
		at := filepath.Join(dir, e.Name())
		link := ""
		info, err := e.Info()
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			l.links = true
			if link, err = filepath.EvalSymlinks(at); err == nil {
				at = link
				info, err = os.Stat(at)
			}
		}
		switch {
		case err != nil:
			f.entries, l.odd = append(f.entries, entry{name: e.Name(), link: link, err: err.Error()}), true
		case info.IsDir():
			f.entries = append(f.entries, entry{name: e.Name(), link: link, mode: info.Mode()})
			folders = append(folders, below{at, path.Join(name, e.Name())})
		case matters(e.Name()):
			f.entries = append(f.entries, entryOf(e.Name(), link, info))
			l.odd = l.odd || !info.Mode().IsRegular()
		}
	}
	l.folders = append(l.folders, f)
	for _, b := range folders {
		l.folder(b.dir, b.name, depth+1)
	}
}

// matters says whether a file of this name is one that is read.
func matters(name string) bool { return isLicense(name) || filepath.Ext(name) == ".rego" }

func isLicense(name string) bool {
	ext := filepath.Ext(name)
	return ext == ".yaml" || ext == ".yml"
}

func entryOf(name, link string, info fs.FileInfo) entry {
	return entry{name: name, link: link, mode: info.Mode(), size: info.Size(), mtime: info.ModTime().UnixNano(), changed: changed(info)}
}

// saved is when the file was saved as it is, in Unix nanoseconds.
func (e *entry) saved() int64 {
	if e.changed.at != 0 {
		return e.changed.at
	}
	return e.mtime
}

// same says whether two looks are of the same files.
func (l *look) same(other *look) bool {
	return l.real == other.real && l.err == other.err && slices.EqualFunc(l.folders, other.folders, folder.same)
}

func (f folder) same(other folder) bool {
	return f.name == other.name && f.dir == other.dir && f.err == other.err && f.sameEntries(other)
}

func (f folder) sameEntries(other folder) bool {
	if len(f.entries) == len(other.entries) && (len(f.entries) == 0 || &f.entries[0] == &other.entries[0]) {
		return true
	}
	return slices.Equal(f.entries, other.entries)
}

// touched is the look after these paths have changed, false when only looking at everything can
// tell: links, folders and what is no file lead further than the path.
func (l look) touched(paths []string) (look, bool) {
	if l.err != "" || l.links || l.odd {
		return l, false
	}
	l.at, l.folders, l.byNotice = time.Now(), slices.Clone(l.folders), true
	byDir := make(map[string]*folder, len(l.folders))
	for i := range l.folders {
		byDir[l.folders[i].dir] = &l.folders[i]
	}
	for _, p := range paths {
		dir, name := filepath.Split(p)
		f := byDir[filepath.Clean(dir)]
		if f == nil || byDir[p] != nil {
			return l, false
		}
		if strings.HasPrefix(name, ".") {
			continue // without links nothing leads there
		}
		info, err := os.Lstat(p)
		at, known := slices.BinarySearchFunc(f.entries, name, func(e entry, name string) int { return strings.Compare(e.name, name) })
		switch {
		case os.IsNotExist(err):
			if known {
				f.entries = slices.Delete(slices.Clone(f.entries), at, at+1)
			}
		case err != nil || !info.Mode().IsRegular():
			return l, false
		case !matters(name):
		case known:
			f.entries = slices.Clone(f.entries)
			f.entries[at] = entryOf(name, "", info)
		default:
			f.entries = slices.Insert(slices.Clone(f.entries), at, entryOf(name, "", info))
		}
	}
	return l, true
}

// holds says whether an entry of the folder is a license file. Those in rules/ are not read.
func (f *folder) holds(e *entry) bool {
	return isLicense(e.name) && !e.mode.IsDir() && f.name != "rules" && !strings.HasPrefix(f.name, "rules/")
}

// difference of two looks: names of license files below the directory.
type difference struct {
	changed []changedFile // and new ones
	gone    []string
	saved   int64 // when the last change of anything was saved, in Unix nanoseconds
}

// changedFile is a file by its name below the directory, and when it was saved as it is.
type changedFile struct {
	name  string
	saved int64
}

// names are those of the files that changed or are gone.
func (d *difference) names() map[string]bool {
	out := make(map[string]bool, len(d.gone)+len(d.changed))
	for _, name := range d.gone {
		out[name] = true
	}
	for _, f := range d.changed {
		out[f.name] = true
	}
	return out
}

// since returns what differs from an earlier look.
func (l *look) since(before *look) (d difference) {
	was := make(map[string]*folder, len(before.folders))
	for i := range before.folders {
		was[before.folders[i].name] = &before.folders[i]
	}
	for i := range l.folders {
		f := &l.folders[i]
		old := was[f.name]
		delete(was, f.name)
		if old == nil {
			old = &folder{}
		}
		d.folder(f.dir, old, f)
	}
	for _, old := range was {
		d.folder("", old, &folder{})
	}
	return d
}

// folder adds what differs in one folder, which is at dir.
func (d *difference) folder(dir string, old, now *folder) {
	if old.sameEntries(*now) {
		return
	}
	was := make(map[string]*entry, len(old.entries))
	for i := range old.entries {
		was[old.entries[i].name] = &old.entries[i]
	}
	for i := range now.entries {
		e := &now.entries[i]
		before := was[e.name]
		if before != nil && *before == *e {
			delete(was, e.name)
			continue
		}
		d.saved = max(d.saved, e.saved())
		if now.holds(e) {
			d.changed = append(d.changed, changedFile{path.Join(now.name, e.name), e.saved()})
			delete(was, e.name)
		}
	}
	for _, e := range was {
		if old.holds(e) {
			d.gone = append(d.gone, path.Join(old.name, e.name))
		}
	}
	if len(was) > 0 && dir != "" { // the folder has the time of what left it
		if info, err := os.Stat(dir); err == nil {
			e := entryOf("", "", info)
			d.saved = max(d.saved, e.saved())
		}
	}
}
