package authztest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// Explainer is a Door that can say how its answer came about.
type Explainer interface {
	Explain(ctx context.Context, st *Step, x *Exchange) (*authz.Explanation, error)
}

// why explains an answer that is not as expected: who asked what, the decision, and for `allow`
// and `deny` how the policy came to it.
func (r *Runner) why(ctx context.Context, st *Step, x *Exchange, a *Answer) []string {
	lines := []string{fmt.Sprintf("asked as %s from %s at %s", st.As, st.From, st.At.UTC().Format(time.RFC3339))}
	if a.Record != nil {
		lines = append(lines, whyRecord(a.Record)...)
	}
	if a.Decision != nil {
		lines = append(lines, whyDecision(a.Decision)...)
	}
	if e, ok := r.Door.(Explainer); ok && a.Decision != nil && (st.Want.Verdict == "allow" || st.Want.Verdict == "deny") {
		explained, err := e.Explain(ctx, st, x)
		if err != nil {
			return append(lines, err.Error())
		}
		lines = append(lines, whyExplained(a.Decision, explained)...)
	}
	return lines
}

// whyRecord says what the record of a decision has.
func whyRecord(r *authz.Record) []string {
	first := fmt.Sprintf("%s %s, status %d", r.Verdict, r.Code, r.Status)
	if r.PolicyCode != "" && r.PolicyCode != r.Code {
		first += fmt.Sprintf("; the policy says %s", r.PolicyCode)
	}
	if r.Enforcement != "" {
		first += fmt.Sprintf("; enforcement %s lets it through", r.Enforcement)
	}
	var facts []string
	if r.License != "" {
		facts = append(facts, "license "+r.License)
	}
	if r.Grant != "" {
		facts = append(facts, "grant "+r.Grant)
	}
	if r.Until != nil {
		facts = append(facts, "until "+r.Until.UTC().Format(time.RFC3339))
	}
	if r.Detail != "" {
		facts = append(facts, "cause: "+r.Detail)
	}
	lines := []string{first}
	if len(facts) > 0 {
		lines = append(lines, strings.Join(facts, ", "))
	}
	return lines
}

// mostCandidates bounds how many candidates are shown.
const mostCandidates = 5

// whyDecision says what only the decision has: the message and the candidates.
func whyDecision(d *authz.Decision) []string {
	var lines []string
	if d.Verdict.Message != "" {
		lines = append(lines, "message: "+d.Verdict.Message)
	}
	for i, c := range d.Candidates {
		if i == mostCandidates {
			lines = append(lines, fmt.Sprintf("and %d more candidates", len(d.Candidates)-i))
			break
		}
		lines = append(lines, "candidate "+candidateText(&c))
	}
	return lines
}

// candidateText is a candidate with what is known of it.
func candidateText(c *authz.Candidate) string {
	name := c.Tag
	var facts []string
	if c.Version != "" {
		name = c.Product + "@" + c.Version
		facts = append(facts, "channel "+c.Channel)
		if c.Tag != "" && c.Tag != c.Version {
			facts = append(facts, "tag "+c.Tag)
		}
	}
	fact := func(what string, at, unknown int64) {
		if at != unknown {
			facts = append(facts, what+" "+time.Unix(at, 0).UTC().Format(time.RFC3339))
		}
	}
	fact("released", c.Released, authz.Always)
	if c.CountsFrom != c.Released {
		fact("counts from", c.CountsFrom, authz.Always)
	}
	fact("withdrawn", c.WithdrawnAt, authz.Never)
	fact("left the tag", c.RetiresAt, authz.Never)
	fact("revoked", c.RevokedAt, authz.Never)
	if len(c.Requires) > 0 {
		facts = append(facts, "requires "+strings.Join(c.Requires, ", "))
	}
	if len(facts) == 0 {
		return name
	}
	return name + " (" + strings.Join(facts, ", ") + ")"
}

// show is an error of the compiler with the files of rules named as they lie on disk.
func (s *Script) show(err error) error {
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		for name, file := range s.RuleFiles {
			if rest, ok := strings.CutPrefix(line, "rules/"+name+":"); ok {
				lines[i] = file + ":" + rest
			}
		}
	}
	return errors.New(strings.Join(slices.Compact(lines), "\n"))
}
