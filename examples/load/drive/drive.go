// Package drive asks an Envoy external authorization service (envoy.service.auth.v3, gRPC) as
// Envoy does, and measures its answers. It knows nothing of pullgate.
//
// A closed loop keeps a number of requests under way and shows what a service can do; its
// latencies look better the slower the service is. An open loop sends at a rate whatever comes
// back, and counts a latency from the instant at which the request was due: a service that
// stops for a second has a second of late requests, not one.
package drive

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const method = "/envoy.service.auth.v3.Authorization/Check"

// Config is what a run asks. Addr and Requests are required, and Count or Duration.
type Config struct {
	Addr        string        // host:port or unix:PATH
	Connections int           // HTTP/2 connections; Envoy has one for each worker thread. Default 2
	Timeout     time.Duration // of a request; default 200 ms, that of Envoy's filter

	// Requests are encoded CheckRequests, asked in this order and again from the first.
	Requests [][]byte

	// Concurrency is how many requests are under way in a closed loop (default 16), and how
	// many may be in an open one (default 10,000); what is due beyond is counted as Refused.
	Concurrency int
	Rate        float64       // requests a second of an open loop; 0 is a closed loop
	Count       int           // ends after so many requests
	Duration    time.Duration // ends after this time

	// Check, when it is set, is told of each answer: to which of Requests, when that was sent, and the
	// outcome as in Result.Answers. It is called concurrently.
	Check func(request int, sent time.Time, outcome string)
}

// Result is what came back.
type Result struct {
	Elapsed  time.Duration
	Sent     int
	Answers  map[string]int // by outcome: "ok", "denied 403", "no status", "error DeadlineExceeded"
	Refused  int            // never sent, because too many were under way (open loop)
	Latency  Latency
	By       map[string]Latency // that of each outcome
	Behind   Latency            // how long after it was due each was sent, which Latency has in it (open loop)
	Timeouts int
}

// Rate is how many requests were answered a second.
func (r *Result) Rate() float64 { return float64(r.Sent) / r.Elapsed.Seconds() }

// A Driver keeps the connections of one or more runs.
type Driver struct {
	cfg   Config
	conns []*grpc.ClientConn
}

// Dial makes the connections. The service need not be there yet.
func Dial(cfg Config) (*Driver, error) {
	if cfg.Connections == 0 {
		cfg.Connections = 2
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 200 * time.Millisecond
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 16
		if cfg.Rate > 0 {
			cfg.Concurrency = 10_000
		}
	}
	if len(cfg.Requests) == 0 {
		return nil, errors.New("nothing to ask")
	}
	if cfg.Count == 0 && cfg.Duration == 0 {
		return nil, errors.New("neither a count nor a duration: the run would not end")
	}
	d := &Driver{cfg: cfg}
	for range cfg.Connections {
		// One subchannel, and a connection of its own: the pool is shared by target otherwise.
		conn, err := grpc.NewClient(target(cfg.Addr), grpc.WithTransportCredentials(insecure.NewCredentials()),
			grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
		if err != nil {
			return nil, errors.Join(err, d.Close())
		}
		d.conns = append(d.conns, conn)
	}
	return d, nil
}

// Close ends the connections.
func (d *Driver) Close() error {
	var errs []error
	for _, c := range d.conns {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Await waits until every connection stands.
func (d *Driver) Await(ctx context.Context) error {
	for _, c := range d.conns {
		c.Connect()
		for state := c.GetState(); state != connectivity.Ready; state = c.GetState() {
			if !c.WaitForStateChange(ctx, state) {
				return fmt.Errorf("no connection to %s: %s", d.cfg.Addr, state)
			}
			c.Connect()
		}
	}
	return nil
}

// Run asks, and returns what came back when all is answered. It may be called again.
func (d *Driver) Run(ctx context.Context) *Result {
	if d.cfg.Duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.cfg.Duration)
		defer cancel()
	}
	begin := time.Now()
	var r *Result
	if d.cfg.Rate > 0 {
		r = d.open(ctx, begin)
	} else {
		r = d.closed(ctx)
	}
	r.Elapsed = time.Since(begin)
	return r
}

// closed keeps Concurrency requests under way.
func (d *Driver) closed(ctx context.Context) *Result {
	var next atomic.Int64
	tallies := make([]tally, d.cfg.Concurrency)
	var wg sync.WaitGroup
	for w := range tallies {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if d.cfg.Count > 0 && i >= d.cfg.Count {
					return
				}
				d.ask(&tallies[w], w, i, time.Now())
			}
		})
	}
	wg.Wait()
	return sum(tallies)
}

