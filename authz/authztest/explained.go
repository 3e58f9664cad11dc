package authztest

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// mostGrants bounds how many grants are shown; `pullgate explain` shows all of them.
const mostGrants = 4

// whyExplained is an explanation in few lines: how each grant fares with what was asked, and
// what vendor rules say. Of checks that fail it has the values that were compared and what would
// make them pass.
func whyExplained(d *authz.Decision, x *authz.Explanation) []string {
	var lines []string
	if x.OutOfScope != "" {
		lines = append(lines, "the key's limits leave this out by its "+x.OutOfScope)
	}
	if about := cmp.Or(d.Resource.Repository, d.Resource.Product); about != "" && x.Caller.Customer != "" && !x.Named {
		lines = append(lines, "no license of customer "+x.Caller.Customer+" names "+about)
	}
	for i := range x.Asked {
		lines = append(lines, whyReasoning(&x.Asked[i])...)
	}
	return lines
}

func whyReasoning(re *authz.Reasoning) []string {
	var lines []string
	if re.Banned {
		lines = append(lines, "the customer is banned")
	}
	denied := false // a grant's line has it
	for i := range re.Grants {
		if i == mostGrants {
			lines = append(lines, fmt.Sprintf("and %d more grants", len(re.Grants)-i))
			break
		}
		grant, vendor := whyGrant(&re.Grants[i])
		lines = append(lines, grant...)
		denied = denied || vendor
	}
	for _, p := range re.Public {
		if len(p.Candidates) > 0 {
			lines = append(lines, "public document "+p.ID+" opens it")
		}
	}
	for _, w := range re.Vendor.Deny {
		if !denied {
			lines = append(lines, "a vendor rule denies: "+w.Code+": "+w.Message)
		}
	}
	for _, code := range re.Vendor.Grant {
		lines = append(lines, "a vendor rule grants: "+string(code))
	}
	for _, f := range re.Vendor.Faults {
		lines = append(lines, "a vendor rule is at fault: "+f.Rule+": "+f.Why)
	}
	return lines
}

// vendorCheck is the number of the check that vendor rules are (docs/codes.md).
const vendorCheck = 11

// whyGrant says how a grant fares; vendor reports whether that names what vendor rules deny.
func whyGrant(g *authz.ConsideredGrant) (lines []string, vendor bool) {
	name := fmt.Sprintf("grant %s/%d", g.License, g.Grant)
	if g.Covers != "" {
		name += " (" + g.Covers + ")"
	}
	switch {
	case g.Passes != "":
		return []string{name + " passes: " + string(g.Passes)}, false
	case g.Inert != "":
		return []string{name + " does not count: " + g.Inert}, false
	}
	lines = []string{name + " fails"}
	for i := range g.Outcomes {
		for _, f := range g.Outcomes[i].Failed {
			line := fmt.Sprintf("  check %d, %s: %s", f.Check, f.Code, strings.TrimPrefix(f.Why, string(f.Code)+": "))
			if f.Change != "" {
				line += "; to pass: " + f.Change
			}
			lines = append(lines, line)
			vendor = vendor || f.Check == vendorCheck
		}
		if len(lines) > 1 {
			break // the other candidates came less far
		}
	}
	return lines, vendor
}
