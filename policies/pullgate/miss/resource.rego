package pullgate.miss

import data.pullgate.check

# The miss by check 3 of candidates that the grant does not cover: the later part is further.
_short(grant, candidates) := [3, "channel_not_granted", ranged[0]] if {
	ranged := _ranged(grant, candidates)
} else := [2, "version_not_granted", named[0]] if {
	named := _named(grant, candidates)
} else := [1, "tag_not_granted", candidates[0]]

# The candidates that pass check 3 up to the name, the range, the channel. The text of a tag is
# all that a repository grant asks for.
_named(grant, candidates) := [candidate |
	some candidate in candidates
	candidate.product == input.resource.product
	candidate.order
] if {
	grant.ranges
} else := [candidate | some candidate in candidates; check.covers_tag(grant, candidate)]

_ranged(grant, candidates) := [candidate |
	some candidate in _named(grant, candidates)
	check.in_ranges(grant, candidate)
] if {
	grant.ranges
} else := _named(grant, candidates)

_covered(grant, candidates) := [candidate |
	some candidate in _ranged(grant, candidates)
	candidate.channel == grant.channels[_]
] if {
	grant.ranges
} else := _ranged(grant, candidates)
