package peers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// Sentinel is a Redis with a replica, and a Sentinel that makes the replica the primary when the
// primary is gone for a third of a second. One Sentinel is the least that elects.
type Sentinel struct {
	Addr             string // of the Sentinel
	Name             string // of what it watches
	Primary, Replica *RedisProcess
	sentinel         *Process
}

// StartSentinel runs the three.
func StartSentinel(ctx context.Context, path string) (_ *Sentinel, err error) {
	s := &Sentinel{Name: "main"}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	if s.Primary, err = StartRedis(ctx, path, RedisConfig{Settings: []string{"--repl-diskless-sync-delay", "0"}}); err != nil {
		return nil, err
	}
	if s.Replica, err = StartRedis(ctx, path, RedisConfig{Settings: []string{"--replicaof", "127.0.0.1 " + s.Primary.port}}); err != nil {
		return nil, err
	}
	err = s.Replica.await(ctx, "following the primary", func() bool {
		text, err := s.Replica.Do("INFO", "replication")
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "pullgate-sentinel-")
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "sentinel.conf") // which it writes to
	text := fmt.Sprintf("bind 127.0.0.1\nport %s\ndir %s\nprotected-mode no\nsentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n", port, dir, s.Primary.port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if s.sentinel, err = Start(path, config, "--sentinel"); err != nil {
		return nil, err
	}
	s.sentinel.dir, s.Addr = dir, net.JoinHostPort("127.0.0.1", port)
	err = s.sentinel.await(ctx, "knowing the replica", func() bool {
		text, err := redisDo(s.Addr, "SENTINEL", "replicas", "main")
		return err == nil && strings.Contains(text, s.Replica.port)
	})
	return s, err
}

// Close ends them, the Sentinel first.
func (s *Sentinel) Close() error {
	var errs []error
	if s.sentinel != nil {
		errs = append(errs, s.sentinel.Close())
	}
	for _, r := range []*RedisProcess{s.Replica, s.Primary} {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}

// RedisCluster is a Redis Cluster of three primaries.
type RedisCluster struct{ Nodes []*RedisProcess }

// StartRedisCluster runs the three and waits until all of them know all slots, which takes Redis
// two seconds.
func StartRedisCluster(ctx context.Context, path string) (_ *RedisCluster, err error) {
	c := &RedisCluster{}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	bus := []string{}
	for i := range 3 {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		n, err := StartRedis(ctx, path, RedisConfig{Settings: []string{
			"--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no",
		}})
		if err != nil {
			return nil, err
		}
		c.Nodes, bus = append(c.Nodes, n), append(bus, port)
		const slots = 16384
		if _, err := n.Do("CLUSTER", "ADDSLOTSRANGE", fmt.Sprint(i*slots/3), fmt.Sprint((i+1)*slots/3-1)); err != nil {
			return nil, err
		}
	}
	for i, n := range c.Nodes[1:] {
		if _, err := c.Nodes[0].Do("CLUSTER", "MEET", "127.0.0.1", n.port, bus[i+1]); err != nil {
			return nil, err
		}
	}
	for _, n := range c.Nodes {
		err := n.await(ctx, "knowing the cluster", func() bool {
			text, err := n.Do("CLUSTER", "INFO")
			return err == nil && strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_slots_assigned:16384") && strings.Contains(text, "cluster_known_nodes:3")
		})
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Addrs are those of the nodes.
func (c *RedisCluster) Addrs() (all []string) {
	for _, n := range c.Nodes {
		all = append(all, n.Addr)
	}
	return all
}

// Close ends them.
func (c *RedisCluster) Close() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.Close())
	}
	return errors.Join(errs...)
}
