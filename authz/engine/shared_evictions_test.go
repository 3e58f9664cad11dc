package engine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/examples/peers"
)

// evicted asks while Redis is full and evicts verdicts for others: those of other processes, which somebody has
// written so much of that there is hardly room, and that live longer.
func (c *contest) evicted(t *testing.T) {
	r, err := peers.StartRedis(t.Context(), peers.Redis(t), peers.RedisConfig{Settings: []string{"--maxmemory-policy", "volatile-ttl"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	do := func(args ...string) string {
		t.Helper()
		text, err := r.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	info := func(section, name string) int {
		t.Helper()
		for line := range strings.Lines(do("INFO", section)) {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
				n, err := strconv.Atoi(text)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
		}
		t.Fatalf("Redis says no %s", name)
		return 0
	}
	evicted := func() int { return info("stats", "evicted_keys") }

	all := c.fleet(t, r.Addr)
	defer c.dismiss(all)
	c.bundles.active.Store(lasting)
	c.until(t, "an answer from Redis that has room", func() bool { return c.ask(t, all[0], now, c.questions[0]).Cached == "l2" })
	do("CONFIG", "SET", "maxmemory", strconv.Itoa(info("memory", "used_memory")+64<<10))
	others := 0
	c.until(t, "Redis is full", func() bool {
		for range 16 {
			do("SET", fmt.Sprint("pullgate:verdict:another", others), strings.Repeat("x", 1000), "PX", strconv.Itoa(200_000-others))
			others++
		}
		return evicted() > 0
	})

	// Clients take memory too, so that there may be room for a while.
	before, hits, asks := evicted(), 0, 0
	c.until(t, "verdicts are evicted", func() bool {
		for range 8 {
			q := c.questions[asks/2%len(c.questions)]
			if c.ask(t, all[asks%2], now, q).Cached == "l2" {
				hits++
			}
			asks++
		}
		return asks > 200 && evicted() >= before+10 && hits >= 10
	})
	t.Logf("%d keys evicted in %d answers, %d of them from Redis", evicted()-before, asks, hits)
}
