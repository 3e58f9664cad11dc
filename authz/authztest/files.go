package authztest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/rogpeppe/go-internal/txtar"
)

// addFiles adds the license files and rules of the directory that a `files` line names, read as
// `pullgate check` reads them: hidden files are left out, links are followed, rules are
// rules/*.rego without *_test.rego. Catalogs there are left out: a script has its own.
func (s *Script) addFiles(line string) error {
	if filepath.IsAbs(filepath.FromSlash(line)) || strings.Contains(line, `\`) {
		return fmt.Errorf("files %s: want a path relative to the script, with `/` between folders, such as `files ..`", line)
	}
	dir := filepath.Join(filepath.Dir(s.Path), filepath.FromSlash(line))
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("files %s: %s cannot be read: %w; the path is relative to the script", line, dir, cause(err))
	}
	if !info.IsDir() {
		return fmt.Errorf("files %s: %s is a file; name the directory that holds the license files", line, dir)
	}
	for _, have := range s.Directories {
		if have == dir {
			return fmt.Errorf("files %s: %s comes twice", line, dir)
		}
	}
	s.Directories = append(s.Directories, dir)
	found, err := s.addFolder(dir, "", 0)
	if err == nil && !found {
		err = fmt.Errorf("files %s: no license files and no rules below %s", line, dir)
	}
	return err
}

// addFolder adds what lies in a folder of dir; in is its path there, with slashes.
func (s *Script) addFolder(dir, in string, depth int) (found bool, err error) {
	if depth > license.MaxFolders {
		return false, fmt.Errorf("%s: folders nest too deep: a symbolic link may lead back to a folder above it", filepath.Join(dir, in))
	}
	entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(in)))
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			continue
		}
		rel := path.Join(in, e.Name())
		name := filepath.Join(dir, filepath.FromSlash(rel))
		info, err := os.Stat(name)
		switch {
		case err != nil && (isYAML(rel) || isRule(rel)):
			return found, fmt.Errorf("%s: %w", name, cause(err))
		case err != nil:
		case info.IsDir():
			below, err := s.addFolder(dir, rel, depth+1)
			if err != nil {
				return found, err
			}
			found = found || below
		default:
			added, err := s.addFile(name, rel)
			if err != nil {
				return found, err
			}
			found = found || added
		}
	}
	return found, nil
}

// addFile adds one file: rel is its path in the directory that was named.
func (s *Script) addFile(name, rel string) (added bool, err error) {
	ruleName, inRules := strings.CutPrefix(rel, "rules/")
	rule := inRules && isRule(rel)
	if !rule && (inRules || !isYAML(rel)) {
		return false, nil
	}
	if rule && strings.Contains(ruleName, "/") {
		return false, fmt.Errorf("%s: is not read; rules lie directly in rules/", name)
	}
	data, err := os.ReadFile(name)
	if err != nil {
		return false, err
	}
	shown := filepath.ToSlash(name)
	switch {
	case rule && s.Rules[ruleName] != nil:
		return false, fmt.Errorf("%s: another directory of this script has a rule %s too", name, rel)
	case rule:
		s.Rules[ruleName] = data
		s.RuleFiles[ruleName] = shown
	case isCatalog(data):
		return false, nil
	default:
		s.Licenses[shown] = nameDigests(data)
	}
	return true, nil
}

func isRule(name string) bool {
	return strings.HasSuffix(name, ".rego") && !strings.HasSuffix(name, "_test.rego")
}

// cause is an error without the operation and the path.
func cause(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// NamedDirectories returns the directories that the `files` lines of a script name, also when
// the script or they cannot be read.
func NamedDirectories(path string, script []byte) []string {
	var dirs []string
	for _, text := range splitLines(txtar.Parse(script).Comment) {
		if name, ok := strings.CutPrefix(text, "files "); ok {
			dirs = append(dirs, filepath.Join(filepath.Dir(path), filepath.FromSlash(strings.TrimSpace(name))))
		}
	}
	return dirs
}
