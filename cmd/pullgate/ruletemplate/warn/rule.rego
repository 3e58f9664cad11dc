# METADATA
# title: Old versions
# description: |
#   Write here what the rule is for, and for whom: somebody reads it in a year.
#
#   As written it warns whoever pulls an old version of a product in the table below, from a day
#   on. A warning stops nothing: clients show it, `pullgate decide` and records too. (A rule must
#   earn its place: that a license ends soon is said without one.)
package vendor.%NAME%

# The first version that is not old, by product: version 2.0.0 is [2, 0, 0, {}]. Put yours here.
_oldest := {"sample-app": [2, 0, 0, {}]}

# When it begins. Unix seconds: 2026-01-01T00:00:00Z.
_begins := 1767225600

# METADATA
# title: Old
# description: |
#   `every`: a layer is reached through many versions, and warns only when all of them are old.
#   It holds for no candidates too, so there must be one.
warn contains {
	"code": "old",
	"message": "This version gets no more fixes. Plan to use version 2.",
} if {
	_begins <= input.time
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		_is_old(candidate)
	}
}

# A helper that must hold: a product that is not in the table and a tag without a version have
# no value here, and are not old.
_is_old(candidate) if candidate.order < _oldest[candidate.product]

# A rule that reads input.time says when its answer changes: no answer is kept longer.
boundary contains _begins

# When it shall refuse one day: add `deny contains {"code": "old", "message": "…"} if …` with the
# same helper and a date of its own, and that date as a boundary.
