# METADATA
# title: Region by address
# description: |
#   A customer pulls from the networks of its own region: export control, data residency, a
#   price for one market.
#
#   Write `addresses` of the customer's keys instead while each customer brings networks of its
#   own: they need no rule and do not split the cache. This rule is for networks that many
#   customers share and the vendor keeps in one place.
#
#   It reads the client's address, so every address has cache entries of its own. The networks
#   are tried one by one, for a list once for each tag: up to 400 are well within the budget.
package vendor.region

# The networks of each region. One address is a /32, or a /128.
_networks := {
	"eu": {"192.0.2.0/24", "2001:db8:e::/48"},
	"us": {"198.51.100.0/24", "2001:db8:a::/48"},
}

# METADATA
# title: Outside
# description: |
#   `not` of a helper that must find something: without a label, with a region that has no
#   networks, or without an address nothing is found, and the pull is refused.
deny contains {
	"code": "outside",
	"message": "Your license is for another region than the one this address lies in. Pull from a network of your region, or ask us to extend it.",
} if {
	not _inside
}

_inside if {
	some region in _regions
	some network in _networks[region]
	net.cidr_contains(network, input.request.address)
}

# An exception is said, not left out: a label that was forgotten opens nothing.
_inside if "worldwide" in _regions

# `region: eu` and `region: [eu, us]`.
_regions contains data.pullgate.customer.labels.region

_regions contains region if some region in data.pullgate.customer.labels.region
