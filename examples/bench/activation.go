package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// late is when an answer is no use to Envoy any more.
const late = 200 * time.Millisecond

// activation measures how long a large bundle takes until it decides, and what those who ask
// meanwhile notice of it.
func (b *bench) activation(ctx context.Context) (_ *result, err error) {
	c := &crowd{Dir: b.dir + "/activation", Customers: b.o.crowd, Digests: b.o.digests, Bundles: b.o.rounds + 2}
	b.say("%d customers with %d licenses each and %d digests are made, compiled and signed", c.Customers, licenses, c.Digests)
	if err := b.make(ctx, c); err != nil {
		return nil, err
	}
	ready, err := b.readyAgainstOPA(ctx, c)
	if err != nil {
		return nil, err
	}
	during, err := b.duringActivation(ctx, c)
	if err != nil {
		return nil, err
	}
	return &result{
		rows: append(ready, during...),
		note: fmt.Sprintf("%d rounds, %d customers with %d licenses each, %d digests.", b.o.rounds, c.Customers, licenses, c.Digests),
	}, nil
}

// readyAgainstOPA starts pullgate and a stock OPA in turns, each with nothing but the bundle.
func (b *bench) readyAgainstOPA(ctx context.Context, c *crowd) ([]row, error) {
	ratio := row{what: "a signed bundle opened, until ready", against: "a stock opa run --server", unit: "×", must: 0.7, aim: 0.3}
	seconds := row{what: "the same", unit: " s"}
	for n := range b.o.rounds {
		began := time.Now()
		s, err := startFollowing(ctx, b.o.pullgate, fmt.Sprintf("%s/ready-%d", c.Dir, n), "file://"+c.bundle(0), c.publicKey(), "")
		if err != nil {
			return nil, err
		}
		own := time.Since(began)
		if err := s.close(); err != nil {
			return nil, err
		}
		began = time.Now()
		p, err := startOPA(ctx, c, c.bundle(0))
		if err != nil {
			return nil, err
		}
		others := time.Since(began)
		if err := p.Close(); err != nil {
			return nil, err
		}
		ratio.samples = append(ratio.samples, own.Seconds()/others.Seconds())
		seconds.samples = append(seconds.samples, own.Seconds())
		b.say("ready: pullgate after %.2f s, opa after %.2f s", own.Seconds(), others.Seconds())
	}
	return []row{ratio, seconds}, nil
}

// duringActivation lets a sidecar follow one generation after the other under load. The load comes
// at half the rate that the sidecar can answer beside it: both have the same processors, as a
// sidecar and its Envoy have.
func (b *bench) duringActivation(ctx context.Context, c *crowd) (_ []row, err error) {
	p, err := startPublisher()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	first := make(chan error, 1)
	go func() {
		_, err := p.deliver(ctx, c.bundle(0))
		first <- err
	}()
	s, err := startFollowing(ctx, b.o.pullgate, c.Dir+"/follows", p.url, c.publicKey(), "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := <-first; err != nil {
		return nil, err
	}
	requests, err := c.warm().Draw(b.o.requests)
	if err != nil {
		return nil, err
	}
	run := func(ctx context.Context, cfg drive.Config) (*drive.Result, error) {
		cfg.Addr, cfg.Requests, cfg.Timeout = s.addr, requests, late
		d, err := drive.Dial(cfg)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		if err := d.Await(ctx); err != nil {
			return nil, err
		}
		return d.Run(ctx), nil
	}
	if _, err := run(ctx, drive.Config{Count: len(requests)}); err != nil { // fills the cache
		return nil, err
	}
	full, err := run(ctx, drive.Config{Duration: b.o.spell})
	if err != nil {
		return nil, err
	}
	rate := full.Rate() / 2
	b.say("capacity: %.0f a second; the load is half of it", full.Rate())
	time.Sleep(b.o.spell) // memory that is free goes back to the system
	steady, err := memory(s.pids[0], "VmRSS")
	if err != nil {
		return nil, err
	}

	p999 := row{what: "p99.9 while a generation becomes active, at half capacity", against: "no activation", unit: "×", must: 2, aim: 1.2}
	lates := row{what: "answers later than 200 ms meanwhile, in all rounds", none: true, samples: []float64{0}}
	peak := row{what: "the most memory meanwhile (RSS)", against: "steady", unit: "×", must: 2.2, aim: 1.6}
	idles := row{what: "p99.9 without activation", unit: " ms"}
	seconds := row{what: "a generation becomes active, under load, after", unit: " s"}
	for n := range b.o.rounds + 1 {
		idle, err := run(ctx, drive.Config{Rate: rate, Duration: b.o.spell})
		if err != nil {
			return nil, err
		}
		if err := forgetPeak(s.pids[0]); err != nil {
			return nil, err
		}
		loaded, stop := context.WithCancel(ctx)
		var took time.Duration
		done := make(chan error, 1)
		go func() {
			defer stop()
			var err error
			took, err = p.deliver(ctx, c.bundle(n+1))
			done <- err
		}()
		busy, err := run(loaded, drive.Config{Rate: rate, Duration: 2 * time.Minute})
		if err = errors.Join(err, <-done); err != nil {
			return nil, err
		}
		most, err := memory(s.pids[0], "VmHWM")
		if err != nil {
			return nil, err
		}
		if err := errors.Join(allOK(idle), allOK(busy)); err != nil {
			return nil, err
		}
		before, meanwhile := idle.Latency.At(.999), busy.Latency.At(.999)
		b.say("activation %d in %.2f s: p99.9 %.1f ms, without %.1f ms; %d later than 200 ms, slowest %.0f ms; memory %.0f MB, steady %.0f MB", n, took.Seconds(),
			meanwhile.Seconds()*1e3, before.Seconds()*1e3, latecomers(busy), busy.Latency.At(1).Seconds()*1e3, most/mb, steady/mb)
		if n == 0 {
			continue // the first one pays for what all others share
		}
		p999.samples = append(p999.samples, meanwhile.Seconds()/before.Seconds())
		lates.samples[0] += float64(latecomers(busy))
		peak.samples = append(peak.samples, most/steady)
		idles.samples = append(idles.samples, before.Seconds()*1e3)
		seconds.samples = append(seconds.samples, took.Seconds())
	}
	return []row{p999, lates, peak, idles, seconds}, nil
}

// latecomers counts the answers that came too late or never.
func latecomers(r *drive.Result) (n int) {
	for i := len(r.Latency) - 1; i >= 0 && r.Latency[i] >= late; i-- {
		n++
	}
	return n + r.Refused
}

// allOK is an error when answers are others than ok or too late.
func allOK(r *drive.Result) error {
	if wrong := r.Sent - r.Answers["ok"] - r.Answers["error DeadlineExceeded"]; wrong > 0 || r.Sent == 0 {
		return fmt.Errorf("%d of %d answers are wrong: %v", wrong, r.Sent, r.Answers)
	}
	return nil
}
