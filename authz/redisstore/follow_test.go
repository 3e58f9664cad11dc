package redisstore

import (
	"bytes"
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/examples/peers"
	"github.com/pullgate/pullgate/sync/tombstone"
)

// scene is a publisher and a sidecar with a Redis between them, and somebody who revokes.
type scene struct {
	t       *testing.T
	signer  *bundle.Signer
	ring    *bundle.KeyRing
	stream  *Tombstones // the revoker's
	keepers *tombstone.Keepers
	bundle  *bundle.Bundle
	side    *tombstone.Follower

	mu   sync.Mutex
	live []string
}

// stage begins a scene: each side has a Store of its own.
func stage(t *testing.T, publisher, sidecar Config) *scene {
	t.Helper()
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{t: t}
	if s.signer, err = bundle.NewSigner(key); err != nil {
		t.Fatal(err)
	}
	if s.ring, err = bundle.NewKeyRing(s.signer.Public()); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	now := time.Now()
	_, err = bundle.Write(&buf, &bundle.Content{Serial: now.Unix(), IssuedAt: now.Unix(), NotAfter: bundle.Never, Files: map[string][]byte{
		"pullgate/customers/data.json": []byte("{}"), "pullgate/keys/data.json": []byte("{}"),
	}}, s.signer)
	if err != nil {
		t.Fatal(err)
	}
	if s.bundle, err = bundle.Read(&buf, s.ring, bundle.ReadOptions{Name: bundle.DefaultName}); err != nil {
		t.Fatal(err)
	}
	s.stream = open(t, publisher).Tombstones(bundle.DefaultName)
	s.keepers = tombstone.NewKeepers(nil, tombstone.KeeperConfig{
		Name: bundle.DefaultName, Bundles: []string{bundle.DefaultName}, Signer: s.signer, Ring: s.ring,
		Stream: open(t, publisher).Tombstones(bundle.DefaultName), Validity: time.Hour,
	})
	s.side = tombstone.NewFollower(tombstone.FollowerConfig{
		Name: bundle.DefaultName, Ring: s.ring, Stream: open(t, sidecar).Tombstones(bundle.DefaultName), Serial: s.bundle.Serial, Reread: time.Second,
		Apply: func(_ context.Context, all []bundle.Tombstone) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.live = nil
			for _, t := range all {
				s.live = append(s.live, t.Customer)
			}
			return nil
		},
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.side.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return s
}

// beat has the publisher look after Redis, as it does every few seconds.
func (s *scene) beat() { s.keepers.Announce(context.Background(), s.bundle) }

// revoke bans a customer, and returns how long it took until the sidecar knew.
func (s *scene) revoke(customer string) time.Duration {
	s.t.Helper()
	began := time.Now()
	r := tombstone.Revoker{Signer: s.signer, Ring: s.ring, Hold: tombstone.DefaultHold, Written: true}
	_, err := r.Append(context.Background(), s.stream, bundle.Tombstone{
		Kind: bundle.TombstoneCustomer, Customer: customer, Bundle: bundle.DefaultName,
	}, began)
	if err != nil {
		s.t.Fatal(err)
	}
	s.eventually(customer+" is denied", func() bool { return s.denied(customer) })
	return time.Since(began)
}

func (s *scene) denied(customer string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.live, customer)
}

func (s *scene) problem(want string) {
	s.t.Helper()
	s.eventually("problem "+want, func() bool {
		got := s.side.Problem()
		return (want == "") == (got == "") && strings.Contains(got, want)
	})
}

