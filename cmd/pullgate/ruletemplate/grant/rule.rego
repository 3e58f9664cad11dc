# METADATA
# title: Versions beyond the license
# description: |
#   Write here what the rule is for, and for whom: somebody reads it in a year.
#
#   As written it gives customers the versions that their label names, until a day,
#
#     labels: {%NAME%_versions: [app@2.0.0]}
#
#   and nothing to customers without the label. (A rule must earn its place: a License with
#   grants and dates of its own does the same for one customer, and records name it.)
package vendor.%NAME%

# When it is over. Unix seconds: 2027-01-01T00:00:00Z.
_ends := 1798761600

# METADATA
# title: Named by the label
# description: |
#   Allows, with the code vendor.%NAME%.named. It is asked only when no license allows, and
#   stands in place of one: range, channel, release date and term are lifted, so the rule says
#   itself what must hold. A ban, a withdrawal and another rule's denial stay.
grant contains {"code": "named"} if {
	input.time < _ends

	# `some`: a layer is reached through many versions, and one that may be had is enough. A rule
	# that refuses must ask `every candidate in …` instead.
	some candidate in input.resource.candidates
	_is_named(candidate)
	_has_license(candidate.product)
}

# A tag without a version has neither field: nothing is named, and nothing granted.
_is_named(candidate) if {
	sprintf("%s@%s", [candidate.product, candidate.version]) in data.pullgate.customer.labels.%NAME%_versions
}

# Begun, not ended, and neither revoked, suspended nor replaced. `grace` is the end of grace,
# which is the end of use where there is none.
_has_license(product) if {
	some grant in data.pullgate.customer.products[product]
	grant.clocks.starts <= input.time
	input.time < grant.clocks.grace
	input.time < grant.clocks.terminates
	input.time < grant.clocks.revoked
	input.time < grant.clocks.replaced
	[from, until] := grant.clocks.suspended
	not _is_within(from, until)
}

# Written as a helper that must hold, so that `not` of it is true when something is absent.
_is_within(from, until) if {
	from <= input.time
	input.time < until
}

# A rule that reads input.time says when its answer changes: no answer is kept longer. What
# changes for the licenses is known to the library, for they have the product.
boundary contains _ends
