package authztest

import (
	"context"
	"slices"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/engine"
)

// Service is a Gate over engines of its own, whose clock and bundle a script sets. Doors
// put a transport before it.
type Service struct {
	Gate    *authz.Gate
	engines []policyEngine // the one used last comes first
	trace   func(*World) engine.QueryTracer
	world   *World

	explaining bool

	clock time.Time
	last  *authz.Record
	byID  map[string]*authz.Record
}

// policyEngine is an engine kept for bundles of one policy, which it compiles once.
type policyEngine struct {
	digest string
	*engine.Engine
}

// keptEngines is how many policies are kept compiled: scripts that bring rules of their own
// lie between others that do not.
const keptEngines = 4

// patient bounds an evaluation by its steps alone: a busy machine must not fail a script.
var patient = engine.Limits{DecisionTime: 10 * time.Second, VisibleTime: 10 * time.Second}

// NewService returns a Service without a bundle.
func NewService() *Service {
	s := &Service{byID: map[string]*authz.Record{}}
	s.Gate = authz.NewGate(authz.GateConfig{
		Engine: s, Recorder: s, Instance: "script", AskPast: true,
		Clock: func() time.Time { return s.clock },
	})
	return s
}

// Record keeps the newest record: doors are asked one request at a time.
func (s *Service) Record(r *authz.Record) { s.last = r; s.byID[r.ID] = r }

// Generation implements authz.Engine.
func (s *Service) Generation() authz.Generation {
	if len(s.engines) == 0 {
		return nil
	}
	return s.engines[0].Generation()
}

// Enter makes the service answer from w.
func (s *Service) Enter(ctx context.Context, w *World) error {
	s.clock, s.world = w.Clock, w
	clear(s.byID)
	digest := w.Bundle.PolicyDigest()
	i := slices.IndexFunc(s.engines, func(e policyEngine) bool { return e.digest == digest })
	var e policyEngine
	if i >= 0 {
		e = s.engines[i]
		s.engines = slices.Delete(s.engines, i, i+1)
	} else {
		e = policyEngine{digest, engine.New(s.config())}
	}
	s.engines = slices.Insert(s.engines, 0, e)
	if len(s.engines) > keptEngines {
		s.engines[keptEngines].Close()
		s.engines = slices.Delete(s.engines, keptEngines, keptEngines+1)
	}
	return e.Activate(ctx, w.Bundle)
}

// Keeps implements Keeper.
func (s *Service) Keeps(w *World) bool {
	digest := w.Bundle.PolicyDigest()
	return slices.ContainsFunc(s.engines, func(e policyEngine) bool { return e.digest == digest && e.Generation() != nil })
}

func (s *Service) config() engine.Config {
	cfg := engine.Config{Limits: patient, Compare: 1}
	if s.trace != nil {
		cfg.Tracer = func() engine.QueryTracer {
			if s.explaining {
				return nil // an explanation asks for more than the decision did
			}
			return s.trace(s.world)
		}
	}
	return cfg
}

// Find returns the record of a decision of this world, or nil.
func (s *Service) Find(id string) *authz.Record { return s.byID[id] }

// Close ends the service's evaluations.
func (s *Service) Close() {
	for _, e := range s.engines {
		e.Close()
	}
	s.engines = nil
}
