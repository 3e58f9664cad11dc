// Package redisstore is everything that pullgate keeps in Redis: tombstones, which make a
// revocation count before the bundle that has it. keys.go lists what is kept.
//
// Redis is not trusted. What is read from it is text that its reader verifies, or nothing; how much
// of it is read at a time is bounded; and nobody waits for it who has a request to answer.
package redisstore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Store is a connection to Redis. It is safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	// waits is for reads that wait on purpose: none of them takes a connection from the others.
	waits redis.UniversalClient
}

// Open makes a Store. Nothing is connected yet: a Redis that is away is found when it is used. Errors
// are mistakes in cfg and files that cannot be read.
func Open(cfg Config) (*Store, error) {
	quiet()
	options, err := cfg.options(4)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	waiting := *options
	waiting.PoolSize = 16
	return &Store{client: newClient(options), waits: newClient(&waiting)}, nil
}

// Close ends all connections.
func (s *Store) Close() error { return errors.Join(s.client.Close(), s.waits.Close()) }

// quiet keeps the library from writing to standard error: what fails is returned, too.
var quiet = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}
