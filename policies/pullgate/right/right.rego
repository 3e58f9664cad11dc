# METADATA
# title: Rights
# description: |
#   The grants that pass whole: one license covers one candidate and passes every check with
#   it. Rights of two licenses never combine.
package pullgate.right

import data.pullgate.check
import data.pullgate.customer

# METADATA
# title: Best right
# description: |
#   [code, ends, license, grant] of the right that is reported when several allow: ok before
#   kept_version before grace (which is how the words sort), then the latest use end, then the
#   first license, then the first grant in its file. Undefined when none passes.
best := [code, ends, license, number] if {
	[code, ends, _, _] := max(passing)
	[license, number] := min({[l, n] | passing[[code, ends, l, n]]})
}

# METADATA
# title: Rights that pass whole
# description: |
#   [code, ends, license, grant] of each product grant that reaches a version, of each
#   repository grant that reaches a tag and, for a list, of each grant that names it.
passing contains [code, ends, grant.license, grant.grant] if {
	some grant in customer.products[input.resource.product]
	customer.banned == false
	time := input.time
	[code, ends, limit] := check.standing(grant, time)
	_reaches_version(grant, limit, time)
}

passing contains [code, ends, grant.license, grant.grant] if {
	some grant in customer.repositories[input.resource.repository]
	customer.banned == false
	time := input.time
	[code, ends, limit] := check.standing(grant, time)
	_reaches_tag(grant, limit, time)
}

passing contains [code, ends, grant.license, grant.grant] if {
	input.action == "list"
	is_list
	customer.banned == false
	time := input.time
	some grant in naming
	[code, ends, _] := check.standing(grant, time)
}

_reaches_version(grant, limit, time) if {
	some candidate in input.resource.candidates
	check.version_right(grant, candidate, limit, time)
}

_reaches_tag(grant, limit, time) if {
	some candidate in input.resource.candidates
	check.tag_right(grant, candidate, limit, time)
}

# METADATA
# title: List
# description: A list has no candidates; it is judged by the grants that name its repository.
is_list if {
	input.action == "list"
	not input.resource.candidates
}

# METADATA
# title: Grants that name the resource
# description: Those of its product and those of its repository, but for the empty ones.
naming contains grant if {
	some grant in customer.products[input.resource.product]
	grant.empty == false
}

naming contains grant if {
	some grant in customer.repositories[input.resource.repository]
	grant.empty == false
}
