package source

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// longestCheckout is how long a lock of Git's counts: one that a killed Git has left is no checkout.
const longestCheckout = 30 * time.Second

// checkingOut reports whether Git is changing the checkout that a directory is in: it holds the lock of
// its index (git-update-index, "index.lock") from before the first file until after the last, however
// long it pauses in between.
func checkingOut(dir string) bool {
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	for d := real; ; d = filepath.Dir(d) {
		if info, err := os.Stat(filepath.Join(d, ".git")); err == nil {
			lock, err := os.Stat(filepath.Join(gitDir(filepath.Join(d, ".git"), info), "index.lock"))
			return err == nil && time.Since(lock.ModTime()) < longestCheckout
		}
		if d == filepath.Dir(d) {
			return false
		}
	}
}

// gitDir is where Git keeps the index: .git, or where that file of a worktree says.
func gitDir(path string, info os.FileInfo) string {
	if info.IsDir() {
		return path
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return path
	}
	dir := strings.TrimSpace(strings.TrimPrefix(string(text), "gitdir:"))
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(path), dir)
	}
	return dir
}
