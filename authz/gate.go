package authz

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
)

// GateConfig says what a Gate is made of. Only Engine is required.
type GateConfig struct {
	Engine Engine
	Cache  Cache       // nil: every decision is evaluated
	Shared SharedCache // nil: none
	// ShareAlways has the Shared cache asked also while evaluating takes less time than asking it.
	ShareAlways bool
	// AuditShare is which share of the decisions that a cache had a part in, 0 to 1, is made again
	// without caches, beside the requests and one at a time, and compared (docs/caching.md). 0: none.
	AuditShare float64
	Recorder   Recorder // nil: nothing is recorded
	// Observe is told of each decision after it was recorded; nil: nobody is. It must not block, and
	// must not change what it is given.
	Observe func(*Request, *Decision)

	// Clock is the time decisions are made by; time.Now by default. Fractions of a second do
	// not count.
	Clock func() time.Time
	// AskPast lets Clock run below the active bundle's issued_at. It is for questions about the
	// past (`--at`, scripts), never for a server: setting a clock back must not bring ended
	// rights back.
	AskPast bool
	// Deadline is an instant from which every request is refused as stale, beside the bundle's own
	// NotAfter (Unix seconds, or Never); nil: none. It is asked at every decision and must not block.
	Deadline func() int64

	// MaxWaiting is how many requests may wait at a time, for the policy, for the shared cache, or for who
	// is finding out the same; others that would have to wait are refused with CodeOverloaded. What
	// Cache has, and what is refused without the policy, waits for nothing. 0: no limit.
	MaxWaiting int

	Instance string       // name of this process in records
	Logger   *slog.Logger // nil: nothing is logged
	// Registerer takes the Gate's metrics; nil: none are exported. Two Gates cannot share one.
	Registerer prometheus.Registerer
	// BadKeysPerMinute is how many bad keys one IPv4 address, or one IPv6 network of 64 bits, may
	// try within a minute before it is answered with 429 and CodeRateLimited. A key that a customer
	// has, requests without one and Explain are never limited. 0: no limit.
	BadKeysPerMinute int
	// NewID makes decision ids; UUIDv7 by default.
	NewID func() string
}

// Gate is the pipeline that makes decisions: authenticate, limit, resolve, look up, evaluate,
// disclose, record. It is safe for concurrent use.
type Gate struct {
	cfg     GateConfig
	metrics *metrics
	limiter *limiter
	flights flights
	worth   worth
	auditor *auditor // nil: nothing is audited
	waiting atomic.Int64
	told    atomic.Int64 // of the last line in the log about overload, in Unix seconds
}

// NewGate returns a Gate. It panics when cfg.Engine is nil or the metrics are registered
// already: both are mistakes of the program.
func NewGate(cfg GateConfig) *Gate {
	if cfg.Engine == nil {
		panic("authz: a Gate needs an Engine")
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.NewID == nil {
		cfg.NewID = newID
	}
	g := &Gate{cfg: cfg, metrics: newMetrics(cfg.Registerer), limiter: newLimiter(cfg.BadKeysPerMinute, cfg.Registerer)}
	if cfg.Shared != nil && cfg.Registerer != nil {
		g.worth.register(cfg.Registerer)
	}
	if cfg.AuditShare > 0 && (cfg.Cache != nil || cfg.Shared != nil) {
		g.auditor = newAuditor(cfg.AuditShare, cfg.Registerer)
	}
	return g
}

// newID returns a UUIDv7, so that ids sort by time. Without randomness there is still an id:
// a refusal must be able to name one.
func newID() string {
	id, err := uuid.NewV7()
	if err != nil {
		return uuid.Nil.String()
	}
	return id.String()
}

// Decide answers a request. It never returns nil and never fails: what goes wrong becomes a
// Decision with OutcomeError and code internal_error, whose cause is in Detail, in the record
// and in the log. A context that ends before the policy has answered is such a failure. Every
// decision is recorded, those from a cache too.
func (g *Gate) Decide(ctx context.Context, r *Request) *Decision {
	started := time.Now()
	d, q := g.decide(ctx, r)
	d.ID = g.cfg.NewID()
	d.Duration = time.Since(started)
	if d.Detail != "" {
		g.cfg.Logger.Error("decision failed", "id", d.ID, "kind", r.Kind.String(), "repository", r.Repository, "cause", d.Detail)
	}
	g.metrics.observe(d)
	g.record(r, d)
	if g.cfg.Observe != nil {
		g.cfg.Observe(r, d)
	}
	if g.auditor != nil && q.hit {
		g.auditor.consider(q, r, d)
	}
	return d
}

// decide runs one request against the generation that is active now.
func (g *Gate) decide(ctx context.Context, r *Request) (*Decision, *question) {
	q := &question{gate: g, ctx: ctx, req: r, gen: g.cfg.Engine.Generation()}
	now := g.cfg.Clock()
	if q.gen != nil && !g.cfg.AskPast && now.Unix() < q.gen.IssuedAt() {
		now = time.Unix(q.gen.IssuedAt(), 0)
	}
	q.at = now.Unix()
	q.deadline = g.deadline(q.gen)
	return q.answer(now), q
}

// deadline is the instant from which a generation must not be used.
func (g *Gate) deadline(gen Generation) int64 {
	switch {
	case gen == nil:
		return Never
	case g.cfg.Deadline == nil:
		return gen.NotAfter()
	}
	return min(gen.NotAfter(), g.cfg.Deadline())
}

// unasked is the verdict of a decision that the policy had no part in.
func unasked() Verdict { return Verdict{Until: Never, Ends: Never, ExpiringFrom: Never} }

// fail turns the decision into the refusal that is pullgate's own failure.
func (d *Decision) fail(err error) {
	d.Verdict, d.PolicyCode, d.Pinned, d.Names, d.Referrers = unasked(), "", "", nil, nil
	d.Outcome, d.Status, d.Code, d.Detail = OutcomeError, http.StatusServiceUnavailable, CodeInternalError, err.Error()
}

// refuse ends a decision before the policy is asked.
func (d *Decision) refuse(o Outcome, status int, c Code) {
	d.Outcome, d.Status, d.Code = o, status, c
}

// overloaded refuses a decision that would come too late. The log is told once a minute: the metrics
// say how many there are.
func (q *question) overloaded() {
	q.d.fail(ErrOverloaded)
	q.d.Code, q.d.Detail = CodeOverloaded, ""
	g, now := q.gate, time.Now().Unix()
	if last := g.told.Load(); now-last >= 60 && g.told.CompareAndSwap(last, now) {
		g.cfg.Logger.Warn("overloaded: requests whose answers would come too late are refused with 503", "waiting", g.waiting.Load())
	}
}
