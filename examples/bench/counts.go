package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A figure is what a test that gates it logs.
type figure struct{ pkg, test, log string }

// The figures of the budget that do not depend on the machine, and the tests that measure and gate them.
var (
	topdownSteps = figure{"policies", "TestStepsOfADecision", "manifest: %v steps"}
	planSteps    = figure{"authz/engine", "TestStepsOfAPlannedDecision", "manifest: %v steps"}
	hitAllocs    = figure{"authz/engine", "TestAllocationsOfADecision", "from the cache: %v allocations"}
	missAllocs   = figure{"authz/engine", "TestAllocationsOfADecision", "evaluated: %v allocations"}
	aroundAllocs = figure{"authz/envoy", "TestAllocationsAroundADecision", "around a decision: %v allocations"}
	evaluations  = figure{"authz/engine", "TestAFirstPullEvaluatesAFewTimes", "%v evaluations"}
)

// counts are figures that are the same on every machine, by the tests that gate them.
func (b *bench) counts(ctx context.Context) (*result, error) {
	var names, packages []string
	add := func(list *[]string, s string) {
		if !slices.Contains(*list, s) {
			*list = append(*list, s)
		}
	}
	for _, f := range []figure{topdownSteps, planSteps, hitAllocs, missAllocs, aroundAllocs, evaluations} {
		add(&names, f.test)
		add(&packages, "github.com/pullgate/pullgate/"+f.pkg)
	}
	b.say("%s", strings.Join(names, ", "))
	log, err := exec.CommandContext(ctx, "go", append([]string{"test", "-count=1", "-v", "-run", "^(" + strings.Join(names, "|") + ")$"}, packages...)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test: %w\n%s", err, log)
	}
	var rows []row
	for _, c := range []struct {
		what      string
		must, aim float64
		sum       []figure
	}{
		{"steps of an allowed manifest, by topdown", 100, 80, []figure{topdownSteps}},
		{"steps of an allowed manifest, by plan, which decides", 100, 80, []figure{planSteps}},
		{"allocations of an uncached decision, decode to encode", 500, 350, []figure{missAllocs, aroundAllocs}},
		{"allocations of an L1 hit, decode to encode", 12, 4, []figure{hitAllocs, aroundAllocs}},
		{"evaluations of a first pull: 12 layers, 2 platforms, base layers in 50 versions", 4, 3, []figure{evaluations}},
	} {
		r := row{what: c.what, counted: true, must: c.must, aim: c.aim, samples: []float64{0}}
		for _, f := range c.sum {
			n, err := f.read(string(log))
			if err != nil {
				return nil, err
			}
			r.samples[0] += n
		}
		rows = append(rows, r)
	}
	return &result{rows: rows, note: fmt.Sprintf("as the %d tests log them that gate them.", len(names))}, nil
}

// read finds the figure in what its package's tests log.
func (f figure) read(log string) (float64, error) {
	_, own, ran := strings.Cut(log, "=== RUN   "+f.test+"\n")
	own, _, passed := strings.Cut(own, "--- PASS: "+f.test+" ")
	before, after, _ := strings.Cut(f.log, "%v")
	found := regexp.MustCompile(`(?m)_test\.go:\d+: `+regexp.QuoteMeta(before)+`([0-9.]+)`+regexp.QuoteMeta(after)+`$`).FindAllStringSubmatch(own, -1)
	if !ran || !passed || len(found) != 1 {
		return 0, fmt.Errorf("%s in %s does not log %q, once:\n%s", f.test, f.pkg, f.log, log)
	}
	return strconv.ParseFloat(found[0][1], 64)
}
