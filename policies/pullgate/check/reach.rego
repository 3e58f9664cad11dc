package pullgate.check

import data.pullgate.customer

# METADATA
# title: Right to a version
# description: |
#   Checks 3 and 8 to 10 of a product grant with a candidate, and that the candidate still
#   counts: its version is in a range and a channel of the grant. limit is the date before
#   which it must be dated. Written out, and not with the helpers below, because every request
#   passes here.
version_right(grant, candidate, limit, time) if {
	candidate.product == input.resource.product
	order := candidate.order
	some [from, to] in grant.ranges
	from <= order
	order < to
	candidate.channel == grant.channels[_]
	candidate.released <= time
	candidate.counts_from < limit
	time < candidate.retires_at
	time < candidate.revoked_at
	open_to(candidate, grant, time)
}

# METADATA
# title: Right to a tag
# description: Checks 3 and 8 to 10 of a repository grant with a candidate.
tag_right(grant, candidate, limit, time) if {
	covers_tag(grant, candidate)
	candidate.released <= time
	candidate.counts_from < limit
	time < candidate.retires_at
	time < candidate.revoked_at
	open_to(candidate, grant, time)
}

# METADATA
# title: Open to the license
# description: Not withdrawn for the customer, and requires nothing that the license lacks.
open_to(candidate, _, time) if {
	time < candidate.withdrawn_at
	not candidate.requires
}

open_to(candidate, grant, time) if {
	not_withdrawn(candidate, time)
	holds_required(candidate, grant)
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
# title: Released (check 8)
released(candidate, time) if candidate.released <= time

# METADATA
# title: Not withdrawn (check 8)
# description: Not yet, or not for this customer.
not_withdrawn(candidate, time) if time < candidate.withdrawn_at

not_withdrawn(candidate, _) if candidate.except[_] == customer.id

# METADATA
# title: Required features (check 10)
# description: The license holds every feature that the product and the release require.
holds_required(candidate, _) if not candidate.requires

holds_required(candidate, grant) if {
	held := {feature | some feature in grant.held}
	required := {feature | some feature in candidate.requires}
	count(required - held) == 0
}

# METADATA
# title: Not a revoked digest
not_revoked_digest(candidate, time) if time < candidate.revoked_at
