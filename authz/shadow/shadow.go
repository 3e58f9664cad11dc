package shadow

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/authz"
)

// queued is how many decisions wait to be asked again; what comes beyond is dropped, and counted.
const queued = 1024

// Config says how a Shadow works. The zero Config is useful.
type Config struct {
	Logger     *slog.Logger // nil: nothing is logged
	Registerer prometheus.Registerer
}

// Shadow asks a candidate what it would have answered, after the answer was given. It is safe for
// concurrent use.
type Shadow struct {
	cfg       Config
	metrics   *metrics
	queue     chan asked
	candidate atomic.Pointer[Candidate]
}

// asked is a request and what was decided.
type asked struct {
	r *authz.Request
	d *authz.Decision
}

// Candidate is a bundle that may become the active one.
type Candidate struct {
	Engine authz.Engine // with the bundle active in it
	Since  time.Time
	Name   string // for people: file, revision
	// Changes is what it would answer differently.
	Changes Changes
}

// New returns a Shadow without a candidate.
func New(cfg Config) *Shadow {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Shadow{cfg: cfg, metrics: newMetrics(cfg.Registerer), queue: make(chan asked, queued)}
}

// Use makes c the candidate, nil none.
func (s *Shadow) Use(c *Candidate) {
	s.candidate.Store(c)
	s.metrics.on(c != nil)
}

// Candidate returns the candidate, or nil.
func (s *Shadow) Candidate() *Candidate { return s.candidate.Load() }

// Observe takes a decision that was made. It never waits. Decisions that say nothing about a bundle
// are left out: those before the first one, of an old one, of a caller that tried too many keys, of too
// many requests at a time.
func (s *Shadow) Observe(r *authz.Request, d *authz.Decision) {
	if s.candidate.Load() == nil {
		return
	}
	switch d.Code {
	case authz.CodeNotReady, authz.CodeStale, authz.CodeRateLimited, authz.CodeOverloaded:
		return
	}
	select {
	case s.queue <- asked{r, d}:
	default:
		s.metrics.requests.WithLabelValues("dropped").Inc()
	}
}

// Run asks, one request after the other, until ctx is done: a candidate never takes more than one
// processor from the requests that wait.
func (s *Shadow) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-s.queue:
			if c := s.candidate.Load(); c != nil {
				s.ask(ctx, c, a)
			}
		}
	}
}

func (s *Shadow) ask(ctx context.Context, c *Candidate, a asked) {
	d := Ask(ctx, c.Engine, a.r, a.d.Time)
	if ctx.Err() != nil {
		return
	}
	if d.Outcome == authz.OutcomeError && a.d.Outcome != authz.OutcomeError {
		s.cfg.Logger.Warn("the candidate fails at a request", "decision", a.d.ID, "cause", d.Detail)
	}
	if !c.Changes.Add(a.r, a.d, d) {
		s.metrics.requests.WithLabelValues("same").Inc()
		return
	}
	s.metrics.requests.WithLabelValues("changed").Inc()
	s.metrics.changes.WithLabelValues(AnswerOf(a.d).Verdict, AnswerOf(d).Verdict).Inc()
}

// Ask is what an engine's active bundle decides about a request at an instant. Nothing is recorded,
// counted or kept.
func Ask(ctx context.Context, e authz.Engine, r *authz.Request, at time.Time) *authz.Decision {
	return authz.NewGate(authz.GateConfig{
		Engine: e, Clock: func() time.Time { return at }, AskPast: true, NewID: func() string { return "" },
	}).Decide(ctx, r)
}

// report is the body that Report returns.
type report struct {
	Candidate string    `json:"candidate"`
	Revision  string    `json:"revision"`
	Since     time.Time `json:"since"`
	Summary
}

// Report describes what was found about the candidate, or is nil without one.
func (s *Shadow) Report() any {
	c := s.candidate.Load()
	if c == nil {
		return nil
	}
	r := report{Candidate: c.Name, Since: c.Since, Summary: c.Changes.Summary()}
	if g := c.Engine.Generation(); g != nil {
		r.Revision = g.Revision()
	}
	return r
}

type metrics struct {
	requests *prometheus.CounterVec
	changes  *prometheus.CounterVec
	active   prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pullgate_shadow_requests_total", Help: "Requests asked of the candidate bundle, too, by result (same, changed; dropped: there were too many)."}, []string{"result"}),
		changes:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pullgate_shadow_changes_total", Help: "Requests that the candidate bundle would answer differently, by the verdict that was given and the one it would give (allow, deny, error)."}, []string{"from", "to"}),
		active:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "pullgate_shadow_active", Help: "1 while there is a candidate bundle."}),
	}
	if reg != nil {
		reg.MustRegister(m.requests, m.changes, m.active)
	}
	for _, result := range []string{"same", "changed", "dropped"} {
		m.requests.WithLabelValues(result)
	}
	return m
}

func (m *metrics) on(yes bool) {
	v := 0.0
	if yes {
		v = 1
	}
	m.active.Set(v)
}
