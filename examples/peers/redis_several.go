package peers

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Sentinel is a Redis with a replica, and a Sentinel that makes the replica the primary when the
// primary is gone for a third of a second. One Sentinel is the least that elects.
type Sentinel struct {
	Addr             string // of the Sentinel
	Name             string // of what it watches
	Password         string // that the Sentinel wants, "" for none
	Primary, Replica *RedisProcess
	sentinel         *Process
	door             redisDoor
}

// StartSentinel runs the three, all with the TLS of cfg. Where cfg has a user, the Sentinel wants a
// password of its own.
func StartSentinel(ctx context.Context, path string, cfg RedisConfig) (_ *Sentinel, err error) {
	s := &Sentinel{Name: "main"}
	defer func() {
		if err != nil {
			_ = s.Close()
		}
	}()
	cfg = cfg.withAdmin()
	primary, replica := cfg, cfg
	primary.Settings = slices.Concat(cfg.Settings, []string{"--repl-diskless-sync-delay", "0"})
	if s.Primary, err = StartRedis(ctx, path, primary); err != nil {
		return nil, err
	}
	replica.Settings = slices.Concat(primary.Settings, []string{"--replicaof", "127.0.0.1 " + s.Primary.port})
	if s.Replica, err = StartRedis(ctx, path, replica); err != nil {
		return nil, err
	}
	if err := s.Replica.awaitLink(ctx); err != nil {
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
	text := fmt.Sprintf("bind 127.0.0.1\ndir %s\nprotected-mode no\nsentinel monitor main 127.0.0.1 %s 1\nsentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n", dir, s.Primary.port)
	args := []string{config, "--sentinel", "--port", port}
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	s.door = redisDoor{addr: s.Addr, tls: cfg.TLS}
	if cfg.TLS != nil {
		args = append(args[:2], cfg.tls(port)...)
	}
	if cfg.User != "" {
		s.Password = rand.Text()
		s.door.auth = []string{"AUTH", s.Password}
		text += fmt.Sprintf("requirepass %s\nsentinel auth-user main admin\nsentinel auth-pass main %s\n", s.Password, cfg.admin)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if s.sentinel, err = Start(path, args...); err != nil {
		return nil, err
	}
	s.sentinel.dir = dir
	err = s.sentinel.await(ctx, "knowing the replica", func() bool {
		text, err := s.door.do("SENTINEL", "replicas", "main")
		return err == nil && strings.Contains(text, s.Replica.port)
	})
	return s, err
}

// awaitLink waits until a replica has what its primary has.
func (r *RedisProcess) awaitLink(ctx context.Context) error {
	return r.await(ctx, "following the primary", func() bool {
		text, err := r.Do("INFO", "replication")
		return err == nil && strings.Contains(text, "master_link_status:up")
	})
}

// Elected is the one of the two that the Sentinel says is the primary, nil while it does not.
func (s *Sentinel) Elected() *RedisProcess {
	text, err := s.door.do("SENTINEL", "get-master-addr-by-name", "main")
	for _, r := range []*RedisProcess{s.Primary, s.Replica} {
		if err == nil && strings.HasSuffix(text, "\n"+r.port) {
			return r
		}
	}
	return nil
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

// RedisCluster is a Redis Cluster of three primaries, the first three nodes, and the replicas of each in
// their order.
type RedisCluster struct{ Nodes []*RedisProcess }

const (
	primaries = 3
	slots     = 16384
)

// StartRedisCluster runs three primaries with so many replicas each, and waits until all know all of them
// and every slot, which takes Redis two seconds. A primary that is silent for two seconds is replaced by a
// replica, if it has one; Settings of cfg may have another time.
func StartRedisCluster(ctx context.Context, path string, cfg RedisConfig, replicas int) (_ *RedisCluster, err error) {
	c := &RedisCluster{}
	defer func() {
		if err != nil {
			_ = c.Close()
		}
	}()
	cfg = cfg.withAdmin()
	nodes := primaries * (1 + replicas)
	var bus, ids []string
	for i := range nodes {
		n, port, err := startNode(ctx, path, cfg)
		if err != nil {
			return nil, err
		}
		c.Nodes, bus = append(c.Nodes, n), append(bus, port)
		id, err := n.Do("CLUSTER", "MYID")
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
		if _, err := n.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return nil, err
		}
		if i >= primaries {
			continue
		}
		if _, err := n.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*slots/primaries), strconv.Itoa((i+1)*slots/primaries-1)); err != nil {
			return nil, err
		}
	}
	for i, n := range c.Nodes {
		for j, other := range c.Nodes[:i] {
			if _, err := n.Do("CLUSTER", "MEET", "127.0.0.1", other.port, bus[j]); err != nil {
				return nil, err
			}
		}
	}
	for i, n := range c.Nodes[primaries:] {
		err := n.await(ctx, "following its primary", func() bool { // which it has to know for this
			_, err := n.Do("CLUSTER", "REPLICATE", ids[i%primaries])
			return err == nil
		})
		if err != nil {
			return nil, err
		}
	}
	for i, n := range c.Nodes {
		err := n.await(ctx, "knowing the cluster", func() bool {
			text, err := n.Do("CLUSTER", "INFO")
			known := fmt.Sprintf("cluster_known_nodes:%d\r", nodes)
			if err != nil || !strings.Contains(text, "cluster_state:ok") || !strings.Contains(text, "cluster_slots_assigned:16384") || !strings.Contains(text, known) {
				return false
			}
			text, err = n.Do("CLUSTER", "NODES")
			return err == nil && strings.Count(text, "slave") == nodes-primaries
		})
		if err == nil && i >= primaries {
			err = n.awaitLink(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
	return c, nil
}

// startNode runs one that is in no Cluster yet, and says on which port others of a Cluster find it.
func startNode(ctx context.Context, path string, cfg RedisConfig) (n *RedisProcess, bus string, err error) {
	for range 5 { // somebody else may take a port that is chosen here
		if bus, err = freePort(); err != nil {
			return nil, "", err
		}
		one := cfg
		one.Settings = slices.Concat([]string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000", "--cluster-require-full-coverage", "no",
			"--repl-diskless-sync-delay", "0",
		}, cfg.Settings)
		if n, err = StartRedis(ctx, path, one); err == nil {
			return n, bus, nil
		}
	}
	return nil, "", err
}

// Primary is the node that says that it is the primary of a slot, of all but some; nil while none does.
func (c *RedisCluster) Primary(slot int, but ...*RedisProcess) *RedisProcess {
	for _, n := range c.Nodes {
		if slices.Contains(but, n) {
			continue
		}
		text, _ := n.Do("CLUSTER", "NODES")
		for line := range strings.Lines(text) {
			// ID ADDRESS FLAGS PRIMARY PING PONG EPOCH LINK SLOTS...
			fields := strings.Fields(line)
			if len(fields) < 9 || !strings.Contains(fields[2], "myself") || !strings.Contains(fields[2], "master") {
				continue
			}
			for _, span := range fields[8:] {
				first, last, several := strings.Cut(span, "-")
				from, _ := strconv.Atoi(first)
				to, _ := strconv.Atoi(last)
				if from == slot || several && from <= slot && slot <= to {
					return n
				}
			}
		}
	}
	return nil
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
