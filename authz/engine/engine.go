package engine

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
)

// Config says how an Engine works; the zero Config is useful.
type Config struct {
	Logger     *slog.Logger          // nil: nothing is logged
	Registerer prometheus.Registerer // nil: no metrics are exported
	// Workers is how many decisions are evaluated at a time; by default one more than there are processors.
	Workers int
	// MaxWait is how long a decision may wait until a worker takes it; what would have to wait longer
	// fails with authz.ErrOverloaded, at once where that can be told. Never longer than half of what its
	// context leaves. 0: as long as its context, for questions that are not requests.
	MaxWait time.Duration
	Limits  Limits
	// Tracer returns the tracer of an evaluation, for the coverage of rules by tests; nil: nothing
	// is traced. A traced evaluation is several times slower.
	Tracer func() QueryTracer
	// Compare is which answers by plan are evaluated by topdown too, to compare the two: one of so many, by
	// default 1,024. With 1 each is, and a difference is a failure: for tests.
	Compare int
	// GiveWay, when it is set, is called again and again while a bundle is made ready, by one goroutine at a
	// time, and may pause there.
	GiveWay func()
}

// QueryTracer is OPA's, for those who hand one on.
type QueryTracer = topdown.QueryTracer

// Engine holds the active generation. It is safe for concurrent use.
type Engine struct {
	log     *slog.Logger
	metrics *metrics
	limits  Limits
	tracer  func() QueryTracer // or nil
	giveWay func()

	compare  int
	answered atomic.Uint64 // by plan

	active     atomic.Pointer[generation]
	activating sync.Mutex

	tombs      sync.Mutex // guards the next, and the change of active; never held for long
	tombstones []bundle.Tombstone
	plain      *generation // the active one without them

	decisions *workers
	lists     *workers
	closed    sync.Once
}

// New returns an Engine without a generation. Its workers run until Close.
func New(cfg Config) *Engine {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	processors := runtime.GOMAXPROCS(0)
	if cfg.Workers <= 0 {
		cfg.Workers = processors + 1
	}
	if cfg.Compare <= 0 {
		cfg.Compare = compareEvery
	}
	if cfg.GiveWay == nil {
		cfg.GiveWay = func() {}
	}
	e := &Engine{
		compare: cfg.Compare, giveWay: cfg.GiveWay,
		log: cfg.Logger, metrics: newMetrics(cfg.Registerer), limits: cfg.Limits.orDefault(), tracer: cfg.Tracer,
		decisions: startWorkers(cfg.Workers, cfg.MaxWait),
		lists:     startWorkers(max(1, processors/2), cfg.MaxWait),
	}
	if cfg.Registerer != nil {
		e.decisions.register(cfg.Registerer, decisionQuery)
		e.lists.register(cfg.Registerer, visibleQuery)
	}
	return e
}

// Activate makes a bundle ready and then, at once, the active one. The caller has verified
// the bundle by reading it (bundle.Read, bundle.Seal): the engine takes nothing else, so that it is only ever
// fed verified bytes. On error the generation that was active stays. Activations follow one
// another; decisions go on meanwhile.
func (e *Engine) Activate(ctx context.Context, b *bundle.Bundle) error {
	return e.activate(ctx, b, nil)
}

// ActivateSome is Activate of a bundle of which some customers are asked about, for questions and
// never for a server: customer returns the documents of those, as the bundle has them, and nil for
// the rest, and nobody has a key. It costs nothing for the customers there are. A policy that reads
// other customers' documents fails.
func (e *Engine) ActivateSome(ctx context.Context, b *bundle.Bundle, customer func(id string) []byte) error {
	return e.activate(ctx, b, customer)
}

func (e *Engine) activate(ctx context.Context, b *bundle.Bundle, some func(id string) []byte) error {
	e.activating.Lock()
	defer e.activating.Unlock()
	g, err := newGeneration(ctx, e, b, some)
	if err == nil {
		err = e.publish(ctx, g)
	}
	e.metrics.activated(err, b)
	if err != nil {
		return fmt.Errorf("activate bundle %s serial %d: %w", b.Name(), b.Serial(), err)
	}
	if g.keyer.whole != "" {
		e.log.Warn("decisions cannot be cached: a rule reads a document as a whole", "document", g.keyer.whole)
	}
	return nil
}

// publish makes a generation the active one, with the tombstones that it has not ended.
func (e *Engine) publish(ctx context.Context, g *generation) error {
	e.tombs.Lock()
	defer e.tombs.Unlock()
	over, err := g.overlaid(ctx, e.tombstones)
	if err != nil {
		return err
	}
	e.plain = g
	e.active.Store(over)
	return nil
}

// SetTombstones makes the engine deny what tombstones say, in place of those it was given before:
// each until a bundle with its serial, or a later one, is active. The caller has verified them. They
// count for every decision that begins after SetTombstones has returned, which takes milliseconds and
// does not wait for an activation under way. On error those given before stay.
func (e *Engine) SetTombstones(ctx context.Context, tombstones []bundle.Tombstone) error {
	e.tombs.Lock()
	defer e.tombs.Unlock()
	tombstones = slices.Clone(tombstones)
	if e.plain != nil {
		over, err := e.plain.overlaid(ctx, tombstones)
		if err != nil {
			return err
		}
		e.active.Store(over)
	}
	e.tombstones = tombstones
	return nil
}

// Generation returns the active generation, or nil before the first one.
func (e *Engine) Generation() authz.Generation {
	if g := e.active.Load(); g != nil {
		return g
	}
	return nil // not a nil *generation in an interface
}

// Close stops the workers and waits for what they are doing. Evaluations after it fail.
func (e *Engine) Close() {
	e.closed.Do(func() {
		e.decisions.stop()
		e.lists.stop()
	})
}
