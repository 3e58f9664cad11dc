package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// A soak is one run.
type soak struct {
	o       options
	vendor  *vendor
	process *peers.PullgateProcess

	neighbour *peers.PullgateProcess // who shares verdicts with it
	redis     *peers.RedisProcess
	say       func(string, ...any)
	all       []*kind

	lates []error // minutes in which answers came late

	mu         sync.Mutex
	serial     int       // of the bundle in use
	publishing bool      // another one is about to be
	active     time.Time // when that was so for the first time
}

// prepare asks everything for a moment, so that what is there from the first request on is there.
func (s *soak) prepare(ctx context.Context) error {
	s.serial = s.vendor.serial
	s.all = s.kinds()
	if err := s.spell(ctx, s.o.duration/10); err != nil {
		return err
	}
	return s.change(ctx)
}

// spell asks all kinds at once for a time.
func (s *soak) spell(ctx context.Context, d time.Duration) error {
	var all sync.WaitGroup
	errs, late := make([]error, len(s.all)), make([]time.Duration, len(s.all))
	for i, k := range s.all {
		all.Go(func() { late[i], errs[i] = s.ask(ctx, k, k.share*s.o.rate, d) })
	}
	all.Wait()
	latest := time.Duration(0)
	for i, k := range s.all {
		latest = max(latest, late[i])
		if s.o.late > 0 && late[i] > s.o.late {
			s.lates = append(s.lates, fmt.Errorf("%s: one in a thousand answers took %s, at %s", k.name, late[i].Round(time.Millisecond), time.Now().Format(time.TimeOnly)))
		}
	}
	now, err := s.size(ctx)
	s.say("%s; one in a thousand answers took %s", now, latest.Round(time.Millisecond))
	return errors.Join(append(errs, err)...)
}

// load goes through everything that happens, for a fifth of the time each: nothing; bundles, one after the
// other; Redis away and back; a crowd that asks for lists, whose garbage has to be collected; all of it.
func (s *soak) load(ctx context.Context) error {
	happens := []struct {
		name string
		do   func(context.Context) error
	}{
		{"nothing happens", func(context.Context) error { return nil }},
		{"bundles change", s.change},
		{"Redis goes and returns", s.lose},
		{"a crowd asks for lists", s.crowd},
		{"all at once", func(ctx context.Context) error {
			return together(ctx, s.change, s.lose, s.crowd)
		}},
	}
	for _, h := range happens {
		s.say("%s", h.name)
		if err := s.during(ctx, h.do); err != nil {
			return fmt.Errorf("while %s: %w", h.name, err)
		}
	}
	return ctx.Err()
}

func together(ctx context.Context, all ...func(context.Context) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, do := range all {
		wg.Go(func() { errs[i] = do(ctx) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// during has something happen again and again while all is asked, in spells of a minute at most.
func (s *soak) during(ctx context.Context, do func(context.Context) error) error {
	happening, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		var err error
		for err == nil && happening.Err() == nil {
			err = do(ctx)
			select {
			case <-happening.Done():
			case <-time.After(s.o.pause):
			}
		}
		done <- err
	}()
	var errs []error
	for left := s.o.duration / 5; left > 0 && ctx.Err() == nil; left -= time.Minute {
		errs = append(errs, s.spell(ctx, min(left, time.Minute)))
	}
	stop()
	return errors.Join(append(errs, <-done)...)
}

// change puts the next bundle there and waits until it decides.
func (s *soak) change(ctx context.Context) error {
	s.mu.Lock()
	s.publishing = true
	s.mu.Unlock()
	if err := s.vendor.publish(ctx); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; {
		n, err := s.metric(ctx, "pullgate_bundle_serial", "")
		if err != nil {
			return err
		}
		if int(n) == s.vendor.serial {
			break
		}
		if time.Now().After(end) {
			return fmt.Errorf("bundle %d is not active after a minute: %v is", s.vendor.serial, n)
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial, s.publishing, s.active = s.vendor.serial, false, time.Now()
	return nil
}

// lose kills Redis and starts it again, empty.
func (s *soak) lose(ctx context.Context) error {
	s.redis.Kill()
	pause(ctx, min(s.o.duration/20, 10*time.Second))
	err := s.redis.Restart(ctx)
	pause(ctx, min(s.o.duration/20, 10*time.Second))
	return err
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// crowd asks for many lists at once, five times as many as else.
func (s *soak) crowd(ctx context.Context) error {
	for _, k := range s.all {
		if k.name == "lists" {
			_, err := s.ask(ctx, k, 5*k.share*s.o.rate, min(s.o.duration/10, 20*time.Second))
			return err
		}
	}
	return errors.New("nobody asks for lists")
}
