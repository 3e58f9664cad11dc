package catalog

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// ErrLocked: another process has the store open for a crawl.
var ErrLocked = errors.New("in use by another pullgate, which is crawling; wait for it, stop it, or give this one a --data of its own")

// ErrNoCatalog: nothing was ever crawled for this registry.
var ErrNoCatalog = errors.New("no crawl has been kept yet; run `pullgate catalog crawl`, or name a file with --catalog")

// CorruptError says that a store's file is damaged. MovedTo is where Open put it, "" when it was
// only read.
type CorruptError struct {
	Path, MovedTo string
	Err           error
}

// Error says what to do: the store only holds what a registry can tell again.
func (e *CorruptError) Error() string {
	if e.MovedTo == "" {
		return fmt.Sprintf("catalog store %s is damaged (%v); run `pullgate catalog crawl` to build it again", e.Path, e.Err)
	}
	return fmt.Sprintf("catalog store %s was damaged (%v) and is now %s; start again and the next crawl builds a new one", e.Path, e.Err, e.MovedTo)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// Store keeps on disk what crawls of one registry learned. What has a digest is kept for ever and
// shared by the registry's repositories; what a repository's tags name is replaced as a whole when
// a crawl of it succeeded. Every write is a transaction, so a killed process loses at most the
// requests under way. One process at a time holds a Store, for a crawl only; Last reads beside
// it. Safe for concurrent use.
type Store struct {
	db       *bolt.DB
	path     string
	registry string

	closed os.FileInfo // of the file, when it was closed

	mu    sync.Mutex
	moved map[string]map[string]bool // by repository, see newer; nil while no crawl is under way
}

// Buckets of the file, and of a repository in it. Values are JSON behind a checksum over key and
// value (see pack); the key is given with each.
var (
	bucketMeta         = []byte("meta")         // "format" → 1, "crawled" → when the last crawl ended, "referrers" → whether it was told of any
	bucketManifests    = []byte("manifests")    // digest → record
	bucketConfigs      = []byte("configs")      // digest of an image config → its date, Unix seconds; 0 without
	bucketRepositories = []byte("repositories") // name → a bucket:
	bucketTags         = []byte("tags")         //   tag → tagRecord
	bucketHistory      = []byte("history")      //   tag → []Past, oldest first
	bucketDates        = []byte("dates")        //   digest that a tag named → frozen date
	bucketReferrers    = []byte("referrers")    //   digest that the referrers API was asked about → referrersRecord
	keyState           = []byte("state")        //   State
)

const storeFormat = 1

// tagRecord keeps a tag that is gone (Digest "") for its Seen.
type tagRecord struct {
	Digest string `json:"digest,omitempty"`
	Seen   int64  `json:"seen"`
}

// State is how the crawls of a repository went. Instants are Unix seconds, 0 for never.
type State struct {
	Succeeded int64  `json:"succeeded,omitempty"` // the last crawl whose answers were taken
	Failed    int64  `json:"failed,omitempty"`    // the last crawl that failed, if later
	Failure   string `json:"failure,omitempty"`   // why
}

// Open opens the store of a registry (the id of its document, "" for the only one) in dir for
// writing; both are made if missing. It reads the whole file once to know that it is sound.
// Errors: ErrLocked, or a *CorruptError after a damaged file was moved aside, so that opening
// again succeeds.
func Open(dir, registry string) (*Store, error) {
	path, err := storePath(dir, registry)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("catalog store: %w", err)
	}
	s := &Store{path: path, registry: registry}
	err = s.open(&bolt.Options{Timeout: 200 * time.Millisecond})
	if corrupt, ok := errors.AsType[*CorruptError](err); ok {
		aside := fmt.Sprintf("%s.damaged-%d", path, time.Now().UnixNano())
		if err := os.Rename(path, aside); err != nil {
			return nil, errors.Join(corrupt, err)
		}
		corrupt.MovedTo = aside
		return nil, corrupt
	}
	if err != nil {
		return nil, err
	}
	s.keepIfMissing()
	return s, nil
}

// Close releases the store. It does not wait for a crawl: end that first.
func (s *Store) Close() error {
	err := s.db.Close()
	s.closed, _ = os.Stat(s.path)
	return err
}

// errChanged: the file is not the one that was closed.
var errChanged = errors.New("the file has changed")

