package publish

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
)

type metrics struct {
	publications *prometheus.CounterVec
	serial       *prometheus.GaugeVec
	notAfter     *prometheus.GaugeVec
	held         *prometheus.GaugeVec
	waiting      *prometheus.GaugeVec
}

func newMetrics(reg prometheus.Registerer) *metrics {
	byName := []string{"bundle"}
	m := &metrics{
		publications: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pullgate_publications_total", Help: "Bundles by result (published, reissued, restored, rolled_back, revoked, held, refused)."}, []string{"bundle", "result"}),
		serial:       prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pullgate_published_serial", Help: "Serial of the bundle that is published."}, byName),
		notAfter:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pullgate_published_not_after_timestamp_seconds", Help: "From when the bundle that is published must not be used."}, byName),
		held:         prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pullgate_publication_held", Help: "1 while a bundle waits to be accepted."}, byName),
	}
	m.waiting = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pullgate_revocations_waiting", Help: "Revocations in the sources that are not published, because they, too, take something from too many."}, byName)
	if reg != nil {
		reg.MustRegister(m.publications, m.serial, m.notAfter, m.held, m.waiting)
	}
	return m
}

// know makes a bundle's metrics exist before anything happens.
func (m *metrics) know(name string) {
	for _, result := range []string{"published", "reissued", "restored", "rolled_back", "revoked", "held", "refused"} {
		m.publications.WithLabelValues(name, result)
	}
	m.hold(name, false)
	m.waiting.WithLabelValues(name)
}

func (m *metrics) count(name, result string) { m.publications.WithLabelValues(name, result).Inc() }

func (m *metrics) hold(name string, held bool) {
	v := 0.0
	if held {
		v = 1
	}
	m.held.WithLabelValues(name).Set(v)
}

func (m *metrics) published(b *bundle.Bundle, result string) {
	m.count(b.Name(), result)
	m.serial.WithLabelValues(b.Name()).Set(float64(b.Serial()))
	m.notAfter.WithLabelValues(b.Name()).Set(float64(b.NotAfter()))
}
