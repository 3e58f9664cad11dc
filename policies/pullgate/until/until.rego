# METADATA
# title: Until
# description: How long an answer holds. It never changes before; it may stay the same after.
package pullgate.until

import data.pullgate.customer

# METADATA
# title: Earliest boundary
# description: |
#   The earliest later boundary of the grants that have the resource and of its candidates, or
#   "never".
earliest := min(later | {"never"})

# METADATA
# title: Later boundaries
# description: Instants after input.time at which something about the resource changes.
later contains boundary if {
	time := input.time
	boundary := customer.products[input.resource.product][_].boundaries[_]
	time < boundary
}

later contains boundary if {
	grants := customer.repositories[input.resource.repository]
	time := input.time
	boundary := grants[_].boundaries[_]
	time < boundary
}

later contains boundary if {
	# One reference, and the time read once: with `some … in`, or with input.time in the comparison, a layer of 1,000
	# versions takes 2,088 steps of topdown and more, in place of 1,088.
	time := input.time
	boundary := input.resource.candidates[_].boundaries[_]
	time < boundary
}

# METADATA
# title: Earliest boundary, those of vendor rules too
# description: |
#   Asked wherever a vendor rule has a say. None has one about what nobody known asks, or
#   somebody banned.
with_rules := min({earliest} | {boundary |
	customer.banned == false
	some name, _ in data.pullgate.rules
	boundary := data.vendor[name].boundary[_]
	is_number(boundary)
	input.time < boundary
})
