package tombstone

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type followerMetrics struct {
	taken, refused prometheus.Counter
}

func newFollowerMetrics(reg prometheus.Registerer, f *Follower) *followerMetrics {
	m := &followerMetrics{
		taken:   prometheus.NewCounter(prometheus.CounterOpts{Name: "pullgate_tombstones_total", Help: "Revocations that counted before the bundle that has them."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "pullgate_tombstones_refused_total", Help: "Entries of the stream of tombstones that no configured key has signed for this bundle."}),
	}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			f.mu.Lock()
			defer f.mu.Unlock()
			return value()
		})
	}
	reg.MustRegister(
		m.taken, m.refused,
		gauge("pullgate_tombstones_active", "Revocations that count although the active bundle does not have them.", func() float64 { return float64(len(f.live)) }),
		gauge("pullgate_tombstones_highest_number", "Highest number of a tombstone that was read.", func() float64 { return float64(f.highest) }),
		gauge("pullgate_tombstones_missing", "Tombstones that the publisher tells of and that are not in Redis.", func() float64 { return float64(len(f.alarms.missing)) }),
		gauge("pullgate_tombstones_forged", "Entries that are in Redis now and that no configured key has signed for this bundle.", func() float64 { return float64(f.alarms.bad) }),
		gauge("pullgate_tombstones_heartbeat_age_seconds", "Time since a new heartbeat of the publisher came; +Inf before the first.", func() float64 {
			if f.beat == nil {
				return math.Inf(1)
			}
			return time.Since(f.beaten).Seconds()
		}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "pullgate_tombstones_alarm", Help: "1 while something keeps revocations from counting at once; the health text says what."}, func() float64 {
			if f.Problem() != "" {
				return 1
			}
			return 0
		}),
	)
	return m
}

type keeperMetrics struct {
	beats                     *prometheus.CounterVec
	carried, restored, forged *prometheus.CounterVec
	kept                      *prometheus.GaugeVec
}

func newKeeperMetrics(reg prometheus.Registerer) *keeperMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"bundle"}, labels...))
	}
	m := &keeperMetrics{
		beats:    counter("pullgate_tombstone_heartbeats_total", "Heartbeats for those who follow tombstones, by result (ok, error).", "result"),
		carried:  counter("pullgate_tombstones_carried_total", "Tombstones that were made anew because a bundle was published whose sources do not have the revocation yet."),
		restored: counter("pullgate_tombstones_restored_total", "Tombstones that were gone from Redis and were put back."),
		forged:   counter("pullgate_tombstones_removed_total", "Entries that nobody had signed and that were removed from Redis."),
		kept: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pullgate_tombstones_kept", Help: "Tombstones in Redis that may still matter to somebody.",
		}, []string{"bundle"}),
	}
	if reg != nil {
		reg.MustRegister(m.beats, m.carried, m.restored, m.forged, m.kept)
	}
	return m
}
