package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dataDir is the state directory of one running pullgate, locked.
type dataDir struct{ lock *os.File }

// catalogDir is where a state directory has what was learned of registries.
func catalogDir(data string) string { return filepath.Join(data, "catalog") }

// decisionsDir is where a state directory has decision records.
func decisionsDir(data string) string { return filepath.Join(data, "decisions") }

// openDataDir makes the directory (0700) and locks it against a second pullgate.
func openDataDir(path string) (*dataDir, error) {
	for _, dir := range []string{path, catalogDir(path), filepath.Join(path, "bundles"), decisionsDir(path)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("--data: %w", err)
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

// Close gives the lock back.
func (d *dataDir) Close() error { return d.lock.Close() }
