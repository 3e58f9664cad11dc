package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
)

// status is what health, readiness and /v1/status say. All methods are safe for
// concurrent use.
type status struct {
	clock func() time.Time

	mu         sync.Mutex
	started    time.Time
	licenses   string            // what is wrong with the last edit; "" when it is in use
	registries map[string]string // by id: what is wrong with the last crawl; "" when it is fine
	bundle     *bundle.Bundle    // active; nil before the first
	bundleErr  string            // why the last bundle was not activated
	stopping   bool

	broken prometheus.Gauge
	loads  *prometheus.CounterVec
}

func newStatus(clock func() time.Time, reg prometheus.Registerer) *status {
	s := &status{
		clock: clock, started: clock(), registries: map[string]string{},
		broken: prometheus.NewGauge(prometheus.GaugeOpts{Name: "pullgate_licenses_broken", Help: "1 while the license directory holds an edit that is refused; the last good set is in use."}),
		loads:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pullgate_license_loads_total", Help: "Readings of the license directory after a change, by result (ok, refused)."}, []string{"result"}),
	}
	reg.MustRegister(s.broken, s.loads)
	return s
}

// licensesLoaded notes the result of reading the license directory.
func (s *status) licensesLoaded(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.licenses = err.Error()
		s.broken.Set(1)
		s.loads.WithLabelValues("refused").Inc()
		return
	}
	s.licenses = ""
	s.broken.Set(0)
	s.loads.WithLabelValues("ok").Inc()
}

// crawled notes the result of reading a registry.
func (s *status) crawled(registry string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registries[registry] = ""
	if err != nil {
		s.registries[registry] = err.Error()
	}
}

// activatedBundle notes a bundle that is active now, or why it is not.
func (s *status) activatedBundle(b *bundle.Bundle, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.bundleErr = err.Error()
		return
	}
	s.bundle, s.bundleErr = b, ""
}

func (s *status) stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
}

// ready says whether decisions can be made, and if not, why.
func (s *status) ready() (bool, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return false, "shutting down"
	case s.bundle == nil:
		why := "no bundle yet"
		if s.licenses != "" {
			why += "; licenses refused: " + s.licenses
		}
		for _, id := range slices.Sorted(maps.Keys(s.registries)) {
			if e := s.registries[id]; e != "" {
				why += fmt.Sprintf("; registry %s: %s", id, e)
			}
		}
		if s.bundleErr != "" {
			why += "; " + s.bundleErr
		}
		return false, why
	case s.bundle.NotAfter() <= s.clock().Unix():
		return false, "the bundle is past its not_after: every request is refused as stale"
	}
	return true, "ok"
}

// health is a text for people: "ok", or "degraded" and one line per problem.
func (s *status) health() string {
	ready, why := s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	if !ready {
		lines = append(lines, "not ready: "+why)
	} else {
		if s.licenses != "" {
			lines = append(lines, "licenses: the last edit is refused, the last good set is in use:")
			for l := range strings.SplitSeq(s.licenses, "\n") {
				lines = append(lines, "  "+l)
			}
		}
		for _, id := range slices.Sorted(maps.Keys(s.registries)) {
			if e := s.registries[id]; e != "" {
				lines = append(lines, fmt.Sprintf("registry %s: the last good catalog is in use: %s", id, e))
			}
		}
		if s.bundleErr != "" {
			lines = append(lines, "bundle: the last good one is in use: "+s.bundleErr)
		}
	}
	switch {
	case len(lines) == 0:
		return "ok\n"
	case ready:
		return "degraded\n" + strings.Join(lines, "\n") + "\n"
	default:
		return strings.Join(lines, "\n") + "\n"
	}
}

// report is the body of /v1/status.
func (s *status) report() map[string]any {
	ready, why := s.ready()
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]any{
		"version": version, "started": s.started.UTC().Format(time.RFC3339),
		"ready": ready, "licenses_error": s.licenses, "registries": maps.Clone(s.registries),
	}
	if !ready {
		out["reason"] = why
	}
	if b := s.bundle; b != nil {
		out["bundle"] = map[string]any{
			"name": b.Name(), "revision": b.Revision(), "serial": b.Serial(),
			"issued_at": instant(b.IssuedAt()), "not_after": instant(b.NotAfter()),
		}
	}
	return out
}
