# METADATA
# title: Nearest miss
# description: |
#   Why nothing allows: of all pairs of a grant and a candidate the one that came furthest
#   through the checks. Asked only when no right passes whole.
package pullgate.miss

import data.pullgate.customer
import data.pullgate.right

# METADATA
# title: Nearest pair
# description: |
#   [level, code, grant, candidate] of the pair that is reported: the furthest, then the first
#   license, then the first grant in its file. candidate is {} when there is none. Undefined
#   when no grant has the product or the repository.
nearest(candidates) := [level, code, grant, candidate] if {
	misses := _misses(candidates)
	level := max({l | misses[[l, _, _, _, _]]})
	[_, code, grant, candidate] := min({[place, c, g, x] | misses[[level, place, c, g, x]]})
}

# The furthest miss of each grant.
_misses(candidates) := _of_lists if {
	right.is_list
} else := {[level, [grant.license, grant.grant], code, grant, candidate] |
	time := input.time
	present := _present(candidates, time)
	some grant in live
	[level, code, candidate] := furthest(grant, present, time)
}

_of_lists contains [level, [grant.license, grant.grant], code, grant, {}] if {
	time := input.time
	some grant in live
	[level, code] := list(grant, time)
}

# Candidates whose history is over do not exist; without any, the resource is one that
# nothing reaches.
_present(candidates, time) := present if {
	present := [candidate | some candidate in candidates; time < candidate.retires_at]
	count(present) > 0
} else := [{}]

# METADATA
# title: Live grants
# description: |
#   The grants that have the product or the repository, empty ones too unless a list is asked
#   for, but for those of replaced licenses.
live contains grant if {
	some grant in customer.products[input.resource.product]
	_lives(grant)
}

live contains grant if {
	some grant in customer.repositories[input.resource.repository]
	_lives(grant)
}

_lives(grant) if {
	not right.is_list
	input.time < grant.clocks.replaced
}

_lives(grant) if {
	right.naming[grant]
	input.time < grant.clocks.replaced
}
