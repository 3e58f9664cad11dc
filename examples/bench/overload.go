package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// A pressure is requests that need the policy, each asked once, beside those that are in memory.
type pressure struct {
	name, want string
	distinct   int // requests
	choice     func(i int) (customer int, t drive.Target)
	calm       int // how many requests capacity is measured with
	underWay   int // at most: what is due beyond is not sent, as by Envoy's circuit breaker

	capacity, asked, hitsInTime, inTime, refused, unsent row
	hit50, hit99, miss50, miss99, refusal50, refusal99   row
	hitInside, missInside, behind, wrongs                row
}

// How many requests an Envoy has under way to a service at most (circuit breaker, max_requests).
const (
	ofExample = 1_600  // in examples/envoy
	unbounded = 10_000 // more than is asked for within the timeout
)

// overload asks a sidecar for twice what it can do: half of it is in memory, half needs the policy.
func (b *bench) overload(ctx context.Context) (*result, error) {
	v := &vendor{dir: b.dir + "/overload", customers: b.o.customers, tags: b.o.tags[0] - versions}
	b.say("%d customers and %d products with %d tags are made, compiled and signed", v.customers, products, b.o.tags[0])
	if err := v.make(ctx, b.o.pullgate, nil); err != nil {
		return nil, err
	}
	pulls := &pressure{name: "pulls", want: "ok", distinct: v.customers * licenses * granted, calm: b.o.requests, underWay: ofExample, choice: func(i int) (int, drive.Target) {
		customer, p, version := i%v.customers, i/v.customers%licenses, i/v.customers/licenses
		return customer, image(has(customer)[p], version)[1+i%3] // by digest: the index, an image, its config
	}}
	lists := &pressure{name: "lists", want: "denied 200", distinct: v.customers * licenses, calm: b.o.requests / 10, underWay: ofExample, choice: func(i int) (int, drive.Target) {
		customer := i % v.customers
		return customer, drive.Target{Method: "GET", Path: fmt.Sprintf("/v2/acme/p%d/tags/list", has(customer)[i/v.customers])}
	}}
	late := *pulls
	late.name, late.underWay = fmt.Sprintf("pulls, %d under way", unbounded), unbounded
	all := []*pressure{pulls, &late, lists}
	for _, p := range all {
		p.begin()
	}
	for n := range b.o.rounds {
		for i, p := range all {
			if err := b.press(ctx, v, p, fmt.Sprintf("overload-%d-%d", n, i)); err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	var rows []row
	for _, p := range all {
		rows = append(rows, p.rows()...)
	}
	return &result{rows: rows, note: fmt.Sprintf("%d rounds of %s, %d customers; the load has the same processors; at most %d requests under way, or %d; lists of %d tags.",
		b.o.rounds, b.o.spell, v.customers, ofExample, unbounded, b.o.tags[0])}, nil
}

func (p *pressure) begin() {
	share := func(r *row, what string) { *r = row{what: p.name + ": " + what, unit: " %"} }
	ms := func(r *row, what string) { *r = row{what: p.name + ": " + what, unit: " ms"} }
	p.capacity = row{what: p.name + ": capacity, requests a second", counted: true}
	p.asked = row{what: p.name + ": asked for", against: "capacity", unit: "×"}
	share(&p.hitsInTime, "hits answered within 200 ms")
	share(&p.inTime, "misses answered or refused within 200 ms")
	share(&p.refused, "misses refused as overloaded")
	share(&p.unsent, "not sent, too many being under way")
	ms(&p.hit50, "a hit, p50")
	ms(&p.hit99, "a hit, p99")
	ms(&p.miss50, "a miss that is answered, p50")
	ms(&p.miss99, "a miss that is answered, p99")
	ms(&p.refusal50, "a refusal, p50")
	ms(&p.refusal99, "a refusal, p99")
	ms(&p.behind, "sent after it was due, p99")
	ms(&p.hitInside, "time in pullgate, a hit, p99")
	ms(&p.missInside, "time in pullgate, a miss or refusal, p99")
	p.wrongs = row{what: p.name + ": wrong answers, in all rounds", none: true, samples: []float64{0}}
	for _, r := range []*row{&p.hit50, &p.hit99, &p.miss50, &p.miss99, &p.refusal50, &p.refusal99} {
		r.maybe = true
	}
}

func (p *pressure) rows() []row {
	return []row{
		p.capacity, p.asked, p.hitsInTime, p.inTime, p.refused, p.unsent, p.hit50, p.hit99, p.miss50, p.miss99, p.refusal50, p.refusal99,
		p.behind, p.hitInside, p.missInside, p.wrongs,
	}
}

// stride goes through everything once before anything twice: it is a prime, and divides no number here.
const stride = 1_000_003

// draw encodes n requests, the first of them at a place.
func (p *pressure) draw(who []string, from, n int) ([][]byte, error) {
	var all [][]byte
	for i := range n {
		customer, t := p.choice((from + i) % p.distinct * stride % p.distinct)
		one, err := drive.Mix{Host: host, Who: who[customer : customer+1], What: []drive.Target{t}, Seed: uint64(from + i)}.Draw(1)
		if err != nil {
			return nil, err
		}
		all = append(all, one...)
	}
	return all, nil
}

// press measures once, with a sidecar that has nothing in memory but what the hits ask for.
func (b *bench) press(ctx context.Context, v *vendor, p *pressure, dir string) (err error) {
	s, err := startPullgate(ctx, b.o.pullgate, v, dir, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	who := v.who(v.customers)
	hits, err := drive.Mix{Host: host, Who: v.who(min(asked, v.customers)), Zipf: 1.2, For: func(c int) []drive.Target { return allowed(c, c) }}.Draw(2000)
	if err != nil {
		return err
	}
	misses, err := p.draw(who, 0, p.calm/2)
	if err != nil {
		return err
	}
	var both [][]byte
	for i := range misses {
		both = append(both, hits[i%len(hits)], misses[i])
	}
	run := func(cfg drive.Config) (*drive.Result, error) {
		cfg.Addr = s.addr
		d, err := drive.Dial(cfg)
		if err != nil {
			return nil, err
		}
		defer d.Close()
		if err := d.Await(ctx); err != nil {
			return nil, err
		}
		return d.Run(ctx), ctx.Err()
	}
	warmed, err := run(drive.Config{Requests: hits, Count: len(hits), Timeout: 20 * time.Second})
	if err != nil {
		return err
	}
	can, err := run(drive.Config{Requests: both, Count: len(both), Timeout: 20 * time.Second})
	if err != nil {
		return err
	}
	// Where the machine stands still for longer than a question may wait, some of the sixteen are refused.
	if err := errors.Join(allAre(warmed, "ok"), allAre(can, "ok", p.want, overloaded)); err != nil {
		return err
	}

	rate := can.Rate() * (1 - percent(can.Answers[overloaded], can)/100) // of each half: together it is twice that
	if misses, err = p.draw(who, len(misses), int(rate*b.o.spell.Seconds())+1); err != nil {
		return err
	}
	before, err := s.inside(ctx)
	if err != nil {
		return err
	}
	var hit, miss *drive.Result
	var failed [2]error
	var all sync.WaitGroup
	all.Go(func() {
		hit, failed[0] = run(drive.Config{Requests: hits, Rate: rate, Concurrency: p.underWay / 2, Duration: b.o.spell, Timeout: late})
	})
	all.Go(func() {
		miss, failed[1] = run(drive.Config{Requests: misses, Rate: rate, Concurrency: p.underWay / 2, Duration: b.o.spell, Timeout: late})
	})
	all.Wait()
	if err := errors.Join(failed[:]...); err != nil {
		return err
	}
	after, err := s.inside(ctx)
	if err != nil {
		return err
	}
	after.since(before)
	if hits := hit.Answers["ok"]; after.count("l1") < hits*9/10 {
		return fmt.Errorf("%d of %d hits are from memory", after.count("l1"), hits)
	}
	p.keep(rate, hit, miss, after)
	b.say("%s: %.0f a second, then twice: hits %v, misses %v, %d and %d not sent", p.name, rate, hit.Answers, miss.Answers, hit.Refused, miss.Refused)
	return nil
}

// allAre is an error when answers are others.
func allAre(r *drive.Result, outcomes ...string) error {
	n := 0
	for _, outcome := range slices.Compact(outcomes) {
		n += r.Answers[outcome]
	}
	if n < r.Sent || n == 0 {
		return fmt.Errorf("of %d answers all must be one of %q: %v", r.Sent, outcomes, r.Answers)
	}
	return nil
}

const (
	overloaded = "denied 503"
	tooLate    = "error DeadlineExceeded"
)

// keep takes what a round showed.
func (p *pressure) keep(rate float64, hit, miss *drive.Result, in *inside) {
	add := func(r *row, v float64) { r.samples = append(r.samples, v) }
	ms := func(r *row, d time.Duration) { add(r, d.Seconds()*1e3) }
	some := func(r *row, l drive.Latency, q float64) {
		if len(l) > 0 {
			ms(r, l.At(q))
		}
	}
	add(&p.capacity, rate)
	due := func(r *drive.Result) float64 { return float64(r.Sent+r.Refused) / r.Elapsed.Seconds() }
	add(&p.asked, (due(hit)+due(miss))/rate)
	add(&p.unsent, 100*float64(hit.Refused+miss.Refused)/float64(hit.Sent+hit.Refused+miss.Sent+miss.Refused))
	add(&p.hitsInTime, percent(within(hit, "ok"), hit))
	add(&p.inTime, percent(within(miss, p.want)+within(miss, overloaded), miss))
	add(&p.refused, percent(miss.Answers[overloaded], miss))
	some(&p.hit50, hit.By["ok"], .5)
	some(&p.hit99, hit.By["ok"], .99)
	some(&p.miss50, miss.By[p.want], .5)
	some(&p.miss99, miss.By[p.want], .99)
	some(&p.refusal50, miss.By[overloaded], .5)
	some(&p.refusal99, miss.By[overloaded], .99)
	add(&p.hitInside, in.quantile("l1", .99)*1e3)
	add(&p.missInside, in.quantile("none", .99)*1e3)
	behind := slices.Concat(hit.Behind, miss.Behind)
	slices.Sort(behind)
	some(&p.behind, behind, .99)
	p.wrongs.samples[0] += float64(wrong(hit, miss, p.want, in.overloaded))
}

// within counts the answers of an outcome that Envoy would have waited for.
func within(r *drive.Result, outcome string) (n int) {
	n, _ = slices.BinarySearch(r.By[outcome], late+1)
	return n
}

func percent(n int, of *drive.Result) float64 {
	return 100 * float64(n) / float64(max(1, of.Sent+of.Refused))
}

// wrong counts the answers that are neither right nor late nor, of misses, a refusal for overload; what was refused for
// another reason is one as well, which the number of those refused for that, by the metrics, shows.
func wrong(hit, miss *drive.Result, want string, refused int) int {
	n := hit.Sent - hit.Answers["ok"] - hit.Answers[tooLate]
	n += miss.Sent - miss.Answers[want] - miss.Answers[overloaded] - miss.Answers[tooLate]
	return n + max(0, miss.Answers[overloaded]-refused)
}

// inside is how long decisions took pullgate, by its own metrics: decisions by the buckets they fell into, by where
// verdicts came from.
type inside struct {
	buckets    map[string]map[float64]float64 // numbers of those that took so many seconds or less
	overloaded int
}

func (s *server) inside(ctx context.Context) (*inside, error) {
	in := &inside{buckets: map[string]map[float64]float64{}}
	err := s.metrics(ctx, func(name, value string) error {
		rest, ok := strings.CutPrefix(name, `pullgate_decision_duration_seconds_bucket{cached="`)
		if !ok {
			return nil
		}
		tier, rest, _ := strings.Cut(rest, `",le="`)
		bound, err := strconv.ParseFloat(strings.TrimSuffix(rest, `"}`), 64)
		if err != nil {
			return err
		}
		if in.buckets[tier] == nil {
			in.buckets[tier] = map[float64]float64{}
		}
		in.buckets[tier][bound], err = strconv.ParseFloat(value, 64)
		return err
	})
	if err != nil {
		return nil, err
	}
	in.overloaded, err = s.counted(ctx, "pullgate_decisions_total{", `code="overloaded"`)
	return in, err
}

// since leaves what came after.
func (in *inside) since(before *inside) {
	in.overloaded -= before.overloaded
	for tier, buckets := range before.buckets {
		for bound, n := range buckets {
			in.buckets[tier][bound] -= n
		}
	}
}

func (in *inside) count(tier string) int { return int(in.buckets[tier][math.Inf(1)]) }

// quantile is as Prometheus estimates it: within a bucket all are spread evenly.
func (in *inside) quantile(tier string, q float64) float64 {
	rank := q * in.buckets[tier][math.Inf(1)]
	var bounds []float64
	for bound := range in.buckets[tier] {
		bounds = append(bounds, bound)
	}
	slices.Sort(bounds)
	from, below := 0.0, 0.0
	for _, to := range bounds {
		n := in.buckets[tier][to]
		if n >= rank && n > below {
			if math.IsInf(to, 1) {
				return from
			}
			return from + (to-from)*(rank-below)/(n-below)
		}
		from, below = to, n
	}
	return 0
}
