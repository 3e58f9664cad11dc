package envoy

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pullgate/pullgate/authz"
)

type countingDecider struct{ n int }

func (d *countingDecider) Decide(context.Context, *authz.Request) *authz.Decision {
	d.n++
	return &authz.Decision{Outcome: authz.OutcomeDeny, Status: 404, Code: authz.CodeUnknownRepository}
}

// Who has given up costs no decision: Envoy says in grpc-timeout how long it waits, and a server that is
// behind comes to a request when that is over.
func TestNobodyIsDecidedForWhoHasGivenUp(t *testing.T) {
	d := new(countingDecider)
	s, err := New(Config{Addr: "127.0.0.1:0", Decider: d, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.listener.Close()
	defer s.grpc.Stop()
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	past, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{gone, past} {
		if p := s.check(ctx, ""); p.Allow || p.Status != 503 || p.Metadata.Code != string(authz.CodeOverloaded) {
			t.Errorf("%+v", p)
		}
	}
	if n := testutil.ToFloat64(s.late); d.n != 0 || n != 2 {
		t.Errorf("%d decisions, %v late", d.n, n)
	}
	soon, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if p := s.check(soon, ""); p.Status != 404 || d.n != 1 || testutil.ToFloat64(s.late) != 2 {
		t.Errorf("%+v, %d decisions", p, d.n)
	}
}
