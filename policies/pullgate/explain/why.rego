package pullgate.explain

import data.pullgate.check
import data.pullgate.reason

# METADATA
# title: Why a check fails
# description: |
#   In words, with the values that were compared. Times are those of the license's calendar,
#   which is named where a day is.
why(1, _, {}) := "nothing that is known reaches it"

why(1, grant, candidate) := sprintf("%s is no version of %s", [_name(candidate), input.resource.product]) if {
	grant.ranges
	count(candidate) > 0
}

why(1, grant, candidate) := sprintf("%s is none of: %s", [_name(candidate), _covers(grant)]) if {
	not grant.ranges
	count(candidate) > 0
}

why(2, grant, candidate) := sprintf("%s is outside %s", [_name(candidate), _covers(grant)])

why(3, grant, candidate) := sprintf("channel %s is none of: %s", [
	object.get(candidate, "channel", "(none)"),
	concat(", ", grant.channels),
])

why(4, grant, _) := sprintf("the license is revoked since %s", [_moment(grant.clocks.revoked, grant)])

why(5, grant, _) := sprintf("the license is suspended from %s until %s", [
	_moment(grant.clocks.suspended[0], grant),
	_moment(grant.clocks.suspended[1], grant),
])

why(6, grant, _) := sprintf("the license starts %s, %s", [_moment(grant.clocks.starts, grant), _now(grant)])

why(7, grant, _) := sprintf("the license was terminated %s, %s", [_ended(grant.clocks.terminates, grant), _now(grant)])

why(8, grant, candidate) := sprintf("%s is released %s, %s", [_name(candidate), _moment(candidate.released, grant), _now(grant)])

why(9, grant, candidate) := sprintf("%s was withdrawn %s%s", [
	_name(candidate),
	_moment(candidate.withdrawn_at, grant),
	_exceptions(candidate),
])

why(10, grant, candidate) := sprintf("%s %s, the update window ended %s", [
	_name(candidate),
	_dated(candidate, grant),
	_ended(grant.clocks.updates, grant),
])

why(11, grant, candidate) := sprintf("%s requires %s, the license lacks %s", [
	_name(candidate),
	concat(", ", candidate.requires),
	concat(", ", _lacking(grant, candidate)),
])

why(12, _, _) := denial[1]

why(13, grant, candidate) := sprintf("the license ended %s, %s%s%s", [
	_ended(grant.clocks.ends, grant),
	_now(grant),
	_grace(grant),
	_uncovered(grant, candidate),
])

why(14, grant, candidate) := sprintf("the digest is revoked since %s", [_moment(candidate.revoked_at, grant)])

# METADATA
# title: Moment
# description: An instant on a zone's calendar, to the minute; words for what has no date.
moment(instant, zone) := time.format([instant * 1000000000, zone, "2006-01-02 15:04"]) if {
	has_date(instant)
} else := "never" if {
	instant == "never"
} else := "always" if {
	instant == -62135596800
} else := "a distant day"

# METADATA
# title: Has a date
# description: The instant is one that nanoseconds can count.
has_date(instant) if {
	is_number(instant)
	abs(instant) < 9223372036
}

_moment(instant, grant) := moment(instant, reason.zone(grant.license))

_now(grant) := sprintf("now is %s", [_moment(input.time, grant)])

# An end with its last day: what ends at midnight was usable the day before.
_ended(instant, grant) := sprintf("%s (last day %s, %s)", [_moment(instant, grant), reason.local_day(instant, 1, zone), zone]) if {
	zone := reason.zone(grant.license)
}

_name(candidate) := sprintf("version %s", [version]) if {
	version := candidate.version
} else := sprintf("tag %s", [tag]) if {
	tag := candidate.tag
} else := "what was asked for"

_covers(grant) := "nothing" if {
	covers(grant) == ""
} else := reason.clip(covers(grant), 80)

_exceptions(candidate) := sprintf(", but for %s", [concat(", ", customers)]) if {
	customers := candidate.except
} else := ""

_dated(candidate, grant) := sprintf("released %s", [_moment(candidate.released, grant)]) if {
	candidate.counts_from == candidate.released
} else := sprintf("counts from %s", [_moment(candidate.counts_from, grant)])

_lacking(grant, candidate) := sort({feature | some feature in candidate.requires} - {feature | some feature in grant.held})

_grace(grant) := "; a trial has no grace" if {
	grant.type == "trial"
} else := sprintf("; grace ended %s", [_moment(grant.clocks.grace, grant)]) if {
	grant.clocks.ends < grant.clocks.grace
	grant.clocks.grace <= input.time
} else := sprintf("; grace runs until %s", [_moment(grant.clocks.grace, grant)]) if {
	input.time < grant.clocks.grace
} else := ""

# Grace and kept versions cover what is dated before the end.
_uncovered(grant, candidate) := sprintf("; that covers what is dated before the end, this %s", [_dated(candidate, grant)]) if {
	check.after_end(grant, input.time)
} else := ""
