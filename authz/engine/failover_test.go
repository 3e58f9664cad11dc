package engine

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/examples/peers"
)

// several is one Redis or several, of which one is lost.
type several struct {
	url     string       // without its scheme's first word
	restore func() error // of one; nil: another takes the place of the lost one by itself
	close   func() error
	// primary is the one that is asked, of a Cluster for certain keys, if it is another than this one; nil
	// while there is none.
	primary func(but *peers.RedisProcess) *peers.RedisProcess
}

func oneRedis(ctx context.Context, path string, cfg peers.RedisConfig) (*several, string, error) {
	r, err := peers.StartRedis(ctx, path, cfg)
	if err != nil {
		return nil, "", err
	}
	return &several{
		url: "://gate@" + r.Addr, restore: func() error { return r.Restart(ctx) }, close: func() error { return r.Close() },
		primary: func(*peers.RedisProcess) *peers.RedisProcess { return r },
	}, "", nil
}

func watchedRedis(ctx context.Context, path string, cfg peers.RedisConfig) (*several, string, error) {
	s, err := peers.StartSentinel(ctx, path, cfg)
	if err != nil {
		return nil, "", err
	}
	return &several{
		url: "+sentinel://gate@" + s.Addr + "/" + s.Name, close: s.Close,
		primary: func(but *peers.RedisProcess) *peers.RedisProcess {
			if r := s.Elected(); r != but {
				return r
			}
			return nil
		},
	}, s.Password, nil
}

func clusteredRedis(ctx context.Context, path string, cfg peers.RedisConfig) (*several, string, error) {
	cfg.Settings = append(cfg.Settings, "--cluster-node-timeout", "1000", "--cluster-replica-validity-factor", "0")
	c, err := peers.StartRedisCluster(ctx, path, cfg, 1)
	if err != nil {
		return nil, "", err
	}
	const slot = 8000
	return &several{
		// The one node that is known at first is that which is lost, unless it was too slow before.
		url: "+cluster://gate@" + c.Nodes[1].Addr, close: c.Close,
		primary: func(but *peers.RedisProcess) *peers.RedisProcess { return c.Primary(slot, but) },
	}, "", nil
}

// A Redis is lost while eight ask at once, and is started again, or another takes its place: as that is
// for one Redis, for a primary that a Sentinel watches, and for one of a Cluster. Every answer is the
// one that would be given without a cache; nobody is kept waiting; and afterwards verdicts are found again,
// where those of the lost one are now. Without TLS the process is killed; with TLS and a user it falls silent
// and leaves its connections open, as a machine does that is gone, and where it was replaced it comes back.
func TestAnswersWhileRedisIsLostAndReplaced(t *testing.T) {
	t.Parallel()
	path := peers.Redis(t)
	dir := t.TempDir()
	certs, err := peers.NewCertificates(dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	password := file("password", "the-password")
	drawn := &worlds{}
	drawn.draw(t, 1)
	for _, tt := range []struct {
		name  string
		start func(context.Context, string, peers.RedisConfig) (*several, string, error)
		tls   bool
	}{
		{"one Redis", oneRedis, false},
		{"one Redis, TLS and a user", oneRedis, true},
		{"Sentinel", watchedRedis, false},
		{"Sentinel, TLS and a user", watchedRedis, true},
		{"Cluster", clusteredRedis, false},
		{"Cluster, TLS and a user", clusteredRedis, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, scheme := peers.RedisConfig{}, "redis"
			cfg := redisstore.Config{}
			if tt.tls {
				server, scheme = peers.RedisConfig{TLS: certs, User: "gate", Password: "the-password"}, "rediss"
				cfg.PasswordFile, cfg.CAFile = password, certs.CA
			}
			s, sentinelPassword, err := tt.start(t.Context(), path, server)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.close() })
			if sentinelPassword != "" {
				cfg.SentinelPasswordFile = file("sentinel", sentinelPassword)
			}
			if !tt.tls {
				s.url = strings.Replace(s.url, "gate@", "", 1)
			}
			cfg.URLs = []string{scheme + s.url}
			lose(t, s, newAskers(t, &switched{generations: drawn.generations[lasting : lasting+2]}, cfg), tt.tls)
		})
	}
}

