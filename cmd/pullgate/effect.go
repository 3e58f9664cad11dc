package main

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// effects observes how soon what was edited has an effect: in one process from an edit until it
// decides; split, from the edit until it is published and from when a bundle was issued until it decides.
type effects struct{ seconds *prometheus.HistogramVec }

func newEffects(reg prometheus.Registerer) *effects {
	e := &effects{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "pullgate_effect_seconds",
		Help:    "Time from an edit of licenses, or from when a bundle was issued (from: edit, issue), until bundles are published or active (to).",
		Buckets: []float64{0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 15, 30, 60, 300, 3600},
	}, []string{"bundle", "from", "to"})}
	reg.MustRegister(e.seconds)
	return e
}

// Where an effect is measured from and to.
const (
	fromEdit    = "edit"
	fromIssue   = "issue"
	toPublished = "published"
	toActive    = "active"
)

// observe takes in an effect that an instant has now; none of one that nobody knows. Clocks of two
// machines may differ: what seems to have been before its cause took no time.
func (e *effects) observe(bundle, from, to string, since, now time.Time) {
	if !since.IsZero() {
		e.seconds.WithLabelValues(bundle, from, to).Observe(max(0, now.Sub(since).Seconds()))
	}
}
