package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz"
)

func TestVerdictIsReadStrictly(t *testing.T) {
	got, err := verdictOf(ast.MustParseTerm(`{"allow": true, "code": "grace", "license": "l", "grant": "l/0", "message": "m", "until": 5, "ends": 4, "expiring_from": 3,
		"warnings": [{"code": "grace", "message": "soon"}], "headers": {{"name": "X-A", "value": "v", "to": "client"}}, "features": {"n": 1}, "enforcement": "warn", "more": 1}`).Value)
	want := authz.Verdict{
		Allow: true, Code: "grace", License: "l", Grant: "l/0", Message: "m", Until: 5, Ends: 4, ExpiringFrom: 3, Enforcement: "warn",
		Warnings: []authz.Warning{{Code: "grace", Message: "soon"}}, Headers: []authz.Header{{Name: "X-A", Value: "v", To: "client"}},
	}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	got, err = verdictOf(ast.MustParseTerm(`{"allow": false, "code": "x", "until": "never"}`).Value)
	if d := cmp.Diff(authz.Verdict{Code: "x", Until: authz.Never, Ends: authz.Never, ExpiringFrom: authz.Never}, got); d != "" || err != nil {
		t.Errorf("the least a decision may be: %v\n%s", err, d)
	}
	for _, bad := range []string{
		`true`, `{}`, `{"code": "x", "until": 1}`, `{"allow": "true", "code": "x", "until": 1}`, `{"allow": null, "code": "x", "until": 1}`,
		`{"allow": true, "until": 1}`, `{"allow": true, "code": "", "until": 1}`, `{"allow": true, "code": 1, "until": 1}`,
		`{"allow": true, "code": "internal_error", "until": 1}`,
		`{"allow": true, "code": "x"}`, `{"allow": true, "code": "x", "until": null}`, `{"allow": true, "code": "x", "until": "soon"}`,
		`{"allow": true, "code": "x", "until": 1.5}`, `{"allow": true, "code": "x", "until": 1, "ends": "x"}`,
		`{"allow": true, "code": "x", "until": 1, "warnings": {}}`, `{"allow": true, "code": "x", "until": 1, "warnings": [1]}`,
		`{"allow": true, "code": "x", "until": 1, "warnings": [{"code": 1}]}`, `{"allow": true, "code": "x", "until": 1, "headers": "x"}`,
		`{"allow": true, "code": "x", "until": 1, "license": 1}`,
	} {
		if v, err := verdictOf(ast.MustParseTerm(bad).Value); err == nil || v.Allow {
			t.Errorf("%s is read as %+v", bad, v)
		}
	}
}

func TestVisibleIsReadStrictly(t *testing.T) {
	for text, want := range map[string][]int{`{2, 0}`: {0, 2}, `[1, 1, 0]`: {0, 1}, `set()`: nil, `[]`: nil} {
		if got, err := visibleOf(ast.MustParseTerm(text).Value, 3); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, bad := range []string{`{3}`, `{-1}`, `{"0"}`, `{1.5}`, `{true}`, `0`, `{"0": 0}`} {
		if got, err := visibleOf(ast.MustParseTerm(bad).Value, 3); err == nil {
			t.Errorf("%s: %v", bad, got)
		}
	}
}

func TestBudgetEndsAnEvaluation(t *testing.T) {
	b := newBudget(context.Background(), 100, time.Hour)
	b.start()
	for i := range 100 {
		if b.Cancelled() {
			t.Fatalf("ended at step %d: %v", i+1, b.err)
		}
	}
	if !b.Cancelled() || !errors.Is(b.err, errSteps) {
		t.Error("steps are not bounded:", b.err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b = newBudget(ctx, 1<<30, time.Hour)
	b.start()
	for range pollEvery {
		b.Cancelled()
	}
	if !errors.Is(b.err, context.Canceled) {
		t.Error("the context is not seen:", b.err)
	}
	b = newBudget(context.Background(), 1<<30, time.Hour)
	b.Cancel()
	if !b.Cancelled() {
		t.Error("Cancel does nothing")
	}
}
