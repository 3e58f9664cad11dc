package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// TestDemo plays the whole demo with a pullgate built from this tree: no row may differ from
// what the licenses say.
func TestDemo(t *testing.T) {
	// With CI=true a missing peer fails here; elsewhere it is installed, and skopeo is optional.
	peers.Envoy(t)
	peers.Registry(t)
	peers.Crane(t)
	if os.Getenv("CI") == "true" {
		peers.Skopeo(t)
	}
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
	all := rows(s)
	table, wrong, err := s.playAll(ctx, all)
	if err != nil {
		t.Fatal(err)
	}
	if len(table) < 12 || wrong != 0 {
		t.Errorf("%d rows, %d wrong", len(table), wrong)
	}
	for _, l := range table {
		for _, text := range l.wrong {
			t.Errorf("%s: %s: %s\n%s", l.who, l.what, text, l.said)
		}
	}
	print(table)

	// What the demo says it would notice, it does: the client, the record and the registry's log
	// each contradict a row that claims the opposite.
	lies := []row{all[1], all[7]}
	if lies[0].allow || !lies[1].allow {
		t.Fatal("rows 1 and 7 are no longer a refusal and an allowed pull")
	}
	lies[0].allow, lies[0].reaches, lies[0].code, lies[0].shows = true, true, "ok", nil
	lies[1].allow, lies[1].reaches, lies[1].code = false, false, "expired"
	table, wrong, err = s.playAll(ctx, lies)
	if err != nil || wrong != 2 {
		t.Fatalf("%d of 2 rows that lie were found, %v", wrong, err)
	}
	for _, l := range table {
		if len(l.wrong) != 3 {
			t.Errorf("%s: %s: %d contradictions, want 3: %q", l.who, l.what, len(l.wrong), l.wrong)
		}
	}
}
