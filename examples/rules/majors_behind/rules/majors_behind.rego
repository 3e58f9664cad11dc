# METADATA
# title: Maximum number of major versions behind
# description: |
#   Nobody pulls a version more than two major versions behind the newest one; a customer with
#   the label `majors_behind: 3` reaches further.
#
#   Write a range into the license instead (`versions: ">=3.0.0"`) when the oldest version is
#   a matter of one contract. This rule is for a promise that moves for everybody at once.
#
#   The newest major version is written here although the registry knows its tags: a rule sees
#   the candidates of one request, and a push must not take old versions from anybody. Raising
#   the number is a change that is reviewed, tested and announced: the warning comes one major
#   version earlier. How far one reaches is a label of the customer, not a feature of a license:
#   a rule is not told which license will allow, and one that ended must not count.
package vendor.majors_behind

_newest := {"app": 5}

_usual := 2

# METADATA
# title: Too old
# description: Every version must be too old; a layer that a newer one has too stays.
deny contains {
	"code": "too_old",
	"message": "This major version is out of support. Use a newer one, or ask for longer support.",
} if {
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		_behind(candidate) > _furthest
	}
}

# METADATA
# title: Last supported
warn contains {
	"code": "last",
	"message": "Support for this major version ends with the next one. Plan to move.",
} if {
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		_behind(candidate) >= _furthest
	}
}

# Undefined, so never too old: a product that is not in the table, a tag without a version.
_behind(candidate) := _newest[candidate.product] - candidate.order[0]

# The label counts when it is a number: a text would be greater than every number.
_furthest := max({_usual} | {n |
	n := data.pullgate.customer.labels.majors_behind
	is_number(n)
})
