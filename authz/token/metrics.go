package token

import "github.com/prometheus/client_golang/prometheus"

type metrics struct{ issued, read *prometheus.CounterVec }

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		issued: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_tokens_issued_total", Help: "Bearer tokens given, by whom they are for (customer; anybody: given without a key).",
		}, []string{"for"}),
		read: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_tokens_read_total", Help: "Bearer tokens that requests came with, by whether one of the keys has signed them (valid, invalid). A valid one may have expired.",
		}, []string{"result"}),
	}
	if reg != nil {
		reg.MustRegister(m.issued, m.read)
	}
	return m
}
