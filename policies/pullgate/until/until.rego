# METADATA
# title: Until
# description: How long an answer holds. It never changes before; it may stay the same after.
package pullgate.until

import data.pullgate.customer

# METADATA
# title: Earliest boundary
# description: |
#   The earliest later boundary of the licenses that name the resource and of the candidates,
#   or "never".
earliest := min(((_of_product | _of_repository) | _of_candidates) | {"never"})

_of_product := {boundary |
	time := input.time
	boundary := customer.products[input.resource.product][_].boundaries[_]
	time < boundary
}

_of_repository := {boundary |
	time := input.time
	boundary := customer.repositories[input.resource.repository][_].boundaries[_]
	time < boundary
}

_of_candidates := {boundary |
	time := input.time
	boundary := input.resource.candidates[_].boundaries[_]
	time < boundary
}