func lose(t *testing.T, s *several, a *askers, silent bool) {
	// On a busy machine another may take a place at any time, because one was too slow.
	var at, lost *peers.RedisProcess
	there := 0
	found := func(n int) bool {
		now := s.primary(lost)
		if now == nil {
			return false
		}
		if now != at {
			at, there = now, now.Info("stats", "keyspace_hits")
		}
		return at.Info("stats", "keyspace_hits") > there+n
	}
	a.until("verdicts are found", func() bool {
		if a.hits() < 200 || !found(50) {
			return false
		}
		replicas, _ := at.Do("INFO", "replication")
		return s.restore != nil || strings.Contains(replicas, "state=online")
	})
	lost = at
	if silent {
		if err := syscall.Kill(lost.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		defer lost.Process.Kill() // it would not end when it is asked to
	} else {
		lost.Kill()
	}
	if s.restore != nil {
		asked := 0
		a.until("Redis is left alone", func() bool {
			if a.leftAlone() < len(a.sharers) {
				asked = a.asked
			}
			return a.leftAlone() == len(a.sharers) && a.asked > asked+400
		})
		hits := a.hits()
		a.until("all is evaluated", func() bool { return a.asked > asked+800 })
		if a.hits() != hits {
			t.Errorf("%d verdicts were found in no Redis", a.hits()-hits)
		}
		if err := s.restore(); err != nil {
			t.Fatal(err)
		}
		at = nil // which begins to count anew
	} else {
		a.until("there is another", func() bool { return s.primary(lost) != nil })
	}
	again := func(what string) {
		t.Helper()
		before, asksAll := a.each(), make([]bool, len(a.sharers))
		a.until(what, func() bool {
			enough := true
			for i, n := range a.each() { // a busy machine may have one or another be left alone at any time
				asksAll[i] = asksAll[i] || a.sharers[i].leftAlone() == 0
				enough = enough && asksAll[i] && n >= before[i]+50
			}
			return enough && found(50)
		})
	}
	again("verdicts are found again, and no Redis is left alone")
	if silent && s.restore == nil {
		if err := syscall.Kill(lost.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		lost = nil
		again("verdicts are found with the lost one back, and no Redis is left alone")
	}
	a.done()
}

// patience is how long anything may take on a busy machine.
const patience = 3 * time.Minute

// askers ask what two processes that share verdicts answer: eight at a time, time and again. Nothing but
// Redis changes while they ask; between two rounds the clock may have gone on, and the bundle may be another.
type askers struct {
	t         testing.TB
	bundles   *switched
	sharers   []*sharer
	questions []*authz.Request
	fresh     *authz.Gate
	answers   sync.Map // moment to *authz.Decision
	clock     atomic.Int64
	round     int
	at        int64

	mu    sync.Mutex
	asked int
	from  map[string]int
	found []int // by sharer
	codes map[authz.Code]int
}

func newAskers(t testing.TB, bundles *switched, cfg redisstore.Config) *askers {
	a := &askers{t: t, bundles: bundles, at: now - span/2, found: make([]int, 2), from: map[string]int{}, codes: map[authz.Code]int{}}
	a.fresh = authz.NewGate(authz.GateConfig{Engine: bundles, AskPast: true, Clock: func() time.Time { return time.Unix(a.clock.Load(), 0) }})
	for _, q := range requests() {
		if q.Kind != authz.KindCatalog { // which asks only what others ask, too, and takes long
			a.questions = append(a.questions, q)
		}
	}
	for range a.found {
		s := newSharerOf(t, bundles, cfg, 0, nil, fleetSecret)
		t.Cleanup(s.stop)
		a.sharers = append(a.sharers, s)
	}
	return a
}

// until asks until something is so.
func (a *askers) until(what string, is func() bool) {
	a.t.Helper()
	began, asked := time.Now(), a.asked
	for a.round%5 != 0 || !is() {
		if time.Since(began) > patience {
			a.t.Fatalf("not so: %s; %d answers: %v, left alone by %d", what, a.asked, a.from, a.leftAlone())
		}
		a.ask()
	}
	a.t.Logf("%s after %s, %d answers", what, time.Since(began).Round(time.Millisecond), a.asked-asked)
}

// ask asks some questions, and waits a little.
func (a *askers) ask() {
	a.t.Helper()
	if a.round++; a.round%100 == 0 {
		a.at++
	}
	if a.round%150 == 0 {
		a.bundles.active.Store(a.bundles.active.Load() ^ 1)
	}
	a.clock.Store(a.at)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for range 2 {
				a.one(i%len(a.sharers), a.questions[rand.IntN(len(a.questions))])
			}
		})
	}
	answered := make(chan struct{})
	go func() { all.Wait(); close(answered) }()
	select {
	case <-answered:
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		a.t.Fatalf("somebody waits for an answer:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	if a.t.Failed() {
		a.t.FailNow()
	}
	time.Sleep(10 * time.Millisecond)
}

