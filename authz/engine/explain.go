package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/policies"
)

// What an explanation may take: it asks every check of every pair of a grant and a candidate,
// and no request waits for it.
const (
	explainSteps = 50_000
	explainEach  = 1_000
	explainTime  = 30 * time.Second
)

// Explain asks how the policy comes to the verdict that Evaluate gives, or what keeps it from one.
// Vendor rules are asked before, each by itself, and the explanation is told what they contribute:
// one that fails is no reason not to explain. Queries are prepared anew each time: that costs a few
// milliseconds when somebody asks, and nothing when nobody does.
func (g *generation) Explain(ctx context.Context, in *authz.Input, failed error) (*authz.Reasoning, error) {
	var candidates *ast.Term
	switch in.Kind {
	case authz.KindTags, authz.KindCatalog, authz.KindPing:
	default:
		var err error
		if candidates, err = g.candidates(in.Target); err != nil {
			return nil, err
		}
	}
	query := policies.ExplainEntrypoint
	var faults []authz.RuleFault
	if len(g.policy.rules) > 0 {
		contributed, found, err := g.contributed(ctx, in, candidates)
		if err != nil {
			return nil, err
		}
		faults = found
		query += " with data.vendor as " + contributed.String()
	}
	steps := explainSteps + explainEach*len(in.Target.Candidates)*(1+g.grants(in))
	v, err := g.explained(ctx, query, in, candidates, newBudget(ctx, steps, explainTime))
	if err != nil && failed != nil && ctx.Err() == nil {
		return &authz.Reasoning{Failure: whole(failed), Vendor: authz.VendorReasoning{Rules: g.policy.rules, Faults: withFailed(faults, failed)}}, nil
	}
	if err != nil {
		return nil, err
	}
	out, err := reasoningOf(v, failed)
	if err == nil && len(out.Vendor.Rules) > 0 {
		out.Vendor.Faults = append(out.Vendor.Faults, withFailed(faults, failed)...)
	}
	return out, err
}

// explained evaluates a query for an explanation.
func (g *generation) explained(ctx context.Context, query string, in *authz.Input, candidates *ast.Term, b *budget) (ast.Value, error) {
	prepared, err := prepare(ctx, g.policy.compiler, g.store, query)
	if err != nil {
		return nil, err
	}
	return g.ask(ctx, g.engine.lists, policies.ExplainEntrypoint, &prepared, in, candidates, b)
}

// reasoningOf reads the value of data.pullgate.explanation. What it says of the decision is left
// out where the decision failed: the rules that fail were not there for it.
func reasoningOf(v ast.Value, failed error) (*authz.Reasoning, error) {
	o, ok := v.(ast.Object)
	if !ok {
		return nil, errors.New("the explanation is no object")
	}
	var verdict authz.Verdict
	if failed == nil {
		var err error
		if verdict, err = verdictOf(member(o, "decision")); err != nil {
			return nil, err
		}
	}
	plain, err := ast.JSON(v)
	if err != nil {
		return nil, fmt.Errorf("the explanation: %w", err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, fmt.Errorf("the explanation: %w", err)
	}
	var doc explanationDoc
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("the explanation: %w", err)
	}
	out := doc.reasoning(verdict)
	if failed != nil {
		out.Failure, out.Reported = whole(failed), nil
	}
	return out, nil
}

// explanationDoc is data.pullgate.explanation.
type explanationDoc struct {
	Banned   bool             `json:"banned"`
	Licenses int              `json:"licenses"`
	Unnamed  []string         `json:"unnamed"`
	Grants   []grantReasoning `json:"grants"`
	Reported struct {
		License   string `json:"license"`
		Grant     int    `json:"grant"`
		Candidate *int   `json:"candidate"`
		Because   string `json:"because"`
	} `json:"reported"`
	Gone   []int `json:"gone"`
	Public []struct {
		ID         string `json:"id"`
		Candidates []int  `json:"candidates"`
	} `json:"public"`
	Vendor struct {
		Rules  []string        `json:"rules"`
		Deny   []authz.Warning `json:"deny"`
		Grant  []authz.Code    `json:"grant"`
		Warn   []authz.Warning `json:"warn"`
		Header []authz.Header  `json:"header"`

		Boundary []explainedInstant `json:"boundary"`
		Fault    []string           `json:"fault"`
	} `json:"vendor"`
}

