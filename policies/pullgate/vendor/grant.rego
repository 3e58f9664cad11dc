package pullgate.vendor

import data.pullgate.check
import data.pullgate.customer
import data.pullgate.right

# METADATA
# title: Right of a vendor rule
# description: |
#   Code of the first vendor rule that grants the resource by itself, in place of a license.
#   Rules are shown the candidates that are still there, not of a revoked digest, and not
#   withdrawn: these no rule brings back. Undefined when none grants, and for customers who are
#   unknown or banned.
grant := min(_grants) if {
	customer.banned == false
}

_grants contains code if {
	present := _present
	count(present) > 0
	some name, _ in data.pullgate.rules
	contribution := data.vendor[name].grant[_] with input.resource.candidates as present
	code := _code(name, contribution)
}

_grants contains code if {
	right.is_list
	some name, _ in data.pullgate.rules
	contribution := data.vendor[name].grant[_]
	code := _code(name, contribution)
}

_present := [candidate |
	time := input.time
	some candidate in input.resource.candidates
	time < candidate.retires_at
	check.not_revoked_digest(candidate, time)
	check.not_withdrawn(candidate, time)
]
