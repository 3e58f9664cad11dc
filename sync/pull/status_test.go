package pull

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/pullgate/pullgate/bundle"
)

// down is a publisher that is away.
func down(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

func (r *rig) freshness(want Freshness) {
	r.t.Helper()
	r.climb()
	if got := r.Status().Freshness; got != want {
		r.t.Errorf("%s, want %s: %v", got, want, r.Status().Problems)
	}
	n := 0.0
	for _, f := range []Freshness{None, Fresh, Degraded, Stale} {
		v := gauge(r, `pullgate_bundle_freshness`, string(f))
		if n += v; (v == 1) != (f == want) {
			r.t.Errorf("the gauge of %s is %v", f, v)
		}
	}
	if n != 1 {
		r.t.Errorf("%v states at once", n)
	}
}

// gauge is the value of a gauge whose only label, if any, is label.
func gauge(r *rig, name, label string) float64 {
	r.t.Helper()
	all, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range all {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetGauge().GetValue()
			}
		}
	}
	r.t.Fatalf("no gauge %s %s", name, label)
	return 0
}

func TestFreshnessLadder(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	r.cfg.DegradedAfter, r.cfg.StaleAfter = 10*time.Minute, time.Hour
	r.open()
	r.freshness(None)
	pub.has(made(t, 5))
	r.expect("", 5)
	r.freshness(Fresh)
	now := start + 60
	if d := r.Deadline(); d != now+3600 {
		t.Errorf("deadline in %d s", d-now)
	}
	pub.says(down)
	r.machine.pass(10*time.Minute - time.Second)
	r.expect(Failing, 5)
	r.freshness(Fresh)
	r.says()
	r.machine.pass(time.Second)
	r.freshness(Degraded)
	r.says("bundle: not refreshed since 2026-05-28T20:27:40Z (10m0s ago), the last good one is in use: " + pub.URL + ": answered 502 Bad Gateway; look at")
	r.machine.pass(50*time.Minute - time.Second)
	r.freshness(Degraded)
	r.machine.pass(time.Second)
	r.freshness(Stale)
	r.says("bundle: not refreshed since 2026-05-28T20:27:40Z (1h0m0s ago), every request is refused as stale: ")
	if d := r.Deadline(); d != now+3600 {
		t.Errorf("deadline in %d s", d-now)
	}
	// A 304 is as good as a bundle.
	pub.has(made(t, 5))
	r.expect("", 5)
	r.freshness(Fresh)
	if d := r.Deadline(); d != now+7200 || gauge(r, "pullgate_bundle_age_seconds", "") != 0 || gauge(r, "pullgate_bundle_refreshed_timestamp_seconds", "") != float64(now+3600) {
		t.Errorf("deadline in %d s", d-now)
	}
	r.says()
}

