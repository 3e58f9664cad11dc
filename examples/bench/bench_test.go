package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// pullgate is the program that is measured, built once.
var pullgate string

func TestMain(m *testing.M) {
	code, err := withPullgate(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withPullgate(f func() int) (int, error) {
	dir, err := os.MkdirTemp("", "bench-test-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	pullgate = filepath.Join(dir, "pullgate")
	if out, err := exec.Command("go", "build", "-o", pullgate, "../../cmd/pullgate").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	return f(), nil
}

// small is a run whose figures mean nothing.
func small(t *testing.T) *bench {
	return &bench{
		o:     options{pullgate: pullgate, rounds: 1, requests: 600, customers: 40, crowd: 2000, digests: 4000, spell: 200 * time.Millisecond, tags: []int{30, 100}, growth: []int{100, 200}, edits: 4},
		dir:   t.TempDir(),
		say:   t.Logf,
		serve: func(_ context.Context, service string) (*server, error) { return startInProcess(t, service) },
		make:  func(_ context.Context, c *crowd) error { return c.make() },
	}
}

// Every part, small: every side answers what it must, and every row has a figure. What the
// figures are depends on the machine and is no test.
func TestParts(t *testing.T) {
	rows := map[string]int{"served": 10, "activation": 7, "recording": 2, "envoy": 16, "sizes": 7, "growth": 8, "effect": 14, "revocation": 5, "push": 6}
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			r, err := p.run(small(t), t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			writeTable(&out, r.rows)
			t.Logf("%s\n%s", r.note, &out)
			if len(r.rows) != rows[p.name] {
				t.Errorf("%d rows, want %d", len(r.rows), rows[p.name])
			}
			for _, row := range r.rows {
				if len(row.samples) == 0 {
					t.Errorf("%s has no figure", row.what)
				}
			}
		})
	}
}

// An edit of one of 1,000 customers counts through Envoy within a second (design §16; three times as long is
// an error, since a machine may be busy).
func TestEffectThroughEnvoy(t *testing.T) {
	rows, err := small(t).edited(t.Context(), 1000, editing{edits: 20, must: 1, aim: 0.3})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if r.must > 0 {
			t.Logf("%s: %.2f s", r.what, r.samples[0])
		}
		if r.must > 0 && r.samples[0] > 3*r.must {
			t.Errorf("%s: %.2f s, want %.0f", r.what, r.samples[0], r.must)
		}
	}
}

func TestTheTableIsPutBetweenTheMarks(t *testing.T) {
	r := &result{note: "2 rounds.", rows: []row{{what: "an answer", against: "none", unit: "×", must: 2, aim: 1, samples: []float64{1, 3}}}}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("before\n<!-- served -->old<!-- /served -->\nafter\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and again
		if err := writeInto(page, "served", r); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n<!-- served -->\n", "<!-- /served -->\nafter\n", "; 2 rounds.\n", "| an answer | none    | 2.00×  | 1.00× – 3.00× | ≤ 2.00× | ≤ 1.00× | must  |\n"} {
		if strings.Count(string(text), want) != 1 {
			t.Errorf("not once: %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "old") {
		t.Error("the old part is still there")
	}
	if err := writeInto(page, "elsewhere", r); err == nil {
		t.Error("a file without marks was written")
	}
}

// The page has a place for every part.
func TestThePageHasEveryPart(t *testing.T) {
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if err := writeInto(page, p.name, &result{}); err != nil {
			t.Error(err)
		}
	}
}

func TestPartsAreChosenByName(t *testing.T) {
	if chosen, err := choose("activation,served"); err != nil || len(chosen) != 2 || chosen[0].name != "activation" {
		t.Error(chosen, err)
	}
	if chosen, err := choose(""); err != nil || len(chosen) != len(parts) {
		t.Error(chosen, err)
	}
	if _, err := choose("served,all"); err == nil {
		t.Error("a part that there is not was taken")
	}
}

// A side that answers otherwise than it must ends the run: wrong answers may be fast.
func TestWrongAnswersEndTheRun(t *testing.T) {
	s, err := startInProcess(t, "empty")
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

// Redis is left alone by who has a busy machine: a turn is taken again then, and given up in the end. What is
// wrong is given up at once.
func TestATurnIsTakenAgain(t *testing.T) {
	elsewhere, wrong := fmt.Errorf("an L2 hit: %w", errElsewhere), errors.New("wrong")
	for _, c := range []struct {
		answers []error
		again   int
		err     error
	}{
		{[]error{nil}, 0, nil},
		{[]error{elsewhere, elsewhere, nil}, 2, nil},
		{[]error{elsewhere, elsewhere, elsewhere, nil}, 2, errElsewhere},
		{[]error{wrong, nil}, 0, wrong},
	} {
		synctest.Test(t, func(t *testing.T) {
			turns, said := 0, 0
			again, err := patiently(func(string, ...any) { said++ }, func() error { turns++; return c.answers[turns-1] })
			if again != c.again || !errors.Is(err, c.err) || turns != c.again+1 || said != c.again {
				t.Errorf("%v: %d again, %d turns, said %d times: %v", c.answers, again, turns, said, err)
			}
		})
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
	for want, late := range map[string]float64{"aim": 0, "MISSED": 1} {
		if r := (row{none: true, samples: []float64{late}}); r.verdict() != want || r.bound(0) != "0" {
			t.Errorf("none: %q", r.verdict())
		}
	}
}
