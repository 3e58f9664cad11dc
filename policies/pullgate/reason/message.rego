# METADATA
# title: Reasons
# description: What a customer is told when a request is refused, by code.
package pullgate.reason

import data.pullgate.customer

# METADATA
# title: Message
# description: |
#   One ASCII line of at most 160 characters: what was asked and why it is refused, then what
#   would help. facts are the words that stand for the names in braces.
message(code, facts) := clip(regex.replace(line, `[^ -~]+`, "?"), 160) if {
	words := object.union({"{asked}": _resource, "{license}": "", "{reason}": ""}, facts)
	line := strings.replace_n(words, text[code])
}

_resource := clip(input.resource.repository, 44) if {
	input.resource.repository
} else := input.resource.product if {
	input.resource.product
} else := "this"

# METADATA
# title: Clip
# description: The text, cut to at most this many characters.
clip(value, length) := value if {
	count(value) <= length
} else := concat("", [substring(value, 0, length - 3), "..."])

# METADATA
# title: Facts
# description: The words for a message with a code about a grant and a candidate.
facts(code, grant, candidate) := {
	"{asked}": _asked(candidate),
	"{license}": clip(grant.license, 40),
	"{reason}": _public_reason(grant),
	"{what}": clip(_what(code, grant, candidate), 32),
}

_asked(candidate) := clip(sprintf("%s %s", [candidate.product, candidate.version]), 44) if {
	candidate.version
} else := clip(sprintf("%s:%s", [input.resource.repository, candidate.tag]), 44) if {
	candidate.tag
} else := _resource

# What the message of a code names besides: a grant's words, a day, features.
default _what(_, _, _) := "nothing known"

_what("tag_not_granted", grant, _) := _covers(grant)

_what("version_not_granted", grant, _) := grant.constraint

_what("channel_not_granted", grant, _) := concat(", ", grant.channels)

_what("feature_missing", _, candidate) := concat(", ", candidate.requires)

_what("not_yet_released", _, candidate) := day(candidate.released, 0)

_what("not_started", grant, _) := local_day(grant.clocks.starts, 0, zone(grant.license))

_what("terminated", grant, _) := local_day(grant.clocks.terminates, 1, zone(grant.license))

_what("outside_update_window", grant, _) := local_day(grant.clocks.updates, 1, zone(grant.license))

_what(code, grant, _) := local_day(grant.clocks.ends, 1, zone(grant.license)) if {
	code in {"expired", "trial_ended", "revoked", "suspended", "withdrawn"}
}

_covers(grant) := grant.constraint if {
	grant.constraint
} else := concat(", ", object.keys(grant.tags) | {p | some p in grant.patterns})

_public_reason(grant) := clip(sprintf(" (%s)", [why]), 48) if {
	why := customer.licenses[grant.license].public_reason
	why != ""
} else := ""

# METADATA
# title: Zone
# description: The zone of a license's calendar.
zone(license) := object.get(customer.licenses[license], "zone", "UTC")

# METADATA
# title: Day
# description: The UTC day of the instant so many seconds before an instant.
day(instant, before) := local_day(instant, before, "UTC")

# METADATA
# title: Local day
# description: |
#   The day in a zone of the instant so many seconds before an instant, as YYYY-MM-DD; words
#   for never and for what nanoseconds cannot count. The last day of what ends at an instant
#   is that of the second before.
local_day(instant, before, zone) := time.format([(instant - before) * 1000000000, zone, "2006-01-02"]) if {
	is_number(instant)
	abs(instant) < 9223372036
} else := "a distant day"
