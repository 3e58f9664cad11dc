package pullgate.miss

import data.pullgate.check
import data.pullgate.vendor

# METADATA
# title: Furthest miss of a grant
# description: |
#   [level, code, candidate] of the candidate that comes furthest with the grant: level says
#   how far. The candidates are asked together, check by check, because a layer may be reached
#   by a thousand versions; the first check that leaves none of them is the miss. Undefined
#   when a candidate passes whole.
furthest(grant, present, time) := _short(grant, present) if {
	count(_covered(grant, present)) == 0
} else := [14, "withdrawn", _covered(grant, present)[0]] if {
	lets_through(grant)
	check.not_revoked(grant, time)
	check.not_suspended(grant, time)
	count(_unrevoked(grant, present, time)) == 0
} else := [level, code, _covered(grant, present)[0]] if {
	[level, code] := state(grant, time)
} else := miss if {
	miss := version(grant, _counted(grant, _covered(grant, present), time), _counted(grant, present, time), time)
} else := _short(grant, _uncovered(grant, present)) if {
	count(_standing_releases(_counted(grant, _covered(grant, present), time), time)) == 0
}

# What a license does not enforce may be let through as any candidate, so that of those that it
# covers the ones of revoked digests do not count; what it enforces is judged by all.
_counted(grant, candidates, time) := [candidate | some candidate in candidates; not candidate in revoked] if {
	lets_through(grant)
	revoked := {candidate |
		some candidate in _covered(grant, candidates)
		not check.not_revoked_digest(candidate, time)
	}
} else := candidates

_uncovered(grant, present) := [candidate |
	some candidate in present
	not candidate in _covered(grant, present)
]

_unrevoked(grant, present, time) := [candidate |
	some candidate in _covered(grant, present)
	check.not_revoked_digest(candidate, time)
]

# METADATA
# title: Lets through
# description: The grant's license does not enforce checks 6 to 13.
lets_through(grant) if grant.enforcement in {"warn", "observe"}

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

# METADATA
# title: Miss of a list
# description: Checks 4 to 7, 11 and 12 of a grant that names the repository.
list(grant, time) := miss if {
	miss := state(grant, time)
} else := [12, code] if {
	[code, _] := vendor.denial
} else := [13, ended(grant)] if {
	not check.standing(grant, time)
}

# METADATA
# title: Ended
ended(grant) := "trial_ended" if {
	grant.type == "trial"
} else := "expired"
