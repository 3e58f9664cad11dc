package redisstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/examples/peers"
)

const secretA, secretB = "the-first-secret-of-32-characters", "another-secret-of-32-characters.."

// desk is a Verdicts that runs, with its log.
type desk struct {
	*Verdicts
	t   *testing.T
	log *lines
}

// lines is a log that is written to from several sides.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func verdicts(t *testing.T, cfg Config, secrets ...string) *desk {
	t.Helper()
	d := &desk{t: t, log: &lines{}}
	if len(secrets) == 0 {
		secrets = []string{secretA}
	}
	var err error
	d.Verdicts, err = OpenVerdicts(cfg, VerdictsConfig{Secrets: secrets, Program: "test", Logger: slog.New(slog.NewTextHandler(d.log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = d.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait(); _ = d.Close() })
	return d
}

// someEntry is true from now on.
func someEntry(n int) authz.Entry {
	now := time.Now().Unix()
	return authz.Entry{From: now, Until: now + 60, Verdict: authz.Verdict{
		Allow: true, Code: authz.CodeOK, License: fmt.Sprint("license-", n), Until: authz.Never, Ends: now + 1000, ExpiringFrom: now + 100,
	}}
}

func someKey(n int) [32]byte { return sha256.Sum256(fmt.Append(nil, "key ", n)) }

// patience is less than an entry is true for.
const patience = 50 * time.Second

// eventually waits until Redis has what was put there, or there is nothing.
func (d *desk) eventually(key [32]byte, want authz.Entry, found authz.Found, meanwhile ...func()) {
	d.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		got, f := d.Get(context.Background(), key)
		if f == found && cmp.Equal(got, want) {
			return
		}
		if time.Now().After(end) {
			d.t.Fatalf("%v, %+v; want %v, %+v", f, got, found, want)
		}
		for _, f := range meanwhile {
			f()
		}
	}
}

// ask looks up until Redis answers in time, which a busy machine may keep it from.
func (d *desk) ask(key [32]byte) (authz.Entry, authz.Found) {
	d.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if e, f := d.Get(context.Background(), key); f == authz.FoundEntry || f == authz.FoundNothing {
			return e, f
		}
	}
	d.t.Fatal("no answer")
	return authz.Entry{}, authz.NotAsked
}

// shares holds that one finds what the other writes.
func (d *desk) shares(with *desk, n int) {
	d.t.Helper()
	for i := range n {
		d.Put(someKey(i), someEntry(i))
	}
	for i := range n {
		d.finds(with, i)
	}
}

// finds holds that another one finds what is put under a key. It is put again until it is there: while
// Redis is left alone, as it is when a busy machine does not answer in time, nothing is written.
func (d *desk) finds(with *desk, n int) {
	d.t.Helper()
	e := someEntry(n)
	put := func() { d.Put(someKey(n), e) }
	put()
	with.eventually(someKey(n), e, authz.FoundEntry, put)
}

func (d *desk) count(metric, result string) int {
	c := d.metrics.writes
	if metric == "rejected" {
		c = d.metrics.rejected
	}
	return int(testutil.ToFloat64(c.WithLabelValues(result)))
}

func TestVerdictsAreShared(t *testing.T) {
	t.Parallel()
	r := alone(t)
	one, two := verdicts(t, at(r.Addr)), verdicts(t, at(r.Addr))
	one.eventually(someKey(0), authz.Entry{}, authz.FoundNothing)
	one.shares(two, 20)

	// Nothing that is kept tells about whom or what, and nothing stays for longer than it is true.
	names, err := r.Do("KEYS", "*")
	if err != nil || len(strings.Fields(names)) != 20 {
		t.Fatalf("keys %q: %v", names, err)
	}
	for _, name := range strings.Fields(names) {
		if !strings.HasPrefix(name, "pullgate:verdict:") || len(name) != len("pullgate:verdict:")+24 {
			t.Errorf("key %q", name)
		}
		value, err := r.Do("GET", name)
		if err != nil || strings.Contains(value, "license") || strings.Contains(value, "ok") && strings.Contains(value, "lic") {
			t.Errorf("value %q: %v", value, err)
		}
		var left int
		text, err := r.Do("PTTL", name)
		if _, serr := fmt.Sscan(text, &left); err != nil || serr != nil || left < 1 || left > 60_000 {
			t.Errorf("kept for %s ms: %v", text, err)
		}
	}

	// What is not worth writing is not written.
	now := time.Now().Unix()
	short, long, old := someEntry(1), someEntry(2), someEntry(3)
	short.Until, old.Until = now, now-100
	long.Verdict.Message = strings.Repeat("x", maxValue)
	for i, e := range []authz.Entry{short, long, old} {
		if why := NotWritten(&e, time.Now()); why != []string{"short", "large", "short"}[i] {
			t.Errorf("%d is not written because it is %q", i, why)
		}
		one.Put(someKey(100+i), e)
	}
	written := someEntry(4)
	if why := NotWritten(&written, time.Unix(written.Until, 0).Add(-minLife)); why != "" {
		t.Errorf("what is as long as it must be is %q", why)
	}
	one.finds(two, 200) // is written after them
	for i := range 3 {
		two.eventually(someKey(100+i), authz.Entry{}, authz.FoundNothing)
	}
	if one.count("writes", "short") != 2 || one.count("writes", "large") != 1 {
		t.Errorf("%d short, %d large", one.count("writes", "short"), one.count("writes", "large"))
	}
	if names, err := r.Do("KEYS", "*"); err != nil || len(strings.Fields(names)) != 21 {
		t.Errorf("keys %q: %v", names, err)
	}
}

