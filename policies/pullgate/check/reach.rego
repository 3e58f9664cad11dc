package pullgate.check

import data.pullgate.customer

# METADATA
# title: Covers a version (check 3)
# description: A product grant covers a candidate whose version is in its ranges and channels.
covers_version(grant, candidate) if {
	is_version(candidate)
	in_ranges(grant, candidate)
	in_channels(grant, candidate)
}

# METADATA
# title: A version of the product (check 3)
is_version(candidate) if {
	candidate.product == input.resource.product
	candidate.order
}

# METADATA
# title: In range (check 3)
in_ranges(grant, candidate) if {
	order := candidate.order
	some [from, to] in grant.ranges
	from <= order
	order < to
}

# METADATA
# title: In a granted channel (check 3)
in_channels(grant, candidate) if candidate.channel == grant.channels[_]

# METADATA
# title: Covers a tag (check 3)
# description: The text of a tag is listed, or a pattern matches the whole of it.
covers_tag(grant, candidate) if grant.tags[candidate.tag] == true

covers_tag(grant, candidate) if {
	tag := candidate.tag
	some pattern in grant.patterns
	matches(pattern, tag)
}

# METADATA
# title: Pattern
# description: In a tag pattern `*` stands for any run of characters; nothing else is special.
matches("*", _)

matches(pattern, tag) if {
	expression := replace(replace(pattern, ".", "\\."), "*", ".*")
	regex.match(concat("", ["^", expression, "$"]), tag)
}

# METADATA
# title: Present
# description: A candidate counts until the history of a tag that has left the digest ends.
present(candidate, time) if time < candidate.retires_at

# METADATA
# title: Not a revoked digest
not_revoked_digest(candidate, time) if time < candidate.revoked_at

# METADATA
# title: Available
# description: |
#   Checks 8 to 10 of a candidate that a grant covers, and whether it may be delivered at all.
#   limit is the date before which the version must be dated.
available(candidate, grant, limit, time) if {
	candidate.released <= time
	not_withdrawn(candidate, time)
	candidate.counts_from < limit
	holds_required(candidate, grant)
	time < candidate.retires_at
	time < candidate.revoked_at
}

# METADATA
# title: Released (check 8)
released(candidate, time) if candidate.released <= time

# METADATA
# title: Not withdrawn (check 8)
# description: Not yet, or not for this customer.
not_withdrawn(candidate, time) if time < candidate.withdrawn_at

not_withdrawn(candidate, _) if candidate.except[_] == customer.id

# METADATA
# title: In the update window (check 9)
in_update_window(candidate, grant) if candidate.counts_from < grant.clocks.updates

# METADATA
# title: Required features (check 10)
# description: The license holds every feature that the product and the release require.
holds_required(candidate, _) if not candidate.requires

holds_required(candidate, grant) if count(_set(candidate.requires) - _set(grant.held)) == 0

_set(list) := {x | some x in list}
