package plan

import (
	"context"
	"crypto/rand"

	opametrics "github.com/open-policy-agent/opa/v1/metrics"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/topdown/builtins"
)

// builtinContext is what builtins are told beside their operands. None that a plan has depends on the time or on chance.
func (p *Program) builtinContext(ctx context.Context, cancel topdown.Cancel) topdown.BuiltinContext {
	if cancel == nil {
		cancel = topdown.NewCancel()
	}
	return topdown.BuiltinContext{
		Context: ctx, Metrics: opametrics.NoOp(), Seed: rand.Reader, Cancel: cancel, Cache: builtins.Cache{},
		RequestMetadata: map[string]any{},
	}
}
