# METADATA
# title: Networks of the customer
# description: |
#   Write here what the rule is for, and for whom: somebody reads it in a year.
#
#   As written it refuses pulls from outside the networks that a customer's label names,
#
#     labels: {%NAME%_networks: [10.0.0.0/8]}
#
#   and leaves customers without the label alone: nothing changes until one has it. (A rule must
#   earn its place: networks of one key need none, a key has `addresses`.)
package vendor.%NAME%

# The date that you announce. Until then the rule only warns: look at the warnings, then let it
# come. Unix seconds: 2026-01-01T00:00:00Z.
_begins := 1767225600

# METADATA
# title: Outside
# description: |
#   Refuses. The customer reads the message; records have the code vendor.%NAME%.outside.
deny contains {
	"code": "outside",
	"message": "Pull from a network that you have named to us, or ask us to add this one.",
} if {
	_begins <= input.time
	_is_outside
}

# METADATA
# title: Outside, not refused yet
# description: Sent with what is allowed, so never together with the denial.
warn contains {
	"code": "outside",
	"message": "Pulls from outside your networks will be refused from 1 January 2026 on.",
} if {
	input.time < _begins
	_is_outside
}

# A rule that reads input.time says when its answer changes: no answer is kept longer.
boundary contains _begins

# Written as `not` of a helper that must find something: an address or a network that is absent
# finds nothing, and that refuses. `not net.cidr_contains(…)` of something absent would be
# skipped in silence, and permit; `pullgate check` does not let it through.
_is_outside if {
	data.pullgate.customer.labels.%NAME%_networks
	not _is_inside
}

# `some`: one network that contains the address is enough. A network with a typing error is
# passed over; asking net.cidr_contains about it would be an error, and an error refuses with 503.
_is_inside if {
	some network in data.pullgate.customer.labels.%NAME%_networks
	net.cidr_is_valid(network)
	net.cidr_contains(network, input.request.address)
}

# A rule about versions reads input.resource.candidates: the versions and tags through which
# what is asked for may be reached. A layer has many. So refuse only when every one is meant,
#
#   count(input.resource.candidates) > 0
#   every candidate in input.resource.candidates {
#   	candidate.order < [2, 0, 0, {}]
#   }
#
# and grant when some one is: `some candidate in input.resource.candidates`. A list has none: it
# is asked for as a whole, and then each of its tags as a pull.
