package engine

import "sync"

// memo keeps results of a pure function, bounded by weight. What is dropped is computed again.
// It is safe for concurrent use.
type memo[K comparable, V any] struct {
	mu     sync.RWMutex
	max    int
	weight int
	m      map[K]weighted[V]
}

type weighted[V any] struct {
	v      V
	weight int
}

func newMemo[K comparable, V any](maxWeight int) *memo[K, V] {
	return &memo[K, V]{max: maxWeight, m: map[K]weighted[V]{}}
}

func (c *memo[K, V]) get(k K) (V, bool) {
	c.mu.RLock()
	e, ok := c.m[k]
	c.mu.RUnlock()
	return e.v, ok
}

// put keeps a value unless it alone is too heavy. Room is made at random: maps are ranged over
// in no order, which is good enough for values that are cheap to make again.
func (c *memo[K, V]) put(k K, v V, weight int) {
	if weight > c.max/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.m[k]; ok {
		c.weight -= old.weight
	}
	c.m[k] = weighted[V]{v, weight}
	c.weight += weight
	for other, e := range c.m {
		if c.weight <= c.max {
			return
		}
		if other != k {
			delete(c.m, other)
			c.weight -= e.weight
		}
	}
}

// takeOver puts in what another memo has, where keep says so.
func (c *memo[K, V]) takeOver(from *memo[K, V], keep func(K) bool) {
	from.mu.RLock()
	defer from.mu.RUnlock()
	for k, e := range from.m {
		if keep(k) {
			c.put(k, e.v, e.weight)
		}
	}
}
