# METADATA
# title: Early access
# description: |
#   Customers with the label `early_access: 14` get a version 14 days before it is released
#   (`released` of its Release document).
#
#   Write `channels: [stable, rc]` into the license instead for pre-releases: 1.6.0-rc.1 has a
#   channel of its own. This rule is for the final version, under embargo.
#
#   A grant of a rule stands in place of a license, so the rule asks for all that the license
#   will ask for on the day: only the date of release is another.
package vendor.early_access

# METADATA
# title: Early
# description: One candidate that a license will cover is enough.
grant contains {"code": "early"} if {
	some candidate in input.resource.candidates
	_early(candidate) <= input.time
	some grant in data.pullgate.customer.products[candidate.product]
	_is_in_force(grant.clocks)
	_covers(grant, candidate)
}

# Undefined without the label.
_early(candidate) := candidate.released - _seconds

# A label that is no number gives nothing; a text would be an error in the multiplication, and
# an error refuses.
_seconds := days * 86400 if {
	days := data.pullgate.customer.labels.early_access
	is_number(days)
}

# Begun, not ended, and neither revoked, suspended nor replaced.
_is_in_force(clocks) if {
	clocks.starts <= input.time
	input.time < clocks.ends
	input.time < clocks.revoked
	input.time < clocks.replaced
	[from, until] := clocks.suspended
	not _is_within(from, until)
}

_is_within(from, until) if {
	from <= input.time
	input.time < until
}

# Range, channel, update window, features.
_covers(grant, candidate) if {
	some [from, to] in grant.ranges
	from <= candidate.order
	candidate.order < to
	candidate.channel in grant.channels
	candidate.counts_from < grant.clocks.updates
	every feature in object.get(candidate, "requires", []) {
		feature in grant.held
	}
}

# METADATA
# title: Not released yet
# description: What is reached is unreleased in every way, and yet allowed.
warn contains {"code": "unreleased", "message": "This version is not released yet. It may still change."} if {
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		input.time < candidate.released
	}
}

# The answer changes at the early date. That of the release is a boundary of the candidate.
# What changes for the customer's licenses is known, since they have the product.
boundary contains _early(candidate) if some candidate in input.resource.candidates
