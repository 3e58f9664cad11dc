package authztest

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"
)

// Scripts with rules of their own are answered by their own rules, in whatever order they come,
// and policies are kept compiled, but not all for ever.
func TestServiceKeepsAnEngineForEachPolicy(t *testing.T) {
	defer goleak.VerifyNone(t)
	door := NewGateDoor()
	defer door.Close()
	const policies = keptEngines + 2
	var scripts []*Script
	for i := range policies {
		scripts = append(scripts, parse(t, fmt.Sprintf(`-- a.yaml --
%s-- rules/own.rego --
package vendor.own

grant contains {"code": "of_%d"}
-- decisions --
at 2026-06-01T12:00:00Z
as acme
ask app@1.4.0 allow code vendor.own.of_%d
`, licensed, i, i)))
	}
	runner := Runner{Door: door, Catalog: noCatalog}
	run := func(i int) {
		results, err := runner.Run(t.Context(), scripts[i])
		if err != nil {
			t.Fatal(err)
		}
		if len(results) != 1 || len(results[0].Problems) > 0 {
			t.Errorf("script %d: %+v", i, results)
		}
		if n := len(door.s.engines); n > keptEngines {
			t.Errorf("%d engines are kept", n)
		}
	}
	for i := range policies {
		run(i)
	}
	first := door.s.engines[0].Engine
	run(policies - 2)
	run(policies - 1)
	if door.s.engines[0].Engine != first {
		t.Error("a policy that was used just before was compiled again")
	}
	run(0) // it was let go
}
