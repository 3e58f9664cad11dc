package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/pull"
	"golang.org/x/sync/errgroup"
)

// supply is where a sidecar's bundles come from: the compile side in the same process, or a
// publisher that is followed.
type supply interface {
	// start runs it within a group, until ctx is done.
	start(context.Context, *errgroup.Group)
	// print tells where it listens, a line each.
	print(io.Writer)
	// adminHandler adds what it has on the admin port.
	adminHandler(http.Handler) http.Handler
	Close()
}

// follower is the supply of a sidecar that follows a publisher.
type follower struct{ *pull.Puller }

func (f follower) start(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return f.Run(ctx) })
}

func (follower) print(io.Writer)                             {}
func (follower) adminHandler(rest http.Handler) http.Handler { return rest }
func (follower) Close()                                      {}

// supply makes what the settings say.
func (sc *sidecar) supply() (supply, error) {
	if !sc.cfg.follows() {
		return sc.compileSide()
	}
	ring, err := sc.cfg.follow.ring()
	if err != nil {
		return nil, err
	}
	cfg := sc.cfg.follow.config(sc.cfg.Data)
	cfg.Ring, cfg.Deliver, cfg.GiveWay = ring, sc.activatePulled, sc.pauses.giveWay
	cfg.Clock, cfg.Logger, cfg.Registerer = sc.clock, sc.log, sc.registry
	if sc.puller, err = pull.New(cfg); err != nil {
		return nil, fmt.Errorf("--bundle-url: %w", err)
	}
	sc.status.follow = sc.puller.Status
	return follower{sc.puller}, nil
}

// activatePulled makes a bundle of the publisher active. Of the first one nobody waited for the effect.
func (sc *sidecar) activatePulled(ctx context.Context, b *bundle.Bundle) error {
	first := sc.engine.Generation() == nil
	err := sc.activate(ctx, b)
	if err == nil && !first {
		sc.effects.observe(b.Name(), fromIssue, toActive, time.Unix(b.IssuedAt(), 0), sc.clock.Now())
	}
	return err
}

// deadline is the instant from which every request is refused because the publisher is away.
func (sc *sidecar) deadline() int64 {
	if sc.puller == nil {
		return bundle.Never
	}
	return sc.puller.Deadline()
}

// openClock makes the clock that decisions are made by.
func (sc *sidecar) openClock() {
	sc.clock = pull.OpenClock(clockFile(sc.cfg.Data), sc.time)
	sc.status.clock, sc.status.clockProblem = sc.clock.Now, sc.clock.Problem
	sc.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pullgate_clock_behind_seconds", Help: "How far the machine's clock is behind an instant that has passed; decisions are made by that.",
	}, func() float64 { return sc.clock.Behind().Seconds() }))
}

// aim tells the credentials where the registries of a bundle are. One whose configuration says
// where its registry is goes nowhere else, whatever a publisher signs.
func (sc *sidecar) aim(b *bundle.Bundle) {
	upstreams, err := engine.Upstreams(b)
	if err != nil {
		sc.log.Error("credentials: where the registries are cannot be read", "error", err)
		return
	}
	for _, id := range slices.Sorted(maps.Keys(sc.cfg.Credentials)) {
		own, said := strings.TrimSuffix(sc.cfg.Credentials[id].Upstream, "/"), upstreams[id]
		switch {
		case own != "" && said != "" && own != said:
			upstreams[id] = own
			sc.warnOnce("credentials: the bundle says that the registry is elsewhere; the configuration counts", "registry", id, "upstream", own, "bundle", said)
		case own != "":
			upstreams[id] = own
		case said == "" && sc.cfg.follows():
			sc.warnOnce("credentials: the bundle has no registry of this id, or does not say where it is", "registry", id)
		}
	}
	sc.credentials.Aim(upstreams)
}

// warnOnce warns of what every bundle brings anew. Bundles are made active one after the other.
func (sc *sidecar) warnOnce(text string, args ...any) {
	if key := fmt.Sprint(text, args); !sc.warned[key] {
		sc.warned[key] = true
		sc.log.Warn(text, args...)
	}
}

// followingReport is what /v1/status says about following a publisher.
func followingReport(s *pull.Status) map[string]any {
	out := map[string]any{"freshness": s.Freshness, "highest_serial": s.Highest, "kept": s.Kept, "problems": append([]string{}, s.Problems...)}
	if s.Freshness != pull.None {
		out["refreshed"], out["age_seconds"] = instant(s.Refreshed), int64(s.Age.Seconds())
	}
	if f := s.Failure; f != nil {
		out["last_error"], out["reason"] = f.Error(), f.Reason
	}
	return out
}
