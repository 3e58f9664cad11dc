package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/catalog"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/pull"
)

// status is what health, readiness and /v1/status say. All methods are safe for
// concurrent use.
type status struct {
	clock     func() time.Time
	slowCrawl time.Duration // a crawl that takes longer is worth a line

	mu         sync.Mutex
	started    time.Time
	licenses   string                     // what is wrong with the last edit; "" when it is in use
	registries map[string]*registryStatus // by id
	bundle     *bundle.Bundle             // active; nil before the first
	bundleErr  string                     // why the last bundle was not activated
	records    func() string              // what keeps records from being written; "" for nothing
	// credentials says what keeps requests from being given a registry's credential, a line each.
	credentials func() string
	// clockProblem says what is wrong with the clock that decisions are made by.
	clockProblem func() string
	// follow says how following a publisher goes; nil without one.
	follow   func() pull.Status
	stopping bool
	// tombstones says what keeps revocations from counting before the bundle has them, a line each.
	tombstones func() string

	standby string // what a publisher waits for before it begins; "" for nothing
	// Of a publisher, nil of a sidecar:
	held    func() []publish.Held      // bundles that wait to be accepted
	absent  func() map[string][]string // customers of bundles that do not exist
	revoked func() []publish.Revoked   // what was taken back although the rest is not published, or waits
	data    string
	outputs func() string // what is wrong with places that bundles are written to, a line each

	broken prometheus.Gauge
	loads  *prometheus.CounterVec
}

// registryStatus is how the crawls of a registry go.
type registryStatus struct {
	err      string           // what is wrong with the last one; "" when it is fine
	known    bool             // a catalog of it is in use
	since    time.Time        // when the one under way began; zero when there is none
	progress catalog.Progress // of it
}

func newStatus(clock func() time.Time, reg prometheus.Registerer) *status {
	s := &status{
		clock: clock, started: clock(), records: func() string { return "" }, credentials: func() string { return "" }, clockProblem: func() string { return "" }, tombstones: func() string { return "" }, registries: map[string]*registryStatus{}, slowCrawl: slowCrawl,
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

// licensesMended notes that the license files are in use after all, unless a later edit is refused
// for another reason.
func (s *status) licensesMended(refused string) {
	s.mu.Lock()
	mended := s.licenses == refused
	s.mu.Unlock()
	if mended {
		s.licensesLoaded(nil)
	}
}

// crawling notes that the reading of a registry begins.
func (s *status) crawling(registry string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.registries[registry]
	if r == nil {
		r = &registryStatus{}
		s.registries[registry] = r
	}
	r.known, r.since, r.progress = known, s.clock(), catalog.Progress{}
}

// progress notes how far the crawl under way is.
func (s *status) progress(registry string, p catalog.Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.registries[registry]; r != nil {
		r.progress = p
	}
}

// crawled notes the result of reading a registry.
func (s *status) crawled(registry string, known bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &registryStatus{known: known}
	if err != nil {
		r.err = err.Error()
	}
	s.registries[registry] = r
}

// forget ends what is said about a registry.
func (s *status) forget(registry string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.registries, registry)
}

// reading says of a crawl that takes long since when; "" of any other. It is called with mu held.
func (s *status) reading(r *registryStatus) string {
	if r.since.IsZero() || s.clock().Sub(r.since) <= s.slowCrawl {
		return ""
	}
	return fmt.Sprintf("being read since %s (%d of %d repositories, %d requests answered)", r.since.UTC().Format(time.RFC3339), r.progress.Repositories, r.progress.Total, r.progress.Requests)
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

// hasBundle says whether there is an active bundle, of a publisher all that it publishes.
func (s *status) hasBundle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundle != nil
}

// publishing makes it the status of a publisher.
func (s *status) publishing(p *publish.Publisher, outputs func() string, data string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held, s.absent, s.revoked, s.outputs, s.data = p.Held, p.Absent, p.Revoked, outputs, data
}

// standBy notes what a publisher waits for before it begins.
func (s *status) standBy(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.standby = why
}

func (s *status) stop() {
	s.mu.Lock()
	s.stopping = true
	s.mu.Unlock()
}

// ready says whether decisions can be made, and if not, why.
func (s *status) ready() (bool, string) {
	following := s.following()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stopping:
		return false, "shutting down"
	case s.bundle == nil:
		why := "no bundle yet"
		if s.standby != "" {
			return false, s.standby
		}
		if s.licenses != "" {
			why += "; licenses refused: " + s.licenses
		}
		for _, id := range slices.Sorted(maps.Keys(s.registries)) {
			r := s.registries[id]
			if e := s.reading(r); e != "" {
				why += fmt.Sprintf("; registry %s: %s", id, e)
			}
			if r.err != "" {
				why += fmt.Sprintf("; registry %s: %s", id, r.err)
			}
		}
		if s.follow != nil {
			return false, strings.Join(append([]string{why}, following.Problems...), "; ")
		}
		if s.bundleErr != "" {
			why += "; " + s.bundleErr
		}
		return false, why
	case s.bundle.NotAfter() <= s.clock().Unix():
		if s.held != nil {
			return false, "the published bundle " + s.bundle.Name() + " is past its not_after: sidecars refuse every request as stale"
		}
		return false, "the bundle is past its not_after: every request is refused as stale"
	case following.Freshness == pull.Stale:
		return false, "the publisher has not been heard of for stale_after: every request is refused as stale"
	}
	return true, "ok"
}

