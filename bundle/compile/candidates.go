package compile

import (
	"cmp"
	"slices"

	"github.com/pullgate/pullgate/bundle/index"
)

// reduce sorts candidates and leaves out those that can never matter: of two that differ at
// most in when they end (retired, revoked), one that ends no later in either way. The slice
// is reused.
func reduce(cs []index.Candidate) []index.Candidate {
	slices.SortFunc(cs, func(a, b index.Candidate) int {
		return cmp.Or(compare(&a, &b), cmp.Compare(b.RetiresAt, a.RetiresAt), cmp.Compare(b.RevokedAt, a.RevokedAt))
	})
	out := cs[:0]
	first := 0 // of those equal but for their ends
	for _, c := range cs {
		if len(out) > first && compare(&out[first], &c) != 0 {
			first = len(out)
		}
		// Descending by RetiresAt: what was kept ends later there, so only RevokedAt is asked.
		if !slices.ContainsFunc(out[first:], func(k index.Candidate) bool { return k.RevokedAt >= c.RevokedAt }) {
			out = append(out, c)
		}
	}
	return out
}

// compare orders candidates by everything but RetiresAt and RevokedAt.
func compare(a, b *index.Candidate) int {
	return cmp.Or(
		cmp.Compare(a.Tag, b.Tag), cmp.Compare(a.Product, b.Product), cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Order, b.Order), cmp.Compare(a.Channel, b.Channel),
		cmp.Compare(a.Released, b.Released), cmp.Compare(a.CountsFrom, b.CountsFrom),
		cmp.Compare(a.WithdrawnAt, b.WithdrawnAt),
		slices.Compare(a.Except, b.Except), slices.Compare(a.Requires, b.Requires),
	)
}

// within limits candidates to what a path leaves of them.
func within(cs []index.Candidate, l limit) []index.Candidate {
	out := slices.Clone(cs)
	for i := range out {
		out[i].RetiresAt = min(out[i].RetiresAt, l.retires)
		out[i].RevokedAt = min(out[i].RevokedAt, l.revoked)
	}
	return out
}
