package redisstore

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/redis/go-redis/v9"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/examples/peers"
)

// Of many who ask a real Redis at once, each gets what is under his own key: entries, nothing, what is
// no value, what nobody has sealed.
func TestWhoSharesARoundTripGetsHisOwn(t *testing.T) {
	t.Parallel()
	r := alone(t)
	p := proxy(t, r.Addr)
	one := verdicts(t, at(p.Addr))
	two := verdicts(t, at(p.Addr), secretB, secretA) // asks for two names each
	name := func(n int) string { k := someKey(n); return (*one.secrets.Load())[0].name(&k) }
	for _, cmd := range [][]string{{"LPUSH", name(24), "x"}, {"SET", name(25), strings.Repeat("x", 2*maxValue)}, {"SET", name(26), "forged"}} {
		if _, err := r.Do(cmd...); err != nil {
			t.Fatal(err)
		}
	}
	for what, d := range map[string]*desk{"one secret": one, "two": two} {
		var mu sync.Mutex
		was := map[authz.Found]int{}
		before := testutil.ToFloat64(d.metrics.trips)
		answered, trips := 0, 0
		// Where the machine is busy, Redis is left alone for a while, and entries end.
		for end := time.Now().Add(patience); answered < 1000 || trips >= answered; {
			if time.Now().After(end) {
				t.Fatalf("%s: %v in %d round trips", what, was, trips)
			}
			p.Set(peers.Fault{})
			one.shares(d, 24)
			p.Set(peers.Fault{Delay: 500 * time.Microsecond}) // so that some come while others wait
			var all sync.WaitGroup
			for w := range 16 {
				all.Go(func() {
					for i := range 50 {
						n := (i*7 + w*5) % 30
						e, found := d.Get(t.Context(), someKey(n))
						mu.Lock()
						was[found]++
						mu.Unlock()
						switch {
						case found == authz.FoundEntry && (n >= 24 || e.Verdict.License != fmt.Sprint("license-", n)):
							t.Errorf("%s: key %d has %+v", what, n, e)
						case found == authz.FoundNothing && n < 24:
							t.Errorf("%s: key %d has nothing", what, n)
						case found == authz.NotAsked:
							time.Sleep(5 * time.Millisecond)
						}
					}
				})
			}
			all.Wait()
			answered = was[authz.FoundEntry] + was[authz.FoundNothing]
			trips = int(testutil.ToFloat64(d.metrics.trips) - before)
		}
		t.Logf("%s: %v in %d round trips", what, was, trips)
	}
}

// Round trips are counted, and not what was never sent.
func TestRoundTripsAreCounted(t *testing.T) {
	t.Parallel()
	r := alone(t)
	d := verdicts(t, at(r.Addr))
	d.ask(someKey(0))
	sent, before := 0, testutil.ToFloat64(d.metrics.trips)
	for i := range 100 {
		if i == 50 {
			r.Kill()
		}
		if _, found := d.Get(t.Context(), someKey(i)); found != authz.NotAsked {
			sent++
		}
	}
	if got := testutil.ToFloat64(d.metrics.trips) - before; got != float64(sent) || sent == 0 || sent == 100 {
		t.Errorf("%.0f round trips for %d look-ups that were sent", got, sent)
	}
}

// What Redis says of one look-up is of that one.
func TestAnErrorIsThatOfOneLookup(t *testing.T) {
	t.Parallel()
	r := alone(t)
	d := verdicts(t, at(r.Addr))
	d.ask(someKey(0))
	for _, cmd := range [][]string{{"SET", "mine", "x"}, {"SET", "other", "y"}, {"ACL", "SETUSER", "default", "resetkeys", "~mine", "~list"}, {"LPUSH", "list", "z"}} {
		if _, err := r.Do(cmd...); err != nil {
			t.Fatal(err)
		}
	}
	of := func(names ...string) *lookup { return &lookup{names: names, found: make([]string, len(names))} }
	batch := []*lookup{of("mine"), of("other"), of("list"), of("mine", "other"), of("mine", "list")}
	d.Verdicts.ask(t.Context(), batch)
	for i, want := range []string{"x <nil>", " NOPERM", " <nil>", "x NOPERM", "x <nil>"} {
		if got := fmt.Sprint(batch[i].found[0], " ", batch[i].err); !strings.HasPrefix(got, want) {
			t.Errorf("%v: %q, want %q", batch[i].names, got, want)
		}
	}
}

