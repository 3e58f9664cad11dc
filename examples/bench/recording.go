package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// recording measures what the records of decisions cost where a decision is cheapest: on L1 hits,
// against a build of pullgate that keeps none.
func (b *bench) recording(ctx context.Context) (_ *result, err error) {
	v, err := newVendor(ctx, b.o.pullgate, b.dir+"/recording", asked, nil)
	if err != nil {
		return nil, err
	}
	unrecorded := b.dir + "/unrecorded"
	b.say("pullgate is built without records")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags", "grpcnotrace,unrecorded", "-ldflags", "-s -w", "-o", unrecorded, "github.com/pullgate/pullgate/cmd/pullgate")
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("build without records: %w\n%s", err, out)
	}
	requests := 2 * b.o.requests // the difference is small
	mix := (&crowd{Customers: asked}).warm()
	var sides []*side
	defer func() {
		for _, s := range sides {
			err = errors.Join(err, s.driver.Close(), s.server.close())
		}
	}()
	for _, x := range []struct{ name, program string }{{"an L1 hit that is recorded", b.o.pullgate}, {"one that is not", unrecorded}} {
		s, err := startPullgate(ctx, x.program, v, x.name, "")
		if err != nil {
			return nil, err
		}
		y, err := newSide(x.name, s, "ok", mix, 2000, requests, 16)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		y.tier = "l1"
		sides = append(sides, y)
	}
	on, off := sides[0], sides[1]
	for round := range b.o.rounds + 1 { // the first one warms up
		order := slices.Clone(sides)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			before, err := s.server.value(ctx, "pullgate_audit_records_total")
			if err != nil {
				return nil, err
			}
			if err := s.turn(ctx, round > 0); err != nil {
				return nil, err
			}
			if err := s.isRecorded(ctx, before, s == on, requests); err != nil {
				return nil, err
			}
		}
		b.say("round %d: %s", round, strings.Join(summaries(sides), ", "))
	}
	return &result{
		rows: []row{against(on, off, 1.15, 1.05), wall(on, off, "p99", on.p99, off.p99)},
		note: fmt.Sprintf("%d rounds of %d requests a side, %d customers.", b.o.rounds, requests, v.customers),
	}, nil
}

// isRecorded waits until the decisions of a turn are written, which is what is measured: records that
// are dropped cost nothing.
func (s *side) isRecorded(ctx context.Context, before float64, want bool, count int) error {
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		now, err := s.server.value(ctx, "pullgate_audit_records_total")
		if err != nil {
			return err
		}
		switch written := now - before; {
		case want && written >= float64(count)*.99, !want && written == 0:
			return nil
		case !want || time.Now().After(limit):
			return fmt.Errorf("%s: %.0f of %d decisions are written", s.name, written, count)
		}
	}
}