// Whoever can write to Redis can take entries away, and nothing else.
func TestWhoWritesToRedisForgesNothing(t *testing.T) {
	t.Parallel()
	r := alone(t)
	d, stranger := verdicts(t, at(r.Addr)), verdicts(t, at(r.Addr), secretB)
	d.shares(d, 3)
	d.finds(d, 200) // is written after them, those that were put again included
	name := func(n int) string { k := someKey(n); return (*d.secrets.Load())[0].name(&k) }
	value, err := r.Do("GET", name(0))
	if err != nil {
		t.Fatal(err)
	}
	key, forged := someKey(2), someEntry(2)
	plain := appendEntry(nil, &forged)
	rejected := 0
	for what, v := range map[string]string{
		"moved":            value,
		"of a stranger":    string((*stranger.secrets.Load())[0].seal(nil, &key, plain)),
		"without a seal":   string(plain),
		"zeros":            string(make([]byte, 100)),
		"text":             "allow",
		"the format alone": "\x01",
		"much":             strings.Repeat(value, maxValue/len(value)-1),
	} {
		if _, err := r.Do("SET", name(2), v); err != nil {
			t.Fatal(err)
		}
		if e, f := d.ask(key); f != authz.FoundNothing || !cmp.Equal(e, authz.Entry{}) {
			t.Errorf("%s: %v %+v", what, f, e)
		}
		if rejected++; d.count("rejected", "mac") != rejected {
			t.Errorf("%s: %d counted, want %d", what, d.count("rejected", "mac"), rejected)
		}
	}
	if n := strings.Count(d.log.String(), "none of the secrets has sealed"); n != 1 {
		t.Errorf("%d lines in the log:\n%s", n, d.log)
	}
	// What is large is not even sent, and what is no value is none.
	if _, err := r.Do("SETRANGE", name(2), fmt.Sprint(100<<20), "x"); err != nil {
		t.Fatal(err)
	}
	if e, f := d.ask(key); f != authz.FoundNothing || d.count("rejected", "size") != 1 {
		t.Errorf("a large value: %v %+v", f, e)
	}
	for _, cmd := range [][]string{{"DEL", name(2)}, {"LPUSH", name(2), value}} {
		if _, err := r.Do(cmd...); err != nil {
			t.Fatal(err)
		}
		for range 2 * tripInRow {
			if e, f := d.ask(key); f != authz.FoundNothing {
				t.Errorf("%s: %v %+v", cmd[0], f, e)
			}
		}
	}
	// An old copy is what it was, with the interval that it had.
	if _, err := r.Do("SET", name(0), value); err != nil {
		t.Fatal(err)
	}
	if e, f := d.ask(someKey(0)); f != authz.FoundEntry || e.Until > time.Now().Unix()+60 {
		t.Errorf("%v %+v", f, e)
	}
	// Afterwards all is well, and what was spoilt is written again.
	d.shares(d, 3)
}

func TestASecretIsChanged(t *testing.T) {
	t.Parallel()
	r := alone(t)
	before, between, after := verdicts(t, at(r.Addr)), verdicts(t, at(r.Addr), secretB, secretA), verdicts(t, at(r.Addr), secretB)
	before.shares(between, 3)
	for i := range 3 {
		after.eventually(someKey(i), authz.Entry{}, authz.FoundNothing)
	}
	between.eventually(someKey(9), authz.Entry{}, authz.FoundNothing)
	between.shares(after, 3)
	if n := after.count("rejected", "mac") + before.count("rejected", "mac"); n != 0 {
		t.Errorf("%d values were alarming", n)
	}
}

