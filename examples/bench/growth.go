package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// growth measures what more customers cost: whether a decision is as fast, and what grows with them.
func (b *bench) growth(ctx context.Context) (*result, error) {
	var rows []row
	for _, n := range b.o.growth {
		more, err := b.growthOf(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("%d customers: %w", n, err)
		}
		rows = append(rows, more...)
	}
	return &result{rows: rows, note: fmt.Sprintf("%d licenses a customer; medians of %d starts, and of %d rounds of %d requests.", licenses, b.starts(), b.o.rounds, b.o.requests/4)}, nil
}

func (b *bench) starts() int { return min(b.o.rounds, 3) }

func (b *bench) growthOf(ctx context.Context, customers int) (_ []row, err error) {
	c := &crowd{Dir: fmt.Sprintf("%s/growth-%d", b.dir, customers), Customers: customers, Bundles: 1}
	b.say("%d customers are made, compiled and signed", customers)
	if err := b.make(ctx, c); err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%d customers", customers)
	ready := row{what: name + ", until ready", unit: " s"}
	rss := row{what: name + ", memory (RSS)", unit: " MB"}
	var s *server
	for n := range b.starts() {
		if s != nil {
			if err := s.close(); err != nil {
				return nil, err
			}
		}
		began := time.Now()
		if s, err = startFollowing(ctx, b.o.pullgate, fmt.Sprintf("%s/follows-%d", c.Dir, n), "file://"+c.bundle(0), c.publicKey(), "cache_bytes: 0\n"); err != nil {
			return nil, err
		}
		ready.samples = append(ready.samples, time.Since(began).Seconds())
	}
	defer func() { err = errors.Join(err, s.close()) }()
	mix := drive.Mix{Host: host, Who: c.who(customers), For: func(n int) []drive.Target { return allowed(n, n*31) }, Seed: 2}
	x, err := newSide("a decision", s, "ok", mix, b.o.requests/4, b.o.requests/4, 16)
	if err != nil {
		return nil, err
	}
	defer x.driver.Close()
	for round := range b.o.rounds + 1 {
		if err := x.turn(ctx, round > 0); err != nil {
			return nil, err
		}
		size, err := memory(s.pids[0], "VmRSS")
		if err != nil {
			return nil, err
		}
		if round > 0 {
			rss.samples = append(rss.samples, size/mb)
		}
	}
	decision := row{what: name + ", an uncached decision, CPU", unit: " µs", samples: x.cpu}
	p99 := row{what: name + ", an uncached decision, p99 of 16 under way", unit: " ms", samples: x.p99}
	b.say("%s: ready after %.2f s, %.0f MB, %.0f µs a decision", name, median(ready.samples), median(rss.samples), median(decision.samples))
	return []row{ready, rss, decision, p99}, nil
}
