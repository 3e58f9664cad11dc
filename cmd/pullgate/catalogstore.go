package main

import (
	"errors"
	"log/slog"
	"sync"

	"github.com/pullgate/pullgate/sync/catalog"
)

// openStore opens a store; a damaged one is moved aside and made again.
func openStore(dir, registry string, log *slog.Logger) (*catalog.Store, error) {
	store, err := catalog.Open(dir, registry)
	var damaged *catalog.CorruptError
	if errors.As(err, &damaged) {
		log.Error("the kept catalog is damaged; it was moved aside and is read from the registry again", "registry", registry, "error", err)
		store, err = catalog.Open(dir, registry)
	}
	return store, err
}

// sharedStore is a store that is open while somebody uses it.
type sharedStore struct {
	open func() (*catalog.Store, error)

	mu    sync.Mutex
	store *catalog.Store // closed while users is 0; nil before the first
	users int
}

// acquire opens the store unless it is open. The release that comes with it may be called again.
func (s *sharedStore) acquire() (store *catalog.Store, release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		if s.store == nil || s.store.Reopen() != nil { // it has changed, or is not to be had
			if s.store, err = s.open(); err != nil {
				s.store = nil
				return nil, func() {}, err
			}
		}
	}
	s.users++
	return s.store, sync.OnceFunc(s.release), nil
}

func (s *sharedStore) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users == 0 {
		_ = s.store.Close() // everything is on disk
	}
}