// What is seen by others counts from the first refusal on, whatever the age: somebody must look.
func TestRefusalsAreSaidAtOnce(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	pub.has(signedBy(t, nil, 6))
	r.expect(Unsigned, 5)
	r.freshness(Fresh)
	r.says("bundle: the last good one is in use: " + pub.URL + ": bundle is not signed; check bundle_key_file")
	r.expect(Unsigned, 5)
	if n := strings.Count(r.log.String(), "bundle is not signed"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	pub.has(made(t, 6))
	r.expect("", 6)
	if !strings.Contains(r.log.String(), "the publisher answers again") {
		t.Error("that it is well again is not logged")
	}
}

// 304s alone keep nothing alive: not_after is the bundle's own.
func TestNotModifiedCountsWithinNotAfter(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	r.machine.pass(54 * time.Hour)
	r.expect("", 5)
	r.freshness(Fresh)
	r.says("bundle: it ends at 2026-05-31T20:26:40Z and the publisher has issued no newer one")
	r.machine.pass(18*time.Hour - 61*time.Second)
	r.expect("", 5)
	r.freshness(Fresh)
	r.machine.pass(time.Second)
	r.expect(Expired, 5)
	r.freshness(Stale)
	r.says("every request is refused as stale: " + pub.URL + ": past its not_after: 2026-05-31T20:26:40Z, when it is 2026-05-31T20:26:40Z here; the publisher has no newer one")
	// Nor does it count from the disk.
	pub.says(down)
	r.open()
	r.expect(Failing, 0)
	r.freshness(None)
	if p := r.Status().Problems; len(p) != 2 || !strings.Contains(p[1], "the kept one is not used") || !strings.Contains(p[1], "past its not_after") {
		t.Errorf("problems %q", p)
	}
	pub.has(made(t, 6, issued(start+72*3600)))
	r.expect("", 6)
	r.freshness(Fresh)
}

// A restart makes nothing younger, and a clock that is set back neither.
func TestAgeIsNotWonBack(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	r.cfg.DegradedAfter, r.cfg.StaleAfter = 10*time.Minute, time.Hour
	r.open()
	pub.has(made(t, 5))
	r.expect("", 5)
	pub.says(down)
	r.machine.pass(30 * time.Minute)
	r.open()
	r.freshness(Degraded)
	if a := r.Status().Age; a != 30*time.Minute {
		t.Errorf("age %s", a)
	}
	r.machine.set(-20 * time.Minute)
	r.machine.pass(30 * time.Minute)
	r.freshness(Stale)
	if now := r.cfg.Clock.Now().Unix(); r.Deadline() > now {
		t.Errorf("the deadline is %d s ahead", r.Deadline()-now)
	}
}

// Clocks set ahead and back: what is used meanwhile, and after.
func TestClocksThatAreWrong(t *testing.T) {
	const year = 365 * 24 * time.Hour
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)

	r.machine.set(year) // ahead: refused, also what is new
	r.expect(Expired, 5)
	r.freshness(Stale)
	pub.has(made(t, 6, issued(start+60)))
	r.expect(Expired, 5)
	r.open() // also at a start
	r.expect(Expired, 0)
	r.machine.set(-year) // right again: as before
	r.expect("", 6)
	r.freshness(Fresh)
	r.says()

	r.machine.set(-year) // back: nothing that ended returns, and the bundle is as good as it was
	r.expect("", 6)
	r.freshness(Fresh)
	if now := r.cfg.Clock.Now().Unix(); now != start+60 {
		t.Errorf("decisions are made at %d", now-start)
	}
	if text := r.cfg.Clock.Problem(); !strings.Contains(text, "clock: this machine's is 8760h0m0s behind") {
		t.Errorf("problem %q", text)
	}
	r.machine.pass(73 * time.Hour) // the bundle ends although the machine never gets there
	r.expect(Expired, 6)
	r.freshness(Stale)
	pub.says(down)
	if err := r.cfg.Clock.Save(); err != nil { // as once a minute
		t.Fatal(err)
	}
	r.open()
	r.expect(Failing, 0)
	pub.has(made(t, 7, issued(start+73*3600)))
	r.expect("", 7)
	r.machine.set(year)
	r.expect("", 7)
	r.says()
}

// The kept bundle waits for the clock: at the start of a machine it may be wrong for a while.
func TestKeptBundleWaitsForTheClock(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	pub.says(down)
	r.machine.set(1000 * time.Hour)
	r.open()
	r.expect(Failing, 0)
	r.machine.set(-1000 * time.Hour)
	r.expect(Failing, 5)
	if a := r.Status().Age; a != 0 {
		t.Errorf("age %s", a)
	}
}

func TestNeverEndingBundleIsNotOld(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5, func(c *bundle.Content) { c.NotAfter = bundle.Never }))
	r.expect("", 5)
	r.machine.pass(10000 * time.Hour)
	r.expect("", 5)
	r.says()
	if d := r.Deadline(); d != bundle.Never {
		t.Errorf("deadline %d", d)
	}
}

func TestMetricsAreThere(t *testing.T) {
	r := newRig(t, newPublisher(t).URL).open()
	if n, err := testutil.GatherAndCount(r.metrics, "pullgate_bundle_pulls_total"); err != nil || n != len(reasons)+2 {
		t.Errorf("%d results, %v", n, err)
	}
	if problems, err := testutil.GatherAndLint(r.metrics); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}
