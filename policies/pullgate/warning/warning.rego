# METADATA
# title: Warnings
# description: What a customer is told although the request is allowed.
package pullgate.warning

# METADATA
# title: Warnings of an allowed request
# description: |
#   Of a license that allows with code and has the given use end: grace, kept_version, or
#   expiring_soon from 14 days before the end. expiring_soon is no code and no boundary.
about("ok", license, ends) := _soon(license, ends)

about("grace", license, _) := [{"code": "grace", "message": sprintf("License %s has ended and is in its grace period. Renew it.", [license])}]

about("kept_version", license, _) := [{"code": "kept_version", "message": sprintf("License %s has ended; this version stays usable until its termination. Renew it.", [license])}]

_soon(license, ends) := [] if {
	input.time + 1209600 < ends
} else := [{"code": "expiring_soon", "message": sprintf("License %s ends soon. Renew it.", [license])}]

# METADATA
# title: Warnings of a miss that is let through
# description: Under warn the customer is told, under observe nobody is.
of_enforcement(code, grant) := [{"code": "enforcement", "message": sprintf("License %s does not cover this (%s) and does not enforce it yet. Talk to your vendor.", [grant.license, code])}] if {
	grant.enforcement == "warn"
} else := []
