package engine

import (
	"context"
	"errors"
	"math"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
)

// metrics observes evaluations and activations.
type metrics struct {
	evaluations *prometheus.CounterVec
	steps       *prometheus.HistogramVec
	plan        *prometheus.CounterVec
	activations *prometheus.CounterVec
	serial      prometheus.Gauge
	issued      prometheus.Gauge
	deadline    prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		evaluations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_evaluations_total",
			Help: "Evaluations of the policy by entry point (decision, visible) and result (ok, error, budget, canceled, refused: it would have had to wait too long).",
		}, []string{"entrypoint", "result"}),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pullgate_evaluation_steps",
			Help:    "Steps of evaluations by entry point.",
			Buckets: []float64{25, 50, 100, 200, 500, 1000, 2000, 5000, 20000, 100000, 1000000},
		}, []string{"entrypoint"}),
		plan: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_plan_evaluations_total",
			Help: "Evaluations by the plan of the policy by result (answered; compared: topdown said the same; declined: topdown was asked instead; differed: topdown said something else, and alone is asked from then on).",
		}, []string{"result"}),
		activations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_activations_total",
			Help: "Bundles made active, or refused because they could not be made ready.",
		}, []string{"result"}),
		serial: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pullgate_bundle_serial", Help: "Serial of the active bundle.",
		}),
		issued: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pullgate_bundle_issued_timestamp_seconds", Help: "When the active bundle was issued.",
		}),
		deadline: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "pullgate_bundle_not_after_timestamp_seconds", Help: "From when the active bundle must not be used; +Inf for never.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.evaluations, m.steps, m.plan, m.activations, m.serial, m.issued, m.deadline)
	}
	return m
}

// register exports how many wait for a worker.
func (w *workers) register(reg prometheus.Registerer, query string) {
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pullgate_evaluations_waiting", Help: "Evaluations that wait for others, by entry point.",
		ConstLabels: prometheus.Labels{"entrypoint": entrypoint(query)},
	}, func() float64 { return float64(w.waiting.Load()) }))
}

// entrypoint is the last part of a query.
func entrypoint(query string) string { return query[strings.LastIndexByte(query, '.')+1:] }

func (m *metrics) evaluated(query string, err error, steps int) {
	entry := entrypoint(query)
	result := "ok"
	switch {
	case errors.Is(err, authz.ErrOverloaded):
		result = "refused"
	case errors.Is(err, errSteps), errors.Is(err, errTime):
		result = "budget"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		result = "canceled"
	case err != nil:
		result = "error"
	}
	m.evaluations.WithLabelValues(entry, result).Inc()
	if steps > 0 {
		m.steps.WithLabelValues(entry).Observe(float64(steps))
	}
}

func (m *metrics) activated(err error, b *bundle.Bundle) {
	if err != nil {
		m.activations.WithLabelValues("refused").Inc()
		return
	}
	m.activations.WithLabelValues("ok").Inc()
	m.serial.Set(float64(b.Serial()))
	m.issued.Set(float64(b.IssuedAt()))
	deadline := float64(b.NotAfter())
	if b.NotAfter() == bundle.Never {
		deadline = math.Inf(1)
	}
	m.deadline.Set(deadline)
}
