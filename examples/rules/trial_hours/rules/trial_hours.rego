# METADATA
# title: Business hours for a trial
# description: |
#   A trial pulls from Monday to Friday, 8:00 to 18:00 of its license's zone: enough to try, too
#   little to run production on. A machine that starts at night does not get its image.
#
#   Write `term` of the trial instead to make it short: a license has no hours of the day.
#
#   A customer who also pays for the product or the repository has no hours there. A rule is not
#   told which license will allow, so that is asked of all of them, not of the version.
package vendor.trial_hours

_days := {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday"}

# METADATA
# title: Closed
# description: |
#   Only while a trial runs: this check comes before the term, and a trial that ended should say
#   that it ended.
deny contains {
	"code": "closed",
	"message": "A trial may be pulled from Monday to Friday, 8:00 to 18:00 local time. Try again then, or ask us for a license.",
} if {
	count(_trials) > 0
	not _is_open
}

_is_open if {
	some grant in _running
	grant.type != "trial"
}

_is_open if {
	some grant in _trials
	[hour, _, _] := time.clock([_nanoseconds, data.pullgate.customer.licenses[grant.license].zone])
	hour >= 8
	hour < 18
	time.weekday([_nanoseconds, data.pullgate.customer.licenses[grant.license].zone]) in _days
}

_nanoseconds := input.time * 1000000000

_trials contains grant if {
	some grant in _running
	grant.type == "trial"
}

# Grants of licenses in their term or grace. `grace` is the end of grace, which is the end of
# use where there is none.
_running contains grant if {
	some grant in _naming
	grant.clocks.starts <= input.time
	input.time < grant.clocks.grace
	input.time < grant.clocks.revoked
	input.time < grant.clocks.replaced
}

_naming contains grant if some grant in data.pullgate.customer.products[input.resource.product]

_naming contains grant if some grant in data.pullgate.customer.repositories[input.resource.repository]

# The offset of every zone is a multiple of a quarter of an hour, so no local hour begins within
# one: the next quarter is a boundary, daylight saving or not. An answer is kept for a minute at
# most, so that costs nothing. When trials begin and end is known without a rule.
boundary contains (floor(input.time / 900) + 1) * 900 if count(_trials) > 0
