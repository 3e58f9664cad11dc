package pullgate.explain

# METADATA
# title: Outcomes
# description: |
#   How the present candidates fare with a grant, those together that fare alike: the code with
#   which they pass or the checks that they fail, in words about the first of them. None for a
#   grant that does not count.
outcomes(grant) := [outcome |
	fares := _fares[[grant.license, grant.grant]]
	some [_, fared] in sort({[_distance(f), f] | some f in fares})
	indexes := sort([i | some i, f in fares; f == fared])
	outcome := object.union(
		object.remove(fared, ["failed"]),
		{
			"candidates": [i | some i in indexes; is_number(i)],
			"failed": _told(grant, fared.failed, present[indexes[0]]),
		},
	)
]

_fares[[grant.license, grant.grant]] := {i: fared |
	some i, _ in present
	fared := _fare(grant, i)
} if {
	some grant in considered
	not inert(grant)
}

_fare(grant, i) := {"passes": code, "failed": []} if {
	code := passing[[grant.license, grant.grant]][i]
} else := {"failed": failed(grant, present[i], input.time)}

# What passes first, then what came furthest.
_distance({"passes": _, "failed": _}) := -15

_distance({"failed": misses}) := 0 - misses[0][0]

_told(grant, misses, candidate) := [told |
	some [level, code] in misses
	told := {
		"check": check_number[level],
		"code": code,
		"why": why(level, grant, candidate),
		"change": change(level, grant, candidate),
	}
]
