package main

import (
	"slices"
	"strings"
)

// starved is what pullgate says of an evaluation that ran out of time, which happens when the
// machine has far more to do than it can.
const starved = "the policy took more time than it may"

// judge compares a scene with what pullgate has on record and with what arrived at the registry.
func (p *played) judge(records []record, arrived []arrival) {
	for _, r := range records {
		if strings.HasPrefix(r.Detail, starved) {
			continue // the client has tried again, or the scene was played again
		}
		// Most clients first ask without their key.
		if r.Verdict == "deny" && (r.Code != "anonymous" || p.who == nobody) {
			p.codes = append(p.codes, r.Code)
		}
		if r.Detail != "" {
			p.wrongf("decision %s has the detail %q", r.ID, r.Detail)
		}
	}
	slices.Sort(p.codes)
	p.codes = slices.Compact(p.codes)
	if p.asked = len(records) > 0; p.asked != (p.code != unasked) {
		p.wrongf("%d decisions are on record", len(records))
	}
	var want []string
	if p.code != allowed && p.code != unasked {
		want = append(want, p.code)
	}
	if p.besides != "" {
		want = append(want, p.besides)
	}
	if !slices.Equal(p.codes, want) {
		p.wrongf("refusals on record are %q, want %q", p.codes, want)
	}
	p.judgeIDs(records)
	p.judgeTokens(records)
	p.judgeArrivals(arrived)
}

// judgeTokens: where there are tokens, nothing is judged by the key but the request for one; where
// there are none, nothing is judged by one.
func (p *played) judgeTokens(records []record) {
	pulls := 0
	for _, r := range records {
		switch {
		case r.Subject.Via == "token" && !p.token:
			p.wrongf("decision %s was made for a token", r.ID)
		case r.Subject.Via == "key" && p.token && r.Action != "ping":
			p.wrongf("decision %s was made for a key", r.ID)
		case r.Subject.Via == "token" && r.Action == "pull":
			pulls++
		}
	}
	if p.token && pulls == 0 {
		p.wrongf("nothing was pulled with a token")
	}
}

// judgeIDs: the id in a refusal leads to its record, `pullgate decisions show ID`.
func (p *played) judgeIDs(records []record) {
	for _, o := range p.outcomes {
		if strings.Contains(o.says, "decision ID") && len(o.ids) == 0 {
			p.wrongf("no id of a decision was shown")
		}
		for _, id := range o.ids {
			if !slices.ContainsFunc(records, func(r record) bool { return r.ID == id && r.Code == p.code }) {
				p.wrongf("decision %s is not on record as %s", id, p.code)
			}
		}
	}
}

// judgeArrivals: nothing that was refused arrives; what arrives is what was judged.
func (p *played) judgeArrivals(arrived []arrival) {
	if reaches := p.code == allowed && !p.local; reaches != (len(arrived) > 0) {
		p.wrongf("%d requests arrived at the registry", len(arrived))
	}
	for _, a := range arrived {
		if !a.credented {
			p.wrongf("%s arrived without the registry's own credential", a.path)
		}
		if strings.Contains(a.path, "/manifests/") && !strings.Contains(a.path, "/manifests/sha256:") {
			p.wrongf("a tag arrived instead of the digest that was judged: %s", a.path)
		}
	}
}
