// Package memstore keeps verdicts in this process: the first cache the Gate asks.
package memstore

import (
	"fmt"
	"time"
	"unsafe"

	"github.com/maypok86/otter/v2"
	"github.com/maypok86/otter/v2/stats"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
)

// DefaultMaxBytes bounds a Cache whose Config does not: some 50,000 to 100,000 verdicts.
const DefaultMaxBytes = 64 << 20

// Config says how large a Cache may become; the zero Config is useful.
type Config struct {
	// MaxBytes bounds the estimated memory of all entries; DefaultMaxBytes when it is 0.
	MaxBytes uint64
	// Registerer takes the metrics; nil: none are exported.
	Registerer prometheus.Registerer
}

// Cache is an authz.Cache, bounded by weight. It is safe for concurrent use.
//
// When it drops an entry is housekeeping: by the real clock, after as long as the entry was
// to be true from when it was made. Whether an entry is true now only the Gate says, by the
// instants in it.
type Cache struct {
	entries *otter.Cache[[32]byte, *authz.Entry]
}

// New returns an empty Cache. Close ends its goroutines.
func New(cfg Config) (*Cache, error) {
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	evictions := &recorder{Counter: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pullgate_memory_cache_evictions_total",
		Help: "Verdicts dropped from memory to make room.",
	})}
	entries, err := otter.New(&otter.Options[[32]byte, *authz.Entry]{
		MaximumWeight: cfg.MaxBytes,
		Weigher:       func(_ [32]byte, e *authz.Entry) uint32 { return Weight(e) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[[32]byte, *authz.Entry]) time.Duration {
			return time.Duration(e.Value.Until-e.Value.From) * time.Second
		}),
		StatsRecorder: evictions,
	})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	c := &Cache{entries: entries}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(evictions.Counter,
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "pullgate_memory_cache_bytes", Help: "Estimated memory of the verdicts in memory.",
			}, func() float64 { return float64(entries.WeightedSize()) }),
			prometheus.NewGaugeFunc(prometheus.GaugeOpts{
				Name: "pullgate_memory_cache_entries", Help: "Verdicts in memory.",
			}, func() float64 { return float64(entries.EstimatedSize()) }))
	}
	return c, nil
}

// Get returns the entry of a key, which may be out of date.
func (c *Cache) Get(key [32]byte) (authz.Entry, bool) {
	if e, ok := c.entries.GetIfPresent(key); ok {
		return *e, true
	}
	return authz.Entry{}, false
}

// Put keeps an entry in place of an earlier one of its key. One that is true at no instant, or
// alone too large, is not kept.
func (c *Cache) Put(key [32]byte, e authz.Entry) {
	if e.From < e.Until {
		c.entries.Set(key, &e)
	}
}

// Drop forgets the entry of a key.
func (c *Cache) Drop(key [32]byte) { c.entries.Invalidate(key) }

// Close empties the cache and ends its goroutines.
func (c *Cache) Close() {
	c.entries.InvalidateAll()
	c.entries.StopAllGoroutines()
}

// overhead is what an entry takes besides itself and what it points to: key, node, hash table.
const overhead = 160

// Weight estimates an entry's memory in bytes. What weighs more than Config.MaxBytes is not kept.
func Weight(e *authz.Entry) uint32 {
	v := &e.Verdict
	n := overhead + int(unsafe.Sizeof(*e)) + 8*cap(e.Visible) +
		len(v.Code) + len(v.License) + len(v.Grant) + len(v.Message) + len(v.Enforcement)
	for _, w := range v.Warnings {
		n += int(unsafe.Sizeof(w)) + len(w.Code) + len(w.Message)
	}
	for _, h := range v.Headers {
		n += int(unsafe.Sizeof(h)) + len(h.Name) + len(h.Value) + len(h.To)
	}
	return uint32(min(n, 1<<31))
}

// recorder counts evictions; hits and misses the Gate counts, who knows which were of use.
type recorder struct {
	stats.NoopRecorder
	prometheus.Counter
}

func (r *recorder) RecordEviction(uint32) { r.Inc() }

var _ authz.Cache = (*Cache)(nil)