// Under a new secret there is nothing yet, or nobody who answers: what the old one has sealed counts.
func TestAnEntryUnderOneSecretIsEnough(t *testing.T) {
	t.Parallel()
	r := alone(t)
	old, both := verdicts(t, at(r.Addr)), verdicts(t, at(r.Addr), secretB, secretA)
	old.shares(both, 1)
	key := someKey(0)
	name := (*old.secrets.Load())[0].name(&key)
	if _, err := r.Do("ACL", "SETUSER", "default", "resetkeys", "~"+name); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if e, found := both.Get(t.Context(), key); found == authz.FoundEntry && e.Verdict.License == "license-0" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("not found")
		}
	}
}

// threeNodes is a Cluster without replicas.
func threeNodes(t *testing.T) *peers.RedisCluster {
	t.Helper()
	c, err := peers.StartRedisCluster(t.Context(), peers.Redis(t), peers.RedisConfig{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Each node of a Cluster is asked for itself: what holds up one holds up nobody who asks another.
func TestEachNodeOfAClusterIsAskedForItself(t *testing.T) {
	t.Parallel()
	c := threeNodes(t)
	d := verdicts(t, Config{URLs: []string{"redis+cluster://" + c.Addrs()[0]}})
	d.shares(d, 60)
	cluster := d.client.(*redis.ClusterClient)
	name := func(n int) string { k := someKey(n); return (*d.secrets.Load())[0].name(&k) }
	of := func(n int) string {
		node, err := cluster.MasterForKey(t.Context(), name(n))
		if err != nil {
			t.Fatal(err)
		}
		return node.Options().Addr
	}
	held, err := d.node(name(0))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := 0
	held.ask = func(_ context.Context, batch []*lookup) {
		mu.Lock()
		asked += len(batch)
		mu.Unlock()
		for _, one := range batch {
			one.err = context.DeadlineExceeded
		}
	}
	var all sync.WaitGroup
	others := 0
	for n := range 60 {
		same := of(n) == of(0)
		if !same {
			others++
		}
		all.Go(func() {
			if _, found := d.Get(t.Context(), someKey(n)); same && found != authz.FoundFailed {
				t.Errorf("key %d of the node that is held up: %v", n, found)
			}
		})
	}
	all.Wait()
	if asked != 60-others || others == 0 || others == 60 {
		t.Errorf("the node that is held up was asked %d times, %d keys are others'", asked, others)
	}
}

// A Cluster that answers with errors is left alone, like a single Redis, although the library does not
// call that a failure.
func TestAClusterThatRefusesIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := threeNodes(t)
	d := verdicts(t, Config{URLs: []string{"redis+cluster://" + c.Addrs()[0]}})
	d.shares(d, 10)
	for _, n := range c.Nodes {
		if _, err := n.Do("ACL", "SETUSER", "default", "-getrange"); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 10 {
		failed := 0
		for found := authz.FoundFailed; found != authz.NotAsked; failed++ {
			if _, found = d.Get(t.Context(), someKey(i)); failed > 1000 {
				t.Fatalf("key %d: asked %d times in vain", i, failed)
			}
		}
	}
	if !strings.Contains(d.log.String(), "redis does not answer in time") {
		t.Errorf("nothing is said: %s", d.log)
	}
}

// liar answers like a Redis, but that a verdict has more bytes than there are in the world.
func liar(t *testing.T) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	answers := map[string]string{
		"cluster":  "*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:" + port + "\r\n$2\r\nab\r\n",
		"getrange": "$9223372036854775807\r\n", "ping": "+PONG\r\n", "echo": "$0\r\n\r\n", "command": "*0\r\n",
	}
	serve := func(c net.Conn) {
		defer func() { _ = c.Close() }()
		lines := bufio.NewScanner(c)
		for lines.Scan() { // *N, and N times $LENGTH and a word
			n, _ := strconv.Atoi(lines.Text()[1:])
			first := ""
			for i := 0; i < n && lines.Scan() && lines.Scan(); i++ {
				if i == 0 {
					first = strings.ToLower(lines.Text())
				}
			}
			answer, ok := answers[first]
			if !ok {
				answer = "-ERR unknown command\r\n"
			}
			if _, err := c.Write([]byte(answer)); err != nil {
				return
			}
		}
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serve(c)
		}
	}()
	return l.Addr().String()
}

// A panic in the library, also on a goroutine of its own, is an answer that did not come.
func TestAPanicInTheLibraryIsAFailure(t *testing.T) {
	t.Parallel()
	for _, scheme := range []string{"redis://", "redis+cluster://"} {
		d := verdicts(t, Config{URLs: []string{scheme + liar(t)}})
		for was := (map[authz.Found]int{}); was[authz.FoundFailed] == 0 || was[authz.NotAsked] == 0; {
			_, found := d.Get(t.Context(), someKey(1))
			if was[found]++; found == authz.FoundEntry || found == authz.FoundNothing || was[authz.FoundFailed] > 10_000 {
				t.Fatalf("%s: %v", scheme, was)
			}
		}
	}
}
