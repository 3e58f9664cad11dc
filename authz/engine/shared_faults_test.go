package engine

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/examples/peers"
)

// faults are those of the network to Redis. A look-up has 5 ms.
var faults = []struct {
	name  string
	fault peers.Fault
	fails bool // look-ups for certain, until there are none
}{
	{"late", peers.Fault{Delay: 3 * time.Millisecond}, false},
	{"too late", peers.Fault{Delay: 30 * time.Millisecond}, true},
	{"silent", peers.Fault{Mute: true}, true},
	{"refused", peers.Fault{Refuses: true}, true},
	{"cut while answering", peers.Fault{Cuts: true}, true},
}

// drawFault draws one of them.
func (d drawer) drawFault() peers.Fault {
	return faults[rapid.IntRange(0, len(faults)-1).Draw(d.t, "fault")].fault
}

// breakNetwork begins a fault.
func breakNetwork(p *peers.Proxy, f peers.Fault) {
	p.Set(f)
	if f.Refuses {
		p.Cut()
	}
}

// outages are sharers that ask Redis through a network each, with the tiers that answers came from.
type outages struct {
	*contest
	redis    string
	networks map[string]*network // by fault
	next     int                 // of the questions
}

type network struct {
	proxy       *peers.Proxy
	all         []*sharer
	tiers, back map[string]int // while the fault is in force, and after it
}

func (c *contest) outages(redis string, seed int) *outages {
	return &outages{contest: c, redis: redis, networks: map[string]*network{}, next: seed}
}

func (o *outages) close() {
	for _, n := range o.networks {
		o.dismiss(n.all)
		_ = n.proxy.Close()
	}
}

func (o *outages) question() *authz.Request {
	o.next++
	return o.questions[o.next%len(o.questions)]
}

// begin has every fault in force while questions are asked, one at a time and several at once, after answers came
// from Redis: look-ups have met it. Then it ends.
func (o *outages) begin(t *testing.T) {
	o.bundles.active.Store(lasting)
	for _, f := range faults {
		p, err := peers.StartProxy(o.redis)
		if err != nil {
			t.Fatal(err)
		}
		n := &network{proxy: p, tiers: map[string]int{}, back: map[string]int{}}
		o.networks[f.name] = n
		for range 2 {
			n.all = append(n.all, newSharer(t, o.bundles, p.Addr, 0, nil, fleetSecret))
		}
		one := n.all[0]
		q := o.question()
		o.until(t, "an answer from Redis before it is "+f.name, func() bool { return o.ask(t, one, now, q).Cached == "l2" })

		breakNetwork(p, f.fault)
		looked := func(result string) int { return counted(one.metrics, "pullgate_decision_cache_total", "l2", result) }
		before, errors := p.Met(), looked("error")
		o.until(t, "Redis is "+f.name, func() bool {
			var asks []ask
			for i := range 6 {
				asks = append(asks, ask{n.all[i%2], o.question()})
			}
			for _, d := range append(o.askAtOnce(t, now, asks, func() {}), o.ask(t, one, now, q)) {
				n.tiers[d.Cached]++
			}
			return p.Met() > before && (!f.fails || looked("error") > errors && looked("open") > 0)
		})
		// On a busy machine look-ups fail without a fault too, but not nearly all.
		if f.fails && n.tiers["l2"] > n.tiers["none"]/2 {
			t.Errorf("Redis is %s: %v", f.name, n.tiers)
		}
		p.Set(peers.Fault{})
	}
}

// end has answers come from Redis again.
func (o *outages) end(t *testing.T) {
	o.bundles.active.Store(lasting)
	for _, f := range faults {
		n, q := o.networks[f.name], o.question()
		o.until(t, "an answer from Redis after it was "+f.name, func() bool {
			d := o.ask(t, n.all[0], now, q)
			n.back[d.Cached]++
			return d.Cached == "l2"
		})
		t.Logf("%s: %v, then %v", f.name, n.tiers, n.back)
	}
}
