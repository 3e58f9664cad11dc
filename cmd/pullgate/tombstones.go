package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/tombstone"
)

// ringOf holds the keys of some public key files (PEM), and these.
func ringOf(setting string, files []string, more ...[]byte) (*bundle.KeyRing, error) {
	pems := more
	for _, path := range files {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", setting, err)
		}
		if _, err := bundle.ParsePublic(data); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", setting, path, err)
		}
		pems = append(pems, data)
	}
	return bundle.ParseKeyRing(pems...)
}

// followTombstones makes revocations count that Redis tells of before the bundle has them. With a
// publisher its keys vouch for them; in one process there is no publisher, and nobody sends heartbeats.
func (sc *sidecar) followTombstones() error {
	cfg := sc.cfg
	if !cfg.redis.has() || !cfg.follows() && len(cfg.RevocationKeyFile) == 0 {
		return nil
	}
	name, setting, files := bundle.DefaultName, "revocation-key-file", cfg.RevocationKeyFile
	if cfg.follows() {
		name, setting, files = cfg.follow.BundleName, "bundle-key-file", cfg.follow.BundleKeyFile
	}
	ring, err := ringOf(setting, files)
	if err != nil {
		return err
	}
	if sc.redis, err = redisstore.Open(cfg.redis.config()); err != nil {
		return err
	}
	sc.tombstones = tombstone.NewFollower(tombstone.FollowerConfig{
		Name: name, Ring: ring, Stream: sc.redis.Tombstones(name), Apply: sc.engine.SetTombstones, Serial: sc.status.serial,
		Unattended: !cfg.follows(), Logger: sc.log, Registerer: sc.registry,
	})
	sc.status.tombstones = sc.tombstones.Problem
	return nil
}

// runTombstones follows until ctx is done.
func (sc *sidecar) runTombstones(ctx context.Context) error {
	if sc.tombstones == nil {
		return nil
	}
	return sc.tombstones.Run(ctx)
}

// serial is that of the active bundle, 0 without one.
func (s *status) serial() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bundle == nil {
		return 0
	}
	return s.bundle.Serial()
}

// keepTombstones makes the publisher tell sidecars of revocations: it keeps in order what `pullgate
// revoke` writes, and sends heartbeats.
func (pub *publisher) keepTombstones(signer *bundle.Signer, ring *bundle.KeyRing) (err error) {
	cfg := pub.cfg
	if !cfg.redis.has() {
		return nil
	}
	if pub.redis, err = redisstore.Open(cfg.redis.config()); err != nil {
		return err
	}
	names := slices.Sorted(maps.Keys(pub.settings.Bundles))
	var all []tombstone.KeeperConfig
	for _, name := range names {
		all = append(all, tombstone.KeeperConfig{
			Name: name, Bundles: names, Signer: signer, Ring: ring, Stream: pub.redis.Tombstones(name), Validity: cfg.Validity, Logger: pub.log,
			Held: func() bool { return pub.holdsBack(name) },
		})
	}
	pub.keepers = tombstone.NewKeepers(pub.registry, all...)
	pub.status.tombstones = pub.keepers.Problem
	return nil
}

// holdsBack says whether content of a bundle waits to be accepted.
func (pub *publisher) holdsBack(name string) bool {
	return slices.ContainsFunc(pub.compiled.publisher.Held(), func(h publish.Held) bool { return h.Name == name })
}

// runTombstones sends heartbeats until ctx is done.
func (pub *publisher) runTombstones(ctx context.Context) error {
	if pub.keepers == nil {
		return nil
	}
	return pub.keepers.Run(ctx)
}

// closeRedis closes a store that may not have been opened.
func closeRedis(store *redisstore.Store) error {
	if store == nil {
		return nil
	}
	if err := store.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}
