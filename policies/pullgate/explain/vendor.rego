package pullgate.explain

import data.pullgate.customer
import data.pullgate.reason
import data.pullgate.vendor

# METADATA
# title: Vendor rules
# description: |
#   The packages that are asked, and what they contribute that is true now. None is asked about
#   a login, and none about what nobody known asks, or somebody banned.
default vendor_rules := {"rules": [], "deny": [], "grant": [], "warn": [], "header": [], "boundary": [], "fault": []}

vendor_rules := {
	"rules": [name | some name, _ in data.pullgate.rules],
	"deny": [told | some told in _denials],
	"grant": [code | code := vendor.grant],
	"warn": vendor.warnings,
	"header": vendor.headers,
	"boundary": sort({boundary | some name, _ in data.pullgate.rules; some boundary in data.vendor[name].boundary}),
	"fault": [rule | rule := vendor.fault],
} if {
	_rules_have_a_say
}

_rules_have_a_say if {
	input.action != "ping"
	customer.banned == false
}

# METADATA
# title: Denial
# description: That of a vendor rule, where they are asked.
denial := vendor.denial if _rules_have_a_say

_denials contains {"code": sprintf("vendor.%s.%s", [name, contribution.code]), "message": contribution.message} if {
	some name, _ in data.pullgate.rules
	some contribution in data.vendor[name].deny
}

# METADATA
# title: Contributed
# description: |
#   What a package contributes of a kind: the values of the kind's shape, and what is wrong with
#   the others, in words. It is asked for each kind by itself, since a rule that fails ends the
#   evaluation. Of grants, which are literal, the one that counts.
contributed(name, "grant") := {"values": {{"code": code} | code := _granted(name)}, "faults": []}

contributed(name, kind) := {"values": all - at_fault, "faults": [text | some value in at_fault; text := _fault(kind, value)]} if {
	kind != "grant"
	all := {value | some value in data.vendor[name][kind]}
	at_fault := {value | some value in all; _is_fault(name, kind, value)}
}

_granted(name) := trim_prefix(code, sprintf("vendor.%s.", [name])) if {
	code := vendor.grant with data.pullgate.rules as {name: true}
}

_is_fault(name, kind, value) if {
	vendor.fault with data.pullgate.rules as {name: true}
		with data.vendor as {name: {kind: [value]}}
}

_fault(kind, value) := sprintf("%s is no %s", [reason.clip(json.marshal(value), 80), _shape[kind]])

_shape := {
	"boundary": `whole number of seconds (of the years 1 to 9999), nor "never"`,
	"deny": `object of two texts, "code" and "message", the message not empty`,
	"header": `object of three texts, "name", "value" (1 to 256 printable ASCII characters) and "to"`,
	"warn": `object of two texts, "code" and "message", the message not empty`,
}
