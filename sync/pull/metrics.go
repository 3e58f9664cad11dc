package pull

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ pulls *prometheus.CounterVec }

// newMetrics registers the metrics of p. Those of what is active are the engine's.
func newMetrics(reg prometheus.Registerer, p *Puller) *metrics {
	m := &metrics{pulls: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pullgate_bundle_pulls_total",
		Help: "Answers of the publisher by result: new, unchanged, or why there was no bundle to take.",
	}, []string{"result"})}
	for _, r := range append([]Reason{"new", "unchanged"}, reasons...) {
		m.pulls.WithLabelValues(string(r))
	}
	if reg == nil {
		return m
	}
	gauge := func(name, help string, labels prometheus.Labels, value func(Status) float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return value(p.Status()) }))
	}
	reg.MustRegister(m.pulls)
	gauge("pullgate_bundle_highest_serial", "Highest serial that was ever taken; nothing lower is.", nil, func(s Status) float64 { return float64(s.Highest) })
	gauge("pullgate_bundle_refreshed_timestamp_seconds", "When the active bundle was last known to be the newest; 0 before the first.", nil, func(s Status) float64 { return float64(s.Refreshed) })
	gauge("pullgate_bundle_age_seconds", "Time since then.", nil, func(s Status) float64 { return s.Age.Seconds() })
	gauge("pullgate_bundle_unkept", "1 while the active bundle or its serial is not on disk.", nil, func(s Status) float64 { return truth(s.Freshness != None && !s.Kept) })
	for _, f := range []Freshness{None, Fresh, Degraded, Stale} {
		gauge("pullgate_bundle_freshness", "1 for the state that the bundle is in: none, fresh, degraded, stale.", prometheus.Labels{"state": string(f)}, func(s Status) float64 { return truth(s.Freshness == f) })
	}
	return m
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
