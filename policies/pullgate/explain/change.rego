package pullgate.explain

# METADATA
# title: What would change a failed check
# description: |
#   What the vendor can write, or how long the customer must wait, for this check to pass. All
#   failed checks of a pair must change for the pair to pass.
change(1, _, {}) := "a tag or version that reaches it"

change(1, _, candidate) := sprintf("a grant whose tags cover %s", [candidate.tag])

change(1, _, candidate) := "a version such as 1.4.0" if {
	count(candidate) > 0
	not candidate.tag
}

change(2, _, candidate) := sprintf("a grant whose versions cover %s", [candidate.version])

change(3, _, candidate) := sprintf("channel %s in the grant's channels", [object.get(candidate, "channel", "(none)")])

change(4, _, _) := "a license that is not revoked"

change(5, grant, _) := "an end of the suspension" if {
	grant.clocks.suspended[1] == "never"
} else := sprintf("wait until %s, or end the suspension", [_instant(grant.clocks.suspended[1])])

change(6, grant, _) := sprintf("wait until %s, or an earlier start", [_instant(grant.clocks.starts)])

change(7, _, _) := "a license that is not terminated"

change(8, _, candidate) := sprintf("wait until %s, or an earlier release date", [_instant(candidate.released)])

change(9, _, _) := "another version, or the customer among the withdrawal's exceptions"

change(10, _, candidate) := sprintf("updates that last beyond %s", [_instant(candidate.counts_from)])

change(11, grant, candidate) := sprintf("%s in the license's features", [concat(", ", _lacking(grant, candidate))])

change(12, _, _) := sprintf("the vendor rule that says %s", [denial[0]])

change(13, grant, _) := "a license that is no trial" if {
	grant.type == "trial"
} else := "renew the license"

change(14, _, _) := "another digest; a revoked one is refused whatever a license says"

# An instant as every reader understands it.
_instant(at) := sprintf("%s UTC", [moment(at, "UTC")]) if {
	has_date(at)
} else := moment(at, "UTC")
