package main

import "time"

const (
	// rereadBurst and rereadEvery bound how often hints are followed: so many times at once, then
	// once in so long. Those that come in between wait.
	rereadBurst = 4
	rereadEvery = time.Second
	// requestCost is what a request to the registry counts for: in the long run hints cause one in so long.
	requestCost = rereadEvery / 50
)

// ration bounds what following hints costs a registry: a reading is worth rereadEvery, or more if it took many
// requests, which is known after it. Up to rereadBurst are saved up. It is the instant at which all would be
// saved up again; the zero value has all.
type ration struct{ full time.Time }

// left is how long to wait for the next.
func (r *ration) left(now time.Time) time.Duration {
	return max(0, r.full.Add(-(rereadBurst-1)*rereadEvery).Sub(now))
}

// begin takes what every reading is worth.
func (r *ration) begin(now time.Time) { r.spend(now, rereadEvery) }

// end takes what a reading that began was worth beyond that.
func (r *ration) end(now time.Time, requests int) {
	r.spend(now, max(0, time.Duration(requests)*requestCost-rereadEvery))
}

func (r *ration) spend(now time.Time, worth time.Duration) {
	if r.full.Before(now) {
		r.full = now
	}
	r.full = r.full.Add(worth)
}
