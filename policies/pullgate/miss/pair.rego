package pullgate.miss

import data.pullgate.check

# METADATA
# title: Miss of a pair
# description: |
#   [level, code] of the first check that a grant fails with a candidate; undefined when it
#   passes whole. A pair that only a revoked digest keeps from being delivered came furthest.
pair(grant, candidate, time) := miss if {
	miss := _first(grant, candidate, time)
	not _hidden(miss, grant, candidate, time)
} else := [14, "withdrawn"] if {
	not check.not_revoked_digest(candidate, time)
}

# A miss that enforcement would let through, were the digest not revoked.
_hidden([level, _], grant, candidate, time) if {
	lenient(level, grant)
	not check.not_revoked_digest(candidate, time)
}

# METADATA
# title: Lenient
# description: Whether the grant's license lets a miss of this level through (checks 6 to 13).
lenient(level, grant) if {
	grant.enforcement in {"warn", "observe"}
	level >= 6
	level <= 13
}

_first(grant, candidate, time) := miss if {
	miss := _resource(grant, candidate)
} else := miss if {
	miss := state(grant, time)
} else := miss if {
	miss := _version(grant, candidate, time)
}

# Check 3: the resource.
_resource(grant, candidate) := [1, "tag_not_granted"] if {
	not _named(grant, candidate)
} else := [2, "version_not_granted"] if {
	grant.ranges
	not check.in_ranges(grant, candidate)
} else := [3, "channel_not_granted"] if {
	grant.ranges
	not check.in_channels(grant, candidate)
}

_named(grant, candidate) if {
	grant.ranges
	check.is_version(candidate)
}

_named(grant, candidate) if check.covers_tag(grant, candidate)

# METADATA
# title: Miss of a list
# description: Checks 4 to 7 and 12 of a grant that names the repository.
list(grant, time) := miss if {
	miss := state(grant, time)
} else := [13, ended(grant)] if {
	not check.standing(grant, time)
}

# METADATA
# title: Miss of a license
# description: Checks 4 to 7, which ask nothing of the candidate.
state(grant, time) := [4, "revoked"] if {
	not check.not_revoked(grant, time)
} else := [5, "suspended"] if {
	not check.not_suspended(grant, time)
} else := [6, "not_started"] if {
	not check.started(grant, time)
} else := [7, "terminated"] if {
	not check.not_terminated(grant, time)
}

# Checks 8 to 12: the version, and whether the term covers it.
_version(grant, candidate, time) := [8, "not_yet_released"] if {
	not check.released(candidate, time)
} else := [9, "withdrawn"] if {
	not check.not_withdrawn(candidate, time)
} else := [10, "outside_update_window"] if {
	not check.in_update_window(candidate, grant)
} else := [11, "feature_missing"] if {
	not check.holds_required(candidate, grant)
} else := [13, ended(grant)] if {
	not _in_term(grant, candidate, time)
}

_in_term(grant, candidate, time) if {
	[_, _, limit] := check.standing(grant, time)
	candidate.counts_from < limit
}

# METADATA
# title: Ended
ended(grant) := "trial_ended" if {
	grant.type == "trial"
} else := "expired"
