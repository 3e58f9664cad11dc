package source

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"sync"

	"github.com/pullgate/pullgate/bundle/license"
)

// sums are the SHA-256 of files by name.
type sums map[string][sha256.Size]byte

func (s sums) names() []string { return slices.Sorted(maps.Keys(s)) }

// hash is that of a Snapshot of these files, whose names are sorted.
func (s sums) hash(names []string) string {
	all := sha256.New()
	var line []byte
	for _, name := range names {
		sum := s[name]
		line = append(append(line[:0], name...), 0)
		line = append(hex.AppendEncode(line, sum[:]), '\n')
		all.Write(line)
	}
	return hex.EncodeToString(all.Sum(nil))
}

// recorder is a directory that remembers the hash of every file that was read through it.
type recorder struct {
	dir  fs.FS
	mu   sync.Mutex
	sums sums
}

func record(dir string) *recorder { return &recorder{dir: os.DirFS(dir), sums: sums{}} }

func (r *recorder) Open(name string) (fs.File, error) {
	f, err := r.dir.Open(name)
	if err != nil {
		return nil, err
	}
	return &recordedFile{File: f, name: name, r: r, sum: sha256.New()}, nil
}

func (r *recorder) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.dir, name) }
func (r *recorder) Stat(name string) (fs.FileInfo, error)      { return fs.Stat(r.dir, name) }

func (r *recorder) read(name string) ([]byte, error) {
	f, err := r.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, license.MaxFileBytes+1))
	if err == nil && len(text) > license.MaxFileBytes {
		err = fmt.Errorf("larger than %d bytes", license.MaxFileBytes)
	}
	return text, err
}

type recordedFile struct {
	fs.File
	name string
	r    *recorder
	sum  hash.Hash
}

func (f *recordedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.sum.Write(p[:n])
	return n, err
}

func (f *recordedFile) Close() error {
	f.r.mu.Lock()
	f.r.sums[f.name] = [sha256.Size]byte(f.sum.Sum(nil))
	f.r.mu.Unlock()
	return f.File.Close()
}
