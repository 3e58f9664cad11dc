# METADATA
# title: Hotfixes for chosen customers
# description: |
#   A fix goes to the customers who have the fault, before it is in a release for everybody:
#   version 1.4.3-hotfix.1 of channel hotfix, which no license grants.
#
#   Write a grant into the license instead when it is for one customer and stays:
#   `{product: app, versions: ["1.4.3-hotfix.1"], channels: [hotfix]}`. With this rule support
#   keeps one list for all customers, in one file that is reviewed and tested.
#
#   A grant of a rule stands in place of a license: range, channel, features and all dates are
#   lifted. So the rule says itself that the customer has a license in force. A customer who is
#   banned and a version that is withdrawn stay out whatever it says.
package vendor.hotfix

# Which customers get which version of the product app. SemVer sorts 1.4.3-hotfix.1 after 1.4.2
# and before 1.4.3: a hotfix is named for the release that will have the fix.
_hotfixes := {
	"1.4.3-hotfix.1": {"globex", "initech", "hooli"},
	"1.4.3-hotfix.2": {"initech"},
}

# METADATA
# title: Hotfix
# description: |
#   One candidate is enough: a layer belongs to the hotfix and to releases, and whoever may have
#   one of them may have the layer.
grant contains {"code": "version"} if {
	some candidate in input.resource.candidates
	candidate.product == "app"
	input.subject.customer in _hotfixes[candidate.version]
	_has_license
}

# Begun, not ended, and neither revoked, suspended nor replaced. `grace` is the end of grace,
# which is the end of use where there is none.
_has_license if {
	some grant in data.pullgate.customer.products.app
	grant.clocks.starts <= input.time
	input.time < grant.clocks.grace
	input.time < grant.clocks.terminates
	input.time < grant.clocks.revoked
	input.time < grant.clocks.replaced
	[from, until] := grant.clocks.suspended
	not _is_within(from, until)
}

_is_within(from, until) if {
	from <= input.time
	input.time < until
}

# When that may change.
boundary contains data.pullgate.customer.products.app[_].boundaries[_]
