package pullgate.explain

import data.pullgate.check
import data.pullgate.miss
import data.pullgate.right

# METADATA
# title: Passing candidates
# description: |
#   By grant, the code with which each present candidate passes, by the helpers that decide; for
#   a list, the grant alone.
passing[[grant.license, grant.grant]] := {i: code |
	some i, candidate in present
	check.version_right(grant, candidate, limit, input.time)
} if {
	not right.is_list
	some [grant, code, limit] in _standing
	grant.ranges
}

passing[[grant.license, grant.grant]] := {i: code |
	some i, candidate in present
	check.tag_right(grant, candidate, limit, input.time)
} if {
	not right.is_list
	some [grant, code, limit] in _standing
	not grant.ranges
}

passing[[grant.license, grant.grant]] := {"": code} if {
	right.is_list
	some [grant, code, _] in _standing
}

_standing contains [grant, code, limit] if {
	not denial
	some grant in considered
	[code, _, limit] := check.standing(grant, input.time)
}

# METADATA
# title: Failed checks
# description: |
#   [level, code] of every check that a pair fails, the one that is reported first. Levels are
#   those of the nearest miss: 1 to 3 are check 3, 8 and 9 are check 8, 10 to 13 are checks 9 to
#   12, and 14 is the digest, which is asked last unless the license does not enforce.
failed(grant, candidate, time) := [[level, code] |
	some level in _asked(grant, time)
	code := fails(level, grant, candidate, time)
]

# What is asked of the license alone is asked once, and then only where it fails.
_asked(grant, time) := [level |
	some level in _order(grant)
	not level in {level | some level in [4, 5, 6, 7, 12]; not fails(level, grant, {}, time)}
]

_order(grant) := [1, 2, 3, 4, 5, 14, 6, 7, 8, 9, 10, 11, 12, 13] if {
	miss.lets_through(grant)
} else := numbers.range(1, 14)

# METADATA
# title: Fails a check
# description: The code of the check of this level when the pair fails it, else undefined.
fails(1, grant, candidate, _) := "tag_not_granted" if {
	not right.is_list
	not _named(grant, candidate)
}

fails(2, grant, candidate, _) := "version_not_granted" if {
	grant.ranges
	_named(grant, candidate)
	not check.in_ranges(grant, candidate)
}

fails(3, grant, candidate, _) := "channel_not_granted" if {
	grant.ranges
	_named(grant, candidate)
	not _in_channels(grant, candidate)
}

fails(4, grant, _, time) := "revoked" if not check.not_revoked(grant, time)

fails(5, grant, _, time) := "suspended" if not check.not_suspended(grant, time)

fails(6, grant, _, time) := "not_started" if not check.started(grant, time)

fails(7, grant, _, time) := "terminated" if not check.not_terminated(grant, time)

fails(8, _, candidate, time) := "not_yet_released" if {
	count(candidate) > 0
	not check.released(candidate, time)
}

fails(9, _, candidate, time) := "withdrawn" if {
	count(candidate) > 0
	not check.not_withdrawn(candidate, time)
}

fails(10, grant, candidate, _) := "outside_update_window" if {
	count(candidate) > 0
	not _in_updates(grant, candidate)
}

fails(11, grant, candidate, _) := "feature_missing" if not check.holds_required(candidate, grant)

fails(12, _, _, _) := denial[0]

fails(13, grant, candidate, time) := miss.ended(grant) if not _in_term(grant, candidate, time)

fails(14, _, candidate, time) := "withdrawn" if {
	count(candidate) > 0
	not check.not_revoked_digest(candidate, time)
}

_named(grant, candidate) if {
	grant.ranges
	candidate.product == input.resource.product
	candidate.order
}

_named(grant, candidate) if check.covers_tag(grant, candidate)

_in_channels(grant, candidate) if candidate.channel in grant.channels

_in_updates(grant, candidate) if candidate.counts_from < grant.clocks.updates

_in_term(grant, _, time) if {
	time < grant.clocks.ends
	check.standing(grant, time)
}

# Not the term, but something before it.
_in_term(grant, _, time) if {
	time < grant.clocks.ends
	miss.state(grant, time)
}

_in_term(grant, _, time) if {
	right.is_list
	check.after_end(grant, time)
}

_in_term(grant, candidate, time) if {
	check.after_end(grant, time)
	candidate.counts_from < grant.clocks.ends
}
