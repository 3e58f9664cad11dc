package main

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"
)

// crowd is a file of licenses: a customer with a key and three licenses, of whom there are many.
func crowd(i int) string {
	return fmt.Sprintf("kind: Customer\nid: c%d\nname: Customer %d GmbH\nzone: Europe/Berlin\nlabels: {region: eu, tier: gold}\nkeys: [{id: ci, hash: \"sha256:%064x\"}]\n", i, i, i) +
		fmt.Sprintf("---\nkind: License\nid: c%d-a\ncustomer: c%d\ntype: subscription\ngrace: P14D\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, notice: P30D}\ngrants: [{product: app, versions: \">=1.0.0 <3.0.0\"}]\n", i, i) +
		fmt.Sprintf("---\nkind: License\nid: c%d-b\ncustomer: c%d\ntype: subscription\nstarts: 2026-01-01\nends: 2098-12-31\nfeatures: {sso: true, nodes: 10}\ngrants: [{product: app, versions: \">=1.0.0 <3.0.0\"}]\n", i, i) +
		fmt.Sprintf("---\nkind: License\nid: c%d-c\ncustomer: c%d\ntype: perpetual\nends: never\nupdates: {until: 2098-12-31}\ngrants: [{repository: acme/app, tags: [\"1.4.0\", \"1.4.*\"]}]\n", i, i)
}

// edits changes a license n times and returns how long each edit took from being saved until every one
// of who decides answers otherwise, ascending.
func edits(n int, deciding ...*served) []time.Duration {
	v := deciding[0].vendor
	v.Helper()
	var took []time.Duration
	for i := range n {
		versions, want := ">=2.0.0", http.StatusForbidden
		if i%2 == 1 {
			versions, want = ">=1.0.0 <2.0.0", http.StatusOK
		}
		saved := time.Now()
		v.write("licenses/license.yaml", grants(versions), 0o644)
		for _, s := range deciding {
			s.await("the edit counts", 30*time.Second, func() bool { return s.pull("1.4.0").Status == want })
		}
		took = append(took, time.Since(saved))
	}
	slices.Sort(took)
	v.Logf("edit saved → different answer: median %s, p95 %s, longest %s", p50(took), p95(took), took[n-1])
	return took
}

// p50 and p95 are of ascending times.
func p50(took []time.Duration) time.Duration { return took[len(took)/2] }
func p95(took []time.Duration) time.Duration { return took[(len(took)*95+99)/100-1] }

// observed checks that a process has observed these effects, and about how long they took in all.
func (s *started) observed(labels string, took []time.Duration) {
	s.Helper()
	s.await("each effect is observed, of "+labels, 10*time.Second, func() bool {
		return s.gauge("pullgate_effect_seconds_count"+labels) == strconv.Itoa(len(took))
	})
	sum, _ := strconv.ParseFloat(s.gauge("pullgate_effect_seconds_sum"+labels), 64)
	var seen float64
	for _, d := range took {
		seen += d.Seconds()
	}
	if sum <= 0 || sum > 2*seen+1 {
		s.Errorf("%s: %.3f s in all, seen %.3f s", labels, sum, seen)
	}
}

// An edit counts within a second in one process, and within five where a publisher and two sidecars
// are apart (design §16; three times as long is an error, since a machine may be busy), and a metric
// says how long it took.
func TestEffectOfAnEdit(t *testing.T) {
	v := newVendor(t)
	for i := range 1000 {
		v.write(fmt.Sprintf("licenses/c%d.yaml", i), crowd(i), 0o644)
	}
	s := v.serve()
	s.awaitReady()
	took := edits(20, s)
	if p := p95(took); p > 3*time.Second {
		t.Errorf("in one process an edit took %s", p)
	}
	s.observed(`{bundle="default",from="edit",to="active"}`, took)
	s.stop()

	p := v.publish("")
	p.beside = true
	one, two := v.follow(p, "one", ""), v.follow(p, "two", "")
	one.awaitReady()
	two.awaitReady()
	took = edits(4, one, two)
	if p := p95(took); p > 15*time.Second {
		t.Errorf("with a publisher and two sidecars an edit took %s", p)
	}
	p.observed(`{bundle="default",from="edit",to="published"}`, took)
	for _, s := range []*served{one, two} {
		// From when it was issued, in whole seconds.
		s.await("each effect is observed", 10*time.Second, func() bool {
			return s.gauge(`pullgate_effect_seconds_count{bundle="default",from="issue",to="active"}`) == strconv.Itoa(len(took))
		})
		if n := s.gauge(`pullgate_effect_seconds_count{bundle="default",from="edit",to="active"}`); n != "" {
			t.Errorf("a sidecar has observed %s edits", n)
		}
	}
}
