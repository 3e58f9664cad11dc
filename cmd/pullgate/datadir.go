package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// dataDir is the state directory of one pullgate.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory (0700) and locks it against a second pullgate.
func openDataDir(path string) (*dataDir, error) {
	for _, dir := range []string{path, filepath.Join(path, "catalog"), filepath.Join(path, "bundles"), filepath.Join(path, "decisions")} {
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
	return &dataDir{path, f}, nil
}

func (d *dataDir) catalog() string   { return filepath.Join(d.path, "catalog") }
func (d *dataDir) decisions() string { return filepath.Join(d.path, "decisions") }

// Close gives the lock back.
func (d *dataDir) Close() error { return d.lock.Close() }
