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
	all := passing
	[code, ends, _, _] := max(all)
	[license, number] := min({[l, n] | all[[code, ends, l, n]]})
}

# METADATA
# title: Rights that pass whole
passing contains [code, ends, grant.license, grant.grant] if {
	customer.banned == false
	time := input.time
	some grant in customer.products[input.resource.product]
	[code, ends, limit] := check.standing(grant, time)
	reaches_version(grant, limit, time)
}

passing contains [code, ends, grant.license, grant.grant] if {
	customer.banned == false
	time := input.time
	some grant in customer.repositories[input.resource.repository]
	[code, ends, limit] := check.standing(grant, time)
	reaches_tag(grant, limit, time)
}

passing contains [code, ends, grant.license, grant.grant] if {
	is_list
	customer.banned == false
	time := input.time
	some grant in naming
	[code, ends, _] := check.standing(grant, time)
}

# METADATA
# title: List
# description: A list has no candidate; it is judged by the licenses that name the repository.
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

# METADATA
# title: Reaches a version
# description: Some candidate is a version that a product grant covers and that is available.
reaches_version(grant, limit, time) if {
	some candidate in input.resource.candidates
	check.covers_version(grant, candidate)
	check.available(candidate, grant, limit, time)
}

# METADATA
# title: Reaches a tag
# description: Some candidate is a tag that a repository grant covers and that is available.
reaches_tag(grant, limit, time) if {
	some candidate in input.resource.candidates
	check.covers_tag(grant, candidate)
	check.available(candidate, grant, limit, time)
}
