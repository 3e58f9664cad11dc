package serve

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	requests *prometheus.CounterVec
	waiting  prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_bundle_requests_total",
			Help: "Requests for bundles, by bundle (empty where it is not known, or not said) and result (ok, not_modified, unauthorized, not_found, method, not_ready, unavailable).",
		}, []string{"bundle", "result"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pullgate_bundle_waiting", Help: "Clients that wait for a new bundle."}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.waiting)
	}
	return m
}
