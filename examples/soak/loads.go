package main

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// A kind of request, of which every answer is known.
type kind struct {
	name  string
	share float64 // of the rate
	mix   drive.Mix
	addr  string // who is asked, when it is not the process that is soaked
	// want is the right outcome of what was sent at an instant and has just been answered; "" when a bundle
	// changed it meanwhile.
	want func(sent time.Time) string

	right, refused, wrong atomic.Int64
	mu                    sync.Mutex
	example               string // of what was wrong
}

// refusal is what any request may get when there is too much to do.
const refusal = "denied 503"

func always(outcome string) func(time.Time) string {
	return func(time.Time) string { return outcome }
}

// kinds are what customers ask. Images are drawn by a Zipf distribution.
func (s *soak) kinds() []*kind {
	v := s.vendor
	who := func(keys []string) (list []string) {
		for _, key := range keys {
			list = append(list, "Basic "+base64.StdEncoding.EncodeToString([]byte("soak:"+key)))
		}
		return list
	}
	all := v.customers
	mix := func(of []string, zipf float64, targets func(c int) []drive.Target) drive.Mix {
		return drive.Mix{Host: host, Who: who(of), Zipf: zipf, For: targets, Seed: 1}
	}
	one := func(path string) func(int) []drive.Target {
		return func(int) []drive.Target { return []drive.Target{{Method: "GET", Path: path}} }
	}
	return []*kind{
		{name: "frequent images", share: .3, want: always("ok"), mix: mix(v.keys[:min(all, 50)], 1.3, func(c int) []drive.Target { return manifests(has(c)[0], true) })},
		{name: "any image", share: .2, want: always("ok"), mix: mix(v.keys[:all], 0, func(c int) []drive.Target { return manifests(has(c)[c%licenses], true) })},
		{name: "any image, asked of the neighbour", share: .1, want: always("ok"), addr: s.neighbour.GRPC, mix: mix(v.keys[:all], 0, func(c int) []drive.Target { return manifests(has(c)[c%licenses], true) })},
		{name: "versions that are not covered", share: .1, want: always("denied 403"), mix: mix(v.keys[:all], 1.3, func(c int) []drive.Target { return manifests(has(c)[1], false) })},
		{name: "products that are not licensed", share: .05, want: always("denied 404"), mix: mix(v.keys[:all], 1.3, func(c int) []drive.Target { return manifests((c+1)%products, true) })},
		{name: "lists", share: .05, want: always("denied 200"), mix: mix(v.keys[:all], 0, func(c int) []drive.Target { return one(fmt.Sprintf("/v2/acme/p%d/tags/list", has(c)[2]))(c) })},
		{name: "nobody's key", share: .05, want: always("denied 401"), mix: mix([]string{"pg_nonsense"}, 0, func(int) []drive.Target { return manifests(0, true) })},
		{name: "malformed", share: .05, want: always("denied 400"), mix: mix(v.keys[:all], 0, one("/v2/acme//p1/manifests/1.0.0"))},
		{name: "a license that changes: first half", share: .05, want: s.changing(true), mix: mix(v.keys[all:], 1.3, func(int) []drive.Target { return manifests(0, true) })},
		{name: "a license that changes: second half", share: .05, want: s.changing(false), mix: mix(v.keys[all:], 1.3, func(int) []drive.Target { return manifests(0, false) })},
	}
}

// changing is the answer about one half of the versions to the customer whose license changes with each bundle.
func (s *soak) changing(first bool) func(sent time.Time) string {
	return func(sent time.Time) string {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.publishing || sent.Before(s.active) { // of a time that is over nobody remembers what was right
			return ""
		}
		if firstHalf(s.serial) == first {
			return "ok"
		}
		return "denied 403"
	}
}

// check judges an answer.
func (k *kind) check(_ int, sent time.Time, outcome string) {
	want := k.want(sent)
	switch {
	case outcome == want, want == "" && (outcome == "ok" || outcome == "denied 403"):
		k.right.Add(1)
	case outcome == refusal:
		k.refused.Add(1)
	default:
		k.wrong.Add(1)
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.example == "" {
			k.example = fmt.Sprintf("%q in place of %q at %s", outcome, want, time.Now().Format(time.TimeOnly))
		}
	}
}

// ask asks a kind for a time, and says how late the latest but one in a thousand was.
func (s *soak) ask(ctx context.Context, k *kind, rate float64, d time.Duration) (time.Duration, error) {
	requests, err := k.mix.Draw(min(20_000, max(1, int(rate*d.Seconds())+1)))
	if err != nil {
		return 0, err
	}
	driver, err := drive.Dial(drive.Config{
		Addr: cmp.Or(k.addr, s.process.GRPC), Requests: requests, Rate: rate, Duration: d, Timeout: 20 * time.Second, Connections: 1, Check: k.check,
	})
	if err != nil {
		return 0, err
	}
	r := driver.Run(ctx)
	if r.Refused > 0 {
		err = fmt.Errorf("%s: %d requests could not be sent, so many were under way", k.name, r.Refused)
	}
	return r.Latency.At(.999), errors.Join(err, driver.Close())
}

// verdict says what was wrong with the answers.
func (s *soak) verdict(ctx context.Context) (err error) {
	err = errors.Join(s.lates...)
	for _, k := range s.all {
		right, refused, wrong := k.right.Load(), k.refused.Load(), k.wrong.Load()
		s.say("%8d right %6d refused %4d wrong: %s", right, refused, wrong, k.name)
		if wrong > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %d wrong answers, first %s", k.name, wrong, k.example))
		}
		if right < refused {
			err = errors.Join(err, fmt.Errorf("%s: %d right answers and %d refusals", k.name, right, refused))
		}
	}
	same, e1 := s.metric(ctx, "pullgate_decision_cache_audits_total", `result="same"`)
	different, e2 := s.metric(ctx, "pullgate_decision_cache_audits_total", `result="different"`)
	failed, e3 := s.metric(ctx, "pullgate_decisions_total", `code="internal_error"`)
	hits, e4 := metric(ctx, s.neighbour.Admin, "pullgate_decisions_total", `cached="l2"`)
	s.say("%.0f audits, %.0f different; %.0f verdicts from Redis; %.0f internal errors; %d bundles", same+different, different, hits, failed, s.serial)
	if different > 0 || failed > 0 || same == 0 || s.o.late > 0 && hits == 0 { // a busy machine may keep nobody's 5 ms for Redis
		err = errors.Join(err, fmt.Errorf("%.0f audits are different, %.0f the same, %.0f decisions failed, %.0f came from Redis", different, same, failed, hits))
	}
	return errors.Join(err, e1, e2, e3, e4)
}
