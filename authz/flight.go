package authz

import "sync"

// flights are the questions that somebody is finding the answer to: who asks the same meanwhile
// waits for that one. The zero flights is ready.
type flights struct {
	mu    sync.Mutex
	under map[[32]byte]*flight
}

// flight is one of them. The fields but done are set before done is closed, and not changed after.
type flight struct {
	done       chan struct{}
	landed     bool // there is an entry; else it failed
	overloaded bool // it failed because too many wait
	entry      Entry
	cached     string // where the entry came from
}

// join returns the flight of a key. first says that it is the caller's, who must land it.
func (f *flights) join(key [32]byte) (_ *flight, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if other, ok := f.under[key]; ok {
		return other, false
	}
	if f.under == nil {
		f.under = map[[32]byte]*flight{}
	}
	own := &flight{done: make(chan struct{})}
	f.under[key] = own
	return own, true
}

// land lets those go on who wait.
func (f *flights) land(key [32]byte, own *flight) {
	f.mu.Lock()
	delete(f.under, key)
	f.mu.Unlock()
	close(own.done)
}
