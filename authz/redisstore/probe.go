package redisstore

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	probeEvery   = 250 * time.Millisecond // while a node is left alone
	probeTimeout = time.Second            // of making the connection that a probe uses
)

// probe finds out when what is left alone is well again.
func (c *Verdicts) probe(ctx context.Context) {
	c.probeAll(ctx) // so that the first request finds connections
	told := c.unknown.Load()
	if told {
		c.breakerChanged("any of the Cluster", leaves)
	}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if c.leftAlone() > 0 {
				c.probeAll(ctx)
			}
			if told && !c.unknown.Load() {
				told = false
				c.breakerChanged("any of the Cluster", returns)
			}
		}
	}
}

// probeAll tries all nodes that are asked for verdicts. Of a Cluster it finds out first which those are now.
func (c *Verdicts) probeAll(ctx context.Context) {
	switch client := c.client.(type) {
	case *redis.Client:
		_ = probeNode(ctx, client)
	case *redis.ClusterClient:
		var mu sync.Mutex
		var primaries []string
		_ = client.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
			mu.Lock()
			primaries = append(primaries, node.Options().Addr)
			mu.Unlock()
			return probeNode(ctx, node)
		})
		if len(primaries) > 0 {
			c.breakers.retire(primaries)
			c.unknown.Store(false)
		}
	}
}

// probeNode has a node answer in the time that a look-up has. Making the connection before takes its own time.
func probeNode(ctx context.Context, node *redis.Client) error {
	slow, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if err := node.Echo(slow, "").Err(); err != nil {
		return err
	}
	fast, cancel := context.WithTimeout(ctx, lookupBudget)
	defer cancel()
	return node.Ping(fast).Err()
}

// leftAlone counts the nodes that are left alone, and a Cluster that nothing is known of as one.
func (c *Verdicts) leftAlone() int {
	n := c.breakers.open()
	if c.unknown.Load() {
		n++
	}
	return n
}

func (c *Verdicts) breakerChanged(node string, to change) {
	switch to {
	case leaves:
		c.log.Warn("redis does not answer in time; verdicts are evaluated here meanwhile", "node", node)
	case returns:
		c.log.Info("redis answers again", "node", node)
	case retires:
		c.log.Info("redis has another primary; this node is asked no more", "node", node)
	}
}
