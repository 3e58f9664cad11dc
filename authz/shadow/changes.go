// Package shadow finds out what a candidate bundle would answer differently: beside the active one,
// on the requests that come in, or on decisions that were recorded. Nothing it does changes an answer.
package shadow

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// MaxChanges bounds the kinds of changes that are kept apart; those beyond are only counted.
const MaxChanges = 10_000

// Answer is what of a decision somebody who asks can notice.
type Answer struct {
	Verdict string     `json:"verdict"` // allow, deny, error
	Status  int        `json:"status"`
	Code    authz.Code `json:"code"`
}

// AnswerOf is the answer of a decision.
func AnswerOf(d *authz.Decision) Answer {
	a := Answer{Verdict: "deny", Status: d.Status, Code: d.Code}
	switch d.Outcome {
	case authz.OutcomeAllow, authz.OutcomeAnswer:
		a.Verdict = "allow"
	case authz.OutcomeError:
		a.Verdict = "error"
	}
	return a
}

// Change is a kind of request that is answered differently.
type Change struct {
	Customer   string `json:"customer"` // "" for nobody known
	Repository string `json:"repository"`
	Product    string `json:"product,omitempty"`
	From       Answer `json:"from"`
	To         Answer `json:"to"`
	// What says what differs beside the answer: "digest" (a tag names another), "list".
	What  string    `json:"what,omitempty"`
	Count int64     `json:"count"`
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Of the first request of this kind:
	Decision  string `json:"decision"` // id
	Reference string `json:"reference"`
	Path      string `json:"path"`
}

// Loses reports whether somebody could have had what they would not have.
func (c *Change) Loses() bool { return loses(c.From, c.To) }

func loses(from, to Answer) bool { return from.Verdict == "allow" && to.Verdict != "allow" }

type kind struct {
	customer, repository, what string
	from, to                   Answer
}

// Changes collects changes. The zero Changes is empty; it is safe for concurrent use.
type Changes struct {
	mu     sync.Mutex
	kinds  map[kind]*Change
	same   int64
	beyond int64 // changes of kinds that are not kept
	lost   int64 // of these
}

// Add compares two decisions about one request, asked at one instant, and says whether they differ.
func (c *Changes) Add(r *authz.Request, active, candidate *authz.Decision) bool {
	k := kind{
		customer: active.Subject.Customer, repository: active.Resource.Repository,
		from: AnswerOf(active), to: AnswerOf(candidate),
	}
	if k.from == k.to {
		k.what = differ(active, candidate)
	}
	if k.customer == "" {
		k.customer = candidate.Subject.Customer // a key that one of the two does not know
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k.from == k.to && k.what == "" {
		c.same++
		return false
	}
	ch := c.kinds[k]
	if ch == nil {
		if len(c.kinds) >= MaxChanges {
			if c.beyond++; loses(k.from, k.to) {
				c.lost++
			}
			return true
		}
		if c.kinds == nil {
			c.kinds = map[kind]*Change{}
		}
		ch = &Change{
			Customer: k.customer, Repository: k.repository, Product: active.Resource.Product, From: k.from, To: k.to, What: k.what,
			First: active.Time, Decision: active.ID, Reference: cmp.Or(r.Tag, r.Digest), Path: r.Path,
		}
		c.kinds[k] = ch
	}
	ch.Count++
	ch.Last = active.Time
	return true
}

// differ says in what two decisions with the same answer differ, "" for nothing.
func differ(a, b *authz.Decision) string {
	sameReferrer := func(a, b authz.Descriptor) bool { return a.Digest == b.Digest }
	switch {
	case a.Pinned != b.Pinned:
		return "digest"
	case !slices.Equal(a.Names, b.Names), !slices.EqualFunc(a.Referrers, b.Referrers, sameReferrer):
		return "list"
	}
	return ""
}

// Summary is what was found so far. List is sorted: what is lost first, then by count.
type Summary struct {
	Same    int64    `json:"same"`
	Changed int64    `json:"changed"`
	Lost    int64    `json:"lost"` // of Changed: allowed before, not any more
	Beyond  int64    `json:"beyond,omitempty"`
	List    []Change `json:"list"`
}

// Summary returns what was found so far.
func (c *Changes) Summary() Summary {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := Summary{Same: c.same, Changed: c.beyond, Lost: c.lost, Beyond: c.beyond, List: []Change{}}
	for _, ch := range c.kinds {
		s.Changed += ch.Count
		if ch.Loses() {
			s.Lost += ch.Count
		}
		s.List = append(s.List, *ch)
	}
	slices.SortFunc(s.List, func(a, b Change) int {
		switch {
		case a.Loses() != b.Loses():
			if a.Loses() {
				return -1
			}
			return 1
		default:
			return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Customer, b.Customer), cmp.Compare(a.Repository, b.Repository),
				cmp.Compare(a.From.Code, b.From.Code), cmp.Compare(a.To.Code, b.To.Code), cmp.Compare(a.What, b.What))
		}
	})
	return s
}
