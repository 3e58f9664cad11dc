# METADATA
# title: Withdrawn for a CVE unless acknowledged
# description: |
#   Versions with a known fault are refused from a day on, unless the customer has acknowledged
#   the fault: label `acknowledged: CVE-2026-1234`, or a list. Before that day they warn.
#
#   Write `withdrawn` of a Release document instead when nobody but named customers may have the
#   version any more (`except`): nothing lifts that, no rule either. This rule is for a fault
#   that many versions have and that a customer may decide to live with.
package vendor.cve

# Ranges of versions as orders, [first affected, fixed): version 1.4.0 is [1, 4, 0, {}]. With
# orders 1.4.3-rc.1 and 1.4.2-alpine count too, where a list of texts would miss them.
_faults := {
	"CVE-2026-1234": {
		"product": "app",
		"affected": [[[1, 4, 0, {}], [1, 4, 3, {}]], [[1, 5, 0, {}], [1, 5, 1, {}]]],
		"denied_from": "2026-06-15T00:00:00Z",
	},
	"CVE-2026-2345": {
		"product": "app",
		"affected": [[[1, 0, 0, {}], [1, 4, 1, {}]]],
		"denied_from": "2026-07-01T00:00:00Z",
	},
}

# METADATA
# title: Known fault
# description: |
#   Every candidate must have one that counts: a layer that a fixed version has too stays.
deny contains {
	"code": "known_fault",
	"message": sprintf("This version has %s. Use a fixed version, or acknowledge the fault with us.", [concat(", ", sort(_counting))]),
} if {
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		count(_of(candidate) & _counting) > 0
	}
}

# METADATA
# title: Known fault, allowed
# description: Acknowledged, or not refused yet. Warnings are sent with what is allowed only.
warn contains {
	"code": "known_fault",
	"message": sprintf("This version has %s. Plan to use a fixed version.", [concat(", ", sort(_all))]),
} if {
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		count(_of(candidate)) > 0
	}
}

# Only those that the customer has not acknowledged ever change an answer.
boundary contains _denied_from(name) if some name in (_all - _acknowledged)

# The faults of what is asked for that are refused now.
_counting contains name if {
	some name in (_all - _acknowledged)
	_denied_from(name) <= input.time
}

_all contains name if {
	some candidate in input.resource.candidates
	some name in _of(candidate)
}

# The faults of a candidate: none when it has no version.
_of(candidate) := {name |
	some name, fault in _faults
	candidate.product == fault.product
	some [from, fixed] in fault.affected
	from <= candidate.order
	candidate.order < fixed
}

_acknowledged contains data.pullgate.customer.labels.acknowledged

_acknowledged contains name if some name in data.pullgate.customer.labels.acknowledged

_denied_from(name) := floor(time.parse_rfc3339_ns(_faults[name].denied_from) / 1000000000)
