# METADATA
# title: One-off exception with an end
# description: |
#   Support promised one customer one version, until a day: 2.0.0 to try an upgrade, or 1.9.0
#   for the two weeks until the signed contract arrives.
#
#   Write a License instead, also for a few days: it has an id that every record names, clocks
#   and warnings of its own. This rule is for those who may promise but not edit licenses: a
#   file of its own, whose list says who may have what, why, and until when.
#
#   It lifts range, channel, embargo and term, but neither a ban nor a withdrawal, and no denial
#   of another rule.
package vendor.exception

# Half-open: at `until` it is over. An entry that is over may stay as long as one likes.
_exceptions := [
	{
		"customer": "globex",
		"product": "app",
		"version": "1.9.0",
		"until": "2026-06-15T00:00:00+02:00",
		"why": "renewal is signed, ticket 4711",
	},
	{
		"customer": "initech",
		"product": "app",
		"version": "2.0.0",
		"until": "2026-07-01T00:00:00Z",
		"why": "tries the upgrade, ticket 4712",
	},
]

# METADATA
# title: Promised
grant contains {"code": "promised"} if {
	some exception in _current
	some candidate in input.resource.candidates
	candidate.product == exception.product
	candidate.version == exception.version
}

# METADATA
# title: Promised, for lists
# description: |
#   A list has no candidates. Without this a customer whose license ended could pull the version
#   and not see it listed; each entry is then asked for by itself, as a pull.
grant contains {"code": "promised"} if {
	input.action == "list"
	some exception in _current
	exception.product == input.resource.product
}

# METADATA
# title: Ends
# description: Said on every pull, so that the day comes as no surprise.
warn contains {"code": "temporary", "message": sprintf("Version %s is open to you until %s only.", [version, until])} if {
	some exception in _current
	version := exception.version
	until := exception.until
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		candidate.product == exception.product
		candidate.version == version
	}
}

_current contains exception if {
	some exception in _of_the_customer
	input.time < _seconds(exception.until)
}

_of_the_customer contains exception if {
	some exception in _exceptions
	exception.customer == input.subject.customer
}

boundary contains _seconds(exception.until) if some exception in _of_the_customer

_seconds(instant) := floor(time.parse_rfc3339_ns(instant) / 1000000000)
