package main

import (
	"context"
	"fmt"
	"strings"
)

// revoke revokes a license in the database; with Redis its tombstone tells the sidecars at once.
func (s *stage) revoke(license string, redis bool) func(context.Context) error {
	return func(ctx context.Context) error {
		args := []string{"revoke", "license", license, "--licenses", s.databaseURL(), "--reason", "chargeback"}
		if redis {
			args = append(args, "--signing-key", s.path("release.key"), "--redis", "redis://pullgate@"+s.redis.Addr, "--redis-password-file", s.path("redis-password"))
		}
		out, err := s.command(ctx, args...)
		if err == nil {
			say("%s", strings.ReplaceAll(strings.TrimSpace(out), "\n", "\n  "))
		}
		return err
	}
}

// killPublisher ends it as a crash does.
func (s *stage) killPublisher(context.Context) error {
	s.publisher.Kill()
	return nil
}

func (s *stage) killRedis(context.Context) error {
	s.redis.Kill()
	return nil
}

// publisherBack starts the publisher where it was and revokes something that only it can tell of.
func (s *stage) publisherBack(ctx context.Context) error {
	if err := s.startPublisher(ctx); err != nil {
		return err
	}
	if err := s.publisher.AwaitReady(ctx); err != nil {
		return err
	}
	return s.revoke("globex-app", false)(ctx)
}

// explain prints what to try while everything keeps running.
func (s *stage) explain() {
	fmt.Printf(`
Everything keeps running until you press Ctrl-C. Try, in another terminal:

  export PULLGATE_LICENSES='%[1]s'
  %[2]s licenses export %[3]s/exported
  curl http://%[4]s/healthz     # of the publisher
  curl http://%[5]s/healthz     # of a sidecar
  curl http://%[5]s/v1/status
`, s.databaseURL(), s.pullgate, s.dir, s.publisher.Admin, s.gates[0].sidecar.Admin)
}
