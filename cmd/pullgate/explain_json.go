package main

import (
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// The names of these documents are API (docs/explain.md). Instants are RFC 3339, null where
// there is none; what applies to nothing is left out.

type explainDoc struct {
	At       string             `json:"at"`
	Request  explainRequestDoc  `json:"request"`
	Subject  explainSubjectDoc  `json:"subject"`
	Known    explainKnownDoc    `json:"known"`
	Decision map[string]any     `json:"decision"`
	Change   []string           `json:"change"`
	Asked    []explainPolicyDoc `json:"asked"`
}

type explainRequestDoc struct {
	Method     string `json:"method,omitempty"`
	Host       string `json:"host,omitempty"`
	Path       string `json:"path,omitempty"`
	Kind       string `json:"kind"`
	Registry   string `json:"registry,omitempty"`
	Repository string `json:"repository,omitempty"`
	Tag        string `json:"tag,omitempty"`
	Digest     string `json:"digest,omitempty"`
	Product    string `json:"product,omitempty"`
	Version    string `json:"version,omitempty"`
	Address    string `json:"address,omitempty"`
}

type explainSubjectDoc struct {
	Customer   string     `json:"customer,omitempty"`
	Key        string     `json:"key,omitempty"`
	Via        string     `json:"via"`
	Refusal    authz.Code `json:"refusal,omitempty"`
	KeyExpires *string    `json:"key_expires"`
	OutOfScope string     `json:"out_of_scope,omitempty"`
}

type explainKnownDoc struct {
	Repository bool `json:"repository"`
	Reference  bool `json:"reference"`
	Named      bool `json:"named"`
	Tags       int  `json:"tags,omitempty"`
}

type explainPolicyDoc struct {
	Repository string                `json:"repository,omitempty"`
	Digest     string                `json:"digest,omitempty"`   // of a referrer
	Customer   string                `json:"customer,omitempty"` // as whom the policy was asked
	Allow      bool                  `json:"allow"`
	Code       authz.Code            `json:"code"`
	License    string                `json:"license"`
	Failure    string                `json:"failure,omitempty"`
	Banned     bool                  `json:"banned,omitempty"`
	Candidates []explainCandidateDoc `json:"candidates"`
	Licenses   int                   `json:"licenses"`
	Unnamed    []string              `json:"unnamed"`
	Reported   *explainReportedDoc   `json:"reported,omitempty"`
	Grants     []explainGrantDoc     `json:"grants"`
	Public     []explainPublicDoc    `json:"public"`
	Vendor     *explainVendorDoc     `json:"vendor,omitempty"`
	Cache      *explainCacheDoc      `json:"cache,omitempty"` // with --cache
}

type explainCandidateDoc struct {
	Product     string   `json:"product,omitempty"`
	Version     string   `json:"version,omitempty"`
	Tag         string   `json:"tag,omitempty"`
	Channel     string   `json:"channel,omitempty"`
	Released    *string  `json:"released"`
	CountsFrom  *string  `json:"counts_from"`
	WithdrawnAt *string  `json:"withdrawn_at"`
	Except      []string `json:"except,omitempty"`
	Requires    []string `json:"requires,omitempty"`
	RetiresAt   *string  `json:"retires_at"`
	RevokedAt   *string  `json:"revoked_at"`
	Gone        bool     `json:"gone,omitempty"`
}

type explainReportedDoc struct {
	License   string `json:"license"`
	Grant     int    `json:"grant"`
	Candidate *int   `json:"candidate"`
	Because   string `json:"because"`
}

type explainGrantDoc struct {
	License     string              `json:"license"`
	Grant       int                 `json:"grant"`
	Type        string              `json:"type"`
	Covers      string              `json:"covers"`
	Channels    []string            `json:"channels,omitempty"`
	Features    []string            `json:"features,omitempty"`
	Enforcement string              `json:"enforcement"`
	Zone        string              `json:"zone"`
	Clocks      explainClocksDoc    `json:"clocks"`
	Passes      authz.Code          `json:"passes,omitempty"`
	Misses      *authz.Miss         `json:"misses,omitempty"`
	Inert       string              `json:"inert,omitempty"`
	Outcomes    []explainOutcomeDoc `json:"outcomes"`
}

type explainClocksDoc struct {
	Starts     *string    `json:"starts"`
	Ends       *string    `json:"ends"`
	Updates    *string    `json:"updates"`
	Grace      *string    `json:"grace"`
	Keep       bool       `json:"keep_versions,omitempty"`
	Terminates *string    `json:"terminates"`
	Revoked    *string    `json:"revoked"`
	Suspended  [2]*string `json:"suspended"`
	Replaced   *string    `json:"replaced"`
}

type explainOutcomeDoc struct {
	Candidates []int              `json:"candidates"`
	Passes     authz.Code         `json:"passes,omitempty"`
	Passed     []int              `json:"passed"`
	Failed     []explainFailedDoc `json:"failed"`
}

type explainFailedDoc struct {
	Check  int        `json:"check"`
	Code   authz.Code `json:"code"`
	Why    string     `json:"why"`
	Change string     `json:"change"`
}

type explainPublicDoc struct {
	ID         string `json:"id"`
	Candidates []int  `json:"candidates"`
}

type explainVendorDoc struct {
	Rules  []string        `json:"rules"`
	Deny   []authz.Warning `json:"deny"`
	Grant  []authz.Code    `json:"grant"`
	Warn   []authz.Warning `json:"warn"`
	Header []authz.Header  `json:"header"`
	// Boundary are the instants at which they may change.
	Boundary []*string         `json:"boundary"`
	Fault    []explainFaultDoc `json:"fault"`
}

type explainFaultDoc struct {
	Rule string `json:"rule"`
	Why  string `json:"why"`
}

func (e *explanation) document() *explainDoc {
	d, res := e.d, &e.d.Resource
	doc := &explainDoc{
		At: d.Time.Format(time.RFC3339),
		Request: explainRequestDoc{
			Method: e.r.Method, Host: e.r.Host, Path: e.r.Path, Kind: e.r.Kind.String(), Registry: res.Registry,
			Repository: res.Repository, Tag: res.Tag, Digest: res.Digest, Product: res.Product, Version: res.Version,
		},
		Subject: explainSubjectDoc{
			Customer: e.x.Caller.Customer, Key: e.x.Caller.Key, Via: e.x.Caller.Via, Refusal: e.x.Refusal,
			KeyExpires: instant(e.x.KeyExpires), OutOfScope: e.x.OutOfScope,
		},
		Known:    explainKnownDoc{Repository: e.x.Repository, Reference: e.x.Reference, Named: e.x.Named, Tags: e.x.Tags},
		Decision: decisionJSON(d),
		Change:   orEmpty(e.changes()),
		Asked:    []explainPolicyDoc{},
	}
	if e.r.Kind == authz.KindVersion {
		doc.Request.Method, doc.Request.Path = "", ""
	}
	if e.r.Address.IsValid() {
		doc.Request.Address = e.r.Address.String()
	}
	delete(doc.Decision, "decision_id") // nothing is recorded
	delete(doc.Decision, "candidates")  // whole in asked
	doc.Decision["grant"], doc.Decision["enforcement"] = d.Verdict.Grant, d.Verdict.Enforcement
	doc.Decision["until_what"] = orEmpty(e.boundaries())
	doc.Decision["seen"], doc.Decision["hidden"] = e.seen(), e.hidden()
	for i := range e.x.Asked {
		asked := policyDoc(&e.x.Asked[i])
		asked.Cache = e.cacheDoc(&e.x.Asked[i])
		doc.Asked = append(doc.Asked, asked)
	}
	return doc
}

func policyDoc(re *authz.Reasoning) explainPolicyDoc {
	doc := explainPolicyDoc{
		Repository: re.Repository, Digest: re.Digest, Customer: re.Subject.Customer, Allow: re.Verdict.Allow, Code: re.Verdict.Code, License: re.Verdict.License,
		Failure: re.Failure, Banned: re.Banned, Candidates: []explainCandidateDoc{}, Licenses: re.Licenses, Unnamed: orEmpty(re.Unnamed),
		Grants: []explainGrantDoc{}, Public: []explainPublicDoc{},
	}
	for i := range re.Candidates {
		c := &re.Candidates[i]
		doc.Candidates = append(doc.Candidates, explainCandidateDoc{
			Product: c.Product, Version: c.Version, Tag: c.Tag, Channel: c.Channel,
			Released: dated(c.Released), CountsFrom: dated(c.CountsFrom), WithdrawnAt: dated(c.WithdrawnAt),
			Except: c.Except, Requires: c.Requires, RetiresAt: dated(c.RetiresAt), RevokedAt: dated(c.RevokedAt),
		})
	}
	for _, i := range re.Gone {
		doc.Candidates[i].Gone = true
	}
	if r := re.Reported; r != nil {
		doc.Reported = &explainReportedDoc{License: r.License, Grant: r.Grant, Because: r.Because}
		if r.Candidate >= 0 {
			doc.Reported.Candidate = &r.Candidate
		}
	}
	for i := range re.Grants {
		doc.Grants = append(doc.Grants, grantDoc(&re.Grants[i], &re.Vendor))
	}
	for _, p := range re.Public {
		doc.Public = append(doc.Public, explainPublicDoc(p))
	}
	if v := re.Vendor; len(v.Rules) > 0 {
		doc.Vendor = &explainVendorDoc{
			Rules: v.Rules, Deny: orEmpty(v.Deny), Grant: orEmpty(v.Grant), Warn: orEmpty(v.Warn), Header: orEmpty(v.Header),
			Boundary: []*string{}, Fault: []explainFaultDoc{},
		}
		for _, at := range v.Boundary {
			doc.Vendor.Boundary = append(doc.Vendor.Boundary, dated(at))
		}
		for _, f := range v.Faults {
			doc.Vendor.Fault = append(doc.Vendor.Fault, explainFaultDoc(f))
		}
	}
	return doc
}

func grantDoc(g *authz.ConsideredGrant, v *authz.VendorReasoning) explainGrantDoc {
	c := &g.Clocks
	doc := explainGrantDoc{
		License: g.License, Grant: g.Grant, Type: g.Type, Covers: g.Covers, Channels: g.Channels, Features: g.Held,
		Enforcement: g.Enforcement, Zone: g.Zone,
		Clocks: explainClocksDoc{
			Starts: dated(c.Starts), Ends: dated(c.Ends), Updates: dated(c.Updates), Grace: dated(c.Grace), Keep: g.Keep,
			Terminates: dated(c.Terminates), Revoked: dated(c.Revoked), Replaced: dated(c.Replaced),
			Suspended: [2]*string{dated(c.Suspended[0]), dated(c.Suspended[1])},
		},
		Passes: g.Passes, Misses: g.Misses, Inert: g.Inert, Outcomes: []explainOutcomeDoc{},
	}
	for _, o := range g.Outcomes {
		od := explainOutcomeDoc{Candidates: orEmpty(o.Candidates), Passes: o.Passes, Passed: passedChecks(&o, v), Failed: []explainFailedDoc{}}
		for _, f := range o.Failed {
			od.Failed = append(od.Failed, explainFailedDoc{Check: f.Check, Code: f.Code, Why: f.Why, Change: f.Change})
		}
		doc.Outcomes = append(doc.Outcomes, od)
	}
	return doc
}

// passedChecks are those of checks 3 to 12 that are asked and do not fail: 8 to 10 ask about
// candidates, and 11 is not known when a rule that denies is at fault.
func passedChecks(o *authz.GrantOutcome, v *authz.VendorReasoning) []int {
	failed := map[int]bool{11: denialIsAtFault(v)}
	for _, f := range o.Failed {
		failed[f.Check] = true
	}
	out := []int{}
	for check := 3; check <= 12; check++ {
		ofCandidates := check >= 8 && check <= 10
		if !failed[check] && !(ofCandidates && len(o.Candidates) == 0) {
			out = append(out, check)
		}
	}
	return out
}

func denialIsAtFault(v *authz.VendorReasoning) bool {
	return slices.ContainsFunc(v.Faults, func(f authz.RuleFault) bool { return strings.HasSuffix(f.Rule, ".deny") })
}

// dated is an instant of the data, null for never and always.
func dated(t int64) *string {
	if t == authz.Always {
		return nil
	}
	return instant(t)
}

// orEmpty is never null.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
