package drive

import (
	"math"
	"slices"
	"time"
)

// Latency holds every latency of a run, sorted.
type Latency []time.Duration

func latencyOf(all []time.Duration) Latency {
	slices.Sort(all)
	return all
}

// At returns the latency that a share q of the requests did not exceed (nearest rank); 0 for none.
func (l Latency) At(q float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	i := int(math.Ceil(q*float64(len(l)))) - 1
	return l[min(max(i, 0), len(l)-1)]
}

// Mean of all; 0 for none.
func (l Latency) Mean() time.Duration {
	if len(l) == 0 {
		return 0
	}
	var sum time.Duration
	for _, d := range l {
		sum += d
	}
	return sum / time.Duration(len(l))
}