func (a *askers) one(who int, q *authz.Request) {
	got := a.sharers[who].decide(a.at, q)
	want := a.wanted(q)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(authz.Decision{}, "ID", "Cached", "Duration")); diff != "" {
		a.t.Errorf("%s %s %s%s at %+d: fresh to %s:\n%s", q.Kind, q.Repository, q.Tag, q.Digest, a.at-now, got.Cached, diff)
	}
	if x, y := answered(q, want), answered(q, got); !bytes.Equal(x, y) {
		a.t.Errorf("%s %s %s%s at %+d: the fresh reply\n%q\nfrom %s\n%q", q.Kind, q.Repository, q.Tag, q.Digest, a.at-now, x, got.Cached, y)
	}
	if got.Outcome == authz.OutcomeError {
		a.t.Errorf("%s: %s", got.Code, got.Detail)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked++
	a.from[got.Cached]++
	a.codes[got.Code]++
	if got.Cached == "l2" {
		a.found[who]++
	}
}

// wanted is the fresh answer, which is the same while neither clock nor bundle changes.
func (a *askers) wanted(q *authz.Request) *authz.Decision {
	key := moment{a.at, a.bundles.active.Load(), q}
	if d, known := a.answers.Load(key); known {
		return d.(*authz.Decision)
	}
	d := a.fresh.Decide(context.Background(), q)
	a.answers.Store(key, d)
	return d
}

type moment struct {
	at     int64
	bundle int32
	q      *authz.Request
}

// hits is how many answers were found in Redis, and each how many of each sharer.
func (a *askers) hits() int   { return a.from["l2"] }
func (a *askers) each() []int { return slices.Clone(a.found) }

// leftAlone counts the nodes of Redis that are not asked, by all sharers.
func (a *askers) leftAlone() (n int) {
	for _, s := range a.sharers {
		n += s.leftAlone()
	}
	return n
}

func (s *sharer) leftAlone() int { return counted(s.metrics, "pullgate_shared_cache_open_breakers") }

// done holds that the test has shown something.
func (a *askers) done() {
	rejected, different := 0, 0
	for _, s := range a.sharers {
		s.stop()
		rejected += counted(s.metrics, "pullgate_shared_cache_rejected_total")
		different += counted(s.metrics, "pullgate_decision_cache_audits_total", "different")
	}
	a.t.Logf("%d answers: %v, %v", a.asked, a.from, a.codes)
	if rejected > 0 || different > 0 {
		a.t.Errorf("%d values counted for nothing, and audits have found %d differences", rejected, different)
	}
	if len(a.codes) < 4 || a.from["none"] == 0 {
		a.t.Error("the test shows little")
	}
}
