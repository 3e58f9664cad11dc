package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// A side is a server, and what it is asked.
type side struct {
	name   string
	server *server
	driver *drive.Driver

	requests [][]byte
	underWay int
	outcome  string // what every answer must be, so that nothing is fast by being wrong
	tier     string // where the verdicts must come from; "" is not asked
	before   *drive.Driver

	cpu []float64 // µs a request, by round
	p50 []float64
	p99 []float64 // ms
}

// rules are two modules of a vendor, as many have: one reads a label, one a feature.
var rules = map[string]string{
	"region.rego": `package vendor.region

deny contains {"code": "region", "message": "Not sold in your region."} if {
	data.pullgate.customer.labels.region == "moon"
}
`,
	"seats.rego": `package vendor.seats

warn contains {"code": "few_nodes", "message": "Your license covers few nodes."} if {
	some id
	data.pullgate.customer.licenses[id].features.nodes < 5
}
`,
}

// served measures requests over gRPC.
func (b *bench) served(ctx context.Context) (_ *result, err error) {
	o, dir, say := &b.o, b.dir, b.say
	say("%d customers are made, compiled and signed, twice", o.customers)
	plain, err := newVendor(ctx, o.pullgate, dir+"/plain", o.customers, nil)
	if err != nil {
		return nil, err
	}
	ruled, err := newVendor(ctx, o.pullgate, dir+"/ruled", o.customers, rules)
	if err != nil {
		return nil, err
	}
	underWay := 16
	var sides []*side
	defer func() {
		for _, s := range sides {
			if s.before != nil {
				err = errors.Join(err, s.before.Close())
			}
			err = errors.Join(err, s.driver.Close(), s.server.close())
		}
	}()
	add := func(name string, s *server, err error, outcome string, mix drive.Mix, distinct int) (*side, error) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		x, err := newSide(name, s, outcome, mix, distinct, o.requests, underWay)
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		sides = append(sides, x)
		return x, x.driver.Await(ctx)
	}

	few := min(64, o.customers)
	warm := drive.Mix{Host: host, Who: plain.who(few), Zipf: 1.2, For: func(c int) []drive.Target { return allowed(c, c) }}
	random := drive.Mix{Host: host, Who: plain.who(o.customers), For: func(c int) []drive.Target { return allowed(c, c*31) }, Seed: 2}
	withRules := random
	withRules.Who = ruled.who(o.customers)
	unknown := drive.Mix{Host: host, Who: ruled.unknown(1000), What: image(1, 1)}

	empty, err := b.serve(ctx, "empty")
	floor, err := add("an empty service", empty, err, "ok", warm, 2000)
	if err != nil {
		return nil, err
	}
	cached, err := startPullgate(ctx, o.pullgate, plain, "cached", "")
	hit, err := add("an L1 hit", cached, err, "ok", warm, 2000)
	if err != nil {
		return nil, err
	}
	uncached, err := startPullgate(ctx, o.pullgate, plain, "uncached", "cache_bytes: 0\n")
	evaluated, err := add("an uncached decision", uncached, err, "ok", random, o.requests)
	if err != nil {
		return nil, err
	}
	two, err := startPullgate(ctx, o.pullgate, ruled, "uncached", "cache_bytes: 0\n")
	vendored, err := add("an uncached decision with two vendor modules", two, err, "ok", withRules, o.requests)
	if err != nil {
		return nil, err
	}
	shared, err := startSharing(ctx, o.pullgate, plain, "cache_bytes: 0\n")
	// A verdict is kept for 60 s: what is asked for is what can be written and asked ten times in that time, the
	// same without Redis.
	l2, err := add("an L2 hit", shared, err, "ok", random, kept)
	if err != nil {
		return nil, err
	}
	same, err := add("the same, uncached", uncached, nil, "ok", random, kept)
	if err != nil {
		return nil, err
	}
	underWay = 4 // few share a round trip
	l2Few, err := add("an L2 hit of few", shared, nil, "ok", random, kept)
	if err != nil {
		return nil, err
	}
	sameFew, err := add("the same, uncached", uncached, nil, "ok", random, kept)
	if err != nil {
		return nil, err
	}
	for _, pair := range [][2]*side{{l2, same}, {l2Few, sameFew}} {
		if !slices.EqualFunc(pair[0].requests, pair[1].requests, bytes.Equal) {
			return nil, fmt.Errorf("%s: not what %s is asked", pair[1].name, pair[0].name)
		}
	}
	for _, s := range []*side{l2, same, l2Few, sameFew} {
		if s.before, err = drive.Dial(s.warmUp()); err != nil {
			return nil, err
		}
	}
	underWay = 16
	bad, err := add("a malformed request", cached, nil, "denied 400", malformedMix(plain.who(few)), 1000)
	if err != nil {
		return nil, err
	}
	stranger, err := add("an unknown key", cached, nil, "denied 401", unknown, 1000)
	if err != nil {
		return nil, err
	}

	hit.tier, evaluated.tier, vendored.tier = "l1", "none", "none"
	l2.tier, same.tier, l2Few.tier, sameFew.tier = "l2", "none", "l2", "none"
	again := 0
	for round := range o.rounds + 1 { // the first one warms up
		order := slices.Clone(sides)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, s := range order {
			n, err := patiently(say, func() error { return s.turn(ctx, round > 0) })
			if again += n; err != nil {
				return nil, err
			}
		}
		say("round %d: %s", round, strings.Join(summaries(sides), ", "))
	}
	rows := []row{
		against(hit, floor, 1.1, 0.8),
		p99(hit, floor),
		against(evaluated, floor, 5, 4),
		against(vendored, floor, 6, 4.5),
		against(bad, hit, 1.5, 1),
		against(stranger, hit, 1.5, 1),
		against(l2, same, 0.7, 0.4),
		wall(l2, same, "p50", l2.p50, same.p50),
		wall(l2, same, "p99", l2.p99, same.p99),
		against(l2Few, sameFew, 0, 0),
	}
	note := fmt.Sprintf("%d rounds of %d requests a side, %d different ones of an L2 hit and of the same, uncached; %d customers with %d licenses each, %d products with %d versions of two images.",
		o.rounds, o.requests, kept, o.customers, licenses, products, versions)
	if again > 0 {
		note += fmt.Sprintf(" %d turns were taken again, because Redis was left alone in them.", again)
	}
	return &result{rows: rows, note: note}, nil
}

