# METADATA
# title: Checks
# description: |
#   The checks of a right, each a positive helper: undefined means no. Whoever refuses says
#   `not` of one of these, so that a field that is missing refuses.
package pullgate.check

# METADATA
# title: Standing
# description: |
#   Checks 4 to 7 and 12 of a grant's license. [code, ends, limit]: the code it would allow
#   with, its use end, and the date before which a version must be dated (check 9 and what
#   grace and kept versions cover). Undefined when one of the checks fails.
standing(grant, time) := ["ok", ends, updates] if {
	# Taken apart at once: a manifest takes 89 steps of topdown like this, 96 with a reference to each clock, and
	# 103 with the helpers below.
	{"starts": starts, "ends": ends, "updates": updates, "grace": _, "terminates": terminates, "revoked": revoked, "suspended": [from, to], "replaced": replaced} = grant.clocks
	time < replaced
	time < revoked
	not _within(time, from, to)
	starts <= time
	time < terminates
	time < ends
} else := [code, ends, min([ends, updates])] if {
	time < grant.clocks.replaced
	not_revoked(grant, time)
	not_suspended(grant, time)
	started(grant, time)
	not_terminated(grant, time)
	code := after_end(grant, time)
	ends := grant.clocks.ends
	updates := grant.clocks.updates
}

# METADATA
# title: After the end
# description: The code with which a license still allows after its use end. A trial does not.
after_end(grant, time) := "grace" if {
	grant.type != "trial"
	time < grant.clocks.grace
} else := "kept_version" if {
	grant.type != "trial"
	grant.keep == true
}

# METADATA
# title: Not revoked (check 4)
not_revoked(grant, time) if time < grant.clocks.revoked

# METADATA
# title: Not suspended (check 5)
not_suspended(grant, time) if {
	[from, to] := grant.clocks.suspended
	not _within(time, from, to)
}

_within(time, from, to) if {
	from <= time
	time < to
}

# METADATA
# title: Started (check 6)
started(grant, time) if grant.clocks.starts <= time

# METADATA
# title: Not terminated (check 7)
not_terminated(grant, time) if time < grant.clocks.terminates
