package main

import "sync"

// memoized keeps results of a pure function. What is dropped is computed again. It is safe for
// concurrent use.
type memoized[K comparable, V any] struct {
	mu sync.RWMutex
	m  map[K]V
}

// mostMemoized bounds one memo; its results are small.
const mostMemoized = 100_000

func (c *memoized[K, V]) get(k K) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.m[k]
	return v, ok
}

// put keeps the first result there was, and returns it.
func (c *memoized[K, V]) put(k K, v V) V {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old, ok := c.m[k]; ok {
		return old
	}
	if c.m == nil || len(c.m) >= mostMemoized {
		c.m = map[K]V{}
	}
	c.m[k] = v
	return v
}
