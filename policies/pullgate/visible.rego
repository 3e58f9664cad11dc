package pullgate

import data.pullgate.check
import data.pullgate.miss
import data.pullgate.open

# METADATA
# title: Visible candidates
# description: |
#   Indexes of the candidates that the subject may see: those that a decision about the
#   candidate alone would allow.
# entrypoint: true
visible := (_covered | _public) | _let_through

_covered contains i if {
	customer.banned == false
	time := input.time
	some grant in customer.products[input.resource.product]
	[_, _, limit] := check.standing(grant, time)
	some i, candidate in input.resource.candidates
	check.version_right(grant, candidate, limit, time)
}

_covered contains i if {
	customer.banned == false
	time := input.time
	some grant in customer.repositories[input.resource.repository]
	[_, _, limit] := check.standing(grant, time)
	some i, candidate in input.resource.candidates
	check.tag_right(grant, candidate, limit, time)
}

_public contains i if {
	data.pullgate.public[input.resource.repository]
	time := input.time
	some i, candidate in input.resource.candidates
	open.covers(candidate, time)
}

# What enforcement lets through is asked only where a license does not enforce.
_let_through contains i if {
	customer.banned == false
	some grant in miss.live
	miss.lets_through(grant)
	some i, candidate in input.resource.candidates
	not i in _covered
	[level, _, nearest, _] := miss.nearest([candidate])
	miss.lenient(level, nearest)
}
