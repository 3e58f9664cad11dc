package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// keptFormat begins the file of a kept snapshot: this, the SHA-256 of what follows in hex, a
// newline, the Catalog as JSON. The same catalog gives the same bytes.
const keptFormat = "pullgate catalog 1 "

// keptPath is where the snapshot of a store is, beside its file.
func keptPath(store string) string { return strings.TrimSuffix(store, ".db") + ".json" }

// Last reads what was known at the end of the last crawl of a registry, also while another one
// goes on in this or another process. Errors: ErrNoCatalog, also when crawls have learned nothing,
// and *CorruptError.
func Last(dir, registry string) (*Catalog, error) {
	path, err := storePath(dir, registry)
	if err != nil {
		return nil, err
	}
	if c, err := readKept(path, registry); err == nil {
		return c, nil
	}
	c, err := fromStore(path, registry)
	switch {
	case errors.Is(err, ErrLocked):
		// Whoever has the store writes a snapshot of what it holds before it crawls.
		if c, err := readKept(path, registry); err == nil {
			return c, nil
		}
		return nil, fmt.Errorf("catalog store %s is being crawled for the first time: %w", path, ErrNoCatalog)
	case err != nil:
		return nil, err
	case len(c.Repositories) == 0:
		return nil, fmt.Errorf("catalog store %s is empty: %w", path, ErrNoCatalog)
	}
	return c, nil
}

// fromStore reads the store itself: one that a killed process left without a snapshot, or whose
// snapshot is damaged.
func fromStore(path, registry string) (*Catalog, error) {
	if info, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return nil, fmt.Errorf("catalog store %s: %w", path, ErrNoCatalog)
	}
	s := &Store{path: path, registry: registry}
	if err := s.open(&bolt.Options{Timeout: time.Second, ReadOnly: true}); err != nil {
		return nil, err
	}
	defer s.Close()
	return s.Snapshot()
}

func readKept(store, registry string) (*Catalog, error) {
	text, err := os.ReadFile(keptPath(store))
	if err != nil {
		return nil, err
	}
	head, body, _ := bytes.Cut(text, []byte("\n"))
	if string(head) != keptHead(body) {
		return nil, errors.New("checksum differs")
	}
	c := &Catalog{}
	if err := json.Unmarshal(body, c); err != nil {
		return nil, err
	}
	if len(c.Repositories) == 0 {
		return nil, ErrNoCatalog
	}
	c.Registry = registry
	return c, nil
}

func keptHead(body []byte) string {
	sum := sha256.Sum256(body)
	return keptFormat + hex.EncodeToString(sum[:])
}

// Keep writes the snapshot that Last reads. The catalog must be what the store knows, and what c
// holds of it must not change meanwhile.
func (s *Store) Keep(c *Catalog) error { return s.keep(c) }

// keep writes the snapshot that Last reads, for the owner only and in one step. An empty catalog
// never replaces one.
func (s *Store) keep(c *Catalog) (err error) {
	if len(c.Repositories) == 0 {
		return nil
	}
	body, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("catalog snapshot: %w", err)
	}
	path := keptPath(s.path)
	next := path + ".new" // nobody else writes it: the store is locked
	f, err := os.OpenFile(next, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("catalog snapshot: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("catalog snapshot: %w", errors.Join(err, os.Remove(next)))
		}
	}()
	_, err = f.Write(append([]byte(keptHead(body)+"\n"), body...))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(next, path)
}

// keepIfMissing writes the snapshot of a store that has none: the first crawl was killed, or the
// store is from before there were any. An error is the crawl's to find.
func (s *Store) keepIfMissing() {
	if _, err := readKept(s.path, s.registry); err == nil {
		return
	}
	if c, err := s.Snapshot(); err == nil {
		_ = s.keep(c)
	}
}