// open sends at a rate.
func (d *Driver) open(ctx context.Context, begin time.Time) *Result {
	var mu sync.Mutex
	var free []*tally
	all := []*tally{}
	take := func() *tally {
		mu.Lock()
		defer mu.Unlock()
		if n := len(free); n > 0 {
			t := free[n-1]
			free = free[:n-1]
			return t
		}
		if len(all) == d.cfg.Concurrency {
			return nil
		}
		t := new(tally)
		all = append(all, t)
		return t
	}
	var wg sync.WaitGroup
	refused := 0
	every := time.Duration(float64(time.Second) / d.cfg.Rate)
	for i := 0; (d.cfg.Count == 0 || i < d.cfg.Count) && ctx.Err() == nil; i++ {
		due := begin.Add(time.Duration(i) * every)
		if wait := time.Until(due); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				continue
			}
		}
		t := take()
		if t == nil {
			refused++
			continue
		}
		wg.Go(func() {
			d.ask(t, i, i, due)
			mu.Lock()
			free = append(free, t)
			mu.Unlock()
		})
	}
	wg.Wait()
	tallies := make([]tally, len(all))
	for i := range all {
		tallies[i] = *all[i]
	}
	r := sum(tallies)
	r.Refused = refused
	return r
}

// ask sends request i over a connection and counts its latency from an instant. A run that
// ends leaves no request: each has its own timeout.
func (d *Driver) ask(t *tally, conn, i int, from time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), d.cfg.Timeout)
	defer cancel()
	var a answer
	sent := time.Now()
	err := d.conns[conn%len(d.conns)].Invoke(ctx, method, d.cfg.Requests[i%len(d.cfg.Requests)], &a)
	took := time.Since(from)
	if err != nil {
		code := status.Code(err)
		if code == codes.DeadlineExceeded {
			t.timeouts++
		}
		a.outcome = "error " + code.String()
	}
	t.count(a.outcome, took)
	if d.cfg.Rate > 0 {
		t.behind = append(t.behind, sent.Sub(from))
	}
	if d.cfg.Check != nil {
		d.cfg.Check(i%len(d.cfg.Requests), sent, a.outcome)
	}
}

// tally is what one sender has seen.
type tally struct {
	by       map[string][]time.Duration // latencies, by outcome
	behind   []time.Duration
	timeouts int
}

func (t *tally) count(outcome string, took time.Duration) {
	if t.by == nil {
		t.by = map[string][]time.Duration{}
	}
	t.by[outcome] = append(t.by[outcome], took)
}

func sum(tallies []tally) *Result {
	r := &Result{Answers: map[string]int{}, By: map[string]Latency{}}
	var all, behind []time.Duration
	for i := range tallies {
		t := &tallies[i]
		r.Timeouts += t.timeouts
		behind = append(behind, t.behind...)
		for outcome, took := range t.by {
			r.By[outcome] = append(r.By[outcome], took...)
			all = append(all, took...)
		}
	}
	for outcome, took := range r.By {
		r.Answers[outcome], r.By[outcome] = len(took), latencyOf(took)
	}
	r.Sent, r.Latency, r.Behind = len(all), latencyOf(all), latencyOf(behind)
	return r
}

func target(addr string) string {
	if len(addr) > 5 && addr[:5] == "unix:" {
		return addr
	}
	return "passthrough:///" + addr
}
