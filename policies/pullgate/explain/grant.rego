package pullgate.explain

import data.pullgate.miss
import data.pullgate.reason
import data.pullgate.right

# METADATA
# title: Grants
# description: |
#   Every considered grant with its license's clocks and how it fares, in the order of reporting:
#   those that pass, then those that miss, the furthest first, then those that do not count.
grants := [explained |
	some [rank, grant] in ranked
	told := {"zone": reason.zone(grant.license), "covers": covers(grant), "outcomes": outcomes(grant)}
	explained := object.union_n([object.filter(grant, _fields), told, _result(rank)])
]

_fields := ["license", "grant", "type", "channels", "held", "keep", "enforcement", "clocks"]

# METADATA
# title: What a grant covers
# description: The versions as written, or the tags and patterns in order.
covers(grant) := object.get(grant, "constraint", concat(", ", tags)) if {
	tags := {tag | some tag, _ in grant.tags} | {pattern | some pattern in grant.patterns}
}

# METADATA
# title: Ranked grants
# description: |
#   [rank, grant] in the order of reporting. A rank is [0, code, end, license, grant] of what
#   passes, [1, -level, license, grant, code] of what misses, [2, why, license, grant] of what
#   does not count.
ranked := sort([[rank, grant] |
	some grant in considered
	rank := _rank(grant)
])

_rank(grant) := [2, why_inert, grant.license, grant.grant] if {
	why_inert := inert(grant)
} else := [0, place, _latest_first(grant.clocks.ends), grant.license, grant.grant] if {
	some code in passing[[grant.license, grant.grant]]
	_codes[place] == code
} else := [1, 0 - level, grant.license, grant.grant, code] if {
	right.is_list
	[level, code] := miss.list(grant, input.time)
} else := [1, 0 - level, grant.license, grant.grant, code] if {
	[level, code, _] := miss.furthest(grant, [candidate | some candidate in present], input.time)
}

# METADATA
# title: Inert
# description: Why a grant does not count at all; undefined when it does.
inert(grant) := "replaced" if {
	not _stands(grant)
} else := "empty" if {
	right.is_list
	not grant.empty == false
}

_stands(grant) if input.time < grant.clocks.replaced

_codes := ["ok", "kept_version", "grace"]

_latest_first(ends) := 0 - ends if {
	is_number(ends)
} else := -9223372036854775808

_result([0, place, _, _, _]) := {"passes": _codes[place]}

_result([1, distance, _, _, code]) := {"misses": {"check": check_number[0 - distance], "code": code}}

_result([2, why, _, _]) := {"inert": why}

# METADATA
# title: Check numbers
# description: The check that each level of a miss belongs to.
check_number := {1: 3, 2: 3, 3: 3, 4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 8, 10: 9, 11: 10, 12: 11, 13: 12, 14: 8}
