package authz

import (
	"context"
	"encoding/hex"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// auditor makes a share of the decisions that a cache had a part in again, without caches, and
// compares: what cannot happen is to be seen if it does. One at a time, never for more than a
// tenth of the time; what comes meanwhile is let go.
type auditor struct {
	share   float64
	busy    atomic.Bool
	results *prometheus.CounterVec
}

// auditTimeout is how long making one decision again may take, and auditRest how many times as long
// as it took there is none.
const (
	auditTimeout = 5 * time.Second
	auditRest    = 9
)

func newAuditor(share float64, reg prometheus.Registerer) *auditor {
	a := &auditor{share: share, results: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pullgate_decision_cache_audits_total",
		Help: "Decisions from a cache that were drawn to be made again without caches (cache_audit), by result: same; different (a defect: the log says of what, and the entry is dropped); failed (the policy gave no answer the second time); dropped (another audit was under way, or decisions waited).",
	}, []string{"result"})}
	for _, result := range []string{"same", "different", "failed", "dropped"} {
		a.results.WithLabelValues(result)
	}
	if reg != nil {
		reg.MustRegister(a.results)
	}
	return a
}

// audit is a decision that is made again: by the same generation, as of the same instant. So nothing
// that changed meanwhile can make a difference, and the entries that were used held.
type audit struct{ evaluated []evaluated }

// evaluated is an answer of the policy that caches may keep.
type evaluated struct {
	in    *Input
	key   [32]byte
	entry Entry
}

// consider draws whether to audit a decision, and does it beside the request. Neither r nor d is
// changed any more.
func (a *auditor) consider(q *question, r *Request, d *Decision) {
	if rand.Float64() >= a.share {
		return
	}
	if !a.busy.CompareAndSwap(false, true) {
		a.results.WithLabelValues("dropped").Inc()
		return
	}
	go func() {
		began := time.Now()
		a.results.WithLabelValues(a.audit(q, r, d)).Inc()
		time.AfterFunc(auditRest*time.Since(began), func() { a.busy.Store(false) })
	}()
}

// audit makes a decision again and says what came of it.
func (a *auditor) audit(q *question, r *Request, d *Decision) string {
	ctx, cancel := context.WithTimeout(context.Background(), auditTimeout)
	defer cancel()
	second := &question{gate: q.gate, ctx: ctx, req: r, gen: q.gen, at: q.at, deadline: q.deadline, again: &audit{}}
	again := second.answer(d.Time)
	switch {
	case again.Code == CodeOverloaded:
		return "dropped"
	case again.Detail != d.Detail: // one of them is not all that the policy has to say
		return "failed"
	case equal(d, again):
		return "same"
	}
	q.gate.differ(d, again, second)
	return "different"
}

// differ tells of a decision that is not what it should have been, and takes the entries that it may have
// come from out of the caches.
func (g *Gate) differ(d, again *Decision, second *question) {
	args := []any{
		"id", d.ID, "cached", d.Cached, "revision", d.Revision, "differs", strings.Join(differences(d, again), " "),
		"given", string(d.Code), "given_policy_code", string(d.PolicyCode), "fresh", string(again.Code), "fresh_policy_code", string(again.PolicyCode),
	}
	var keys []string
	for _, e := range second.again.evaluated {
		bad := true
		if g.cfg.Cache != nil {
			was, ok := g.cfg.Cache.Get(e.key)
			bad = !ok || !was.same(&e.entry)
			g.cfg.Cache.Drop(e.key)
		}
		if g.cfg.Shared != nil {
			g.cfg.Shared.Put(e.key, e.entry)
		}
		if bad && len(keys) < maxLoggedKeys {
			keys = append(keys, keyText(second.gen, &e))
		}
	}
	args = append(args, "keys", keys)
	g.cfg.Logger.Error("a decision from a cache is not the one that the policy makes: please report this", args...)
}

// maxLoggedKeys bounds the line about a catalog, which has a key for each repository.
const maxLoggedKeys = 8

// keyText is a key with its parts, as `explain --cache` prints them. There is no secret in any.
func keyText(gen Generation, e *evaluated) string {
	text := hex.EncodeToString(e.key[:])
	if x, ok := gen.(Explainer); ok {
		parts, _ := x.ExplainKey(e.in)
		for _, p := range parts {
			text += " " + p.Name + "=" + p.Value
		}
	}
	return text
}

// same reports whether two entries say the same, for whatever interval.
func (e *Entry) same(other *Entry) bool {
	return reflect.DeepEqual(e.Verdict, other.Verdict) && slices.Equal(e.Visible, other.Visible)
}

// equal reports whether two decisions are one but for what says how it was made.
func equal(a, b *Decision) bool { return len(differences(a, b)) == 0 }

// made are the fields of a Decision that say how it was made.
var made = []string{"ID", "Cached", "Duration"}

// differences names the fields in which two decisions differ, those of their verdicts one by one.
func differences(a, b *Decision) []string {
	list := fieldsThatDiffer("", reflect.ValueOf(*a), reflect.ValueOf(*b))
	list = slices.DeleteFunc(list, func(name string) bool { return name == "Verdict" || slices.Contains(made, name) })
	return append(list, fieldsThatDiffer("Verdict.", reflect.ValueOf(a.Verdict), reflect.ValueOf(b.Verdict))...)
}

func fieldsThatDiffer(prefix string, a, b reflect.Value) (names []string) {
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			names = append(names, prefix+a.Type().Field(i).Name)
		}
	}
	return names
}
