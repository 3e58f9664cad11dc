package tombstone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/bundle"
)

// side is a sidecar that follows a site, in the time of a synctest bubble.
type side struct {
	*site
	f      *Follower
	reg    *prometheus.Registry
	stop   context.CancelFunc
	mu     sync.Mutex
	serial int64 // of the active bundle
	live   []string
	fail   error
}

func (s *site) follow(t *testing.T, unattended bool, others ...func(*FollowerConfig)) *side {
	out := &side{site: s, serial: 500, reg: prometheus.NewRegistry()}
	cfg := FollowerConfig{
		Name: bundle.DefaultName, Ring: s.ring, Stream: s.m, Unattended: unattended, Registerer: out.reg,
		Serial: func() int64 { out.mu.Lock(); defer out.mu.Unlock(); return out.serial },
		Apply: func(_ context.Context, all []bundle.Tombstone) error {
			out.mu.Lock()
			defer out.mu.Unlock()
			if out.fail != nil {
				return out.fail
			}
			out.live = nil
			for _, t := range all {
				out.live = append(out.live, t.Target())
			}
			return nil
		},
	}
	ahead := time.Until(s.clock) // both go on alike from here
	cfg.Clock = func() time.Time { return time.Now().Add(ahead) }
	for _, change := range others {
		change(&cfg)
	}
	out.f = NewFollower(cfg)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- out.f.Run(ctx) }()
	out.stop = func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	return out
}

func (s *side) activate(serial int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.serial = serial
}

// after lets so much time pass, with a publisher that sends heartbeats or without.
func (s *side) after(d time.Duration, beating bool) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		step := min(Beats, time.Until(end))
		time.Sleep(step)
		if s.clock = s.clock.Add(step); beating {
			s.tick(0)
		}
	}
	synctest.Wait()
}

func (s *side) wants(t *testing.T, when, problem string, live ...string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.live, live) {
		t.Errorf("%s: %q count, want %q", when, s.live, live)
	}
	if got := s.f.Problem(); (problem == "") != (got == "") || !strings.Contains(got, problem) {
		t.Errorf("%s: problem %q, want %q", when, got, problem)
	}
}

// value is that of a metric.
func (s *side) value(t *testing.T, name string) float64 {
	t.Helper()
	all, err := s.reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range all {
		if m.GetName() == name {
			return m.GetMetric()[0].GetGauge().GetValue() + m.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// What there was no room for counts as soon as there is some.
func TestAFollowerOfTooManyTakesTheRestLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		sc := s.follow(t, false, func(c *FollowerConfig) { c.most = 2 })
		defer sc.stop()
		for i, id := range []string{"a", "b", "c", "d"} {
			s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: id})
			if i > 0 {
				s.publish(500 + int64(i)) // which the sidecar does not have yet
			}
		}
		synctest.Wait()
		sc.wants(t, "too many", "more than 2: the rest", "customer a", "customer b")
		sc.activate(501)
		sc.after(2*reread, true)
		sc.wants(t, "with room", "more than 2 numbers", "customer c", "customer d")
	})
}

const acme1 = "license acme-1 of acme"

func TestAFollowerTakesTombstonesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		sc := s.follow(t, false)
		defer sc.stop()
		sc.after(2*time.Second, true)
		sc.wants(t, "before", "")

		began := time.Now()
		a := s.revoke()
		synctest.Wait()
		sc.wants(t, "at once", "", acme1)
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
		if n := sc.value(t, "pullgate_tombstones_highest_number"); n != float64(a.Number) {
			t.Errorf("highest number %v", n)
		}
		sc.after(time.Minute, true)
		sc.wants(t, "later", "", acme1)
		s.revoked = "500"
		s.publish(a.Serial)
		sc.activate(a.Serial)
		sc.after(Beats, true)
		if n := sc.value(t, "pullgate_tombstones_active"); n != 0 {
			t.Errorf("%v active after the bundle that ends it", n)
		}
		sc.wants(t, "ended", "", acme1) // the engine has dropped it by itself

		s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"})
		synctest.Wait()
		sc.wants(t, "another", "", "customer acme")
	})
}

func TestAFollowerReadsWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		s.revoke()
		s.tick(Beats)
		sc := s.follow(t, false)
		defer sc.stop()
		synctest.Wait()
		sc.wants(t, "at the start", "", acme1)
	})
}

