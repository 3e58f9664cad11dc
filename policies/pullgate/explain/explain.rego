# METADATA
# title: Explain
# description: |
#   What the checks say of each pair of a grant and a candidate, in words. Each answer comes
#   from the helpers that decide; the tests hold that the two never disagree.
package pullgate.explain

import data.pullgate.check
import data.pullgate.customer
import data.pullgate.right

# METADATA
# title: Banned
# description: The customer is known and not in good standing; then no license counts.
default banned := false

banned if {
	customer
	not customer.banned == false
}

# METADATA
# title: Licenses
# description: How many the customer has.
licenses := count([id | some id, _ in customer.licenses])

# METADATA
# title: Licenses that do not name the resource
# description: Ids of those without a grant of its product or its repository, ascending.
unnamed := sort([id |
	some id, _ in customer.licenses
	not id in {grant.license | some grant in considered}
])

# METADATA
# title: Considered grants
# description: Those that have the product or the repository, inert ones too.
considered contains grant if some grant in customer.products[input.resource.product]

considered contains grant if some grant in customer.repositories[input.resource.repository]

# METADATA
# title: Gone candidates
# description: Indexes of those whose history is over; for the checks they do not exist.
gone := [i |
	some i, candidate in input.resource.candidates
	not _exists(candidate)
]

_exists(candidate) if input.time < candidate.retires_at

# METADATA
# title: Present candidates
# description: |
#   The others, by index. Without any, nothing is known that reaches the resource, and "" stands
#   for that; a list has none.
present := {"": {}} if {
	right.is_list
} else := object.filter(indexed, {i | some i, _ in indexed; not i in gone}) if {
	count(indexed) > count(gone)
} else := {"": {}}

# METADATA
# title: Public documents
# description: Those that name the repository, each with the indexes of the candidates that it opens.
public := [{"id": entry.id, "candidates": opened} |
	some entry in data.pullgate.public[input.resource.repository]
	time := input.time
	opened := [i |
		some i, candidate in input.resource.candidates
		check.covers_tag(entry, candidate)
		time < candidate.retires_at
		time < candidate.revoked_at
	]
]

# METADATA
# title: Candidates by index
indexed[i] := candidate if some i, candidate in input.resource.candidates
