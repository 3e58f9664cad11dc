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

default _resource := "this"

_resource := clip(input.resource.repository, 44) if {
	input.resource.repository
} else := input.resource.product

# METADATA
# title: Clip
# description: The text, cut to at most this many characters.
clip(value, length) := value if {
	count(value) <= length
} else := concat("", [substring(value, 0, length - 3), "..."])

# METADATA
# title: Facts
# description: The words for a message about a grant and a candidate.
facts(grant, candidate) := {
	"{asked}": _asked(candidate),
	"{license}": clip(grant.license, 40),
	"{covers}": clip(_covers(grant), 32),
	"{channels}": clip(concat(", ", object.get(grant, "channels", [])), 30),
	"{channel}": clip(object.get(candidate, "channel", ""), 20),
	"{starts}": day(grant.clocks.starts, 0),
	"{ends}": day(grant.clocks.ends, 1),
	"{updates}": day(grant.clocks.updates, 1),
	"{terminates}": day(grant.clocks.terminates, 1),
	"{released}": day(object.get(candidate, "released", "never"), 0),
	"{features}": clip(concat(", ", object.get(candidate, "requires", [])), 40),
	"{reason}": _public_reason(grant),
}

_asked(candidate) := clip(sprintf("%s %s", [candidate.product, candidate.version]), 44) if {
	candidate.version
} else := clip(sprintf("%s:%s", [input.resource.repository, candidate.tag]), 44) if {
	candidate.tag
} else := _resource

_covers(grant) := grant.constraint if {
	grant.constraint
} else := concat(", ", object.keys(grant.tags) | {p | some p in grant.patterns})

_public_reason(grant) := clip(sprintf(" (%s)", [why]), 48) if {
	why := customer.licenses[grant.license].public_reason
	why != ""
} else := ""

# METADATA
# title: Day
# description: |
#   The UTC day of the instant so many seconds before an instant, as YYYY-MM-DD; words for
#   never and for what nanoseconds cannot count.
day(instant, before) := time.format([(instant - before) * 1000000000, "UTC", "2006-01-02"]) if {
	is_number(instant)
	abs(instant) < 9223372036
} else := "a distant day"
