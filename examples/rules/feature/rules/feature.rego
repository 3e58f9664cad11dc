# METADATA
# title: Require a feature
# description: |
#   From a version on a license needs a feature, or enough of it: sso from 2.0.0 on, ten nodes
#   from 3.0.0 on.
#
#   Write `requires: [sso]` into the Product (all versions) or a Release (one version) instead
#   wherever that says it: it is judged with the license that allows, and the customer reads the
#   feature's name. This rule is for a range of versions, and for a feature that is a number.
#
#   A rule is not told which license will allow: of several licenses in force for one product it
#   is enough that one has the feature.
package vendor.feature

# From when on which feature: `is` a value, or `least` a number.
_required := [
	{"product": "app", "from": [2, 0, 0, {}], "feature": "sso", "is": true},
	{"product": "app", "from": [3, 0, 0, {}], "feature": "nodes", "least": 10},
]

# METADATA
# title: Missing
# description: |
#   Open when some license has all that some candidate requires: a layer that an older version
#   has too needs no feature. Only while a license is in force: this check comes before the
#   term, and one that ended should say so.
deny contains {
	"code": "missing",
	"message": "This version needs a feature that your license does not have. Use an older version, or ask us to add it.",
} if {
	count(input.resource.candidates) > 0
	count(_licenses) > 0
	not _is_open
}

_is_open if {
	some candidate in input.resource.candidates
	some license in _licenses
	features := data.pullgate.customer.licenses[license].features
	every requirement in _of(candidate) {
		_meets(features, requirement)
	}
}

# What a candidate requires: nothing when it has no version.
_of(candidate) := [requirement |
	some requirement in _required
	candidate.product == requirement.product
	requirement.from <= candidate.order
]

_meets(features, requirement) if features[requirement.feature] == requirement.is

# A text is greater than every number: "5" would be enough.
_meets(features, requirement) if {
	is_number(features[requirement.feature])
	features[requirement.feature] >= requirement.least
}

# The licenses in force that name the product or the repository.
_licenses contains grant.license if {
	some grant in _naming
	grant.clocks.starts <= input.time
	input.time < _end(grant)
	input.time < grant.clocks.revoked
	input.time < grant.clocks.replaced
}

# Kept versions stay usable until termination.
_end(grant) := grant.clocks.terminates if {
	grant.keep
} else := grant.clocks.grace

_naming contains grant if some grant in data.pullgate.customer.products[input.resource.product]

_naming contains grant if some grant in data.pullgate.customer.repositories[input.resource.repository]

# These are known without a rule. They are said because the rule reads the time.
boundary contains _naming[_].boundaries[_]
