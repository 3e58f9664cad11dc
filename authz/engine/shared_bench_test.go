package engine

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/examples/peers"
)

// tagged1000 is a repository of a thousand tags, whose list takes long.
func tagged1000(b *testing.B) *world {
	w := newWorld()
	w.index.AddProduct(index.Product{ID: "app"})
	repo := index.Repository{Registry: "main", Name: "acme/app", Product: "app"}
	for i := range 1000 {
		v := fmt.Sprintf("%d.%d.0", i%4, i)
		repo.Tags = append(repo.Tags, index.Tag{Name: v, Digest: digest(v), Candidates: []index.Candidate{versioned(b, "app", v, v)}})
	}
	w.index.AddRepository(repo)
	w.customer(b, "bakery", grant(b, "bakery-app", "app", ">=1.0.0 <2.0.0"))
	w.key("bakery", "ci", nil)
	return w
}

// cpuTime is what a process has used, all its threads together, to a hundredth of a second.
func cpuTime(b *testing.B, pid string) time.Duration {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		b.Skip("no /proc: ", err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	ticks := 0
	for _, f := range fields[11:13] { // utime and stime
		n, _ := strconv.Atoi(f)
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// BenchmarkShared compares a verdict from Redis with an evaluated one, both sides in turns. Ratios
// are of CPU time, that of Redis included, and of the time that one request takes.
func BenchmarkShared(b *testing.B) {
	for _, c := range []struct {
		name  string
		world func(*testing.B) *world
		r     *authz.Request
	}{
		{"pull", func(b *testing.B) *world { return shop(b) }, request("bakery", authz.KindManifest, "acme/app", digestOfName("image140"))},
		{"list-1000", tagged1000, request("bakery", authz.KindTags, "acme/app", "")},
	} {
		b.Run(c.name, func(b *testing.B) {
			r, err := peers.StartRedis(b.Context(), peers.Redis(b), peers.RedisConfig{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = r.Close() }()
			e := c.world(b).start(b, Config{})
			shared, err := redisstore.OpenVerdicts(redisstore.Config{URLs: []string{"redis://" + r.Addr}},
				redisstore.VerdictsConfig{Secrets: []string{fleetSecret}, Clock: clockAt(now), Registerer: prometheus.NewRegistry()})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() { _ = shared.Run(ctx) })
			defer func() { stop(); running.Wait(); _ = shared.Close() }()

			cfg := authz.GateConfig{Engine: e, Recorder: dropping{}, Registerer: prometheus.NewRegistry(), Clock: clockAt(now)}
			evaluated := authz.NewGate(cfg)
			cfg.Shared, cfg.ShareAlways, cfg.Registerer = shared, true, prometheus.NewRegistry()
			l2 := authz.NewGate(cfg)
			for l2.Decide(ctx, c.r).Cached != "l2" {
				time.Sleep(time.Millisecond)
			}

			const each = 400 // requests of a turn
			self, redis := "self", strconv.Itoa(r.PID())
			var cpu [2]time.Duration
			var server time.Duration
			var took [2][]time.Duration
			sent, missed := 0, 0
			for b.Loop() {
				for side, gate := range []*authz.Gate{evaluated, l2} {
					before, beforeRedis := cpuTime(b, self), cpuTime(b, redis)
					for range each {
						began := time.Now()
						d := gate.Decide(ctx, c.r)
						took[side] = append(took[side], time.Since(began))
						if side == 1 && d.Cached != "l2" {
							missed++
						}
					}
					cpu[side] += cpuTime(b, self) - before
					if side == 1 {
						server += cpuTime(b, redis) - beforeRedis
					}
				}
				sent += each
			}
			per := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(sent) }
			at := func(side int, p float64) float64 {
				s := slices.Sorted(slices.Values(took[side]))
				return s[int(float64(len(s)-1)*p)].Seconds() * 1e6
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(per(cpu[0]), "cpu-µs/evaluated")
			b.ReportMetric(per(cpu[1]), "cpu-µs/l2")
			b.ReportMetric(per(server), "redis-cpu-µs/l2")
			b.ReportMetric((cpu[1]+server).Seconds()/cpu[0].Seconds(), "cpu-ratio")
			b.ReportMetric(at(0, .5), "p50-µs/evaluated")
			b.ReportMetric(at(1, .5), "p50-µs/l2")
			b.ReportMetric(at(0, .99), "p99-µs/evaluated")
			b.ReportMetric(at(1, .99), "p99-µs/l2")
			b.ReportMetric(100*float64(missed)/float64(sent), "missed-%")
		})
	}
}
