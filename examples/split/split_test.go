package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// TestSplit plays the whole demo with a pullgate built from this tree.
func TestSplit(t *testing.T) {
	// With CI=true a missing peer fails here; elsewhere it is installed.
	peers.Envoy(t)
	peers.Registry(t)
	peers.Crane(t)
	peers.Postgres(t)
	peers.Redis(t)
	pullgate := filepath.Join(t.TempDir(), "pullgate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", pullgate, "../../cmd/pullgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	s, err := newStage(ctx, pullgate)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}()
	all := steps(s)
	for i := range all {
		all[i].within *= 3 // a check fails only at three times what is promised: the machine may be busy
	}
	table, err := s.play(ctx, all)
	print(table)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range table {
		if l.wrong != "" {
			t.Errorf("%s: %s", l.what, l.wrong)
		}
	}
	if t.Failed() {
		t.Logf("publisher:\n%s\nsidecar 1:\n%s", s.publisher.Output(), s.gates[0].sidecar.Output())
	}
	// A gate that answers otherwise is noticed.
	lie := []step{{what: "globex still pulls", who: "globex", status: 200, within: 100 * time.Millisecond}}
	if table, err = s.play(ctx, lie); err != nil || table[0].wrong == "" {
		t.Errorf("a lie is not noticed: %+v %v", table, err)
	}
}