// health is a text for people: "ok", or "degraded" and one line per problem.
func (s *status) health() string {
	ready, why := s.ready()
	published, following := s.publications(), s.following()
	revoking := s.tombstones() // which asks for the serial
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := published
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
			r := s.registries[id]
			if e := s.reading(r); e != "" {
				lines = append(lines, fmt.Sprintf("registry %s: %s", id, e))
			}
			switch {
			case r.err != "" && r.known:
				lines = append(lines, fmt.Sprintf("registry %s: the last good catalog is in use: %s", id, r.err))
			case r.err != "":
				lines = append(lines, fmt.Sprintf("registry %s: nothing is known of it yet: %s", id, r.err))
			}
		}
		if s.bundleErr != "" && s.follow == nil {
			lines = append(lines, "bundle: the last good one is in use: "+s.bundleErr)
		}
	}
	if s.bundle != nil { // else it is said why there is none
		lines = append(lines, following.Problems...)
	}
	if problem := s.clockProblem(); problem != "" {
		lines = append(lines, problem)
	}
	if problem := s.credentials(); problem != "" {
		lines = append(lines, "credentials: allowed requests are answered with 503, or by the registry with 401:")
		for l := range strings.SplitSeq(problem, "\n") {
			lines = append(lines, "  "+l)
		}
	}
	if problem := s.records(); problem != "" {
		lines = append(lines, problem)
	}
	if revoking != "" {
		lines = append(lines, strings.Split(revoking, "\n")...)
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

// hopeless says why nothing will be published without somebody's help, for a publisher that is not to
// wait: errNo for license files that are refused, or why a registry could not be read.
func (s *status) hopeless() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.licenses != "" {
		return errNo // it is in the log
	}
	for _, id := range slices.Sorted(maps.Keys(s.registries)) {
		if r := s.registries[id]; r.err != "" && !r.known {
			return fmt.Errorf("registry %s: %s", id, r.err)
		}
	}
	return nil
}

// publications are lines about what a publisher could not publish. The Publisher has a lock of its
// own: it is not asked with mu held.
func (s *status) publications() []string {
	lines := []string{}
	s.mu.Lock()
	held, revoked, outputs, data := s.held, s.revoked, s.outputs, s.data
	s.mu.Unlock()
	if held == nil {
		return nil
	}
	for _, h := range held() {
		if h.Revision == "" {
			lines = append(lines, fmt.Sprintf("bundle %s: held back since %s: %s", h.Name, h.Since.UTC().Format(time.RFC3339), h.Reason))
			continue
		}
		lines = append(lines, fmt.Sprintf("bundle %s: revision %s is held back since %s, the one before stays published: %s; to publish it: pullgate publish --data %s --accept %s",
			h.Name, h.Revision, h.Since.UTC().Format(time.RFC3339), h.Reason, data, h.Revision))
	}
	for _, r := range revoked() {
		if r.Waits == "" {
			lines = append(lines, fmt.Sprintf("bundle %s: revoked all the same: %s", r.Name, named(r.What, len(r.What))))
			continue
		}
		lines = append(lines, fmt.Sprintf("bundle %s: revocations wait since %s: %s: by themselves, too, %s; accept what is held back, or revoke less at a time",
			r.Name, r.Since.UTC().Format(time.RFC3339), named(r.What, len(r.What)), r.Waits))
	}
	if problems := outputs(); problems != "" {
		lines = append(lines, strings.Split(problems, "\n")...)
	}
	return lines
}

// following is how following a publisher goes; the zero Status without one. The Puller has a lock
// of its own: it is not asked with mu held.
func (s *status) following() pull.Status {
	if s.follow == nil {
		return pull.Status{}
	}
	return s.follow()
}

// report is the body of /v1/status.
func (s *status) report() map[string]any {
	ready, why := s.ready()
	published, following := s.publications(), s.following()
	s.mu.Lock()
	defer s.mu.Unlock()
	registries := map[string]string{}
	for id, r := range s.registries {
		registries[id] = cmp.Or(r.err, s.reading(r))
	}
	out := map[string]any{
		"version": version, "started": s.started.UTC().Format(time.RFC3339),
		"ready": ready, "licenses_error": s.licenses, "registries": registries,
	}
	if !ready {
		out["reason"] = why
	}
	if s.held != nil {
		out["publications"], out["absent_customers"], out["revoked"] = published, s.absent(), revokedReport(s.revoked())
	}
	if s.follow != nil {
		out["following"] = followingReport(&following)
	}
	if b := s.bundle; b != nil {
		out["bundle"] = map[string]any{
			"name": b.Name(), "revision": b.Revision(), "serial": b.Serial(),
			"key":       b.KeyID(),
			"issued_at": instant(b.IssuedAt()), "not_after": instant(b.NotAfter()),
		}
	}
	return out
}

// revokedReport is what /v1/status says of revocations that are published without the rest, or wait.
func revokedReport(all []publish.Revoked) []map[string]any {
	out := []map[string]any{}
	for _, r := range all {
		out = append(out, map[string]any{"bundle": r.Name, "what": r.What, "since": r.Since.UTC().Format(time.RFC3339), "waits": r.Waits})
	}
	return out
}