func (s *scene) eventually(what string, is func() bool) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); !is(); {
		if time.Now().After(end) {
			s.t.Fatalf("not so: %s; the sidecar says %q, the publisher %q", what, s.side.Problem(), s.keepers.Problem())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (s *scene) sign(signer *bundle.Signer, customer, name string) string {
	s.t.Helper()
	text, err := (&bundle.Tombstone{
		Kind: bundle.TombstoneCustomer, Customer: customer, Bundle: name, Made: 1, Number: 1 << 50, Serial: 1 << 50,
	}).Sign(signer)
	if err != nil {
		s.t.Fatal(err)
	}
	return text
}

func TestTombstonesThroughRedis(t *testing.T) {
	r := alone(t)
	p := proxy(t, r.Addr)
	s := stage(t, at(r.Addr), at(p.Addr))
	s.beat()
	s.problem("")
	t.Logf("denied after %s", s.revoke("acme"))

	// Somebody else writes.
	other, _ := bundle.GenerateKey()
	stranger, err := bundle.NewSigner(other)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{s.sign(stranger, "forged", bundle.DefaultName), s.sign(s.signer, "moved", "plant-7"), "nonsense"} {
		if _, err := r.Do("XADD", tombstoneStream(bundle.DefaultName), "*", tombstoneField, text); err != nil {
			t.Fatal(err)
		}
	}
	s.problem("3 entries that no configured key has signed")
	s.beat()
	s.problem("1 entries that no configured key has signed") // it may be somebody's whom sidecars trust
	if _, err := r.Do("DEL", tombstoneStream(bundle.DefaultName)); err != nil {
		t.Fatal(err)
	}
	s.beat()
	s.problem("")
	if s.denied("forged") || s.denied("moved") || !s.denied("acme") {
		t.Errorf("%q are denied", s.live)
	}

	// The connection is cut while something is revoked, once for a moment and once for long.
	p.Cut()
	t.Logf("denied after %s with the connection cut", s.revoke("bakery"))
	p.Set(peers.Fault{Refuses: true})
	p.Cut()
	s.problem("Redis cannot be read")
	go func() { time.Sleep(time.Second); p.Set(peers.Fault{}) }()
	t.Logf("denied after %s with Redis away for a second", s.revoke("mill"))
	s.problem("")
	s.beat()

	// Redis is started again, empty: who has read it goes on, and who has not is told.
	began := time.Now()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Logf("started again after %s", time.Since(began))
	s.problem("heartbeat is no good: there is none")
	if !s.denied("acme") || !s.denied("mill") {
		t.Error("what was revoked counts no more")
	}
	s.beat()
	s.problem("")
	if _, texts, err := s.stream.Read(t.Context(), ""); len(texts) != 3 || err != nil {
		t.Errorf("the publisher has put back %d of 3: %v", len(texts), err)
	}
	s.revoke("garage")
}

func TestTombstonesThroughASentinel(t *testing.T) {
	sentinel, err := peers.StartSentinel(t.Context(), peers.Redis(t), peers.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sentinel.Close() }()
	cfg := Config{URLs: []string{"redis+sentinel://" + sentinel.Addr + "/" + sentinel.Name}}
	s := stage(t, cfg, cfg)
	s.beat()
	s.problem("")
	s.revoke("acme")
	s.eventually("the replica has it", func() bool {
		n, err := sentinel.Replica.Do("XLEN", tombstoneStream(bundle.DefaultName))
		return err == nil && n == "1"
	})
	sentinel.Primary.Kill()
	s.problem("Redis cannot be read")
	began := time.Now()
	s.eventually("the publisher has the new primary", func() bool {
		s.beat()
		return s.keepers.Problem() == ""
	})
	s.problem("")
	t.Logf("another primary after %s", time.Since(began))
	t.Logf("denied after %s", s.revoke("bakery"))
	if _, texts, err := s.stream.Read(t.Context(), ""); len(texts) != 2 || err != nil || !s.denied("acme") {
		t.Errorf("%d entries on the new primary: %v", len(texts), err)
	}
}

func TestTombstonesThroughACluster(t *testing.T) {
	c, err := peers.StartRedisCluster(t.Context(), peers.Redis(t), peers.RedisConfig{Settings: []string{"--cluster-node-timeout", "1000"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	cfg := Config{URLs: []string{"redis+cluster://" + c.Addrs()[0]}}
	appends(t, open(t, Config{URLs: []string{"redis+cluster://" + c.Addrs()[1], "redis+cluster://" + c.Addrs()[2]}}), 8)
	for _, key := range []string{tombstoneStream("default"), tombstoneHeartbeat("default")} {
		for _, n := range c.Nodes {
			_, _ = n.Do("DEL", key)
		}
	}
	s := stage(t, cfg, cfg)
	s.beat()
	s.problem("")
	t.Logf("denied after %s", s.revoke("acme"))

	// The node that has them dies, and its replica takes its place.
	text, err := c.Nodes[0].Do("CLUSTER", "KEYSLOT", tombstoneStream("default"))
	slot, serr := strconv.Atoi(text)
	if err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	dies := c.Primary(slot)
	s.eventually("a replica has it", func() bool {
		n, err := dies.Do("WAIT", "1", "1000")
		return err == nil && n == "1"
	})
	dies.Kill()
	began := time.Now()
	s.eventually("the publisher has the new primary", func() bool {
		s.beat()
		return s.keepers.Problem() == ""
	})
	s.problem("")
	t.Logf("another primary after %s", time.Since(began))
	another := Config{URLs: []string{"redis+cluster://" + c.Primary(slot, dies).Addr}}
	s.stream = open(t, another).Tombstones(bundle.DefaultName) // as that of a process that begins now
	t.Logf("denied after %s", s.revoke("bakery"))
	if _, texts, err := s.stream.Read(t.Context(), ""); len(texts) != 2 || err != nil || !s.denied("acme") {
		t.Errorf("%d entries on the new primary: %v", len(texts), err)
	}
}
