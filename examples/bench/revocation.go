package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// revocation measures from the start of `pullgate revoke license` until two sidecars refuse, told by
// Redis and not.
func (b *bench) revocation(ctx context.Context) (_ *result, err error) {
	w, err := b.newWorld(ctx, "revocation", b.few())
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	told, untold := b.share(2), b.share(4)
	who := make([]string, told+untold)
	for i := range who {
		if who[i], err = w.customer(fmt.Sprintf("r%d", i)); err != nil {
			return nil, err
		}
	}
	path, err := peers.Path(ctx, "redis")
	if err != nil {
		return nil, err
	}
	redis, err := peers.StartRedis(ctx, path, peers.RedisConfig{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	url := "redis://" + redis.Addr

	if err := w.split(ctx, fmt.Sprintf("redis: [%q]\n", url), fmt.Sprintf("redis: [%q]\nredis_cache: off\n", url)); err != nil {
		return nil, err
	}
	with, commands, err := w.revoke(ctx, who[:told], 0, "--redis", url, "--signing-key", w.path("release.key"))
	if err = errors.Join(err, w.stop()); err != nil {
		return nil, err
	}
	if err := w.split(ctx, "", ""); err != nil {
		return nil, err
	}
	without, _, err := w.revoke(ctx, who[told:], told)
	if err != nil {
		return nil, err
	}
	rows := append(timed("a revocation counts, with Redis", with, 1, 0.2), timed("a revocation counts, without", without, 5, 2)...)
	rows = append(rows, timed("the command that revokes, with Redis", commands, 0, 0)[0])
	return &result{rows: rows, note: fmt.Sprintf("a publisher and two sidecars, %d customers with 3 licenses each; %d revocations with Redis, %d without.", b.few(), told, untold)}, nil
}

// revoke revokes the licenses of customers, the first of whom has a number, and returns how long it took
// until they were refused, and how long the command took.
func (w *world) revoke(ctx context.Context, who []string, first int, flags ...string) (took, commands []time.Duration, err error) {
	for i, authorization := range who {
		if err := w.await(ctx, authorization, "1.4.0", http.StatusOK); err != nil {
			return nil, nil, err
		}
		license := fmt.Sprintf("r%d-app", first+i)
		cmd := w.pullgate(ctx, append([]string{"revoke", "license", license, "--licenses", w.path("licenses")}, flags...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		began := time.Now()
		done := make(chan time.Duration, 1)
		go func() {
			err = cmd.Run()
			done <- time.Since(began)
		}()
		refused := w.await(ctx, authorization, "1.4.0", http.StatusForbidden)
		took = append(took, time.Since(began))
		commands = append(commands, <-done)
		if err != nil {
			err = fmt.Errorf("pullgate revoke: %w\n%s", err, out.Bytes())
		}
		if err = errors.Join(err, refused); err != nil {
			return nil, nil, err
		}
		if i%10 == 0 {
			w.b.say("revocation %d counts after %.2f s", i, took[i].Seconds())
		}
	}
	return took, commands, nil
}
