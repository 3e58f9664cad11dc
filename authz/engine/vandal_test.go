package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/examples/peers"
)

// A vandal can do to Redis what anybody can who may write there, and has kept what it once held.
type vandal struct {
	t      testing.TB
	redis  *peers.RedisProcess
	kept   map[string][]string // values by name
	forged string              // an allow, sealed with another secret
	done   map[string]int
}

func newVandal(t testing.TB, r *peers.RedisProcess) *vandal {
	v := &vandal{t: t, redis: r, kept: map[string][]string{}, done: map[string]int{}}
	s := newSharer(t, &switched{}, r.Addr, 0, nil, strangerSecret)
	defer s.stop()
	s.at.Store(now)
	for end := time.Now().Add(time.Minute); len(v.names()) == 0; time.Sleep(5 * time.Millisecond) { // it may be lost while Redis is left alone
		s.verdicts.Put([32]byte{}, authz.Entry{From: now - 1000, Until: now + 1000, Verdict: authz.Verdict{Allow: true, Code: authz.CodeOK, Until: authz.Never, Ends: authz.Never}})
		if time.Now().After(end) {
			t.Fatal("nothing is written to Redis")
		}
	}
	v.forged = v.do("GET", v.names()[0])
	v.do("FLUSHALL")
	return v
}

func (v *vandal) do(args ...string) string {
	v.t.Helper()
	text, err := v.redis.Do(args...)
	if err != nil && !strings.HasPrefix(err.Error(), "WRONGTYPE") {
		v.t.Fatal(err)
	}
	return text
}

func (v *vandal) names() []string { return strings.Fields(v.do("KEYS", "*")) }

// wreak does something to what is there.
func (v *vandal) wreak(d drawer) {
	names := v.names()
	if len(names) == 0 {
		return
	}
	name := rapid.SampledFrom(names).Draw(d.t, "name")
	value := v.do("GET", name)
	if value != "" {
		if len(v.kept) == 8 {
			clear(v.kept)
		}
		v.kept[name] = append(v.kept[name], value)
	}
	what := d.pick("what", "forge", "move", "replay", "replay another", "bit", "large", "type", "delete", "flush", "keep").(string)
	v.done[what]++
	switch what {
	case "forge":
		v.do("SET", name, v.forged)
	case "move":
		v.do("SET", rapid.SampledFrom(names).Draw(d.t, "to"), value)
	case "replay":
		for name, old := range v.kept {
			v.do("SET", name, rapid.SampledFrom(old).Draw(d.t, "old"))
		}
	case "replay another":
		for _, old := range v.kept {
			v.do("SET", name, old[0])
		}
	case "bit":
		if value != "" {
			b := []byte(value)
			b[rapid.IntRange(0, len(b)-1).Draw(d.t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(d.t, "bit")
			v.do("SET", name, string(b))
		}
	case "large":
		v.do("SETRANGE", name, fmt.Sprint(1<<20), "x")
	case "type":
		v.do("DEL", name)
		v.do("LPUSH", name, value)
	case "delete":
		v.do("DEL", name)
	case "flush":
		v.do("FLUSHALL")
	}
}

// moved moves values to other keys and asks for those at once: they count for nothing there, although each is
// true of its own key at that very instant. They are of questions that have different answers.
func (c *contest) moved(t *testing.T, v *vandal) {
	v.do("FLUSHALL")
	s := newSharer(t, c.bundles, v.redis.Addr, 0, nil, fleetSecret)
	defer c.dismiss([]*sharer{s})
	c.bundles.active.Store(lasting)
	type kept struct {
		question    *authz.Request
		name, value string
		verdict     authz.Verdict
	}
	var all []kept
	for _, q := range c.questions {
		if q.Kind != authz.KindManifest && q.Kind != authz.KindBlob { // others ask for more than one key
			continue
		}
		before := v.names()
		d := c.ask(t, s, now, q)
		alike := func(k kept) bool { return k.verdict.Allow == d.Verdict.Allow && k.verdict.Code == d.Verdict.Code }
		if slices.ContainsFunc(all, alike) || len(all) == 5 {
			continue
		}
		var after []string
		c.until(t, "a value is written", func() bool {
			if after = slices.DeleteFunc(v.names(), func(name string) bool { return slices.Contains(before, name) }); len(after) == 0 {
				c.ask(t, s, now, q)
			}
			return len(after) == 1
		})
		all = append(all, kept{q, after[0], v.do("GET", after[0]), d.Verdict})
	}
	if len(all) < 2 {
		t.Fatal("all have one answer")
	}
	for _, from := range all {
		for _, to := range all {
			if from.name == to.name {
				continue
			}
			rejected := func() int { return counted(s.metrics, "pullgate_shared_cache_rejected_total", "mac") }
			before := rejected()
			c.until(t, "what was moved is rejected", func() bool {
				v.do("SET", to.name, from.value)
				c.ask(t, s, now, to.question)
				return rejected() > before
			})
		}
	}
	t.Logf("%d values were moved to each other's keys", len(all))
}