// What somebody does who writes to Redis denies nobody anything and allows nobody anything.
func TestWhoeverWritesToRedis(t *testing.T) {
	other, _ := newKey(t)
	about := func(s *site, signer *bundle.Signer, change func(*bundle.Tombstone)) string {
		b := bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme", Bundle: bundle.DefaultName, Made: 1, Number: 1 << 40, Serial: 1 << 40}
		change(&b)
		text, err := b.Sign(signer)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, tt := range map[string]struct {
		do      func(s *site)
		problem string
		left    string // when the publisher has mended what it can
	}{
		"forges": {func(s *site) {
			s.m.put(about(s, other, func(*bundle.Tombstone) {}), "nonsense", "", strings.Repeat("x", 1<<20))
		}, "4 entries that no configured key has signed", "1 entries that no configured key has signed"},
		"moves one of another bundle here": {func(s *site) {
			s.m.put(about(s, s.signer, func(b *bundle.Tombstone) { b.Bundle = "plant-7" }))
		}, "1 entries that no configured key has signed", ""},
		"puts back one that is over": {func(s *site) {
			s.m.put(about(s, s.signer, func(b *bundle.Tombstone) { b.Serial, b.Number = 500, 3 }))
		}, "", ""},
		"repeats": {func(s *site) {
			for range 5 {
				s.m.put(s.m.all()[0])
			}
		}, "", ""},
		"removes": {func(s *site) {
			ids, _, _ := s.m.Read(context.Background(), "")
			_ = s.m.Remove(context.Background(), ids)
		}, "", ""}, // it was read: nothing is missing
		"empties": {func(s *site) { s.m.flush() }, "heartbeat is no good: there is none", ""},
		"puts an old heartbeat back": {func(s *site) {
			old := s.m.heartbeat
			s.tick(Beats)
			s.m.change(func() { s.m.heartbeat = old })
		}, "", ""},
		"forges the heartbeat": {func(s *site) {
			text, _ := (&bundle.Heartbeat{At: 1 << 60, Bundle: bundle.DefaultName, First: 1, Last: 1 << 40, Serial: 1 << 40}).Sign(other)
			s.m.change(func() { s.m.heartbeat = text })
		}, "heartbeat is no good: heartbeat: signed with a key that is not configured", ""},
		"takes Redis away": {func(s *site) { s.m.setAway(errAway) }, "Redis cannot be read: connection refused", ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSite(t)
				s.publish(500)
				s.revoke()
				s.tick(Beats)
				sc := s.follow(t, false)
				defer sc.stop()
				synctest.Wait()
				tt.do(s)
				sc.after(3*time.Second, false)
				sc.wants(t, name, tt.problem, acme1)
				if alarm := sc.value(t, "pullgate_tombstones_alarm"); (alarm == 1) != (tt.problem != "") {
					t.Errorf("alarm %v", alarm)
				}
				s.m.setAway(nil)
				sc.after(30*time.Second, true)
				sc.wants(t, "when the publisher has mended it", tt.left, acme1)
			})
		})
	}
}

// Heartbeats of long ago say nothing about now, one after the other as little as one alone.
func TestHeartbeatsOfLongAgoAreNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		s.tick(Beats)
		var old []string
		for range 8 {
			s.tick(Beats)
			old = append(old, s.m.heartbeat)
		}
		s.clock = s.clock.Add(time.Hour)
		s.m.change(func() { s.m.heartbeat = old[0] })
		sc := s.follow(t, false)
		defer sc.stop()
		for _, text := range old {
			s.m.change(func() { s.m.heartbeat = text })
			sc.after(2*time.Second, false)
			sc.wants(t, "replayed", "no heartbeat of the publisher for 1h0m")
		}
		s.tick(Beats)
		sc.after(2*time.Second, true)
		sc.wants(t, "when the publisher is back", "")
	})
}

// A sidecar that is started when something is missing says so, and so does one that misses heartbeats.
func TestWhatIsMissingIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		a := s.revoke()
		s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"})
		s.tick(Beats)
		ids, _, _ := s.m.Read(context.Background(), "")
		_ = s.m.Remove(context.Background(), ids[:1])
		sc := s.follow(t, false)
		defer sc.stop()
		sc.after(3*time.Second, false)
		sc.wants(t, "one removed", fmt.Sprintf("1 are missing (number %d the first)", a.Number), "customer acme")
		if n := sc.value(t, "pullgate_tombstones_missing"); n != 1 {
			t.Errorf("%v missing", n)
		}
		sc.after(14*time.Second, false)
		sc.wants(t, "and no heartbeat", "no heartbeat of the publisher for 1", "customer acme")
		if age := sc.value(t, "pullgate_tombstones_heartbeat_age_seconds"); age < 15 || age > 20 {
			t.Errorf("heartbeat age %v", age)
		}
		sc.after(10*time.Second, true)
		sc.wants(t, "put back by the publisher", "", acme1, "customer acme")
	})
}

func TestWithoutAPublisherNoHeartbeatIsExpected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		attended, alone := s.follow(t, false), s.follow(t, true)
		defer attended.stop()
		defer alone.stop()
		alone.after(14*time.Second, false)
		alone.wants(t, "early", "")
		attended.wants(t, "early", "")
		alone.after(3*time.Second, false)
		alone.wants(t, "late", "")
		attended.wants(t, "late", "heartbeat is no good: there is none")
		a := s.append(bundle.Tombstone{Kind: bundle.TombstoneCustomer, Customer: "acme"})
		synctest.Wait()
		alone.wants(t, "revoked", "", "customer acme")
		if a.Number != s.clock.Unix() {
			t.Errorf("number %d", a.Number)
		}
	})
}

func TestWhatCannotBeAppliedIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		sc := s.follow(t, false)
		defer sc.stop()
		sc.fail = errors.New("no such thing")
		s.revoke()
		sc.after(2*time.Second, true)
		sc.wants(t, "failing", "not in effect: no such thing")
		sc.mu.Lock()
		sc.fail = nil
		sc.mu.Unlock()
		sc.after(2*time.Second, true)
		sc.wants(t, "not failing", "", acme1)
	})
}

// A flood of entries that nobody signed takes the processor for a little while in each second only.
func TestAFloodIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		s.publish(500)
		sc := s.follow(t, false)
		defer sc.stop()
		synctest.Wait()
		flood := make([]string, 50_000)
		for i := range flood {
			flood[i] = fmt.Sprint("nonsense ", i)
		}
		s.m.put(flood...)
		synctest.Wait()
		if n := sc.value(t, "pullgate_tombstones_forged"); n != float64(len(flood)) {
			t.Errorf("%v forged", n)
		}
		if n := len(sc.f.judged); n > most {
			t.Errorf("%d entries are remembered", n)
		}
		s.revoke()
		sc.after(3*time.Second, false)
		sc.wants(t, "after the flood", "entries that no configured key has signed", acme1)
	})
}
