package authz

import (
	"context"
	"errors"
	"fmt"
)

// Explain decides a request as Decide does, without caches, and says how the decision came
// about, or why the policy could not decide. Nothing is recorded and the decision has no id. The
// Explanation has no Asked where the policy had no part. The error is that the explanation could
// not be made; the decision stands.
func (g *Gate) Explain(ctx context.Context, r *Request) (*Decision, *Explanation, error) {
	frozen := &Gate{cfg: g.cfg, metrics: g.metrics}
	frozen.cfg.Cache, frozen.cfg.Shared = nil, nil
	gen := g.cfg.Engine.Generation()
	if gen == nil {
		frozen.cfg.Engine = witnessed{}
		d, _ := frozen.decide(ctx, r)
		return d, &Explanation{KeyExpires: Never}, nil
	}
	w := &witness{Generation: gen}
	frozen.cfg.Engine = witnessed{w}
	d, _ := frozen.decide(ctx, r)
	x := explanationOf(gen, r, d)
	for _, asked := range w.asked {
		reasoning, err := asked.reasoning(ctx, gen, r.Kind)
		if err != nil {
			return d, x, fmt.Errorf("explain: %w", err)
		}
		x.Asked = append(x.Asked, *reasoning)
	}
	return d, x, nil
}

// explanationOf finds out again what the decision does not keep. All of it follows from the
// generation, the request and the clock.
func explanationOf(gen Generation, r *Request, d *Decision) *Explanation {
	at := d.Time.Unix()
	x := &Explanation{Caller: d.Subject, KeyExpires: Never}
	reg, known := gen.Registry(r.Host)
	switch r.Kind {
	case KindMalformed, KindUnsupported:
		return x
	case KindVersion, KindPing, KindToken:
	default:
		if !known {
			return x
		}
	}
	who := authenticate(gen, r, at)
	x.Caller, x.Refusal = who.Recorded, who.Refusal
	if who.UseKey {
		x.KeyExpires = who.Key.Expires
	}
	if r.Kind == KindPing || r.Kind == KindToken {
		return x
	}
	switch {
	case !who.reachesFrom(r.Address):
		x.OutOfScope = "address"
	case !who.reaches(r.Repository):
		x.OutOfScope = "repository"
	}
	if r.Kind == KindCatalog {
		return x
	}
	t := gen.Resolve(reg, r)
	x.Repository, x.Reference = t.Repository, t.Reference
	x.Named = who.Refusal == "" && gen.Named(who.Subject.Customer, &t, at)
	for i, name := range t.Names {
		if i == 0 || name != t.Names[i-1] {
			x.Tags++
		}
	}
	return x
}

// witness is a generation that keeps what the policy was asked.
type witness struct {
	Generation
	asked []judged
}

func (w *witness) Evaluate(ctx context.Context, in *Input) (Verdict, error) {
	v, err := w.Generation.Evaluate(ctx, in)
	failed := err
	if err == nil && (v.Code == "" || v.Code == CodeInternalError) {
		failed = errNoVerdict
	}
	w.asked = append(w.asked, judged{in: in, verdict: v, failed: failed, until: v.Until})
	return v, err
}

// Visible is asked about what was evaluated last.
func (w *witness) Visible(ctx context.Context, in *Input) ([]int, int64, error) {
	indexes, until, err := w.Generation.Visible(ctx, in)
	j := &w.asked[len(w.asked)-1]
	j.visible, j.failed, j.until = indexes, err, min(j.until, until, nextBoundary(in.Target.Candidates, in.Time))
	return indexes, until, err
}

// witnessed is an engine that has a witness, or nothing.
type witnessed struct{ w *witness }

func (e witnessed) Generation() Generation {
	if e.w == nil {
		return nil
	}
	return e.w
}

// judged is one question to the policy with its answer, or why there is none.
type judged struct {
	in      *Input
	verdict Verdict
	failed  error
	visible []int // what is listed
	until   int64 // of the verdict, and of what it lists
}

// kept says how caches keep the verdict.
func (j *judged) kept(gen Generation) *Kept {
	e, ok := gen.(Explainer)
	if j.failed != nil || !ok {
		return nil
	}
	k := &Kept{}
	if k.Parts, k.Uncacheable = e.ExplainKey(j.in); k.Uncacheable != "" {
		return k
	}
	k.Key, _ = gen.Key(j.in)
	v := j.verdict
	v.Until = j.until
	k.Entry = entryOf(v, j.visible, j.in.Time)
	k.Until = k.Entry.Until
	switch k.Until {
	case v.Until:
		k.Because = "boundary"
	case v.ExpiringFrom:
		k.Because = "warning"
	default:
		k.Because = "cap"
	}
	return k
}

// ErrNotExplained is that a policy explains another verdict than it gives, or none at all.
var ErrNotExplained = errors.New("the policy does not explain its verdict")

// reasoning asks how the answer came about. Of the many answers about a catalog and about
// referrers it tells the outcome alone, unless it is that there is none.
func (j *judged) reasoning(ctx context.Context, gen Generation, kind Kind) (*Reasoning, error) {
	out := &Reasoning{}
	ofReferrer := kind == KindReferrers && j.in.Kind != kind
	oneOfMany := ofReferrer || kind == KindCatalog
	if !oneOfMany || j.failed != nil {
		e, ok := gen.(Explainer)
		if !ok {
			return nil, ErrNotExplained
		}
		var err error
		if out, err = e.Explain(ctx, j.in, j.failed); err != nil {
			return nil, err
		}
		if j.failed == nil && !out.Verdict.same(&j.verdict) {
			return nil, fmt.Errorf("%w: %s %s is explained as %s %s", ErrNotExplained, j.verdict.Code, j.verdict.Grant, out.Verdict.Code, out.Verdict.Grant)
		}
		if kind != KindTags && kind != KindCatalog {
			out.Candidates = j.in.Target.Candidates
		}
	}
	out.Verdict, out.Subject, out.Kept = j.verdict, j.in.Subject, j.kept(gen)
	if j.failed != nil {
		out.Verdict = unasked()
		out.Verdict.Code = CodeInternalError
	}
	out.Repository = j.in.Target.Resource.Repository
	if ofReferrer {
		out.Digest = j.in.Target.Resource.Digest
	}
	return out, nil
}

// same reports whether two verdicts are one answer for the same reason.
func (v *Verdict) same(other *Verdict) bool {
	return v.Allow == other.Allow && v.Code == other.Code && v.License == other.License && v.Grant == other.Grant && v.Until == other.Until
}