// Reopen opens a store that was closed, without reading the whole of it, if nobody else has written
// to its file since. After an error Open may still open it.
func (s *Store) Reopen() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer s.guard(&err)
	same := func() bool {
		is, err := os.Stat(s.path)
		return err == nil && s.closed != nil && os.SameFile(is, s.closed) && is.Size() == s.closed.Size() && is.ModTime().Equal(s.closed.ModTime())
	}
	if !same() {
		return errChanged
	}
	db, err := bolt.Open(s.path, 0o600, &bolt.Options{Timeout: 200 * time.Millisecond})
	if err != nil {
		return err
	}
	if !same() { // before it was ours
		return errors.Join(errChanged, db.Close())
	}
	s.db = db
	return nil
}

// storePath refuses ids that are none, so that no id leaves dir.
func storePath(dir, registry string) (string, error) {
	if registry == "" {
		return filepath.Join(dir, "_.db"), nil // no id begins with '_'
	}
	for i := range len(registry) {
		if c := registry[i]; !lowerAlnum(c) && (i == 0 || c != '.' && c != '_' && c != '-') {
			return "", fmt.Errorf("catalog store: %q is not a registry's id", registry)
		}
	}
	return filepath.Join(dir, registry+".db"), nil
}

func (s *Store) open(opts *bolt.Options) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	var file *os.File
	opts.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}
	defer func() {
		switch _, corrupt := errors.AsType[*CorruptError](err); {
		case corrupt && opts.ReadOnly && s.db != nil:
			s.db.Close()
		case corrupt && file != nil: // Close could wait for ever; the lock goes aside with the file
			file.Close()
		}
	}()
	defer s.guard(&err)
	s.db, err = bolt.Open(s.path, 0o600, opts)
	switch _, osError := errors.AsType[syscall.Errno](err); {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("catalog store %s: %w", s.path, ErrLocked)
	case osError: // the file may be sound: no permission, a full disk
		return fmt.Errorf("catalog store: %w", err)
	case err != nil:
		return &CorruptError{Path: s.path, Err: err}
	}
	if !opts.ReadOnly {
		err = s.db.Update(s.prepare)
	}
	if err == nil {
		err = s.db.View(func(tx *bolt.Tx) error { return tx.ForEach(sound) })
	}
	if err != nil {
		s.db.Close()
		s.db = nil
		if _, ok := errors.AsType[syscall.Errno](err); ok { // a full disk
			return fmt.Errorf("catalog store %s: %w", s.path, err)
		}
		return &CorruptError{Path: s.path, Err: err}
	}
	return err
}

func (s *Store) prepare(tx *bolt.Tx) error {
	for _, name := range [][]byte{bucketMeta, bucketManifests, bucketConfigs, bucketRepositories} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	format := storeFormat
	if ok, err := get(tx.Bucket(bucketMeta), []byte("format"), &format); err != nil {
		return err
	} else if ok && format != storeFormat {
		return fmt.Errorf("format %d, this program writes %d", format, storeFormat)
	}
	return put(tx.Bucket(bucketMeta), []byte("format"), format)
}

// sound reads a bucket to its last value.
func sound(name []byte, b *bolt.Bucket) error {
	return b.ForEach(func(k, v []byte) error {
		if v == nil {
			return sound(k, b.Bucket(k))
		}
		if _, err := unpack(k, v); err != nil {
			return fmt.Errorf("%s/%s: %w", name, k, err)
		}
		return nil
	})
}

// guard turns a panic over a damaged page, or a read past the end of a file that was cut, into a
// CorruptError. It must be deferred directly.
func (s *Store) guard(err *error) {
	if r := recover(); r != nil {
		*err = &CorruptError{Path: s.path, Err: fmt.Errorf("%v", r)}
	}
}

// view and update run a transaction. A fault inside is a CorruptError. An update is on disk when
// it returns.
func (s *Store) view(f func(tx *bolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer s.guard(&err)
	return s.db.View(f)
}

func (s *Store) update(f func(tx *bolt.Tx) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer s.guard(&err)
	return s.db.Update(f)
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pack puts a CRC-32C over key and value before the value.
func pack(key, value []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value)
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(value)), sum), value...)
}

func unpack(key, packed []byte) ([]byte, error) {
	if len(packed) < 4 {
		return nil, errors.New("cut short")
	}
	value := packed[4:]
	if binary.BigEndian.Uint32(packed) != crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value) {
		return nil, errors.New("checksum differs")
	}
	return value, nil
}

func put(b *bolt.Bucket, key []byte, v any) error {
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return b.Put(key, pack(key, value))
}

// get decodes the value of key into v; false if there is none. A nil bucket has none.
func get(b *bolt.Bucket, key []byte, v any) (bool, error) {
	if b == nil {
		return false, nil
	}
	packed := b.Get(key)
	if packed == nil {
		return false, nil
	}
	value, err := unpack(key, packed)
	if err == nil {
		err = json.Unmarshal(value, v)
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", strconv.Quote(string(key)), err)
	}
	return true, nil
}
