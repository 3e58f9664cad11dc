package authz

import (
	"context"
	"errors"
	"fmt"
)

// Explainer is a Generation that can say how its policy comes to a verdict. It takes far longer
// than Evaluate; it is for people's questions, never for a request.
type Explainer interface {
	Explain(context.Context, *Input) (*Reasoning, error)
}

// Explanation says how a decision came about: what was found out about the question, and what
// the policy considered.
type Explanation struct {
	// Caller is who asks. It differs from Decision.Subject where the answer is for anyone.
	Caller     Subject
	Refusal    Code  // why the caller is no known customer: anonymous, unknown_key, key_expired; else ""
	KeyExpires int64 // of the key that was used; Never without one
	// OutOfScope says which limit of the key leaves this request out: "address" or "repository";
	// else "". The policy is then asked as about nobody.
	OutOfScope string

	Repository bool // the index knows the repository
	Reference  bool // the index knows the tag or digest, as the kind that was asked for
	// Named says that a license of the caller, in any state, names the repository. Without one
	// the repository is as good as absent to the caller.
	Named bool
	Tags  int // of a tag list: how many tags could be listed

	// Asked is what the policy was asked: nothing when the request was answered before, once for
	// most kinds, once for each repository for KindCatalog.
	Asked []Reasoning
}

// Reasoning is what the policy considered for one verdict: the value of
// data.pullgate.explanation. For KindCatalog it has Repository, Subject and Verdict only.
type Reasoning struct {
	Repository string
	Subject    Subject // as whom the policy was asked
	Verdict    Verdict
	Candidates []Candidate // shared, not to be changed

	Banned   bool
	Licenses int      // how many the customer has
	Unnamed  []string // licenses that do not name the resource, ascending
	// Grants are those that name the resource, in the order of reporting: what passes, then what
	// misses, the furthest first, then what does not count.
	Grants   []ConsideredGrant
	Reported *ReportedGrant // nil when the verdict names none
	Gone     []int          // indexes of candidates whose history is over
	Public   []PublicDocument
	Vendor   VendorReasoning
}

// ConsideredGrant is a grant with its license's clocks and how it fares. Exactly one of Passes,
// Misses and Inert is set.
type ConsideredGrant struct {
	License     string
	Grant       int    // its number in the license, from 0
	Type        string // perpetual, subscription, trial
	Zone        string // of the license's calendar
	Covers      string // the versions as written, or tags and patterns
	Channels    []string
	Held        []string // features
	Keep        bool
	Enforcement string
	Clocks      Clocks

	Passes Code   // the code with which it allows
	Misses *Miss  // the first check that leaves no candidate
	Inert  string // why it does not count: "replaced", "empty"
	// Outcomes are the candidates that fare alike, those that pass first, then those that came
	// furthest.
	Outcomes []GrantOutcome
}

// Clocks are the instants of a license (Unix seconds, Always, Never).
type Clocks struct {
	Starts, Ends, Updates, Grace, Terminates, Revoked, Replaced int64
	Suspended                                                   [2]int64 // [from, to)
}

// Miss is a check that fails. Checks are numbered as in docs/codes.md.
type Miss struct {
	Check int  `json:"check"`
	Code  Code `json:"code"`
}

// GrantOutcome is how candidates fare with a grant. Candidates is empty for a list, which has none,
// and where nothing reaches the resource.
type GrantOutcome struct {
	Candidates []int // indexes into Reasoning.Candidates, ascending
	Passes     Code  // "" when checks fail
	Failed     []FailedCheck
}

// FailedCheck is one check that a pair of a grant and a candidate fails.
type FailedCheck struct {
	Miss
	Why    string // with the values that were compared, about the first candidate
	Change string // what would make it pass
}

// ReportedGrant is the grant that a verdict names.
type ReportedGrant struct {
	License   string
	Grant     int
	Candidate int    // index of the candidate that it is about, -1 without one
	Because   string // why this one and no other
}

// PublicDocument is a Public document that names the repository.
type PublicDocument struct {
	ID         string
	Candidates []int // those that it opens
}

// VendorReasoning is what vendor rules contribute that is true now.
type VendorReasoning struct {
	Rules  []string // packages that were asked, without "vendor."
	Deny   []Warning
	Grant  []Code
	Warn   []Warning
	Header []Header
	// Boundary are the instants at which they may change, past ones too.
	Boundary []int64
}

// Explain decides a request as Decide does, without caches, and says how the decision came
// about. Nothing is recorded and the decision has no id. The Explanation has no Asked where the
// policy had no part or failed. The error is that the explanation could not be made; the
// decision stands.
func (g *Gate) Explain(ctx context.Context, r *Request) (*Decision, *Explanation, error) {
	frozen := &Gate{cfg: g.cfg, metrics: g.metrics}
	frozen.cfg.Cache, frozen.cfg.Shared = nil, nil
	gen := g.cfg.Engine.Generation()
	if gen == nil {
		frozen.cfg.Engine = witnessed{}
		return frozen.decide(ctx, r), &Explanation{KeyExpires: Never}, nil
	}
	w := &witness{Generation: gen}
	frozen.cfg.Engine = witnessed{w}
	d := frozen.decide(ctx, r)
	x := explanationOf(gen, r, d)
	if d.Outcome == OutcomeError {
		return d, x, nil
	}
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
	case KindVersion, KindPing:
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
	if r.Kind == KindPing {
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
	if err == nil {
		w.asked = append(w.asked, judged{in, v})
	}
	return v, err
}

// witnessed is an engine that has a witness, or nothing.
type witnessed struct{ w *witness }

func (e witnessed) Generation() Generation {
	if e.w == nil {
		return nil
	}
	return e.w
}

// judged is one question to the policy with its answer.
type judged struct {
	in      *Input
	verdict Verdict
}

// ErrNotExplained is that a policy explains another verdict than it gives, or none at all.
var ErrNotExplained = errors.New("the policy does not explain its verdict")

// reasoning asks how the answer came about.
func (j *judged) reasoning(ctx context.Context, gen Generation, kind Kind) (*Reasoning, error) {
	out := &Reasoning{}
	if kind != KindCatalog {
		e, ok := gen.(Explainer)
		if !ok {
			return nil, ErrNotExplained
		}
		var err error
		if out, err = e.Explain(ctx, j.in); err != nil {
			return nil, err
		}
		if v := &out.Verdict; v.Allow != j.verdict.Allow || v.Code != j.verdict.Code || v.License != j.verdict.License || v.Grant != j.verdict.Grant || v.Until != j.verdict.Until {
			return nil, fmt.Errorf("%w: %s %s is explained as %s %s", ErrNotExplained, j.verdict.Code, j.verdict.Grant, v.Code, v.Grant)
		}
		if kind != KindTags {
			out.Candidates = j.in.Target.Candidates
		}
	}
	out.Verdict, out.Subject = j.verdict, j.in.Subject
	out.Repository = j.in.Target.Resource.Repository
	return out, nil
}
