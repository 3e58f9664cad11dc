package catalog

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// maxSeries bounds the repositories with a time series of their own.
const maxSeries = 1000

// metrics are those of one registry's crawler.
type metrics struct {
	success  *prometheus.GaugeVec
	failures *prometheus.CounterVec
	fetches  *prometheus.CounterVec

	mu     sync.Mutex
	series map[string]bool // repositories with one
}

func newMetrics(reg prometheus.Registerer, registry string) (*metrics, error) {
	labels := prometheus.Labels{"registry": registry}
	m := &metrics{
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pullgate_catalog_last_success_timestamp_seconds", ConstLabels: labels,
			Help: "When a crawl of the repository last succeeded, Unix seconds. The first 1000 repositories have a series; see pullgate_catalog_failures_total for the rest.",
		}, []string{"repository"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_catalog_failures_total", ConstLabels: labels,
			Help: "Crawls of a repository, of some of its tags, or of the whole registry, that failed and kept the last good state, by reason.",
		}, []string{"reason"}),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_catalog_fetches_total", ConstLabels: labels,
			Help: "Requests made to the registry, by kind: list, head, manifest, config, referrers.",
		}, []string{"kind"}),
		series: map[string]bool{},
	}
	for _, r := range []Reason{Unreachable, Unauthorized, Forbidden, Failing, Garbage, Foreign, Shrunk, TooLarge, Slow} {
		m.failures.WithLabelValues(string(r))
	}
	if reg == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.success, m.failures, m.fetches} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("catalog metrics of registry %q: %w", registry, err)
		}
	}
	return m, nil
}

func (m *metrics) fetched(kind string) { m.fetches.WithLabelValues(kind).Inc() }
func (m *metrics) failed(r Reason)     { m.failures.WithLabelValues(string(r)).Inc() }

// known notes the successes of earlier crawls, also of other processes.
func (m *metrics) known(all map[string]*knownRepository) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if at := all[name].state.Succeeded; at != 0 {
			m.succeeded(name, at)
		}
	}
}

func (m *metrics) succeeded(name string, at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.series[name] || len(m.series) < maxSeries {
		m.series[name] = true
		m.success.WithLabelValues(name).Set(float64(at))
	}
}

// crawled notes the successes of a crawl, and forgets repositories that are crawled no more.
func (m *metrics) crawled(r *Result, now int64) {
	crawled := map[string]bool{}
	for _, rr := range r.Repositories {
		crawled[rr.Name] = true
	}
	m.mu.Lock()
	for name := range m.series {
		if !crawled[name] {
			delete(m.series, name)
			m.success.DeleteLabelValues(name)
		}
	}
	m.mu.Unlock()
	for _, rr := range r.Repositories {
		if rr.Outcome == Taken {
			m.succeeded(rr.Name, now)
		}
	}
}
