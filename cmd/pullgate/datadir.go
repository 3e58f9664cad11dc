package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// dataDir is the state directory of one running pullgate, locked.
type dataDir struct{ lock *os.File }

// catalogDir is where a state directory has what was learned of registries.
func catalogDir(data string) string { return filepath.Join(data, "catalog") }

// decisionsDir is where a state directory has decision records.
func decisionsDir(data string) string { return filepath.Join(data, "decisions") }

// bundleDir is where a state directory has bundles of a name.
func bundleDir(data, name string) string { return filepath.Join(data, "bundles", name) }

// clockFile is where a state directory has the highest instant that has passed.
func clockFile(data string) string { return filepath.Join(data, "clock") }

// lockedData says whether a running pullgate has a state directory.
func lockedData(path string) bool {
	f, err := os.Open(filepath.Join(path, "lock"))
	if err != nil {
		return false
	}
	defer f.Close()
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}

// openDataDir makes the directory (0700) and locks it against a second pullgate. One that is there
// already and that others may read is tightened, with what pullgate has below it. A directory of
// somebody else (a mounted volume), or with other things in it, stays as it is: all that pullgate
// keeps lies below.
func openDataDir(path string) (*dataDir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	own, err := ownDir(path)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if own {
		if err := tighten(path); err != nil && !errors.Is(err, fs.ErrPermission) {
			return nil, fmt.Errorf("--data: %w", err)
		}
	}
	for _, dir := range []string{catalogDir(path), filepath.Join(path, "bundles"), decisionsDir(path)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("--data: %w", err)
		}
		if err := tighten(dir); err != nil {
			return nil, fmt.Errorf("--data: others may read it: %w", err)
		}
	}
	f, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("--data %s: another pullgate uses it; stop that one or name another directory", path)
	}
	return &dataDir{f}, nil
}

// ownDir says whether a directory holds nothing but what pullgate keeps.
func ownDir(path string) (bool, error) {
	entries, err := os.ReadDir(path)
	for _, e := range entries {
		if !slices.Contains([]string{"lock", "catalog", "bundles", "decisions", "clock"}, e.Name()) {
			return false, err
		}
	}
	return true, err
}

// tighten takes a directory's permissions for others away.
func tighten(dir string) error {
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// Close gives the lock back.
func (d *dataDir) Close() error { return d.lock.Close() }
