package license

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"
)

// MaxFolders bounds how deep folders nest; a symbolic link that leads back ends there.
const MaxFolders = 32

// Load reads every *.yaml and *.yml file below the root of fsys. Names that begin with a dot
// are skipped, and so is the folder rules/ at the root, which holds vendor rules. The error is
// Errors: everything that is wrong in any file, or that there is none.
func Load(fsys fs.FS) (*Set, error) {
	l := &loader{fsys: fsys, files: make(map[string][]byte)}
	l.folder(".", 0)
	if len(l.errs) > 0 {
		if _, err := Parse(l.files); len(l.files) > 0 && err != nil {
			var more Errors
			errors.As(err, &more)
			// References to what an unreadable file holds would only mislead.
			for _, e := range more {
				if !unknownReference.MatchString(e.Msg) {
					l.errs = append(l.errs, e)
				}
			}
		}
		return nil, l.errs.sorted()
	}
	return Parse(l.files)
}

var unknownReference = regexp.MustCompile(`^unknown (registry|product|plan|customer|license) "`)

type loader struct {
	fsys  fs.FS
	files map[string][]byte
	errs  Errors
}

func (l *loader) fail(name, msg string) {
	l.errs = append(l.errs, &FieldError{Pos: Position{File: name}, Msg: msg})
}

func (l *loader) folder(dir string, depth int) {
	if depth > MaxFolders {
		l.fail(dir, "folders nest too deep: a symbolic link may lead back to a folder above it")
		return
	}
	entries, err := fs.ReadDir(l.fsys, dir)
	if err != nil {
		l.fail(dir, "cannot be read: "+reason(err))
		return
	}
	for _, e := range entries {
		name := path.Join(dir, e.Name())
		if strings.HasPrefix(e.Name(), ".") || name == "rules" {
			continue
		}
		isDir, isFile := e.IsDir(), e.Type().IsRegular()
		isYAML := path.Ext(name) == ".yaml" || path.Ext(name) == ".yml"
		if e.Type()&fs.ModeSymlink != 0 {
			info, err := fs.Stat(l.fsys, name)
			if err != nil {
				if isYAML {
					l.fail(name, "cannot be read: "+reason(err))
				}
				continue
			}
			isDir, isFile = info.IsDir(), info.Mode().IsRegular()
		}
		switch {
		case isDir:
			l.folder(name, depth+1)
		case !isYAML:
		case !isFile:
			l.fail(name, "is no regular file: license files are")
		default:
			l.file(name)
		}
	}
}

func (l *loader) file(name string) {
	f, err := l.fsys.Open(name)
	if err != nil {
		l.fail(name, "cannot be read: "+reason(err))
		return
	}
	defer f.Close()
	// One byte more than allowed is enough for Parse to refuse it.
	data, err := io.ReadAll(io.LimitReader(f, MaxFileBytes+1))
	if err != nil {
		l.fail(name, "cannot be read: "+reason(err))
		return
	}
	l.files[name] = data
}

// reason is the error without the operation and the path, which the message has already.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	if errors.Is(err, fs.ErrPermission) {
		return err.Error() + "; let the user that runs pullgate read it"
	}
	return err.Error()
}

// Parse reads license files, given by name. The error is Errors.
func Parse(files map[string][]byte) (*Set, error) { return ParseParts(fileParts(files)) }
