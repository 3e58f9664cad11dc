# METADATA
# title: Edition by repository
# description: |
#   The editions of a product lie in repositories of their own and share their versions. Which
#   of them a customer gets says its label `edition`.
#
#   Make a product of each edition instead when one customer has several, or when editions differ
#   in versions or dates: then a grant names the edition, and no rule is needed. This rule is for
#   one product, one price list and one text of license, whose edition is a word.
#
#   A label belongs to the customer and not to a license: a rule is not told which license will
#   allow, so what only one of several licenses gives is better written as a grant.
package vendor.edition

# The editions that open a repository. One that is not here is open to every license.
_editions := {
	"acme/app-pro": {"pro", "enterprise"},
	"acme/app-enterprise": {"enterprise"},
}

# METADATA
# title: Another edition
# description: Without a label no edition is known, and only the plain repositories are open.
deny contains {
	"code": "other_edition",
	"message": "Your license is for another edition. Use the repository of your edition, or ask us to upgrade.",
} if {
	_editions[input.resource.repository]
	not _is_open
}

_is_open if data.pullgate.customer.labels.edition in _editions[input.resource.repository]
