package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
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
	rows := map[string]int{"served": 10, "overload": 48, "activation": 7, "recording": 2, "envoy": 16, "counts": 5, "sizes": 7, "growth": 8, "effect": 14, "revocation": 5, "push": 6}
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
				if len(row.samples) == 0 && !row.maybe {
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

// A figure is what its test says, once, and has passed with.
func TestAFigureIsWhatATestLogs(t *testing.T) {
	f := figure{"some", "TestB", "a manifest: %v steps"}
	const log = "=== RUN   TestA\n    a_test.go:1: a manifest: 7 steps\n--- PASS: TestA (0.1s)\n" +
		"=== RUN   TestB\n    b_test.go:100: a manifest: 89 steps\n    b_test.go:100: no manifest: 1.5 steps\n--- PASS: TestB (0.1s)\nPASS\n"
	if n, err := f.read(log); err != nil || n != 89 {
		t.Error(n, err)
	}
	for _, s := range []string{
		strings.Replace(log, "PASS: TestB", "FAIL: TestB", 1), strings.Replace(log, "89", "many", 1),
		strings.Replace(log, "no manifest", "a manifest", 1), strings.Replace(log, "RUN   TestB", "RUN   TestC", 1), "",
	} {
		if n, err := f.read(s); err == nil {
			t.Errorf("%v of\n%s", n, s)
		}
	}
}

// Under pressure an answer is right, or a refusal for overload, or nobody waited for it; all else is wrong.
func TestWhatIsWrongUnderPressure(t *testing.T) {
	for _, c := range []struct {
		hits, misses map[string]int
		refused      int // by the metrics
		want         int
	}{
		{map[string]int{"ok": 5, tooLate: 2}, map[string]int{"denied 200": 3, overloaded: 4, tooLate: 1}, 6, 0},
		{map[string]int{"ok": 5, overloaded: 1}, map[string]int{"denied 200": 3}, 1, 1}, // what is in memory is answered
		{map[string]int{"denied 403": 1}, map[string]int{"ok": 2}, 0, 3},
		{map[string]int{"ok": 1}, map[string]int{"denied 200": 3, overloaded: 4}, 1, 3}, // refused for something else
	} {
		of := func(answers map[string]int) *drive.Result {
			r := &drive.Result{Answers: answers}
			for _, n := range answers {
				r.Sent += n
			}
			return r
		}
		if n := wrong(of(c.hits), of(c.misses), "denied 200", c.refused); n != c.want {
			t.Errorf("%v, %v, %d overloaded: %d wrong, want %d", c.hits, c.misses, c.refused, n, c.want)
		}
	}
	r := &drive.Result{By: map[string]drive.Latency{"ok": {1, late, late + 1}}, Sent: 4, Refused: 4}
	if n := within(r, "ok"); n != 2 || percent(n, r) != 25 {
		t.Errorf("%d within 200 ms, %v %%", n, percent(n, r))
	}
}

// Times in pullgate are read from its histogram, as Prometheus would.
func TestTimesInPullgate(t *testing.T) {
	after := &inside{buckets: map[string]map[float64]float64{"l1": {0.1: 60, 0.2: 110, math.Inf(1): 112}}, overloaded: 7}
	after.since(&inside{buckets: map[string]map[float64]float64{"l1": {0.1: 10, 0.2: 10, math.Inf(1): 10}}, overloaded: 3})
	if after.count("l1") != 102 || after.overloaded != 4 || after.count("none") != 0 || after.quantile("none", .5) != 0 {
		t.Errorf("%+v", after)
	}
	for q, want := range map[float64]float64{25. / 102: .05, 75. / 102: .15, 1: .2} {
		if got := after.quantile("l1", q); math.Abs(got-want) > 1e-9 {
			t.Errorf("at %v: %v, want %v", q, got, want)
		}
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

// fake is a part with one row.
func fake(name string, err error, rows ...row) part {
	return part{name, func(*bench, context.Context) (*result, error) {
		if err != nil {
			return nil, err
		}
		return &result{rows: rows, note: "of " + name}, nil
	}}
}

func TestAPartThatFailsKeepsNoOtherFromBeingRun(t *testing.T) {
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("<!-- one --><!-- /one -->\n<!-- three --><!-- /three -->\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	broken, figure := errors.New("broken"), row{what: "figure", must: 2, aim: 1, unit: "×", samples: []float64{1}}
	chosen := []part{fake("zero", broken), fake("one", nil, figure), fake("unmarked", nil, figure), fake("two", broken), fake("three", nil, figure)}
	var out bytes.Buffer
	all, err := small(t).each(t.Context(), chosen, &out, page)
	if len(all) != 3 || !errors.Is(err, broken) {
		t.Error(len(all), err)
	}
	for _, want := range []string{"zero: broken", "two: broken", "no <!-- unmarked -->"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"of one", "of three"} {
		if !strings.Contains(out.String(), want) || !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s\nor not in\n%s", want, &out, text)
		}
	}

	ctx, end := context.WithCancel(t.Context())
	end()
	out.Reset()
	if all, err := small(t).each(ctx, chosen, &out, ""); len(all) != 0 || !errors.Is(err, context.Canceled) || out.Len() > 0 {
		t.Errorf("a run that has ended: %d rows, %v\n%s", len(all), err, &out)
	}
}

// A check fails by a ratio or a count above its must, by a size or a time above three times that.
func TestWhatACheckFailsBy(t *testing.T) {
	rows := []row{
		{what: "ratio", against: "b", unit: "×", must: 2, aim: 1, samples: []float64{2}},
		{what: "bad ratio", against: "b", unit: "×", must: 2, aim: 1, samples: []float64{2.1}},
		{what: "rate", unit: "×", least: true, must: 0.9, aim: 1, samples: []float64{1}},
		{what: "bad rate", unit: "×", least: true, must: 0.9, aim: 1, samples: []float64{0.8}},
		{what: "time", unit: " s", must: 1, aim: 0.3, samples: []float64{3}},
		{what: "bad time", unit: " s", must: 1, aim: 0.3, samples: []float64{3.1}},
		{what: "size", unit: " B", must: 60, aim: 40, samples: []float64{50}},
		{what: "count", counted: true, must: 4, aim: 3, samples: []float64{3}},
		{what: "bad count", counted: true, must: 4, aim: 3, samples: []float64{5}},
		{what: "none", none: true, samples: []float64{0}},
		{what: "bad none", none: true, samples: []float64{1}},
		{what: "free", unit: "×", samples: []float64{9}},
	}
	want := []string{"bad ratio against b: 2.10×, must be ≤ 2.00×", "bad rate: 0.80×, must be ≥ 0.90×", "bad time: 3.10 s, must be ≤ 1.00 s", "bad count: 5, must be ≤ 4", "bad none: 1, must be 0"}
	if got := failing(rows); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := summary(rows), "3 rows meet their aim, 2 their must, 6 MISSED: bad ratio against b; bad rate; time; bad time; bad count; bad none"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := summary(rows[:1]), "0 rows meet their aim, 1 their must, 0 MISSED"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// What is missed is said in the end, and fails the run when that is asked for.
func TestARunEndsWithWhatIsMissed(t *testing.T) {
	those := parts
	t.Cleanup(func() { parts = those })
	parts = []part{fake("one", nil, row{what: "figure", must: 2, aim: 1, unit: "×", samples: []float64{3}})}
	for _, c := range []struct {
		args []string
		want string
	}{{nil, ""}, {[]string{"--check"}, "missed: figure: 3.00×, must be ≤ 2.00×"}} {
		var out bytes.Buffer
		if err := run(t.Context(), c.args, &out); err == nil && c.want != "" || err != nil && err.Error() != c.want {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
		if !strings.HasSuffix(out.String(), "\n\n0 rows meet their aim, 0 their must, 1 MISSED: figure\n") {
			t.Errorf("%q: %s", c.args, &out)
		}
	}
}
