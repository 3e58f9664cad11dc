package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// explainShown is how many candidates are shown one by one.
const explainShown = 8

// print says it to people.
func (e *explanation) print(w io.Writer) error {
	p := &page{zone: e.zone()}
	e.printQuestion(p)
	e.printAnswer(p)
	for i := range e.x.Asked {
		re := &e.x.Asked[i]
		switch {
		case e.r.Kind == authz.KindCatalog:
			e.printOneOfMany(p, re.Repository, re)
		case re.Digest != "":
			e.printOneOfMany(p, re.Digest, re)
		case i > 0:
			p.line("", "")
			p.line("", "Asked again as about nobody: no license of the customer names it, and the failure is hidden.")
			e.printReasoning(p, re)
		default:
			e.printCandidates(p, re)
			e.printReasoning(p, re)
		}
		if e.caches != nil {
			e.printCache(p, re)
		}
	}
	_, err := w.Write(p.Bytes())
	return err
}

func (e *explanation) printQuestion(p *page) {
	r, res := e.r, &e.d.Resource
	if r.Kind == authz.KindVersion {
		p.line("", "%s@%s", r.Product, r.Version)
	} else {
		p.line("", "%s %s%s", r.Method, r.Host, r.Path)
	}
	var about []string
	add := func(format, text string) {
		if text != "" {
			about = append(about, fmt.Sprintf(format, text))
		}
	}
	add("%s", r.Kind.String())
	add("repository %s", res.Repository)
	add("product %s", res.Product)
	add("tag %s", res.Tag)
	add("version %s", res.Version)
	p.field("asks for", "%s", strings.Join(about, ", "))
	if res.Digest != "" {
		p.field("digest", "%s", res.Digest)
	}
	if r.Kind != authz.KindVersion && res.Repository != "" {
		p.field("catalog", "%s", e.known())
	}
	p.field("at", "%s", p.moment(e.d.Time.Unix()))
	p.field("asked by", "%s", e.asker(p))
}

func (e *explanation) known() string {
	switch {
	case !e.x.Repository:
		return "has no such repository"
	case e.r.Kind == authz.KindTags:
		return fmt.Sprintf("knows the repository, %d tags", e.x.Tags)
	case !e.x.Reference:
		return "knows the repository, not what is asked for"
	}
	return "knows it"
}

func (e *explanation) asker(p *page) string {
	s := e.x.Caller
	text := "nobody"
	if s.Customer != "" {
		text = fmt.Sprintf("customer %s, %s %s", s.Customer, s.Via, s.Key)
	}
	if e.r.Address.IsValid() {
		text += fmt.Sprintf(", from %s", e.r.Address)
	}
	if e.x.KeyExpires != authz.Never {
		text += fmt.Sprintf("; the key expires %s", p.moment(e.x.KeyExpires))
	}
	if e.x.Refusal != "" {
		text += fmt.Sprintf("; check 1 fails: %s", e.x.Refusal)
	}
	switch e.x.OutOfScope {
	case "address":
		text += "; check 1 fails: the key may not be used from this address"
	case "repository":
		text += "; check 1 fails: the key may not be used for this repository"
	}
	return text
}

func (e *explanation) printAnswer(p *page) {
	d := e.d
	p.line("", "")
	p.line("", "%s %s (HTTP %d)", allowWord(e.allowed()), d.Code, d.Status)
	if hidden := e.hidden(); hidden != "" {
		p.field("hidden", "%s; the policy's own code is %s", hidden, d.PolicyCode)
	} else if d.PolicyCode != "" && d.PolicyCode != d.Code {
		p.field("policy", "its own code is %s", d.PolicyCode)
	}
	if v := &d.Verdict; v.Enforcement != "" {
		p.field("let through", "the license's enforcement is %s: %s would be refused", v.Enforcement, v.Code)
	}
	if re := e.reasoning(); re != nil && re.Banned {
		p.field("banned", "check 2 fails: the customer is banned, no license counts")
	}
	if failed := e.failed(); failed != nil {
		p.field("failed", "%s", failed.Failure)
	}
	if d.Verdict.Message != "" && d.Code == d.Verdict.Code {
		p.field("message", "%s", d.Verdict.Message)
	}
	if seen := e.seen(); seen != "" && strings.TrimRight(d.Verdict.Message, ".") != seen {
		p.field("customer sees", "%s", seen)
	}
	for _, w := range d.Verdict.Warnings {
		p.field("warning", "%s: %s", w.Code, w.Message)
	}
	if d.Verdict.License != "" {
		p.field("license", "%s", d.Verdict.License)
	}
	if d.Pinned != "" {
		p.field("delivers", "%s", d.Pinned)
	}
	if d.Names != nil {
		p.field("lists", "%s", shortList(d.Names, explainShown))
	}
	if d.Outcome == authz.OutcomeError {
		p.field("until", "it is asked again each time: what fails is not kept")
	} else if d.Verdict.Until == authz.Never {
		p.field("until", "nothing is known that would change it")
	} else {
		p.field("until", "%s: %s", p.moment(d.Verdict.Until), strings.Join(e.boundaries(), "; "))
	}
	changes := e.changes()
	for i, c := range changes {
		switch {
		case i > 0:
			c = "and " + c
		case len(changes) > 1:
			c = "all of: " + c
		}
		p.field("would change it", "%s", c)
	}
}

// printOneOfMany says what came of a repository of the catalog or of a referrer.
func (e *explanation) printOneOfMany(p *page, name string, re *authz.Reasoning) {
	p.line("  ", "%s: %s %s %s", name, allowWord(re.Verdict.Allow), re.Verdict.Code, re.Verdict.License)
	if re.Failure != "" {
		printVendor(p, &re.Vendor)
	}
}