// kept is how many different requests an L2 hit is measured with.
const kept = 2000

// errElsewhere is a turn in which too few verdicts came from where they must: not wrong, but not what is measured.
var errElsewhere = errors.New("verdicts came from elsewhere")

const (
	patience = 2               // turns that are taken again
	pause    = 2 * time.Second // longer than Redis is left alone
)

// patiently takes a turn again in which verdicts came from elsewhere, as they do when a machine is busy and Redis,
// late, is left alone. It returns how often.
func patiently(say func(string, ...any), turn func() error) (again int, err error) {
	for {
		err := turn()
		if !errors.Is(err, errElsewhere) || again == patience {
			return again, err
		}
		again++
		say("%v: the turn is taken again", err)
		time.Sleep(pause)
	}
}

func malformedMix(who []string) drive.Mix {
	return drive.Mix{Host: host, Who: who, What: []drive.Target{{Method: "GET", Path: "/v2/acme//p1/manifests/1.0.0"}}}
}

// newSide draws what a server is asked.
func newSide(name string, s *server, outcome string, mix drive.Mix, distinct, count, underWay int) (*side, error) {
	requests, err := mix.Draw(distinct)
	if err != nil {
		return nil, err
	}
	d, err := drive.Dial(drive.Config{Addr: s.addr, Requests: requests, Count: count, Concurrency: underWay, Timeout: 20 * time.Second})
	if err != nil {
		return nil, err
	}
	return &side{name: name, server: s, driver: d, outcome: outcome, requests: requests, underWay: underWay}, nil
}

// warmUp asks everything once.
func (s *side) warmUp() drive.Config {
	return drive.Config{Addr: s.server.addr, Requests: s.requests, Count: len(s.requests), Concurrency: s.underWay, Timeout: 20 * time.Second}
}

// turn asks once, and keeps what it took.
func (s *side) turn(ctx context.Context, keep bool) error {
	if s.before != nil {
		if s.server.empty != nil {
			if err := s.server.empty(); err != nil { // else verdicts of the last round end in the middle of this one
				return err
			}
		}
		s.before.Run(ctx)
		time.Sleep(100 * time.Millisecond) // what is written, is written afterwards
	}
	from := 0
	var err error
	if s.tier != "" {
		if from, err = s.server.decided(ctx, s.tier); err != nil {
			return err
		}
	}
	before, err := s.server.cpu()
	if err != nil {
		return err
	}
	r := s.driver.Run(ctx)
	after, err := s.server.cpu()
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if n := r.Answers[s.outcome]; n < r.Sent {
		return fmt.Errorf("%s: %d of %d answers are %q: %v", s.name, n, r.Sent, s.outcome, r.Answers)
	}
	if s.tier != "" {
		to, err := s.server.decided(ctx, s.tier)
		if err != nil {
			return err
		}
		if n := to - from; keep && n < r.Sent*9/10 {
			return fmt.Errorf("%s: %w: %d of %d are from %s; look-ups so far:%s", s.name, errElsewhere, n, r.Sent, s.tier, s.lookups(ctx))
		}
	}
	if keep {
		s.cpu = append(s.cpu, float64((after-before).Microseconds())/float64(r.Sent))
		s.p50 = append(s.p50, r.Latency.At(.5).Seconds()*1e3)
		s.p99 = append(s.p99, r.Latency.At(.99).Seconds()*1e3)
	}
	return nil
}

// lookups says what came of the look-ups in the tier, for who wonders why it was not asked.
func (s *side) lookups(ctx context.Context) (text string) {
	for _, result := range []string{"hit", "miss", "bypass", "error", "open", "skip"} {
		n, err := s.server.counted(ctx, "pullgate_decision_cache_total{", `result="`+result+`",tier="`+s.tier+`"`)
		if err != nil {
			return " " + err.Error()
		}
		text += fmt.Sprintf(" %d %s", n, result)
	}
	return text
}

func summaries(sides []*side) (list []string) {
	for _, s := range sides {
		if n := len(s.cpu); n > 0 {
			list = append(list, fmt.Sprintf("%s %.0f µs", s.name, s.cpu[n-1]))
		}
	}
	return list
}

// against is the CPU time of a request on one side by that on the other, round by round.
func against(s, other *side, must, aim float64) row {
	r := row{what: s.name + ", CPU a request", against: other.name, unit: "×", must: must, aim: aim}
	for i := range s.cpu {
		r.samples = append(r.samples, s.cpu[i]/max(other.cpu[i], 1e-3))
	}
	return r
}

func p99(s, other *side) row {
	r := wall(s, other, "p99", s.p99, other.p99)
	r.must, r.aim = 1.1, 0.8
	return r
}

// wall is a latency by that on the other side, with 16 requests under way.
func wall(s, other *side, what string, samples, others []float64) row {
	r := row{what: fmt.Sprintf("%s, %s of %d under way", s.name, what, s.underWay), against: other.name, unit: "×"}
	for i := range samples {
		r.samples = append(r.samples, samples[i]/others[i])
	}
	return r
}
