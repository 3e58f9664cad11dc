package pullgate.miss

import data.pullgate.check
import data.pullgate.vendor

# METADATA
# title: Miss of a version
# description: |
#   Checks 8 to 12, with those of vendor rules, of the candidates that a grant covers, of all that are present. Withdrawn is
#   the reason only when everything present is.
version(grant, covered, present, time) := [9, "withdrawn", released[0]] if {
	every candidate in present {
		not check.not_withdrawn(candidate, time)
	}
	released := _released(covered, time)
} else := [8, "not_yet_released", unreleased[0]] if {
	count(_standing_releases(covered, time)) == 0
	unreleased := [candidate | some candidate in covered; not check.released(candidate, time)]
} else := [10, "outside_update_window", _standing_releases(covered, time)[0]] if {
	count(_dated(grant, covered, time)) == 0
} else := [11, "feature_missing", _dated(grant, covered, time)[0]] if {
	count(_held(grant, covered, time)) == 0
} else := [12, code, _held(grant, covered, time)[0]] if {
	[code, _] := vendor.denial
} else := [14, "withdrawn", revoked[0]] if {
	[_, _, limit] := check.standing(grant, time)
	revoked := [candidate |
		some candidate in _held(grant, covered, time)
		candidate.counts_from < limit
		not check.not_revoked_digest(candidate, time)
	]
} else := [13, ended(grant), beyond[0]] if {
	[_, _, limit] := check.standing(grant, time)
	beyond := [candidate |
		some candidate in _held(grant, covered, time)
		limit <= candidate.counts_from
	]
} else := [13, ended(grant), _held(grant, covered, time)[0]] if {
	not check.standing(grant, time)
}

# The candidates that pass the checks up to the release, withdrawals, the date, the features.
_released(candidates, time) := [candidate |
	some candidate in candidates
	candidate.released <= time
]

_standing_releases(candidates, time) := [candidate |
	some candidate in _released(candidates, time)
	check.not_withdrawn(candidate, time)
]

_dated(grant, candidates, time) := [candidate |
	updates := grant.clocks.updates
	some candidate in _standing_releases(candidates, time)
	candidate.counts_from < updates
]

_held(grant, candidates, time) := [candidate |
	some candidate in _dated(grant, candidates, time)
	check.holds_required(candidate, grant)
]
