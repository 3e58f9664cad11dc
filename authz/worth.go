package authz

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// worth decides whether the shared cache is worth asking: it is when a look-up there takes less time
// than an evaluation, both as measured of late. Lists are judged apart, for they take longer. Of
// questions for which it is not worth it, one in probeEvery is asked there all the same, so that a
// change is noticed. The zero worth asks. Safe for concurrent use.
type worth struct {
	lookup     average
	evaluation [2]average // of lists, of all else
	skipped    [2]atomic.Uint32
}

const probeEvery = 32

func classOf(k Kind) int {
	if k == KindTags {
		return 0
	}
	return 1
}

// asking reports whether to ask about something of this kind.
func (w *worth) asking(k Kind) bool {
	class := classOf(k)
	lookup, evaluation := w.lookup.value(), w.evaluation[class].value()
	if lookup == 0 || evaluation == 0 || lookup < evaluation {
		return true
	}
	return w.skipped[class].Add(1)%probeEvery == 0
}

func (w *worth) looked(took time.Duration)            { w.lookup.add(took) }
func (w *worth) evaluated(k Kind, took time.Duration) { w.evaluation[classOf(k)].add(took) }

// register exports the averages.
func (w *worth) register(reg prometheus.Registerer) {
	for of, a := range map[string]*average{"shared_cache": &w.lookup, "list": &w.evaluation[0], "other": &w.evaluation[1]} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "pullgate_decision_cost_seconds",
			Help:        "Moving average of what a verdict takes: a look-up in the shared cache, evaluating a list, evaluating anything else. Where the first is no less, the shared cache is not asked.",
			ConstLabels: prometheus.Labels{"of": of},
		}, func() float64 { return a.value().Seconds() }))
	}
}

// average is an exponentially weighted one, in which the last averageOver values weigh most. Before
// enough values there is none.
type average struct {
	bits atomic.Uint64 // nanoseconds << countBits | values, until there are enough
}

const (
	averageOver = 32
	countBits   = 4
	enough      = 1<<countBits - 1
)

// value is 0 before there are enough.
func (a *average) value() time.Duration {
	bits := a.bits.Load()
	if bits&enough < enough {
		return 0
	}
	return time.Duration(bits >> countBits)
}

func (a *average) add(d time.Duration) {
	d = max(1, min(d, time.Minute))
	for {
		old := a.bits.Load()
		n, was := old&enough, int64(old>>countBits)
		weight := int64(averageOver)
		if n < enough {
			n++
			weight = int64(n)
		}
		now := was + (int64(d)-was)/weight
		if int64(d) > was && now == was { // so that it can rise by less than weight
			now++
		}
		if a.bits.CompareAndSwap(old, uint64(now)<<countBits|n) {
			return
		}
	}
}
