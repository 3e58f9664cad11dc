package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/pullgate/pullgate/examples/peers"
)

// startSharing runs a sidecar that keeps its verdicts in a Redis, whose time counts as well.
func startSharing(ctx context.Context, pullgate string, v *vendor, more string) (*server, error) {
	path, err := peers.Path(ctx, "redis")
	if err != nil {
		return nil, err
	}
	secret := v.path("redis-secret")
	if err := os.WriteFile(secret, []byte("the-secret-that-seals-verdicts-of-this-run\n"), 0o600); err != nil {
		return nil, err
	}
	r, err := peers.StartRedis(ctx, path, peers.RedisConfig{})
	if err != nil {
		return nil, err
	}
	s, err := startPullgate(ctx, pullgate, v, "shared", more+fmt.Sprintf("redis: [\"redis://%s\"]\nredis_secret_file: %q\nredis_cache: always\n", r.Addr, secret))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s.empty = func() error { _, err := r.Do("FLUSHALL"); return err }
	stop := s.close
	s.pids, s.close = append(s.pids, r.PID()), func() error { return errors.Join(stop(), r.Close()) }
	return s, nil
}