func (e *explanation) printCandidates(p *page, re *authz.Reasoning) {
	if len(re.Candidates) == 0 {
		return
	}
	p.line("", "")
	p.line("", "Candidates: %d", len(re.Candidates))
	for i := range re.Candidates {
		if i == explainShown && len(re.Candidates) > explainShown+1 {
			p.line("  ", "and %d more: -o json has all", len(re.Candidates)-explainShown)
			break
		}
		p.line("  ", "%s", p.candidate(&re.Candidates[i], slices.Contains(re.Gone, i)))
	}
}

func (e *explanation) printReasoning(p *page, re *authz.Reasoning) {
	p.line("", "")
	switch {
	case len(re.Grants) > 0:
		p.line("", "Grants that name it, in the order of reporting: %d", len(re.Grants))
	case re.Subject.Customer != "":
		p.line("", "No license names it.")
	default:
		p.line("", "Nobody's licenses were asked.")
	}
	for i := range re.Grants {
		e.printGrant(p, re, &re.Grants[i])
	}
	if len(re.Grants) > 0 {
		p.line("", "")
	}
	if len(re.Unnamed) > 0 {
		p.line("", "Licenses that do not name it: %d of %d: %s", len(re.Unnamed), re.Licenses, strings.Join(re.Unnamed, ", "))
	}
	for _, d := range re.Public {
		if len(d.Candidates) > 0 {
			p.line("", "Public document %s opens %s", d.ID, candidateNames(re, d.Candidates))
		} else if e.r.Kind == authz.KindTags {
			p.line("", "Public document %s opens tags of it", d.ID)
		} else {
			p.line("", "Public document %s names the repository and does not open this", d.ID)
		}
	}
	printVendor(p, &re.Vendor)
	if len(re.Grants) > 0 {
		p.line("", "Checks: 3 named, in range and channel; 4 not revoked; 5 not suspended; 6 started; 7 not terminated; 8 released and not withdrawn; 9 in the update window; 10 features; 11 vendor rules; 12 in its term.")
	}
}

func (e *explanation) printGrant(p *page, re *authz.Reasoning, g *authz.ConsideredGrant) {
	p.line("", "")
	what := fmt.Sprintf("%s grant %d: %s, %s", g.License, g.Grant, g.Type, shortText(g.Covers))
	if len(g.Channels) > 0 {
		what += ", channels " + strings.Join(g.Channels, " ")
	}
	if g.Enforcement != "enforce" {
		what += ", enforcement " + g.Enforcement
	}
	switch {
	case g.Passes != "":
		what += ": passes, " + string(g.Passes)
	case g.Misses != nil:
		what += fmt.Sprintf(": misses by check %d, %s", g.Misses.Check, g.Misses.Code)
	case g.Inert == "replaced":
		what += fmt.Sprintf(": does not count, replaced by another license since %s", p.local(g.Clocks.Replaced, g.Zone))
	default:
		what += ": does not count, it grants nothing"
	}
	p.line("* ", "%s", what)
	if r := re.Reported; r != nil && r.License == g.License && r.Grant == g.Grant {
		p.line("  ", "reported: %s", r.Because)
	}
	p.line("  ", "%s", p.clocks(g))
	for i := range g.Outcomes {
		o := &g.Outcomes[i]
		names := "the license"
		if len(o.Candidates) > 0 {
			names = candidateNames(re, o.Candidates)
		} else if e.r.Kind != authz.KindTags {
			names = "what is asked for"
		}
		passed := strings.Trim(fmt.Sprint(passedChecks(o, &re.Vendor)), "[]")
		if denialIsAtFault(&re.Vendor) {
			passed += "; 11 is not known"
		}
		if o.Passes != "" {
			p.line("  ", "%s: passes checks %s", names, passed)
			continue
		}
		for n, f := range o.Failed {
			word := "also fails"
			if n == 0 {
				word = names + ": fails"
			}
			p.line("  ", "%s check %d, %s: %s", word, f.Check, f.Code, f.Why)
		}
		if passed != "" {
			p.line("  ", "    passes checks %s", passed)
		}
	}
}

func printVendor(p *page, v *authz.VendorReasoning) {
	if len(v.Rules) == 0 {
		return
	}
	p.line("", "Vendor rules asked: %s", strings.Join(v.Rules, ", "))
	for _, d := range v.Deny {
		p.line("  ", "denies: %s: %s", d.Code, d.Message)
	}
	for _, code := range v.Grant {
		p.line("  ", "grants: %s", code)
	}
	for _, w := range v.Warn {
		p.line("  ", "warns: %s: %s", w.Code, w.Message)
	}
	for _, h := range v.Header {
		p.line("  ", "header to %s: %s: %s", h.To, h.Name, h.Value)
	}
	for _, f := range v.Faults {
		p.line("  ", "at fault: %s: %s", f.Rule, f.Why)
	}
}

// candidateNames are those of candidates, some of many. Of a tag that is not the version's own
// text both are told.
func candidateNames(re *authz.Reasoning, indexes []int) string {
	var names []string
	for _, i := range indexes {
		c := &re.Candidates[i]
		name := candidateName(c)
		if c.Version != "" && c.Tag != "" && c.Tag != c.Version {
			name += " (tag " + c.Tag + ")"
		}
		names = append(names, name)
	}
	return shortList(names, 5)
}

func shortList(names []string, most int) string {
	if len(names) == 0 {
		return "nothing"
	}
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func shortText(s string) string {
	if len(s) > 60 {
		return s[:57] + "..."
	}
	return s
}

func allowWord(allow bool) string {
	if allow {
		return "allow"
	}
	return "deny"
}
