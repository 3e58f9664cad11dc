package pullgate.miss

import data.pullgate.customer
import data.pullgate.open
import data.pullgate.reason
import data.pullgate.until
import data.pullgate.vendor
import data.pullgate.warning

# METADATA
# title: Refusal
# description: |
#   The fields of a decision when nothing allows: who asks, then what came nearest. A license
#   with enforcement warn or observe lets a miss by checks 6 to 13 through, under its code.
refusal := object.union(_denied("withdrawn"), {"until": until.with_rules}) if {
	open.revoked
	not _let_through
} else := _denied("anonymous") if {
	not customer
} else := _denied("customer_banned") if {
	not customer.banned == false
} else := object.union(_denied(vendor.denial[0]), {"until": until.with_rules}) if {
	data.pullgate.rules != {}
	vendor.grant
	not _came_further
} else := object.union(_denied(_ungranted), {"until": until.with_rules}) if {
	count(live) == 0
	input.time
} else := _reported(nearest(_candidates))

# METADATA
# title: Lenient
# description: Whether a grant's license lets a miss of this level through (checks 6 to 13).
lenient(level, grant) if {
	lets_through(grant)
	level >= 6
	level <= 13
}

_let_through if {
	customer.banned == false
	[level, _, grant, _] := nearest(_candidates)
	lenient(level, grant)
}

# A right of a vendor rule that another denies came as far as that (check 11).
_came_further if {
	[level, _, _, _] := nearest(_candidates)
	level >= 12
}

default _candidates := []

_candidates := input.resource.candidates

_ungranted := "no_license" if {
	count(customer.licenses) == 0
} else := "not_granted"

_denied(code) := {
	"allow": false,
	"code": code,
	"until": "never",
	"message": _message(code, {}),
}

_reported([level, code, grant, candidate]) := {
	"allow": true,
	"code": code,
	"license": grant.license,
	"grant": sprintf("%s/%d", [grant.license, grant.grant]),
	"until": until.with_rules,
	"ends": grant.clocks.ends,
	"warnings": array.concat(warning.of_enforcement(grant.enforcement, grant.license, code), vendor.warnings),
	"features": customer.licenses[grant.license].features,
	"headers": vendor.headers,
	"enforcement": grant.enforcement,
} if {
	lenient(level, grant)
} else := {
	"allow": false,
	"code": code,
	"license": grant.license,
	"grant": sprintf("%s/%d", [grant.license, grant.grant]),
	"until": until.with_rules,
	"ends": grant.clocks.ends,
	"message": _message(code, reason.facts(code, grant, candidate)),
}

# A vendor rule writes its message itself.
_message(code, facts) := message if {
	message := reason.message(code, facts)
} else := vendor.denial[1]
