package authz

import (
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics observes decisions. Labels are bounded: codes are those of this package, and all
// codes of vendor rules are one.
type metrics struct {
	decisions *prometheus.CounterVec
	duration  *prometheus.HistogramVec
	cache     *prometheus.CounterVec
	coalesced prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_decisions_total",
			Help: "Decisions by verdict (allow, deny, error), code and where the verdict came from (none: evaluated, l1, l2).",
		}, []string{"verdict", "code", "cached"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pullgate_decision_duration_seconds",
			Help:    "Time from a classified request to its decision.",
			Buckets: []float64{5e-6, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 1},
		}, []string{"cached"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_decision_cache_total",
			Help: "Look-ups of verdicts by tier (l1, l2) and result (hit, miss; bypass: a rule makes the answer uncacheable; of l2 also error: it did not say in time, open: it is left alone after errors, skip: evaluating is cheaper).",
		}, []string{"tier", "result"}),
		coalesced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pullgate_decisions_coalesced_total",
			Help: "Verdicts that were taken over from another request, which was finding out the same at that moment.",
		}),
	}
	if reg != nil {
		reg.MustRegister(m.decisions, m.duration, m.cache, m.coalesced)
	}
	return m
}

func (m *metrics) observe(d *Decision) {
	verdict := "deny"
	switch d.Outcome {
	case OutcomeAllow, OutcomeAnswer:
		verdict = "allow"
	case OutcomeError:
		verdict = "error"
	}
	m.decisions.WithLabelValues(verdict, codeLabel(d.Code), d.Cached).Inc()
	m.duration.WithLabelValues(d.Cached).Observe(d.Duration.Seconds())
}

func (m *metrics) looked(tier string, hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.cache.WithLabelValues(tier, result).Inc()
}

// shared counts what came of a question to the shared cache.
func (m *metrics) shared(result string) { m.cache.WithLabelValues("l2", result).Inc() }

// codeLabel bounds the label: a vendor's rules may make any number of codes.
func codeLabel(c Code) string {
	switch {
	case knownCode(c):
		return string(c)
	case strings.HasPrefix(string(c), "vendor."):
		return "vendor"
	default:
		return "other"
	}
}
