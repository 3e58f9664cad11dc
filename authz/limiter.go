package authz

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// badKeyWindow is how long bad keys of an address are counted together, from the first on.
const badKeyWindow = time.Minute

// The size of the table: 16,384 addresses in less than 1 MiB, whatever happens.
const (
	limiterSets   = 2048
	limiterPlaces = 8
)

// limiter counts bad keys by where they come from: an IPv4 address, an IPv6 network of 64 bits,
// or one for all requests whose address is not known.
//
// It never takes more memory than at the start, and forgets nobody before their minute is over.
// Who finds no place is counted together with the others who found none there, so that filling the
// table with addresses frees nobody and only makes the limit stricter. Where a place is depends on
// a random seed. A nil limiter admits everything. It is safe for concurrent use.
type limiter struct {
	most  int32                // bad keys that are answered within a window
	clock func() time.Duration // monotonic
	seed  maphash.Seed
	sets  []limiterSet
	count *prometheus.CounterVec
}

type limiterSet struct {
	mu     sync.Mutex
	places [limiterPlaces]counter
	shared counter // of those who found no place
}

// counter counts the bad keys of one place. The zero counter is free.
type counter struct {
	who   network
	since time.Duration
	count int32
	last  uint64 // the key that was counted last
}

// network is what is counted together.
type network struct {
	prefix uint64
	family uint8 // 4, 6, or 0 for no address
}

// newLimiter admits most bad keys a minute, or any number when most is 0.
func newLimiter(most int, reg prometheus.Registerer) *limiter {
	if most <= 0 {
		return nil
	}
	started := time.Now()
	l := &limiter{
		most: int32(min(most, 1<<30)), clock: func() time.Duration { return time.Since(started) },
		seed: maphash.MakeSeed(), sets: make([]limiterSet, limiterSets),
		count: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_bad_keys_total",
			Help: "Bad keys by result (answered, limited) and whether they were counted for their own address or, with the table full, together with others (own, shared).",
		}, []string{"result", "counter"}),
	}
	if reg != nil {
		reg.MustRegister(l.count)
	}
	return l
}

// admit counts a bad key and reports whether it may be answered. again says that it is the one
// that was counted just before from the same place.
func (l *limiter) admit(from netip.Addr, key uint64) (ok, again bool) {
	if l == nil {
		return true, false
	}
	now, who := l.clock(), networkOf(from)
	s := l.set(who)
	s.mu.Lock()
	c, own := s.find(who, now)
	if !c.live(now) {
		*c = counter{who: who, since: now}
	} else {
		again = c.last == key
	}
	if ok = c.count < l.most; ok {
		c.count++
		c.last = key
	}
	s.mu.Unlock()

	result, counted := "answered", "own"
	if !ok {
		result = "limited"
	}
	if !own {
		counted = "shared"
	}
	l.count.WithLabelValues(result, counted).Inc()
	return ok, again
}

// forgive takes one bad key back.
func (l *limiter) forgive(from netip.Addr) {
	if l == nil {
		return
	}
	now, who := l.clock(), networkOf(from)
	s := l.set(who)
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, _ := s.find(who, now); c.live(now) && c.count > 1 { // a live counter keeps its place
		c.count--
	}
}

func (l *limiter) set(who network) *limiterSet {
	return &l.sets[maphash.Comparable(l.seed, who)%uint64(len(l.sets))]
}

// find returns the place of a network: its own, a free one, or the shared one.
func (s *limiterSet) find(who network, now time.Duration) (c *counter, own bool) {
	var free *counter
	for i := range s.places {
		switch c := &s.places[i]; {
		case !c.live(now):
			free = c
		case c.who == who:
			return c, true
		}
	}
	if free != nil {
		return free, true
	}
	return &s.shared, false
}

// live reports whether a counter's window is not over.
func (c *counter) live(now time.Duration) bool { return c.count > 0 && now-c.since < badKeyWindow }

func networkOf(a netip.Addr) network {
	switch a = a.Unmap(); {
	case a.Is4():
		b := a.As4()
		return network{uint64(binary.BigEndian.Uint32(b[:])), 4}
	case a.Is6():
		b := a.As16()
		return network{binary.BigEndian.Uint64(b[:8]), 6}
	default:
		return network{}
	}
}
