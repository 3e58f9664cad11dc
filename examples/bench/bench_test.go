package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The whole of it, small: every side answers what it must, and every row has a figure. What the
// figures are depends on the machine and is no test.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	pullgate := filepath.Join(dir, "pullgate")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", pullgate, "../../cmd/pullgate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	o := options{pullgate: pullgate, rounds: 1, requests: 600, customers: 40}
	empty := func() (*server, error) { return startInProcess(t) }
	rows, err := served(t.Context(), &o, dir, empty, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 6 {
		t.Errorf("%d rows", len(rows))
	}
	var out bytes.Buffer
	writeTable(&out, rows)
	t.Log("\n" + out.String())
	if n := strings.Count(out.String(), "\n"); n != len(rows)+2 {
		t.Errorf("%d lines", n)
	}

	page := filepath.Join(dir, "page.md")
	if err := os.WriteFile(page, []byte("before\n"+markBegin+"old"+markEnd+"\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := writeInto(page, &o, rows); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "\nafter\n", "1 rounds of 600 requests", "| an L1 hit, CPU a request"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old part is still there")
	}
	if err := writeInto(pullgate, &o, rows); err == nil {
		t.Error("a file without marks was written")
	}
}

// A side that answers otherwise than it must ends the run: wrong answers may be fast.
func TestWrongAnswersEndTheRun(t *testing.T) {
	s, err := startInProcess(t)
	if err != nil {
		t.Fatal(err)
	}
	x, err := newSide("a refusal", s, "denied 403", malformedMix([]string{""}), 10, 10, 4)
	if err != nil {
		t.Fatal(err)
	}
	defer x.driver.Close()
	if err := x.turn(t.Context(), true); err == nil || !strings.Contains(err.Error(), `a refusal: 0 of 10 answers are "denied 403": map[ok:10]`) {
		t.Error(err)
	}
}

func TestVerdictsOfRows(t *testing.T) {
	for want, r := range map[string]row{
		"aim":    {must: 2, aim: 1, samples: []float64{0.5, 9, 1}},
		"must":   {must: 2, aim: 1, samples: []float64{1.5, 2}},
		"MISSED": {must: 2, aim: 1, samples: []float64{2.1}},
		"":       {samples: []float64{3}},
	} {
		if got := r.verdict(); got != want {
			t.Errorf("%v: %q, want %q", r.samples, got, want)
		}
	}
	least := row{must: 0.9, aim: 1, least: true, samples: []float64{0.95}}
	if got := least.verdict(); got != "must" {
		t.Errorf("at least: %q", got)
	}
}