// The same while it runs: from then on the new secrets count for what is read and what is written.
func TestASecretIsChangedWhileItIsInUse(t *testing.T) {
	t.Parallel()
	r := alone(t)
	live, old, fresh := verdicts(t, at(r.Addr)), verdicts(t, at(r.Addr)), verdicts(t, at(r.Addr), secretB)
	old.shares(live, 3)
	if err := live.SetSecrets(nil); err == nil {
		t.Error("no secret is one")
	}
	old.shares(live, 3)
	if err := live.SetSecrets([]string{secretB}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		live.eventually(someKey(i), authz.Entry{}, authz.FoundNothing)
	}
	live.shares(fresh, 3)
	if err := live.SetSecrets([]string{secretB, secretA}); err != nil {
		t.Fatal(err)
	}
	fresh.shares(live, 3)
	if n := live.count("rejected", "mac"); n != 0 {
		t.Errorf("%d values were alarming", n)
	}
}

func TestVerdictsWithTLSAndAUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certs, err := peers.NewCertificates(dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	r, err := peers.StartRedis(t.Context(), peers.Redis(t), peers.RedisConfig{TLS: certs, User: "gate", Password: "open"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte("open\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := Config{URLs: []string{"rediss://gate@" + r.Addr}, PasswordFile: password, CAFile: certs.CA}
	verdicts(t, cfg).shares(verdicts(t, cfg, secretA, secretB), 20)

	// Who is not let in goes without, and is told.
	cfg.PasswordFile = ""
	d := verdicts(t, cfg)
	d.eventually(someKey(0), authz.Entry{}, authz.NotAsked)
	if !strings.Contains(d.log.String(), "redis does not answer in time") || strings.Contains(d.log.String(), "open") {
		t.Error(d.log)
	}
}

func TestVerdictsInACluster(t *testing.T) {
	t.Parallel()
	c := threeNodes(t)
	one := verdicts(t, Config{URLs: []string{"redis+cluster://" + c.Addrs()[0]}})
	two := verdicts(t, Config{URLs: []string{"redis+cluster://" + c.Addrs()[1], "redis+cluster://" + c.Addrs()[2]}}, secretB, secretA)
	one.shares(two, 60)
	for _, n := range c.Nodes {
		if text, err := n.Do("DBSIZE"); err != nil || text == "0" {
			t.Errorf("%s keys on %s: %v", text, n.Addr, err)
		}
	}
	// A node that is away is left alone; the others go on.
	c.Nodes[1].Kill()
	was := map[authz.Found]int{}
	for end := time.Now().Add(patience); was[authz.NotAsked] == 0 || was[authz.FoundEntry] == 0; {
		clear(was)
		for i := range 60 {
			_, found := one.Get(t.Context(), someKey(i))
			was[found]++
		}
		if time.Now().After(end) {
			t.Fatalf("with a node away: %v", was)
		}
	}
	t.Logf("with a node away: %v of 60", was)
}

// Requests go on while the primary dies and another takes its place; they never wait for long, and
// no entry is another than was written.
func TestVerdictsWhileASentinelFailsOver(t *testing.T) {
	t.Parallel()
	sentinel, err := peers.StartSentinel(t.Context(), peers.Redis(t), peers.RedisConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sentinel.Close() }()
	d := verdicts(t, Config{URLs: []string{"redis+sentinel://" + sentinel.Addr + "/" + sentinel.Name}})
	d.shares(d, 20)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var all sync.WaitGroup
	var mu sync.Mutex
	took, was := []time.Duration{}, map[authz.Found]int{}
	for w := range 4 {
		all.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				n := i % 20
				began := time.Now()
				e, found := d.Get(t.Context(), someKey(n))
				mu.Lock()
				took, was[found] = append(took, time.Since(began)), was[found]+1
				mu.Unlock()
				if found == authz.FoundEntry && e.Verdict.License != fmt.Sprint("license-", n) {
					t.Errorf("key %d has %+v", n, e)
				} else if found != authz.FoundEntry {
					d.Put(someKey(n), someEntry(n))
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	await := func(what string, is func() bool) {
		t.Helper()
		for end := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("not so: %s: %v\n%s", what, was, d.log)
			}
		}
	}
	hits := func() int { mu.Lock(); defer mu.Unlock(); return was[authz.FoundEntry] }
	await("entries are found", func() bool { return hits() > 50 })
	sentinel.Primary.Kill()
	began := time.Now()
	await("Redis is left alone", func() bool { return d.leftAlone() == 1 })
	await("it is asked again", func() bool { return d.leftAlone() == 0 })
	before := hits()
	await("entries are found again", func() bool { return hits() > before+50 })
	t.Logf("found again %s after the primary was killed", time.Since(began))
	stop()
	all.Wait()
	slow := 0
	for _, d := range took {
		if d > 20*lookupBudget {
			slow++
		}
	}
	t.Logf("%d look-ups, %v, %d took more than %s", len(took), was, slow, 20*lookupBudget)
	if slow > len(took)/20 {
		t.Errorf("%d of %d look-ups took more than %s", slow, len(took), 20*lookupBudget)
	}
}

// A network that is slow, silent or away costs a few requests their budget, and the others nothing.
func TestRedisThatDoesNotAnswerIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]peers.Fault{"slow": {Delay: 300 * time.Millisecond}, "silent": {Mute: true}, "away": {Refuses: true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := proxy(t, alone(t).Addr)
			d := verdicts(t, at(p.Addr))
			d.shares(d, 1)
			want, _ := d.ask(someKey(0))
			p.Set(fault)
			if fault.Refuses {
				p.Cut()
			}
			failed := 0
			for {
				_, found := d.Get(t.Context(), someKey(0))
				if found == authz.NotAsked {
					break
				}
				if failed++; failed > 1000 {
					t.Fatalf("asked %d times in vain", failed)
				}
			}
			t.Logf("left alone after %d look-ups", failed)
			// It stays so while nothing changes, and nobody waits; writes do not pile up either.
			began := time.Now()
			for range 1000 {
				if _, found := d.Get(t.Context(), someKey(0)); found == authz.FoundEntry {
					t.Fatal("found although the network is " + name)
				}
			}
			t.Logf("1000 more took %s", time.Since(began))
			p.Set(peers.Fault{})
			if fault.Mute { // what was swallowed is lost
				p.Cut()
			}
			d.eventually(someKey(0), want, authz.FoundEntry)
		})
	}
}