type grantReasoning struct {
	License     string   `json:"license"`
	Grant       int      `json:"grant"`
	Type        string   `json:"type"`
	Zone        string   `json:"zone"`
	Covers      string   `json:"covers"`
	Channels    []string `json:"channels"`
	Held        []string `json:"held"`
	Keep        bool     `json:"keep"`
	Enforcement string   `json:"enforcement"`
	Clocks      struct {
		Starts     explainedInstant    `json:"starts"`
		Ends       explainedInstant    `json:"ends"`
		Updates    explainedInstant    `json:"updates"`
		Grace      explainedInstant    `json:"grace"`
		Terminates explainedInstant    `json:"terminates"`
		Revoked    explainedInstant    `json:"revoked"`
		Replaced   explainedInstant    `json:"replaced"`
		Suspended  [2]explainedInstant `json:"suspended"`
	} `json:"clocks"`
	Passes   authz.Code  `json:"passes"`
	Misses   *authz.Miss `json:"misses"`
	Inert    string      `json:"inert"`
	Outcomes []struct {
		Candidates []int      `json:"candidates"`
		Passes     authz.Code `json:"passes"`
		Failed     []struct {
			Check  int        `json:"check"`
			Code   authz.Code `json:"code"`
			Why    string     `json:"why"`
			Change string     `json:"change"`
		} `json:"failed"`
	} `json:"outcomes"`
}

// explainedInstant is Unix seconds, or "never".
type explainedInstant int64

func (i *explainedInstant) UnmarshalJSON(b []byte) error {
	if string(b) == `"never"` {
		*i = explainedInstant(authz.Never)
		return nil
	}
	return json.Unmarshal(b, (*int64)(i))
}

func (d *explanationDoc) reasoning(v authz.Verdict) *authz.Reasoning {
	out := &authz.Reasoning{
		Verdict: v, Banned: d.Banned, Licenses: d.Licenses, Unnamed: d.Unnamed, Gone: d.Gone,
		Vendor: authz.VendorReasoning{
			Rules: d.Vendor.Rules, Deny: d.Vendor.Deny, Grant: d.Vendor.Grant, Warn: d.Vendor.Warn, Header: d.Vendor.Header,
		},
	}
	for _, at := range d.Vendor.Boundary {
		out.Vendor.Boundary = append(out.Vendor.Boundary, int64(at))
	}
	for _, rule := range d.Vendor.Fault { // each is well formed by itself
		out.Vendor.Faults = append(out.Vendor.Faults, authz.RuleFault{Rule: rule, Why: "two values for one header"})
	}
	for i := range d.Grants {
		out.Grants = append(out.Grants, d.Grants[i].considered())
	}
	if r := &d.Reported; r.License != "" {
		out.Reported = &authz.ReportedGrant{License: r.License, Grant: r.Grant, Candidate: -1, Because: r.Because}
		if r.Candidate != nil {
			out.Reported.Candidate = *r.Candidate
		}
	}
	for _, p := range d.Public {
		out.Public = append(out.Public, authz.PublicDocument(p))
	}
	return out
}

func (g *grantReasoning) considered() authz.ConsideredGrant {
	c := &g.Clocks
	out := authz.ConsideredGrant{
		License: g.License, Grant: g.Grant, Type: g.Type, Zone: g.Zone, Covers: g.Covers, Channels: g.Channels,
		Held: g.Held, Keep: g.Keep, Enforcement: g.Enforcement,
		Clocks: authz.Clocks{
			Starts: int64(c.Starts), Ends: int64(c.Ends), Updates: int64(c.Updates), Grace: int64(c.Grace),
			Terminates: int64(c.Terminates), Revoked: int64(c.Revoked), Replaced: int64(c.Replaced),
			Suspended: [2]int64{int64(c.Suspended[0]), int64(c.Suspended[1])},
		},
		Passes: g.Passes, Misses: g.Misses, Inert: g.Inert,
	}
	for _, o := range g.Outcomes {
		outcome := authz.GrantOutcome{Candidates: o.Candidates, Passes: o.Passes}
		for _, f := range o.Failed {
			outcome.Failed = append(outcome.Failed, authz.FailedCheck{Miss: authz.Miss{Check: f.Check, Code: f.Code}, Why: f.Why, Change: f.Change})
		}
		out.Outcomes = append(out.Outcomes, outcome)
	}
	return out
}
