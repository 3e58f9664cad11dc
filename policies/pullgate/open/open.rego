# METADATA
# title: Public
# description: What Public documents open to anyone, without a license and without a customer.
package pullgate.open

import data.pullgate.check
import data.pullgate.right

# METADATA
# title: Reaches a public tag
# description: |
#   Some candidate is a tag that is open; for a list, the repository has open tags.
reaches if {
	time := input.time
	some candidate in input.resource.candidates
	covers(candidate, time)
}

reaches if {
	right.is_list
	some entry in data.pullgate.public[input.resource.repository]
	_opens(entry)
}

# METADATA
# title: Covers a candidate
covers(candidate, time) if {
	some entry in data.pullgate.public[input.resource.repository]
	check.covers_tag(entry, candidate)
	time < candidate.retires_at
	time < candidate.revoked_at
}

# METADATA
# title: Revoked
# description: |
#   Some candidate is a tag that would be open, had its digest not been revoked. Asked only
#   when none is open.
revoked if {
	some candidate in input.resource.candidates
	input.time < candidate.retires_at
	some entry in data.pullgate.public[input.resource.repository]
	check.covers_tag(entry, candidate)
}

_opens(entry) if entry.tags[_]

_opens(entry) if entry.patterns[_]
