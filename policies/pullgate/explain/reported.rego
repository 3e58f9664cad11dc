package pullgate.explain

import data.pullgate.decision
import data.pullgate.miss

# METADATA
# title: Reported grant
# description: |
#   The grant that the decision names, with the index of the candidate it is about and why it
#   comes before the others. Empty when the decision names none.
default reported := {}

reported := object.union(
	{
		"license": grant.license,
		"grant": grant.grant,
		"because": _because(rank),
	},
	{"candidate": i | i := _candidate(grant)},
) if {
	some [rank, grant] in ranked
	decision.grant == sprintf("%s/%d", [grant.license, grant.grant])
}

# The first candidate that passes, or the one of the nearest miss.
_candidate(grant) := min(indexes) if {
	indexes := {i | some i, _ in passing[[grant.license, grant.grant]]; is_number(i)}
} else := min(indexes) if {
	[_, _, _, nearest] := miss.nearest(input.resource.candidates)
	indexes := {i | some i, candidate in indexed; candidate == nearest}
}

_because(rank) := "no other grant passes" if {
	rank[0] == 0
	count(_rivals(rank)) == 0
} else := "no other grant was considered" if {
	count(_rivals(rank)) == 0
} else := _reasons[rank[0]][min({i | some i, part in rank; part != _rivals(rank)[0][i]})]

# The ranks of the others that pass, or that miss.
_rivals(rank) := [other |
	some [other, _] in ranked
	other[0] == rank[0]
	other != rank
]

_reasons[0] := [
	"",
	"ok is reported before kept_version, and that before grace",
	"of those that pass alike its license ends last",
	"of those that pass alike its license's id is the first",
	"of the grants of the license that pass it is the first",
]

_reasons[1] := [
	"",
	"it came furthest through the checks",
	"of those that came as far its license's id is the first",
	"of the grants of the license that came as far it is the first",
]
