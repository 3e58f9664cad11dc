package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/reply"
	"github.com/pullgate/pullgate/policies"
)

// changes says what would change a refusal, all of it needed together. What a policy refuses with
// a grant is told by the checks that fail, everything else by what docs/codes.md tells vendors.
func (e *explanation) changes() []string {
	if e.allowed() {
		return nil
	}
	switch {
	case e.d.Code == authz.CodeKeyScope && e.x.OutOfScope == "address":
		return []string{fmt.Sprintf("a key that may be used from %s: none, or another, in the key's `addresses`", e.r.Address)}
	case e.d.Code == authz.CodeKeyScope:
		return []string{fmt.Sprintf("a key that may be used for %s: the key's `repositories` leave it out", e.r.Repository)}
	case e.d.Code == authz.CodeUnknownRepository && !e.x.Repository:
		return []string{"a repository of this name in the catalog: see `pullgate catalog show`, and crawl again"}
	case e.failed() != nil:
		return e.corrections(e.failed())
	case e.x.Refusal != "" || e.x.Asked == nil || e.reasoning() != nil && e.reasoning().Banned:
		return e.vendorText(e.d.Code)
	}
	var out []string
	if failed := e.reportedMiss(); failed != nil {
		for _, f := range failed {
			out = append(out, f.Change)
		}
	} else if e.d.PolicyCode != "" && !e.d.Verdict.Allow {
		out = e.vendorText(e.d.PolicyCode)
	}
	if !e.x.Reference && (e.r.Tag != "" || e.r.Digest != "") {
		out = append(out, "a tag or digest that the catalog knows: see `pullgate catalog show`, and crawl again")
	}
	return out
}

// corrections are of what keeps the policy from a verdict. Where a license allows no rule is asked
// whether it grants.
func (e *explanation) corrections(failed *authz.Reasoning) []string {
	var out []string
	licensed := slices.ContainsFunc(failed.Grants, func(g authz.ConsideredGrant) bool { return g.Passes != "" })
	for _, f := range failed.Vendor.Faults {
		if licensed && strings.HasSuffix(f.Rule, ".grant") {
			continue
		}
		if text := "a correction of " + f.Rule; !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	switch {
	case out == nil && len(failed.Vendor.Rules) > 0:
		out = append(out, "vendor rules that do less for what is asked: docs/rules.md says what they may take")
	case out == nil:
		out = append(out, "a bundle that this release of pullgate builds")
	case e.d.Code == authz.CodeUnknownRepository && !e.x.Named:
		out = append(out, "a grant of the product or the repository in a license of the customer")
	}
	return out
}

// reportedMiss are the checks that the reported grant fails with the candidate that it is about.
func (e *explanation) reportedMiss() []authz.FailedCheck {
	re := e.reasoning()
	if re == nil || re.Reported == nil {
		return nil
	}
	for _, g := range re.Grants {
		if g.License != re.Reported.License || g.Grant != re.Reported.Grant {
			continue
		}
		for _, o := range g.Outcomes {
			if slices.Contains(o.Candidates, re.Reported.Candidate) || len(o.Candidates) == 0 {
				return o.Failed
			}
		}
	}
	return nil
}

// vendorText is what the vendor can do about a code.
func (e *explanation) vendorText(code authz.Code) []string {
	for _, c := range policies.Codes() {
		if c.Code == string(code) {
			return []string{c.Vendor}
		}
	}
	for _, d := range reply.Doors() { // a code may have several
		if d.Code == code && d.Vendor != "" && strings.HasPrefix(e.seen(), d.Says) {
			return []string{d.Vendor}
		}
	}
	if strings.HasPrefix(string(code), "vendor.") {
		return []string{"the vendor rule that says " + string(code)}
	}
	return nil
}

// boundaries says what happens at the instant at which the answer may change.
func (e *explanation) boundaries() []string {
	until := e.d.Verdict.Until
	if until == authz.Never {
		return nil
	}
	var out []string
	at := func(instant int64, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); instant == until && !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	at(e.x.KeyExpires, "the key expires")
	at(e.notAfter, "the bundle must not be used any longer")
	for _, re := range e.x.Asked {
		for _, g := range re.Grants {
			c := &g.Clocks
			at(c.Starts, "license %s starts", g.License)
			at(c.Ends, "license %s ends", g.License)
			if c.Updates != c.Ends {
				at(c.Updates, "the update window of license %s ends", g.License)
			}
			if c.Grace != c.Ends {
				at(c.Grace, "the grace of license %s ends", g.License)
			}
			at(c.Terminates, "license %s is terminated", g.License)
			at(c.Revoked, "license %s is revoked", g.License)
			at(c.Replaced, "license %s is replaced", g.License)
			at(c.Suspended[0], "license %s is suspended", g.License)
			at(c.Suspended[1], "the suspension of license %s ends", g.License)
		}
		for _, c := range re.Candidates {
			name := candidateName(&c)
			at(c.Released, "%s is released", name)
			at(c.WithdrawnAt, "%s is withdrawn", name)
			at(c.RetiresAt, "the history of %s ends", name)
			at(c.RevokedAt, "the digest of %s is revoked", name)
		}
		for _, boundary := range re.Vendor.Boundary {
			at(boundary, "a boundary of a vendor rule")
		}
	}
	if len(out) == 0 && e.r.Kind == authz.KindTags {
		out = append(out, "something about one of the tags")
	}
	if len(out) == 0 && e.r.Kind == authz.KindReferrers {
		out = append(out, "something about one of the referrers")
	}
	if len(out) == 0 && e.r.Kind == authz.KindCatalog {
		out = append(out, "something about one of the repositories")
	}
	return out
}

func candidateName(c *authz.Candidate) string {
	switch {
	case c.Version != "":
		return c.Version
	case c.Tag != "":
		return c.Tag
	default:
		return "what was asked for"
	}
}

// seen is what the customer reads, "" for what has no HTTP.
func (e *explanation) seen() string {
	if e.allowed() || e.r.Kind == authz.KindVersion {
		return ""
	}
	var body struct {
		Errors []struct{ Message string }
	}
	if err := json.Unmarshal(reply.For(e.r, e.d).Body, &body); err != nil || len(body.Errors) == 0 {
		return ""
	}
	return body.Errors[0].Message
}

// hidden says why the customer is told another code than the policy's, "" when it is not.
func (e *explanation) hidden() string {
	switch e.d.Code {
	case e.d.PolicyCode:
		return ""
	case authz.CodeUnknownRepository:
		switch {
		case !e.x.Repository:
			return "the catalog has no such repository"
		case !e.x.Named:
			return "no license of the customer names the repository, so it reads as absent"
		}
	case authz.CodeUnknownReference:
		if !e.x.Reference {
			return "the catalog does not know the tag or digest"
		}
		return "a digest that no grant covers reads as absent"
	case authz.CodeKeyScope:
		return "the key's limits leave this out; the policy was asked as about nobody"
	}
	return ""
}

// zone is the calendar that dates are shown in beside UTC: that of the grant that comes first.
func (e *explanation) zone() *time.Location {
	for _, re := range e.x.Asked {
		for _, g := range re.Grants {
			if loc, err := time.LoadLocation(g.Zone); err == nil {
				return loc
			}
		}
	}
	return time.UTC
}
