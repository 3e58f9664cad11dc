# METADATA
# title: Warnings
# description: What a customer is told although the request is allowed.
package pullgate.warning

# METADATA
# title: Ends soon
# description: From 14 days before the use end. No code and no boundary; the answer stays.
# custom:
#   code: expiring_soon
about("ok", license, ends) := [] if {
	input.time + 1209600 < ends
} else := [{
	"code": "expiring_soon",
	"message": sprintf("License %s ends soon. Renew it.", [license]),
}]

# METADATA
# title: In grace
# custom:
#   code: grace
about("grace", license, _) := [{
	"code": "grace",
	"message": sprintf("License %s has ended and is in its grace period. Renew it.", [license]),
}]

# METADATA
# title: Kept version
# custom:
#   code: kept_version
about("kept_version", license, _) := [{
	"code": "kept_version",
	"message": sprintf("License %s has ended; this version stays usable until it is terminated. Renew it.", [license]),
}]

# METADATA
# title: Not enforced
# description: Under warn the customer is told of a refusal that is let through, under observe not.
# custom:
#   code: enforcement
about_miss("warn", license, code) := [{
	"code": "enforcement",
	"message": sprintf("License %s does not cover this (%s) and will be enforced. Talk to your vendor.", [license, code]),
}]

about_miss("observe", _, _) := []
