package engine

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/redisstore"
)

const (
	fleetSecret    = "the-secret-of-all-who-share-it-00"
	strangerSecret = "the-secret-of-somebody-else-00000"
)

// switched is an engine with several generations, of which one counts at a time.
type switched struct {
	generations []authz.Generation
	active      atomic.Int32
}

func (s *switched) Generation() authz.Generation { return s.generations[s.active.Load()] }

// sharer is one of the processes that share verdicts, with a clock of its own.
type sharer struct {
	gate     *authz.Gate
	verdicts *redisstore.Verdicts
	at       atomic.Int64
	skew     int64
	metrics  *prometheus.Registry
	stop     func()
}

func newSharer(t testing.TB, e authz.Engine, addr string, skew int64, l1 authz.Cache, secrets ...string) *sharer {
	return newSharerOf(t, e, redisstore.Config{URLs: []string{"redis://" + addr}}, skew, l1, secrets...)
}

func newSharerOf(t testing.TB, e authz.Engine, cfg redisstore.Config, skew int64, l1 authz.Cache, secrets ...string) *sharer {
	s := &sharer{skew: skew, metrics: prometheus.NewRegistry()}
	clock := func() time.Time { return time.Unix(s.at.Load(), 0) }
	var err error
	s.verdicts, err = redisstore.OpenVerdicts(cfg, redisstore.VerdictsConfig{Secrets: secrets, Program: "test", Clock: clock, Registerer: s.metrics})
	if err != nil {
		t.Fatal(err)
	}
	s.gate = authz.NewGate(authz.GateConfig{Engine: e, Cache: l1, Shared: s.verdicts, ShareAlways: true, AuditShare: 1, Clock: clock, AskPast: true, Registerer: s.metrics})
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = s.verdicts.Run(ctx) })
	s.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = s.verdicts.Close()
	})
	return s
}

// decide asks at an instant as this one's clock has it.
func (s *sharer) decide(at int64, r *authz.Request) *authz.Decision {
	s.at.Store(at + s.skew)
	return s.gate.Decide(context.Background(), r)
}

// counted sums the values of a counter or a gauge whose labels have all these texts.
func counted(reg *prometheus.Registry, name string, labels ...string) (n int) {
	all, _ := reg.Gather()
	for _, f := range all {
		for _, m := range f.GetMetric() {
			matches := f.GetName() == name
			for _, l := range labels {
				matches = matches && strings.Contains(m.String(), `"`+l+`"`)
			}
			if matches {
				n += int(m.GetCounter().GetValue() + m.GetGauge().GetValue())
			}
		}
	}
	return n
}
