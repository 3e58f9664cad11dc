package publish

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/durable"
)

// History keeps the bundles that were published under one name, one file for each content, in a
// directory of its own. It belongs to one Publisher.
type History struct {
	Dir  string // made when it is missing
	Keep int    // contents; 0: DefaultKeep
}

// DefaultKeep is how many contents are kept.
const DefaultKeep = 20

const (
	historySuffix = ".tar.gz"
	pinFile       = "rolled-back-to" // holds the revision, while there is one
	newestFile    = "newest"         // holds serial and revision of what was published last
)

// past is a file of a History: SERIAL-REVISION.tar.gz, the serial with leading zeros, so that
// names sort by it.
type past struct{ name, revision string }

// list returns what is kept, newest first.
func (h *History) list() ([]past, error) {
	entries, err := os.ReadDir(h.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []past
	for _, e := range entries {
		serial, revision, ok := strings.Cut(strings.TrimSuffix(e.Name(), historySuffix), "-")
		if ok && len(serial) == 19 && len(revision) == 64 && strings.HasSuffix(e.Name(), historySuffix) {
			all = append(all, past{e.Name(), revision})
		}
	}
	slices.Reverse(all)
	return all, err
}

// add keeps a bundle, in place of one with the same content.
func (h *History) add(issue *Issue) error {
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return err
	}
	b := issue.Bundle
	name := fmt.Sprintf("%019d-%s%s", b.Serial(), b.Revision(), historySuffix)
	if err := durable.Replace(filepath.Join(h.Dir, name), issue.File, 0o600); err != nil {
		return err
	}
	if left, err := filepath.Glob(filepath.Join(h.Dir, ".new-*")); err == nil {
		for _, path := range left { // of a process that was killed
			_ = os.Remove(path)
		}
	}
	all, err := h.list()
	kept := 0
	for _, p := range all {
		if p.name == name || p.revision != b.Revision() && kept < cmp.Or(h.Keep, DefaultKeep) {
			kept++
			continue
		}
		err = errors.Join(err, os.Remove(filepath.Join(h.Dir, p.name)))
	}
	return err
}

// last is the newest bundle that is kept and can be verified; nil when there is none. One that cannot
// be read is no reason to forget the others: the error then comes with the next.
func (h *History) last(ring *bundle.KeyRing, name string) (*Issue, error) {
	all, err := h.list()
	if err != nil {
		return nil, err
	}
	for _, p := range all {
		issue, err := h.read(p, ring, name)
		if err == nil {
			return issue, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
	}
	if len(all) > 0 {
		_, err = h.read(all[0], ring, name)
	}
	return nil, err
}

// find is the newest kept bundle whose revision begins so, or nil and all revisions.
func (h *History) find(ring *bundle.KeyRing, name, revision string) (*Issue, []string, error) {
	all, err := h.list()
	if err != nil {
		return nil, nil, err
	}
	var revisions []string
	for _, p := range all {
		if strings.HasPrefix(p.revision, revision) {
			issue, err := h.read(p, ring, name)
			if errors.Is(err, bundle.ErrUnknownKey) {
				err = fmt.Errorf("%w; name the public key that it was signed with, too", err)
			}
			return issue, nil, err
		}
		revisions = append(revisions, p.revision)
	}
	return nil, revisions, nil
}

func (h *History) read(p past, ring *bundle.KeyRing, name string) (*Issue, error) {
	file, err := os.ReadFile(filepath.Join(h.Dir, p.name))
	if err != nil {
		return nil, err
	}
	b, err := bundle.Read(bytes.NewReader(file), ring, bundle.ReadOptions{Name: name})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.name, err)
	}
	if b.Revision() != p.revision {
		return nil, fmt.Errorf("%s: holds revision %s", p.name, b.Revision())
	}
	return &Issue{Bundle: b, File: file}, nil
}

// pin remembers that a revision was rolled back to; "" ends that.
func (h *History) pin(revision string) error {
	path := filepath.Join(h.Dir, pinFile)
	if revision == "" {
		if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return durable.Replace(path, []byte(revision+"\n"), 0o600)
}

func (h *History) pinned() (string, error) {
	text, err := os.ReadFile(filepath.Join(h.Dir, pinFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

// begin notes what is about to be published, also when there will be no room for the bundle: what was
// published before is then no longer the newest.
func (h *History) begin(b *bundle.Bundle) error {
	if err := os.MkdirAll(h.Dir, 0o700); err != nil {
		return err
	}
	return durable.Replace(filepath.Join(h.Dir, newestFile), fmt.Appendf(nil, "%d %s\n", b.Serial(), b.Revision()), 0o600)
}

// newest is what begin noted last; zero when it never did.
func (h *History) newest() (n Newest, err error) {
	path := filepath.Join(h.Dir, newestFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return n, nil
	}
	if err != nil {
		return n, err
	}
	serial, revision, _ := strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
	if n.Serial, err = strconv.ParseInt(serial, 10, 64); err != nil || len(revision) != 64 {
		return Newest{}, fmt.Errorf("%s is damaged: what was published last is not known", path)
	}
	n.Revision = revision
	return n, nil
}

// highest is the highest serial of a file, also of one that cannot be read.
func (h *History) highest() (int64, error) {
	all, err := h.list()
	if len(all) == 0 {
		return 0, err
	}
	text, _, _ := strings.Cut(all[0].name, "-")
	serial, parsed := strconv.ParseInt(text, 10, 64)
	return serial, errors.Join(err, parsed)
}