// A Cluster that has not yet said which nodes it has is left alone, too: nobody waits for that.
func TestAClusterThatHasNeverAnsweredIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := threeNodes(t)
	p := proxy(t, c.Addrs()[0])
	p.Set(peers.Fault{Mute: true})
	d := verdicts(t, Config{URLs: []string{"redis+cluster://" + p.Addr}})
	for range 100 {
		if _, found := d.Get(t.Context(), someKey(0)); found != authz.NotAsked {
			t.Fatalf("%v from a Cluster that does not answer", found)
		}
	}
	told := func(what string, leftAlone int) {
		t.Helper()
		for end := time.Now().Add(patience); !strings.Contains(d.log.String(), what) || d.leftAlone() != leftAlone; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("nobody is told that %s, and %d nodes are left alone:\n%s", what, d.leftAlone(), d.log)
			}
		}
	}
	told("redis does not answer in time", 1)
	p.Set(peers.Fault{})
	p.Cut()
	d.shares(d, 20)
	told("redis answers again", 0)
}

// Writes that Redis does not take at once are dropped and counted; nobody waits.
func TestWritesThatPileUpAreDropped(t *testing.T) {
	t.Parallel()
	r := alone(t)
	p := proxy(t, r.Addr)
	d := verdicts(t, at(p.Addr))
	d.shares(d, 1)
	p.Set(peers.Fault{Mute: true})
	e := someEntry(1)
	for n := 0; d.count("writes", "dropped") == 0; n++ {
		if n > 100*writeQueue {
			t.Fatal("nothing is dropped")
		}
		d.Put(someKey(1), e)
	}
}

// What makes requests wait is one hook; a name that it does not know would go past it.
func TestTheBreakerKnowsTheCommands(t *testing.T) {
	t.Parallel()
	r := alone(t)
	c := redis.NewClient(&redis.Options{Addr: r.Addr, Protocol: 2})
	defer c.Close()
	ctx := t.Context()
	for want, cmd := range map[string]redis.Cmder{
		lookupCommand: c.GetRange(ctx, "a", 0, 1), probeCommand: c.Ping(ctx), writeCommand: c.Set(ctx, "a", "b", 1500*time.Millisecond),
	} {
		if cmd.Name() != want || cmd.Err() != nil {
			t.Errorf("%s is %s: %v", want, cmd.Name(), cmd.Err())
		}
	}
}
